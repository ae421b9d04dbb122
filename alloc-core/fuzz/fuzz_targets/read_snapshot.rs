//! A snapshot file of any bytes is an error or a snapshot that can be looked at, written and read again. Reading it
//! takes up at most sixteen times its size and 4 MiB.
//!
//! The bytes are those inside of the gzip, which the fuzzer would not get past. How long reading takes is bounded by
//! the fuzzer's `-timeout`.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_core::{GroupBy, Snapshot};
use libfuzzer_sys::fuzz_target;

/// The system's allocator, and the most that was live.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn grew(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed).wrapping_add(bytes);
    MOST.fetch_max(live, Relaxed);
}

// SAFETY: all blocks are the system allocator's, which is told the same layouts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grew(layout.size());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOC: Counting = Counting;

fuzz_target!(|bytes: &[u8]| {
    let before = LIVE.load(Relaxed);
    MOST.store(before, Relaxed);
    let read = Snapshot::read_from(bytes);
    let most = MOST.load(Relaxed) - before;
    let bound = 16 * bytes.len() + (4 << 20);
    // What is packed may be larger.
    let is_packed = bytes.starts_with(&[0x1F, 0x8B]);
    assert!(is_packed || most <= bound, "{most} bytes for {}", bytes.len());
    let Ok(snapshot) = read else {
        if let Ok((added, taken_away)) = Snapshot::read_difference(bytes) {
            look_at(&added);
            look_at(&taken_away);
        }
        return;
    };
    look_at(&snapshot);
    let mut again = Vec::new();
    snapshot.write_to(&mut again).expect("memory");
    let again = Snapshot::read_from(&again[..]).expect("what was written");
    assert_eq!(again.traces(), snapshot.traces());
});

fn look_at(snapshot: &Snapshot) {
    for by in GroupBy::ALL {
        for statistic in snapshot.statistics(*by) {
            drop(statistic.to_string());
        }
    }
}
