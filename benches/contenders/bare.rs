//! The system's allocator with nothing around it: what all others are compared with.

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
