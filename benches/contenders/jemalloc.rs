//! jemalloc, built with profiling. The environment turns profiling on.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: Jemalloc = Jemalloc;

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
