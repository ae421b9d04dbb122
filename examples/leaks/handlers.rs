//! Handlers that are never removed: each connection subscribes to events, and closes without a word.
//!
//!     cargo run --release --example leak_handlers -- leaking 1.pb.gz 2.pb.gz 3.pb.gz
//!     alloc-report suspects 1.pb.gz 2.pb.gz 3.pb.gz

use std::collections::BTreeMap;

use alloc_core::{Error, TraceAlloc};

mod steps;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

type Handler = Box<dyn Fn(&str) -> bool>;

#[derive(Default)]
struct Events {
    handlers: BTreeMap<usize, Handler>,
    next: usize,
}

impl Events {
    /// Returns a number, by which the handler can be removed.
    fn subscribe(&mut self, handler: Handler) -> usize {
        self.next += 1;
        self.handlers.insert(self.next, handler);
        self.next
    }

    fn unsubscribe(&mut self, number: usize) {
        self.handlers.remove(&number);
    }
}

fn connect(events: &mut Events, user: usize) -> usize {
    let name = [user; 16];
    events.subscribe(Box::new(move |event| event.len() == name[0])) // mark: leak
}

fn main() -> Result<(), Error> {
    let steps = steps::Steps::begin()?;
    let mut events = Events::default();
    steps.run(|request| {
        let number = connect(&mut events, request);
        if steps.is_mended {
            events.unsubscribe(number);
        }
    })
}
