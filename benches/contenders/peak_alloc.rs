//! peak_alloc: current and peak bytes and no stacks.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOC: PeakAlloc = PeakAlloc;

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
