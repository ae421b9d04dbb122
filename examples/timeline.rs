//! A program whose memory has a shape: a cache that grows, batches, a spike, and a leak.
//!
//!     cargo build --release --example timeline
//!     alloc-report run --every 0.25 -o timeline -- target/release/examples/timeline
//!     alloc-report timeline timeline -o timeline.svg

use std::hint::black_box;
use std::thread::sleep;
use std::time::Duration;

use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const TURNS: usize = 60;

fn main() {
    let mut cache = Vec::with_capacity(TURNS);
    let mut forgotten = Vec::with_capacity(TURNS);
    for turn in 0..TURNS {
        // It grows until it is cleared.
        cache.push(vec![1_u8; 512 << 10]);
        if turn == 40 {
            cache.clear();
        }
        // A few bytes each time, which are never used again.
        forgotten.push(vec![2_u8; 128 << 10]);
        let batch = (turn % 10 < 5).then(|| vec![3_u8; 6 << 20]);
        let report = (turn == 33).then(|| vec![4_u8; 24 << 20]);
        sleep(Duration::from_millis(50));
        black_box((batch, report));
    }
    black_box((cache, forgotten));
}
