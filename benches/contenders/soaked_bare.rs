//! The service of a soak, without the tracer.

fn main() -> std::io::Result<()> {
    alloc_benches::soak::serve_orders(None)
}
