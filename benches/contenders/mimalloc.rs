//! mimalloc with nothing around it: what `mimalloc-traced` is compared with.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOC: MiMalloc = MiMalloc;

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
