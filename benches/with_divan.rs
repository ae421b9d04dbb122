//! Memory in `divan`: its profiler wraps this allocator, and the bytes of one call are a counter.
//!
//!     cargo bench -p alloc-benches --features divan --bench with_divan

use alloc_core::{TraceAlloc, measure};
use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};

#[global_allocator]
static ALLOC: AllocProfiler<TraceAlloc> = AllocProfiler::new(TraceAlloc::system());

const TEXT: &str =
    r#"{"name": "alloc", "sizes": [1, 2, 3, 4, 5, 6, 7, 8], "nested": {"a": "b", "c": null}}"#;

fn parse() -> serde_json::Value {
    serde_json::from_str(TEXT).expect("JSON")
}

fn main() {
    let usage = measure(parse).usage;
    println!("one call: {usage}");
    divan::main();
}

/// Bytes allocated in a second, next to divan's own columns for allocations.
#[divan::bench]
fn parse_json(bencher: Bencher<'_, '_>) {
    let allocated = measure(parse).usage.allocated.bytes.get();
    bencher.counter(BytesCount::new(allocated)).bench(parse);
}
