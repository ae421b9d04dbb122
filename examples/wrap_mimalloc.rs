//! Wraps another allocator: mimalloc does the work, and every block is traced.
//!
//!     cargo run --release --example wrap_mimalloc

use std::collections::BTreeMap;

use alloc_core::{Error, TraceAlloc};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOC: TraceAlloc<MiMalloc> = TraceAlloc::new(MiMalloc);

fn main() -> Result<(), Error> {
    alloc_core::start()?;
    let squares: BTreeMap<u64, String> = (0..10_000).map(|n| (n, (n * n).to_string())).collect();

    let snapshot = alloc_core::take_snapshot()?;
    println!("{}", alloc_report::top(&snapshot, 5));
    println!("{} squares, the last is {}", squares.len(), squares[&9_999]);
    Ok(())
}
