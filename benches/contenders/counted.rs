//! The system's allocator with counters: it counts a workload's allocations and is never timed.

use alloc_benches::counting::Counting;

#[global_allocator]
static ALLOC: Counting = Counting;

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
