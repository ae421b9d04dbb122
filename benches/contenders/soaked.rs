//! The service of a soak, with the tracer: a sample, profiles over HTTP, and what the environment asks for.

use alloc_benches::soak;
use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = alloc_core::serve("127.0.0.1:0")?;
    Ok(soak::serve_orders(server.address())?)
}
