//! A guard that is never dropped: where a request times out, its permit is forgotten.
//!
//!     cargo run --release --example leak_guard -- leaking 1.pb.gz 2.pb.gz 3.pb.gz
//!     alloc-report suspects 1.pb.gz 2.pb.gz 3.pb.gz

use std::cell::Cell;
use std::hint::black_box;
use std::mem;

use alloc_core::{Error, TraceAlloc};

mod steps;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// Returns its place in the pool when it is dropped.
struct Permit<'a> {
    in_use: &'a Cell<usize>,
    buffer: Vec<u8>,
}

impl Permit<'_> {
    fn take(in_use: &Cell<usize>) -> Permit<'_> {
        in_use.set(in_use.get() + 1);
        // NOTE: without this, the compiler may see that no one reads the buffer, and not allocate it.
        let buffer = black_box(vec![0; 4_096]); // mark: leak
        Permit { in_use, buffer }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.in_use.set(self.in_use.get() - 1);
    }
}

fn main() -> Result<(), Error> {
    let steps = steps::Steps::begin()?;
    let in_use = Cell::new(0);
    steps.run(|request| {
        let mut permit = Permit::take(&in_use);
        permit.buffer[0] = request as u8;
        // Three of a hundred requests time out.
        let has_timed_out = request % 100 < 3;
        if has_timed_out && !steps.is_mended {
            mem::forget(permit);
        }
    })?;
    println!("{} permits in use", in_use.get());
    Ok(())
}
