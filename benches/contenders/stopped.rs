//! The tracer installed and never started: the cost of shipping with it.

use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
