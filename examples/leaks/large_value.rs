//! A large value that is held through a long function, of which only a small part is used.
//!
//! It does not grow, so it is no suspect: a note names it, since it is held from the first snapshot
//! to the last.
//!
//!     cargo run --release --example leak_large_value -- leaking 1.pb.gz 2.pb.gz 3.pb.gz
//!     alloc-report suspects 1.pb.gz 2.pb.gz 3.pb.gz

use alloc_core::{Error, TraceAlloc};

mod steps;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn load() -> String {
    "station 7; 12.5 degrees\n".repeat(1_000_000) // mark: held
}

fn main() -> Result<(), Error> {
    let steps = steps::Steps::begin()?;
    let text = load();
    let lines = text.lines().count();
    let mut held = Some(text);
    if steps.is_mended {
        held = None;
    }

    // What follows takes long, and needs the number only.
    let mut answers = 0;
    steps.run(|request| {
        let answer = format!("{} of {lines} lines", request.min(lines));
        answers += answer.len();
    })?;
    drop(held);
    println!("{answers} bytes of answers");
    Ok(())
}
