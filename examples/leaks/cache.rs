//! A cache without bound: every page that was ever asked for is kept.
//!
//!     cargo run --release --example leak_cache -- leaking 1.pb.gz 2.pb.gz 3.pb.gz
//!     alloc-report suspects 1.pb.gz 2.pb.gz 3.pb.gz

use std::collections::BTreeMap;

use alloc_core::{Error, TraceAlloc};

mod steps;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// The number of pages that the mended cache keeps.
const PAGES: usize = 500;

#[derive(Default)]
struct Cache {
    /// By the request that asked for it last.
    pages: BTreeMap<usize, Vec<u8>>,
}

impl Cache {
    fn page(&mut self, request: usize) -> usize {
        let page = self.pages.entry(request).or_insert_with(|| vec![b'x'; 600]); // mark: leak
        page.len()
    }

    fn evict(&mut self) {
        while self.pages.len() > PAGES {
            self.pages.pop_first();
        }
    }
}

fn main() -> Result<(), Error> {
    let steps = steps::Steps::begin()?;
    let mut cache = Cache::default();
    steps.run(|request| {
        cache.page(request);
        if steps.is_mended {
            cache.evict();
        }
    })
}
