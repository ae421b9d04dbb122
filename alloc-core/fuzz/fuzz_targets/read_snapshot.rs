//! Reads arbitrary bytes as a snapshot file. The result is an error, or a snapshot that can be
//! grouped, written and read again. Reading takes at most 4 MiB and sixteen times the file's size.
//!
//! The bytes are not compressed, since the fuzzer could not get past gzip's checksum. The fuzzer's
//! `-timeout` bounds the time.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_core::{GroupBy, Snapshot};
use libfuzzer_sys::fuzz_target;

/// The system's allocator, with a peak of live bytes.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn grew(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Relaxed).wrapping_add(bytes);
    MOST.fetch_max(live, Relaxed);
}

// SAFETY: all blocks come from the system's allocator and return to it with the same layouts.
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
    // Compressed bytes may expand beyond the bound.
    let is_packed = bytes.starts_with(&[0x1F, 0x8B]);
    assert!(is_packed || most <= bound, "{most} bytes for {}", bytes.len());
    let Ok(snapshot) = read else {
        if let Ok((added, removed)) = Snapshot::read_difference(bytes) {
            format_all(&added);
            format_all(&removed);
        }
        return;
    };
    format_all(&snapshot);
    let mut again = Vec::new();
    snapshot.write_to(&mut again).expect("memory");
    let again = Snapshot::read_from(&again[..]).expect("what was written");
    assert_eq!(again.traces(), snapshot.traces());
});

/// Formats the statistics of every grouping.
fn format_all(snapshot: &Snapshot) {
    for by in GroupBy::ALL {
        for statistic in snapshot.statistics(*by) {
            drop(statistic.to_string());
        }
    }
}
