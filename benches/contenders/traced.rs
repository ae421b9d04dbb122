//! The tracer at work: every allocation, with 32 frames, or as the mode says.

use alloc_benches::contender;
use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() {
    contender::run(contender::start_tracing, contender::tell_of_the_tracer);
}
