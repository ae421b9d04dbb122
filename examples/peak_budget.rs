//! Measures a peak and asserts a limit: sorting the words of a file may take so much and no more.
//!
//!     cargo run --release --example peak_budget

use alloc_core::{Bytes, Error, Metric, TraceAlloc};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const BUDGET: Bytes = Bytes::mib(2);

fn sorted_words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    // A stable sort takes up to half as much memory again while it runs.
    words.sort();
    words
}

fn main() -> Result<(), Error> {
    let text = "the quick brown fox jumps over the lazy dog ".repeat(5_000);

    alloc_core::start()?;
    alloc_core::reset_peak();
    let before = alloc_core::traced_memory().current;
    let words = sorted_words(&text);
    let peak = alloc_core::traced_memory().peak - before;

    println!("{} words sorted: peak {peak} of {BUDGET}.", words.len());
    if peak > BUDGET {
        let snapshot = alloc_core::take_snapshot()?;
        println!("{}", alloc_report::top(&snapshot, 3).metric(Metric::AtPeak));
    }
    assert!(
        peak <= BUDGET,
        "expected a peak of at most {BUDGET}, found {peak}"
    );
    Ok(())
}
