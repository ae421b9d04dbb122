//! Memory in `criterion`: what a parser allocates and holds, beside the time that it takes.
//!
//!     cargo bench -p alloc-benches --features criterion --bench with_criterion

use alloc_core::{Memory, TraceAlloc};
use criterion::measurement::{Measurement, WallTime};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const TEXT: &str =
    r#"{"name": "alloc", "sizes": [1, 2, 3, 4, 5, 6, 7, 8], "nested": {"a": "b", "c": null}}"#;

fn parse<M: Measurement + 'static>(criterion: &mut Criterion<M>, what: &str) {
    criterion.bench_function(&format!("parse JSON, {what}"), |bencher| {
        // Each call by itself, so that a peak is that of one.
        bencher.iter_batched(
            || TEXT,
            |text| serde_json::from_str::<serde_json::Value>(text).expect("JSON"),
            BatchSize::PerIteration,
        );
    });
}

fn time(criterion: &mut Criterion<WallTime>) {
    parse(criterion, "time");
}

fn bytes(criterion: &mut Criterion<Memory>) {
    parse(criterion, "bytes");
}

fn allocations(criterion: &mut Criterion<Memory>) {
    parse(criterion, "allocations");
}

fn peak(criterion: &mut Criterion<Memory>) {
    parse(criterion, "peak");
}

/// Memory is counted, and the same each time: ten samples are more than enough.
fn measuring(memory: Memory) -> Criterion<Memory> {
    Criterion::default()
        .sample_size(10)
        .with_measurement(memory)
}

criterion_group!(times, time);
criterion_group!(name = sizes; config = measuring(Memory::Bytes); targets = bytes);
criterion_group!(name = blocks; config = measuring(Memory::Allocations); targets = allocations);
criterion_group!(name = peaks; config = measuring(Memory::Peak); targets = peak);
criterion_main!(times, sizes, blocks, peaks);
