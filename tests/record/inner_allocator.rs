//! The inner allocator: which calls it receives, what happens when it refuses, and when it
//! allocates itself.

use std::alloc::{GlobalAlloc, Layout, System, alloc, alloc_zeroed, dealloc, realloc};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use alloc_core::{Amount, TraceAlloc, start, take_snapshot, traceback_of, traced_memory};
use alloc_tests::{at_function, sum_of};

/// The system's allocator, which counts its calls, refuses on demand, and calls back into the
/// program.
struct Probe;

#[global_allocator]
static ALLOC: TraceAlloc<Probe> = TraceAlloc::new(Probe);

/// Calls of `alloc`, `dealloc`, `alloc_zeroed` and `realloc`.
static CALLS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
static REFUSE: AtomicBool = AtomicBool::new(false);
static CALL_BACK: AtomicBool = AtomicBool::new(false);

thread_local! {
    static IN_CALL_BACK: Cell<bool> = const { Cell::new(false) };
}

impl Probe {
    /// Whether it continues.
    fn asked(&self, method: usize) -> bool {
        CALLS[method].fetch_add(1, Relaxed);
        if CALL_BACK.load(Relaxed) && !IN_CALL_BACK.replace(true) {
            call_back();
            IN_CALL_BACK.set(false);
        }
        !REFUSE.load(Relaxed)
    }
}

/// Allocates through the program's allocator, while that is calling the inner one.
#[inline(never)]
fn call_back() {
    let mut block = Box::new(black_box([0_u8; 333]));
    block[0] = 1;
    let mut list = vec![block];
    list.reserve(black_box(100));
    // Prints dots, so that the output shows where a hang is.
    print!(".");
}

// SAFETY: memory comes from the system's allocator, or the result is null.
unsafe impl GlobalAlloc for Probe {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.asked(0) {
            // SAFETY: the caller's promises are the ones that the system's allocator needs.
            unsafe { System.alloc(layout) }
        } else {
            std::ptr::null_mut()
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.asked(1);
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.asked(2) {
            // SAFETY: the caller's promises are the ones that the system's allocator needs.
            unsafe { System.alloc_zeroed(layout) }
        } else {
            std::ptr::null_mut()
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.asked(3) {
            // SAFETY: the caller's promises are the ones that the system's allocator needs.
            unsafe { System.realloc(block, layout, new_size) }
        } else {
            std::ptr::null_mut()
        }
    }
}

alloc_tests::tests![
    each_method_is_forwarded_to_its_own,
    a_refusal_stays_null_and_is_not_recorded,
    a_refused_realloc_leaves_the_block_as_it_was,
    what_cannot_be_had_is_an_error_not_an_abort,
    zeroed_memory_stays_not_resident,
    an_inner_allocator_that_allocates_through_the_outer,
    one_without_usable_sizes_has_no_slack,
];

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// The calls of each method during `act`.
fn calls_of(act: impl FnOnce()) -> [u64; 4] {
    let calls = || CALLS.each_ref().map(|calls| calls.load(Relaxed));
    let before = calls();
    act();
    let after = calls();
    std::array::from_fn(|method| after[method] - before[method])
}

fn each_method_is_forwarded_to_its_own() {
    for tracing in [false, true] {
        if tracing {
            start().unwrap();
        }
        let calls = calls_of(|| {
            // SAFETY: the size is not zero.
            let first = black_box(unsafe { alloc(LAYOUT) });
            // SAFETY: the size is not zero.
            let second = black_box(unsafe { alloc_zeroed(LAYOUT) });
            // SAFETY: from `alloc` with that layout.
            let first = black_box(unsafe { realloc(first, LAYOUT, 128) });
            // SAFETY: from `realloc` with that size.
            let first = black_box(unsafe { realloc(first, Layout::new::<[u64; 16]>(), 64) });
            // SAFETY: from `realloc` with that size.
            unsafe { dealloc(first, LAYOUT) };
            // SAFETY: from `alloc_zeroed` with that layout.
            unsafe { dealloc(second, LAYOUT) };
        });
        assert_eq!(calls, [1, 2, 1, 2], "tracing: {tracing}");
        assert_eq!(calls_of(|| drop(black_box(vec![0_u8; 100]))), [0, 1, 1, 0]);
        assert_eq!(calls_of(|| drop(black_box(Box::new(7)))), [1, 1, 0, 0]);
    }
    // The tracer's tables take nothing from the inner allocator.
    let calls = calls_of(|| {
        for size in 1..1000 {
            drop(black_box(Vec::<u8>::with_capacity(size)));
        }
        alloc_core::reset_peak();
        traced_memory();
        alloc_core::tracer_memory();
        alloc_core::clear_traces();
    });
    assert_eq!(calls, [999, 999, 0, 0]);
}

fn refusing<R>(act: impl FnOnce() -> R) -> R {
    REFUSE.store(true, Relaxed);
    let result = act();
    REFUSE.store(false, Relaxed);
    result
}

fn a_refusal_stays_null_and_is_not_recorded() {
    start().unwrap();
    let kept = black_box(Box::new([0_u8; 100]));
    // SAFETY: the size is not zero.
    let plain = black_box(refusing(|| unsafe { alloc(LAYOUT) }));
    // SAFETY: the size is not zero.
    let zeroed = black_box(refusing(|| unsafe { alloc_zeroed(LAYOUT) }));
    assert!(plain.is_null() && zeroed.is_null());
    assert!(refusing(|| Vec::<u8>::new().try_reserve(10)).is_err());
    let snapshot = take_snapshot().unwrap();
    let sum = sum_of(&snapshot, |_| true);
    assert_eq!(
        (sum.current, sum.total),
        (Amount::new(100, 1), Amount::new(100, 1))
    );
    assert_eq!(
        (traced_memory().current.get(), traced_memory().peak.get()),
        (100, 100)
    );
    drop(kept);
}

fn a_refused_realloc_leaves_the_block_as_it_was() {
    start().unwrap();
    // SAFETY: the size is not zero.
    let block = black_box(unsafe { alloc(LAYOUT) });
    let traceback = traceback_of(block).unwrap();
    for new_size in [32, 64, 4096] {
        // SAFETY: from `alloc` with that layout.
        let moved = black_box(refusing(|| unsafe { realloc(block, LAYOUT, new_size) }));
        assert!(moved.is_null());
        assert_eq!(traceback_of(block).as_ref(), Some(&traceback));
    }
    let mut vec = Vec::<u8>::with_capacity(black_box(64));
    assert!(refusing(|| vec.try_reserve_exact(1000)).is_err());
    alloc_core::reset_peak();
    let snapshot = take_snapshot().unwrap();
    let function = at_function(&snapshot, "a_refused_realloc_leaves_the_block_as_it_was");
    assert_eq!((function.current.blocks, function.reallocations), (2, 0));
    assert_eq!(function.current.bytes, function.at_peak.bytes);
    assert_eq!(at_function(&snapshot, "{closure#0}").total.blocks, 0);
    vec.try_reserve_exact(1000).unwrap();
    // SAFETY: from `alloc` with that layout: it was never moved.
    unsafe { dealloc(block, LAYOUT) };
    assert!(traceback_of(block).is_none());
}

fn what_cannot_be_had_is_an_error_not_an_abort() {
    start().unwrap();
    let before = traced_memory();
    let mut none = Vec::<u8>::new();
    assert!(none.try_reserve(black_box(isize::MAX as usize)).is_err());
    assert!(
        none.try_reserve_exact(black_box(isize::MAX as usize - 4096))
            .is_err()
    );
    assert!(none.try_reserve(black_box(usize::MAX)).is_err());
    assert_eq!(traced_memory(), before);
    let mut some = vec![1_u8; black_box(500)];
    assert!(
        some.try_reserve(black_box(isize::MAX as usize - 500))
            .is_err()
    );
    assert_eq!(traced_memory().current.get() - before.current.get(), 500);
    assert!(traceback_of(some.as_ptr()).is_some());
    let sum = sum_of(&take_snapshot().unwrap(), |_| true);
    assert_eq!((sum.total.blocks, sum.reallocations), (1, 0));
}

fn zeroed_memory_stays_not_resident() {
    start().unwrap();
    let before = alloc_tests::resident_memory();
    let zeros = black_box(vec![0_u8; 256 << 20]);
    let after = alloc_tests::resident_memory();
    assert_eq!(zeros[100 << 20], 0);
    assert!(traced_memory().current >= 256 << 20);
    // Reading the number takes a buffer, and a page of the tracer's tables for each callsite.
    let more = after.saturating_sub(before);
    assert!(more < 1 << 20, "{more} bytes became resident");
}

fn an_inner_allocator_that_allocates_through_the_outer() {
    start().unwrap();
    CALL_BACK.store(true, Relaxed);
    let boxes: [_; 50] = std::array::from_fn(|_| black_box(Box::new([0_u8; 100])));
    let mut grown = Vec::<u8>::new();
    for size in [10, 1000, 100_000] {
        grown.reserve_exact(black_box(size));
    }
    let zeroed = black_box(vec![0_u8; 5000]);
    let current = traced_memory().current;
    let snapshot = take_snapshot().unwrap();
    CALL_BACK.store(false, Relaxed);
    println!();
    assert_eq!(current, 5000 + 100_000 + 5000);
    // An allocation inside of the inner allocator belongs to it: it is skipped, and the skip is
    // counted.
    assert_eq!(at_function(&snapshot, "call_back").total.blocks, 0);
    assert!(snapshot.health().skipped >= 2 * (50 + 3 + 1));
    assert_eq!(sum_of(&snapshot, |_| true).current.bytes, current);
    CALL_BACK.store(true, Relaxed);
    drop((boxes, grown, zeroed));
    CALL_BACK.store(false, Relaxed);
    println!();
    assert_eq!(traced_memory().current, 0);
}

fn one_without_usable_sizes_has_no_slack() {
    let error = alloc_core::start_with(alloc_core::Config::default().slack(true)).unwrap_err();
    assert!(error.is_invalid_config());
    let message = "slack needs the usable sizes of blocks: expected TraceAlloc::system() on Linux or macOS, or \
                   TraceAlloc::with_usable_size, found an allocator that does not give them";
    assert!(error.to_string().contains(message), "{error}");
    assert!(!alloc_core::is_tracing());
    start().unwrap();
}
