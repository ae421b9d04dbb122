//! What names cost on the heap: nothing while none is used, and a bounded amount otherwise.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_core::{TraceAlloc, assert_no_growth, start, take_snapshot};

/// The system's allocator, which counts the live bytes and their peak.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all memory comes from the system's allocator. The default methods call these two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(live, Relaxed);
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.dealloc(block, layout) };
    }
}

#[global_allocator]
static ALLOC: TraceAlloc<Counting> = TraceAlloc::with_granule(Counting, 16);

alloc_tests::tests![
    an_assertion_that_holds_names_nothing,
    names_take_a_bounded_part_of_the_heap_for_a_while,
];

/// The growth of the live bytes while `work` runs: at their peak, and after it.
fn most_and_kept(work: impl FnOnce()) -> (usize, usize) {
    let before = LIVE.load(Relaxed);
    MOST.store(before, Relaxed);
    work();
    let after = LIVE.load(Relaxed);
    (MOST.load(Relaxed) - before, after.saturating_sub(before))
}

fn an_assertion_that_holds_names_nothing() {
    let mut kept = Vec::new();
    let (most, _) = most_and_kept(|| {
        let mut round = 0;
        assert_no_growth!(rounds = 5, warmup = 1, || {
            round += 1;
            drop(black_box(vec![1_u8; 100]));
            // Growth in the first round is no leak.
            if round == 3 {
                kept.push(black_box(vec![2_u8; 1000]));
            }
        });
    });
    println!("{most} bytes at most");
    assert!(most < 200_000, "{most}");
}

fn names_take_a_bounded_part_of_the_heap_for_a_while() {
    start().unwrap();
    let kept = black_box(vec![1_u8; 1000]);
    let (most, after) = most_and_kept(|| {
        let snapshot = take_snapshot().unwrap();
        assert!(snapshot.missing_debug_info().is_none());
        assert!(!snapshot.traces().is_empty());
    });
    println!("{most} bytes at most, {after} after");
    // About ten MiB for this program, and twenty more where a compressed debug file of the C
    // library is installed.
    assert!(most < 40 << 20, "{most}");
    assert!(after < 2 << 20, "{after}");
    drop(kept);
}
