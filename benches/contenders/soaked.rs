//! The service of a soak, with the tracer: a sample, profiles over HTTP and pushed, and what the environment asks for.

use std::time::Duration;

use alloc_benches::soak;
use alloc_core::TraceAlloc;
use alloc_core::push::PushOptions;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = alloc_core::serve("127.0.0.1:0")?;
    let receiver = std::env::var(soak::RECEIVER)?;
    let pushed = PushOptions::pyroscope(&receiver).names(false);
    pushed.every(Duration::from_secs(1)).start()?.detach();
    Ok(soak::serve_orders(server.address())?)
}
