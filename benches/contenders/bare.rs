//! The system's allocator. The other contenders are compared with it.

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
