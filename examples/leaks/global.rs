//! A growing global: a log for the administrator, which nobody empties.
//!
//!     cargo run --release --example leak_global -- leaking 1.pb.gz 2.pb.gz 3.pb.gz
//!     alloc-report suspects 1.pb.gz 2.pb.gz 3.pb.gz

use std::collections::VecDeque;
use std::sync::Mutex;

use alloc_core::{Error, TraceAlloc};

mod steps;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// The number of lines that the mended log keeps.
const LINES: usize = 100;

static LOG: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

fn log(request: usize, limit: Option<usize>) {
    let mut log = LOG.lock().unwrap();
    let line = format!("GET /orders/{request:08}: 200, 1289 bytes in 3 ms"); // mark: leak
    log.push_back(line);
    while limit.is_some_and(|limit| log.len() > limit) {
        log.pop_front();
    }
}

fn main() -> Result<(), Error> {
    let steps = steps::Steps::begin()?;
    let limit = steps.is_mended.then_some(LINES);
    steps.run(|request| log(request, limit))
}
