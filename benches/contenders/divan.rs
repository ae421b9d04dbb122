//! divan's AllocProfiler: thread-local counters and no stacks.

use divan::AllocProfiler;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
