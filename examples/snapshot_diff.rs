//! Hunts a leak: two snapshots, and the lines that grew between them.
//!
//!     cargo run --release --example snapshot_diff

use std::collections::HashMap;

use alloc_core::{Error, GroupBy, TraceAlloc};
use alloc_report::CompareTo;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

#[derive(Default)]
struct Server {
    cache: HashMap<u64, String>,
    last: Vec<String>,
}

impl Server {
    fn handle(&mut self, request: u64) {
        let answer = format!("the answer to request {request}");
        // Entries are never removed: this is the leak.
        self.cache.insert(request, answer.clone());
        self.last.push(answer);
        self.last.drain(..self.last.len().saturating_sub(100));
    }
}

fn main() -> Result<(), Error> {
    alloc_core::start()?;
    let mut server = Server::default();
    (0..1_000).for_each(|request| server.handle(request));
    let before = alloc_core::take_snapshot()?;
    (1_000..50_000).for_each(|request| server.handle(request));
    let after = alloc_core::take_snapshot()?;

    println!("{}", alloc_report::diff(&after, &before, 5));
    println!("The same, as tracemalloc prints it:");
    for line in after.compare_to(&before, GroupBy::Line).iter().take(3) {
        println!("{line}");
    }
    Ok(())
}
