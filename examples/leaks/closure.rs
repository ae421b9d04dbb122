//! A closure that keeps a large buffer, of which it needs the length only.
//!
//!     cargo run --release --example leak_closure -- leaking 1.pb.gz 2.pb.gz 3.pb.gz
//!     alloc-report suspects 1.pb.gz 2.pb.gz 3.pb.gz

use alloc_core::{Error, TraceAlloc};

mod steps;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// The number of summaries that there is room for from the start.
const SUMMARIES: usize = 100_000;

fn receive(request: usize) -> Vec<u8> {
    vec![b'x'; 2_000 + request % 100] // mark: leak
}

/// The closure owns the body.
fn leaking(body: Vec<u8>) -> impl Fn() -> usize {
    move || body.len()
}

/// The closure owns a number.
fn mended(body: Vec<u8>) -> impl Fn() -> usize {
    let length = body.len();
    move || length
}

fn run<F: Fn() -> usize>(steps: &steps::Steps, summary: fn(Vec<u8>) -> F) -> Result<(), Error> {
    let mut summaries = Vec::with_capacity(SUMMARIES);
    steps.run(|request| summaries.push(summary(receive(request))))?;
    let length: usize = summaries.iter().map(|it| it()).sum();
    println!("{length} bytes in {} bodies", summaries.len());
    Ok(())
}

fn main() -> Result<(), Error> {
    let steps = steps::Steps::begin()?;
    match steps.is_mended {
        false => run(&steps, leaking),
        true => run(&steps, mended),
    }
}
