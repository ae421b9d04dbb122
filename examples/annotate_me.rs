//! Loops, a spike in a callee, a generic function and a held result, for `alloc-report annotate`.
//!
//!     cargo run --release --example annotate_me
//!
//! prints its own table. With a path as argument, it writes a snapshot there instead.

use std::hint::black_box;

use alloc_core::{Error, TraceAlloc};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() -> Result<(), Error> {
    alloc_core::start()?;
    let report = black_box(work());
    let snapshot = alloc_core::take_snapshot()?;
    match std::env::args_os().nth(1) {
        Some(path) => snapshot.dump(path)?,
        None => println!("{}", alloc_report::annotate(&snapshot)),
    }
    drop(report);
    Ok(())
}

/// Returns what it keeps: one megabyte. Sixteen times that is live at the peak.
#[inline(never)]
fn work() -> Vec<Vec<u8>> {
    let mut kept = Vec::with_capacity(64);
    for turn in 1..=10 {
        kept.push(vec![turn; 100_000]);
        drop(bytes(vec![turn; 30_000]));
    }
    let average = spike(2_000_000);
    kept.push(bytes(vec![average; 24_000]));
    for word in ["a", "list", "of", "words"] {
        drop(bytes(word.repeat(1_000)));
    }
    kept
}

/// Frees all it allocates, so that only its peak shows it.
#[inline(never)]
fn spike(samples: usize) -> u8 {
    let values = vec![1_u64; samples];
    let sum: u64 = values.iter().sum();
    (sum / samples as u64) as u8
}

/// A generic function, which is one function in the table.
#[inline(never)]
fn bytes<T: AsRef<[u8]>>(text: T) -> Vec<u8> {
    text.as_ref().to_vec()
}
