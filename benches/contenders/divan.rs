//! divan's AllocProfiler: counters of each thread for itself, and no stacks.

use divan::AllocProfiler;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
