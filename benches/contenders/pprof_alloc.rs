//! pprof-alloc; the harness says through the environment how often it samples.

use pprof_alloc::{Allocator, DEFAULT_PPROF_SAMPLE_RATE, PprofAlloc};

#[global_allocator]
static ALLOC: PprofAlloc = PprofAlloc::new()
    .with_default(Allocator::System)
    .with_pprof_sample_rate_from_env(DEFAULT_PPROF_SAMPLE_RATE);

fn main() {
    alloc_benches::contender::run(|| (), |_| ());
}
