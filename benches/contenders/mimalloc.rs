//! mimalloc. `mimalloc-traced` is compared with it.

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOC: MiMalloc = MiMalloc;

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
