//! The started tracer: every allocation with 32 frames, or another mode.

use alloc_benches::contender;
use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() {
    contender::run(contender::start_tracing, contender::add_tracer_facts);
}
