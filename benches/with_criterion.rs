//! Memory in `criterion`: the line with a parser's time also has its allocations and its peak.
//!
//!     cargo bench -p alloc-benches --features criterion --bench with_criterion

use alloc_core::{TimeAndMemory, TraceAlloc};
use criterion::{Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const TEXT: &str =
    r#"{"name": "alloc", "sizes": [1, 2, 3, 4, 5, 6, 7, 8], "nested": {"a": "b", "c": null}}"#;

fn parse(criterion: &mut Criterion<TimeAndMemory>) {
    let parse = || serde_json::from_str::<serde_json::Value>(TEXT).expect("JSON");
    criterion.bench_function("parse JSON", |b| b.iter_custom(TimeAndMemory::of(parse)));
}

fn print(criterion: &mut Criterion<TimeAndMemory>) {
    let value: serde_json::Value = serde_json::from_str(TEXT).expect("JSON");
    criterion.bench_function("print JSON", |b| {
        b.iter_custom(TimeAndMemory::of(|| value.to_string()));
    });
}

fn config() -> Criterion<TimeAndMemory> {
    Criterion::default().with_measurement(TimeAndMemory::default())
}

criterion_group!(name = json; config = config(); targets = parse, print);
criterion_main!(json);
