//! The program in the README: a service that keeps a page for each session forever.
//!
//!     ALLOC_TRACE=128 ALLOC_TRACE_OUT=heap.pb.gz cargo run --release --example shop
//!     alloc-report top heap.pb.gz

use std::collections::HashMap;

#[global_allocator]
static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();

#[derive(Default)]
struct Shop {
    sessions: HashMap<u64, String>,
    log: Vec<String>,
}

impl Shop {
    fn handle(&mut self, session: u64) -> usize {
        let page = format!("<h1>Order {session}</h1>").repeat(8);
        // Sessions are never removed.
        self.sessions.insert(session, page.clone());
        self.log.push(format!("200 GET /orders/{session}"));
        self.log.drain(..self.log.len().saturating_sub(1000));
        page.len()
    }
}

fn main() {
    let mut shop = Shop::default();
    let sent: usize = (0..100_000).map(|session| shop.handle(session)).sum();
    println!("{sent} bytes sent, {} sessions", shop.sessions.len());
}
