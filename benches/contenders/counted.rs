//! The system's allocator, counted: it says how many allocations a workload makes, and is not timed.

use alloc_benches::counting::Counting;

#[global_allocator]
static ALLOC: Counting = Counting;

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
