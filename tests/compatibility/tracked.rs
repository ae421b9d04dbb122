//! CPython's tests of the C functions of `tracemalloc`: one test for each, under its number in the
//! table in `alloc_core::tracemalloc`, and some of our own. The addresses are not mapped, and never
//! read or written.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use alloc_core::{
    Amount, ChargeTo, Config, Filter, GroupBy, TraceAlloc, start, take_snapshot,
    traceback_of_tracked, traced_memory, track, untrack,
};
use alloc_tests::Source;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    t42_zero_bytes,
    t43_track,
    t44_track_without_gil,
    t45_track_already_tracked,
    t46_untrack,
    t47_stop_track,
    t48_stop_untrack,
    untrack_without_gil,
    tracemalloc_track_race,
    late_untrack,
    sizes_that_no_memory_has_are_refused,
];

const HERE: Source = alloc_tests::source!();
const DOMAIN: u32 = 5;
const ADDRESS: usize = 0x7000_1230;

/// The live bytes and blocks of the domain.
fn in_domain() -> Amount {
    let snapshot = take_snapshot().unwrap();
    let traces = snapshot.filter_traces(&[Filter::include_domain(DOMAIN)]);
    alloc_tests::sum_of(&traces, |_| true).current
}

/// The line of this file that tracked the block.
fn line_of(address: usize) -> Option<u32> {
    let traceback = traceback_of_tracked(DOMAIN, address)?;
    let charged = traceback.charged(ChargeTo::Caller);
    let file = charged.file().map_or("", |file| file.full());
    assert!(file.ends_with(HERE.file), "{traceback}");
    Some(charged.line())
}

fn t42_zero_bytes() {
    start().unwrap();
    track(DOMAIN, ADDRESS, 0).unwrap();
    assert_eq!(in_domain(), Amount::new(0, 1));
    untrack(DOMAIN, ADDRESS).unwrap();
    assert_eq!(in_domain(), Amount::default());
}

fn t43_track() {
    start().unwrap();
    let before = traced_memory().current;
    track(DOMAIN, ADDRESS, 123).unwrap(); // mark: tracked
    assert_eq!(line_of(ADDRESS), Some(HERE.line("tracked")));
    assert_eq!(traced_memory().current, before + 123.into());
    assert_eq!(in_domain(), Amount::new(123, 1));
    // An address in another domain is another block.
    assert!(traceback_of_tracked(DOMAIN + 1, ADDRESS).is_none());
    let snapshot = take_snapshot().unwrap();
    let statistics = snapshot.statistics(GroupBy::Domain);
    let tracked = statistics.iter().map(ToString::to_string);
    assert!(
        tracked
            .into_iter()
            .any(|it| it == "domain 5: size=123 B, count=1, average=123 B")
    );
}

/// Tracks from a new thread, and from one whose thread-locals are being destroyed.
fn t44_track_without_gil() {
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            track(DOMAIN, ADDRESS + 1, 23).unwrap();
        }
    }
    thread_local!(static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) });

    start().unwrap();
    thread::spawn(|| {
        track(DOMAIN, ADDRESS, 100).unwrap();
        AT_END.with(|it| *it.borrow_mut() = Some(AtEnd));
    })
    .join()
    .unwrap();
    assert_eq!(in_domain(), Amount::new(123, 2));
    assert!(line_of(ADDRESS).is_some());
}

fn t45_track_already_tracked() {
    start().unwrap();
    track(DOMAIN, ADDRESS, 123).unwrap();
    let before = line_of(ADDRESS);
    track(DOMAIN, ADDRESS, 45).unwrap(); // mark: tracked again
    assert_eq!(line_of(ADDRESS), Some(HERE.line("tracked again")));
    assert_ne!(line_of(ADDRESS), before);
    assert_eq!(in_domain(), Amount::new(45, 1));
}

fn t46_untrack() {
    start().unwrap();
    let before = traced_memory().current;
    track(DOMAIN, ADDRESS, 123).unwrap();
    untrack(DOMAIN, ADDRESS).unwrap();
    assert!(traceback_of_tracked(DOMAIN, ADDRESS).is_none());
    assert_eq!(traced_memory().current, before);
    assert_eq!(in_domain(), Amount::default());
    // A block may be untracked twice, or without having been tracked.
    untrack(DOMAIN, ADDRESS).unwrap();
    untrack(DOMAIN, ADDRESS + 8).unwrap();
    assert_eq!(traced_memory().current, before);
}

fn t47_stop_track() {
    assert!(track(DOMAIN, ADDRESS, 123).unwrap_err().is_not_tracing());
    assert!(traceback_of_tracked(DOMAIN, ADDRESS).is_none());
    start().unwrap();
    assert!(traceback_of_tracked(DOMAIN, ADDRESS).is_none());
    // Domain 0 is the Rust heap, whose blocks belong to the allocator.
    assert!(track(0, ADDRESS, 123).unwrap_err().is_invalid_config());
}

fn t48_stop_untrack() {
    start().unwrap();
    track(DOMAIN, ADDRESS, 123).unwrap();
    alloc_core::stop();
    assert!(untrack(DOMAIN, ADDRESS).unwrap_err().is_not_tracing());
    // Blocks tracked in one session are unknown in the next.
    start().unwrap();
    untrack(DOMAIN, ADDRESS).unwrap();
    assert_eq!(in_domain(), Amount::default());
}

fn untrack_without_gil() {
    start().unwrap();
    track(DOMAIN, ADDRESS, 123).unwrap();
    let untracked = thread::spawn(|| untrack(DOMAIN, ADDRESS)).join().unwrap();
    untracked.unwrap();
    assert_eq!(in_domain(), Amount::default());
}

/// Threads track blocks while another stops and starts tracing.
fn tracemalloc_track_race() {
    static DONE: AtomicBool = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..3 {
            scope.spawn(move || {
                let mut tracked = 0_u32;
                while !DONE.load(Ordering::Relaxed) {
                    let address = ADDRESS + 4096 * number + (tracked as usize % 64) * 8;
                    tracked += u32::from(track(DOMAIN, address, 8).is_ok());
                    let _ = untrack(DOMAIN, black_box(address));
                }
            });
        }
        for _ in 0..200 {
            start().unwrap();
            take_snapshot().unwrap();
            alloc_core::stop();
        }
        DONE.store(true, Ordering::Relaxed);
    });
    start().unwrap();
    assert_eq!(in_domain(), Amount::default());
    track(DOMAIN, ADDRESS, 8).unwrap();
    assert_eq!(in_domain(), Amount::new(8, 1));
}

/// Untracks in a destructor that runs late in the end of a thread.
fn late_untrack() {
    struct AtEnd;
    impl Drop for AtEnd {
        fn drop(&mut self) {
            untrack(DOMAIN, ADDRESS).unwrap();
            drop(black_box(vec![1_u8; 100]));
        }
    }
    thread_local!(static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) });
    start().unwrap();
    track(DOMAIN, ADDRESS, 123).unwrap();
    thread::spawn(|| AT_END.with(|it| *it.borrow_mut() = Some(AtEnd)))
        .join()
        .unwrap();
    assert_eq!(in_domain(), Amount::default());
}

/// Sizes and sums of sizes beyond the range of the counters are refused in every mode, without
/// effect.
fn sizes_that_no_memory_has_are_refused() {
    const LARGEST: usize = 1 << 47;
    for frames in [32, 1, 0] {
        alloc_core::start_with(Config::default().frames(frames)).unwrap();
        let before = traced_memory();
        for size in [usize::MAX, 1 << 63, (1 << 63) - 1, LARGEST + 1] {
            let error = alloc_core::track(1, 0x1000, size).unwrap_err();
            assert!(error.is_invalid_config(), "{error}");
            alloc_core::untraced(|| {
                let message = error.to_string();
                assert!(message.contains(&LARGEST.to_string()), "{message}");
                assert!(message.contains(&size.to_string()), "{message}");
            });
            assert_eq!(traced_memory().current, before.current);
        }
        // Tracks as many of the largest blocks as possible.
        let most = (1_usize << 62) / LARGEST;
        for block in 0..most {
            alloc_core::track(1, block, LARGEST).unwrap();
        }
        let now = traced_memory();
        assert_eq!(now.current, before.current + (1 << 62).into());
        let error = alloc_core::track(1, most, 1).unwrap_err();
        assert!(error.is_invalid_config(), "{error}");
        // A block may replace another of its size.
        alloc_core::track(1, 0, LARGEST).unwrap();
        assert_eq!(traced_memory().current, now.current);
        for block in 0..most {
            alloc_core::untrack(1, block).unwrap();
        }
        assert_eq!(traced_memory().current, before.current);
        alloc_core::take_snapshot().unwrap();
        alloc_core::stop();
    }
}
