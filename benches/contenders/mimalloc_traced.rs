//! The started tracer around mimalloc: every allocation with 32 frames.

use alloc_benches::contender;
use alloc_core::TraceAlloc;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOC: TraceAlloc<MiMalloc> = TraceAlloc::new(MiMalloc);

fn main() {
    contender::run(contender::start_tracing, contender::add_tracer_facts);
}
