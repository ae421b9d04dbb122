//! jemalloc, built with profiling; the harness says through the environment whether it profiles.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOC: Jemalloc = Jemalloc;

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
