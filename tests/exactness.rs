//! Known allocations on known lines of a program with one thread: every number equals the
//! arithmetic.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::HashMap;
use std::hint::black_box;

use alloc_core::{
    Amount, ChargeTo, Config, Counters, Frame, GroupBy, Metric, Snapshot, TraceAlloc, start,
    take_snapshot, traced_memory,
};
use alloc_tests::{Source, at_function};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    a_thousand_boxes,
    a_growing_vec,
    a_shrunk_vec,
    a_realloc_moves_the_block_to_the_line_that_grew_it,
    zeroed_memory,
    zero_sized_types,
    over_aligned_types,
    strings,
    hash_maps,
    inlined_and_generic_library_code,
    two_lines_of_one_function,
    the_peak_and_its_parts,
    of_equal_peaks_the_later_counts,
    a_block_that_grows_at_the_peak,
    reset_peak,
    clear_traces,
    stop_and_start,
    blocks_from_before,
    tracing_nothing,
    start_twice,
    wrong_configurations,
    counters_without_stacks,
    peaks_are_exact_beside_muted_frees,
    traceback_of_a_block,
    few_frames,
    a_recursion_of_any_depth_is_one_folded_stack,
    a_full_callsite_table,
    a_snapshot_stays_as_it_is,
    a_dumped_snapshot_is_loaded_whole,
    statistics_are_sorted_and_printed_as_tracemalloc_does,
    panics_that_unwind,
];

const HERE: Source = alloc_tests::source!();

/// A snapshot whose parts were found to add up to the heap.
fn checked_snapshot() -> Snapshot {
    let memory = traced_memory();
    let snapshot = take_snapshot().unwrap();
    assert_eq!(snapshot.traced_memory(), memory);
    assert_eq!(memory.peak_error, 0);
    let sum = alloc_tests::sum_of(&snapshot, |_| true);
    assert_eq!(sum.current.bytes, memory.current);
    assert_eq!(sum.at_peak.bytes, memory.peak);
    assert_eq!(snapshot.health().lost_blocks, 0);
    assert_eq!(snapshot.health().broken_stacks, 0);
    snapshot
}

/// What a line did: its mark, then bytes and blocks that are current, that are at peak, and in total, and
/// reallocations.
type Row<'a> = (&'a str, (u64, u64), (u64, u64), (u64, u64), u64);

#[track_caller]
fn check_line(source: Source, snapshot: &Snapshot, expected: Row<'_>) {
    check(source.counters(snapshot, expected.0), expected);
}

#[track_caller]
fn check(counters: Counters, (what, current, at_peak, total, reallocations): Row<'_>) {
    let amount = |(bytes, blocks)| Amount::new(bytes, blocks);
    assert_eq!(counters.current, amount(current), "{what}: current");
    assert_eq!(counters.at_peak, amount(at_peak), "{what}: at peak");
    assert_eq!(counters.total, amount(total), "{what}: total");
    assert_eq!(
        counters.reallocations, reallocations,
        "{what}: reallocations"
    );
}

/// The bytes of the heap now, and at its peak.
#[track_caller]
fn check_heap(current: u64, peak: u64) {
    let memory = traced_memory();
    assert_eq!((memory.current.get(), memory.peak.get()), (current, peak));
}

fn a_thousand_boxes() {
    let mut boxes = Vec::with_capacity(1000);
    start().unwrap();
    boxes.extend((0..1000).map(|_| Box::new([0_u8; 1000]))); // mark: thousand boxes
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        (
            "thousand boxes",
            (1_000_000, 1000),
            (1_000_000, 1000),
            (1_000_000, 1000),
            0,
        ),
    );
    assert_eq!(traced_memory().current, 1_000_000);

    let statistics = snapshot.statistics(GroupBy::Line);
    assert_eq!(
        (statistics[0].size.get(), statistics[0].count),
        (1_000_000, 1000)
    );
    let expected = format!(
        "{}:{}: size=977 KiB, count=1000, average=1000 B",
        HERE.file,
        HERE.line("thousand boxes"),
    );
    let printed = statistics[0].to_string();
    let name = expected.strip_prefix("tests/").unwrap_or(&expected);
    assert!(printed.ends_with(name), "expected …{name}, found {printed}");

    boxes.truncate(400);
    let snapshot = checked_snapshot();
    let after = HERE.counters(&snapshot, "thousand boxes");
    check(
        after,
        (
            "after the truncation",
            (400_000, 400),
            (1_000_000, 1000),
            (1_000_000, 1000),
            0,
        ),
    );
    assert_eq!(after.peak, Amount::new(1_000_000, 1000));
    assert_eq!(after.freed(), Amount::new(600_000, 600));
}

/// An empty vector that holds eight-byte elements grows to 4, 8, 16, ... of them.
fn a_growing_vec() {
    start().unwrap();
    let mut numbers = Vec::new();
    for number in 0..100_u64 {
        numbers.push(black_box(number)); // mark: push
        if number == 99 {
            let bytes = 8 * 128;
            let total = 8 * (4 + 8 + 16 + 32 + 64 + 128);
            let counters = HERE.counters(&checked_snapshot(), "push");
            check(counters, ("push", (bytes, 1), (bytes, 1), (total, 6), 5));
            // The library makes the first block at one place and grows it at another: two
            // callsites on the line, whose own peaks add up.
            assert_eq!(counters.peak, Amount::new(8 * 4 + bytes, 2));
        }
    }
    assert_eq!(numbers.capacity(), 128);
}

fn a_shrunk_vec() {
    start().unwrap();
    let mut bytes = Vec::<u8>::with_capacity(black_box(10_000)); // mark: with_capacity
    bytes.extend_from_slice(&[1; 100]);
    bytes.shrink_to_fit(); // mark: shrink_to_fit
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("with_capacity", (0, 0), (10_000, 1), (10_000, 1), 0),
    );
    check_line(
        HERE,
        &snapshot,
        ("shrink_to_fit", (100, 1), (0, 0), (100, 1), 1),
    );

    let boxed_bytes = Vec::from(&black_box([7_u8; 64])[..32]).into_boxed_slice(); // mark: boxed bytes
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("boxed bytes", (32, 1), (0, 0), (32, 1), 0),
    );
    drop(boxed_bytes);

    bytes.clear();
    bytes.shrink_to_fit();
    assert_eq!(traced_memory().current, 0);
}

fn a_realloc_moves_the_block_to_the_line_that_grew_it() {
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    start().unwrap();
    // SAFETY: the size is not zero; freed below with the layout that it has then.
    let first = black_box(unsafe { alloc(layout(24)) }); // mark: alloc
    // SAFETY: from `alloc` with that layout.
    let second = black_box(unsafe { realloc(first, layout(24), 5000) }); // mark: realloc
    let snapshot = checked_snapshot();
    check_line(HERE, &snapshot, ("alloc", (0, 0), (0, 0), (24, 1), 0));
    check_line(
        HERE,
        &snapshot,
        ("realloc", (5000, 1), (5000, 1), (5000, 1), 1),
    );

    // To the same size is a reallocation as well.
    // SAFETY: from `realloc` with that size.
    let third = black_box(unsafe { realloc(second, layout(5000), 5000) }); // mark: same size
    let snapshot = checked_snapshot();
    check_line(HERE, &snapshot, ("realloc", (0, 0), (0, 0), (5000, 1), 1));
    check_line(
        HERE,
        &snapshot,
        ("same size", (5000, 1), (5000, 1), (5000, 1), 1),
    );
    assert_eq!(traced_memory().peak, 5000);

    // SAFETY: from `realloc` with that size.
    unsafe { dealloc(third, layout(5000)) };
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("same size", (0, 0), (5000, 1), (5000, 1), 1),
    );
    assert_eq!(traced_memory().current, 0);
}

fn zeroed_memory() {
    start().unwrap();
    let zeros = vec![0_u8; black_box(5000)]; // mark: zeroed vec
    // SAFETY: the size is not zero.
    let block = black_box(unsafe { alloc_zeroed(Layout::new::<[u64; 16]>()) }); // mark: zeroed
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("zeroed vec", (5000, 1), (5000, 1), (5000, 1), 0),
    );
    check_line(HERE, &snapshot, ("zeroed", (128, 1), (128, 1), (128, 1), 0));
    // SAFETY: from `alloc_zeroed` with that layout.
    unsafe { dealloc(block, Layout::new::<[u64; 16]>()) };
    drop(zeros);
    assert_eq!(traced_memory().current, 0);
}

/// What holds no bytes is no block: the allocator never hears of it.
fn zero_sized_types() {
    start().unwrap();
    let mut units = Vec::new();
    units.extend((0..black_box(1000)).map(|_| ()));
    black_box((
        units,
        Box::new(()),
        Box::new([0_u8; 0]),
        Vec::<u64>::new(),
        String::new(),
        HashMap::<u64, u64>::new(),
        vec![0_u32; 0],
    ));
    check_heap(0, 0);
    assert!(checked_snapshot().traces().is_empty());
}

#[repr(align(4096))]
#[derive(Clone)]
struct Page([u8; 4096]);

fn over_aligned_types() {
    start().unwrap();
    let page = black_box(Box::new(Page([1; 4096]))); // mark: boxed page
    let mut pages = Vec::new();
    for number in 0..3 {
        pages.push(Page([number; 4096])); // mark: pushed pages
        if number == 2 {
            // One at first, since a page is large; then two, then four.
            let counters = HERE.counters(&checked_snapshot(), "pushed pages");
            check(
                counters,
                (
                    "pushed pages",
                    (4 * 4096, 1),
                    (4 * 4096, 1),
                    (7 * 4096, 3),
                    2,
                ),
            );
        }
    }
    check_line(
        HERE,
        &checked_snapshot(),
        ("boxed page", (4096, 1), (4096, 1), (4096, 1), 0),
    );
    assert_eq!(page.0.as_ptr().addr() % 4096, 0);
    assert_eq!(pages[2].0.as_ptr().addr() % 4096, 0);
    drop((page, pages));

    for power in 0..=16 {
        let layout = Layout::from_size_align(1000, 1 << power).unwrap();
        // SAFETY: the size is not zero.
        let block = black_box(unsafe { alloc(layout) });
        assert_eq!(
            (traced_memory().current.get(), block.addr() % (1 << power)),
            (1000, 0)
        );
        // SAFETY: from `alloc` with that layout.
        unsafe { dealloc(block, layout) };
        assert_eq!(traced_memory().current, 0);
    }
}

fn strings() {
    start().unwrap();
    let hello = String::from(black_box("hello")); // mark: from
    let repeated = hello.repeat(20); // mark: repeat
    let copy: Box<str> = Box::from(repeated.as_str()); // mark: boxed str
    let snapshot = checked_snapshot();
    check_line(HERE, &snapshot, ("from", (5, 1), (5, 1), (5, 1), 0));
    check_line(HERE, &snapshot, ("repeat", (100, 1), (100, 1), (100, 1), 0));
    check_line(
        HERE,
        &snapshot,
        ("boxed str", (100, 1), (100, 1), (100, 1), 0),
    );
    drop((hello, repeated, copy));
    assert_eq!(traced_memory().current, 0);
}

/// A table of hashbrown: a power of two of buckets, at most 7/8 full, then one control byte for
/// each and for one more group.
fn hash_maps() {
    const GROUP: u64 = if cfg!(target_feature = "sse2") { 16 } else { 8 };
    let table = |buckets: u64| buckets * 16 + buckets + GROUP;
    // The keys of the hasher are made, and kept, by the thread's first map.
    drop(black_box(HashMap::<u64, u64>::new()));
    start().unwrap();
    let map = HashMap::<u64, u64>::with_capacity(black_box(100)); // mark: map
    check_line(
        HERE,
        &checked_snapshot(),
        ("map", (table(128), 1), (table(128), 1), (table(128), 1), 0),
    );
    drop(map);

    alloc_core::clear_traces();
    let mut map = HashMap::new();
    (0..15).for_each(|key| insert(&mut map, black_box(key)));
    let total = table(4) + table(8) + table(16) + table(32);
    let counters = at_function(&checked_snapshot(), "insert");
    assert_eq!(counters.current, Amount::new(table(32), 1));
    assert_eq!(counters.total, Amount::new(total, 4));
    // The new table is there before the old one goes.
    assert_eq!(traced_memory().peak, table(16) + table(32));
    assert_eq!(counters.reallocations, 0);
}

/// What is done with the result keeps the call from becoming a jump, which leaves no frame.
#[inline(never)]
fn insert(map: &mut HashMap<u64, u64>, key: u64) {
    black_box(map.insert(key, key));
}

/// Adapters, `collect` and comparison functions are the library's: the caller is charged.
fn inlined_and_generic_library_code() {
    start().unwrap();
    let numbers: Vec<u32> = (0..black_box(1000_u32)).rev().collect(); // mark: collect
    let counted: std::rc::Rc<[u8]> = std::rc::Rc::from(&[1_u8; 48][..]); // mark: rc
    let copy = numbers.clone(); // mark: clone
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("collect", (4000, 1), (4000, 1), (4000, 1), 0),
    );
    // Two counts before the bytes.
    check_line(HERE, &snapshot, ("rc", (64, 1), (64, 1), (64, 1), 0));
    check_line(
        HERE,
        &snapshot,
        ("clone", (4000, 1), (4000, 1), (4000, 1), 0),
    );
    drop((numbers, counted, copy));
    assert_eq!(traced_memory().current, 0);
}

#[inline(never)]
fn two_boxes() -> (Box<[u8; 100]>, Box<[u8; 40]>) {
    let large = Box::new(black_box([0; 100]));
    let small = Box::new(black_box([0; 40]));
    (large, small)
}

fn two_lines_of_one_function() {
    start().unwrap();
    let boxes: [_; 10] = std::array::from_fn(|_| two_boxes());
    let snapshot = checked_snapshot();
    let function = at_function(&snapshot, "two_boxes");
    check(
        function,
        ("two_boxes", (1400, 20), (1400, 20), (1400, 20), 0),
    );

    let grouped = |by| {
        let statistics = snapshot.statistics(by);
        statistics
            .iter()
            .map(|it| (it.size.get(), it.count))
            .collect::<Vec<_>>()
    };
    assert_eq!(grouped(GroupBy::Line), [(1000, 10), (400, 10)]);
    assert_eq!(grouped(GroupBy::Function), [(1400, 20)]);
    assert_eq!(grouped(GroupBy::File), [(1400, 20)]);
    assert_eq!(
        snapshot
            .statistics(GroupBy::Traceback)
            .iter()
            .map(|it| it.count)
            .sum::<u64>(),
        20
    );
    drop(boxes);
}

fn the_peak_and_its_parts() {
    start().unwrap();
    let kept = vec![1_u8; black_box(3000)]; // mark: kept
    let gone = vec![2_u8; black_box(2000)]; // mark: gone
    check_heap(5000, 5000);
    drop(gone);
    let later = vec![3_u8; black_box(1500)]; // mark: later
    check_heap(4500, 5000);
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("kept", (3000, 1), (3000, 1), (3000, 1), 0),
    );
    check_line(HERE, &snapshot, ("gone", (0, 0), (2000, 1), (2000, 1), 0));
    check_line(HERE, &snapshot, ("later", (1500, 1), (0, 0), (1500, 1), 0));
    drop((kept, later));
    let snapshot = checked_snapshot();
    check_heap(0, 5000);
    check_line(HERE, &snapshot, ("kept", (0, 0), (3000, 1), (3000, 1), 0));
    check_line(HERE, &snapshot, ("later", (0, 0), (0, 0), (1500, 1), 0));
    assert_eq!(HERE.counters(&snapshot, "later").peak, Amount::new(1500, 1));
}

fn of_equal_peaks_the_later_counts() {
    start().unwrap();
    drop(black_box(vec![1_u8; black_box(3000)])); // mark: first peak
    drop(black_box(vec![2_u8; black_box(3000)])); // mark: equal peak
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("first peak", (0, 0), (0, 0), (3000, 1), 0),
    );
    check_line(
        HERE,
        &snapshot,
        ("equal peak", (0, 0), (3000, 1), (3000, 1), 0),
    );
}

/// Only the net growth counts: the old and the new block are never there together.
fn a_block_that_grows_at_the_peak() {
    start().unwrap();
    let kept = vec![0_u8; black_box(100)];
    let mut grown = Vec::<u8>::with_capacity(black_box(1000));
    grown.reserve_exact(black_box(4000));
    check_heap(4100, 4100);
    grown.shrink_to(500);
    check_heap(600, 4100);
    checked_snapshot();
    drop(kept);
}

fn reset_peak() {
    start().unwrap();
    let kept = vec![1_u8; black_box(1000)]; // mark: kept at a reset
    drop(black_box(vec![2_u8; black_box(4000)])); // mark: gone before a reset
    assert_eq!(traced_memory().peak, 5000);
    alloc_core::reset_peak();
    check_heap(1000, 1000);
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("kept at a reset", (1000, 1), (1000, 1), (1000, 1), 0),
    );
    // What was allocated in all is not forgotten.
    check_line(
        HERE,
        &snapshot,
        ("gone before a reset", (0, 0), (0, 0), (4000, 1), 0),
    );
    assert_eq!(
        HERE.counters(&snapshot, "gone before a reset").peak,
        Amount::default()
    );

    drop(black_box(vec![3_u8; black_box(500)])); // mark: after a reset
    check_heap(1000, 1500);
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("kept at a reset", (1000, 1), (1000, 1), (1000, 1), 0),
    );
    check_line(
        HERE,
        &snapshot,
        ("after a reset", (0, 0), (500, 1), (500, 1), 0),
    );
    drop(kept);
    check_heap(0, 1500);
    alloc_core::reset_peak();
    assert_eq!(traced_memory().peak, 0);
    checked_snapshot();
}

fn clear_traces() {
    start().unwrap();
    let before: [_; 10] = std::array::from_fn(|_| Box::new([0_u8; 300]));
    assert_eq!(traced_memory().current, 3000);
    alloc_core::clear_traces();
    assert!(alloc_core::is_tracing());
    check_heap(0, 0);
    assert!(checked_snapshot().traces().is_empty());
    assert!(alloc_core::traceback_of(&*before[0]).is_none());

    let after = vec![1_u8; black_box(700)]; // mark: after a clear
    let unknown = take_snapshot().unwrap().health().unknown_frees;
    drop(before);
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("after a clear", (700, 1), (700, 1), (700, 1), 0),
    );
    assert_eq!(traced_memory().current, 700);
    // The ten boxes; and what the first snapshot was made of may have been freed since.
    let unknown = snapshot.health().unknown_frees - unknown;
    assert!(unknown >= 10, "{unknown}");
    drop(after);
    assert_eq!(traced_memory().current, 0);
}

fn stop_and_start() {
    start().unwrap();
    let first = vec![1_u8; black_box(100)];
    alloc_core::stop();
    assert!(!alloc_core::is_tracing());
    assert_eq!(alloc_core::traceback_limit(), None);
    assert_eq!(traced_memory(), Default::default());
    assert!(take_snapshot().unwrap_err().is_not_tracing());
    assert!(alloc_core::traceback_of(first.as_ptr()).is_none());
    // Neither is heard of.
    let unseen = vec![2_u8; black_box(200)];
    drop(first);

    start().unwrap();
    check_heap(0, 0);
    let seen = vec![3_u8; black_box(400)]; // mark: seen
    drop(unseen);
    let snapshot = checked_snapshot();
    check_line(HERE, &snapshot, ("seen", (400, 1), (400, 1), (400, 1), 0));
    assert_eq!(snapshot.traces().len(), 1);
    assert_eq!(snapshot.health().unknown_frees, 1);
    drop(seen);
}

fn blocks_from_before() {
    let mut old = Vec::<u8>::with_capacity(black_box(1000));
    let mut older = Vec::<u8>::with_capacity(black_box(1000));
    start().unwrap();
    drop(std::mem::take(&mut older));
    check_heap(0, 0);
    // It is heard of for the first time when it grows.
    old.reserve_exact(black_box(2500)); // mark: grown from before
    check_line(
        HERE,
        &checked_snapshot(),
        ("grown from before", (2500, 1), (2500, 1), (2500, 1), 1),
    );
    drop(old);
    check_heap(0, 2500);
}

fn tracing_nothing() {
    assert!(!alloc_core::is_tracing());
    alloc_core::stop();
    alloc_core::clear_traces();
    alloc_core::reset_peak();
    assert!(!alloc_core::is_tracing());
    assert_eq!(traced_memory(), Default::default());
    assert!(take_snapshot().unwrap_err().is_not_tracing());
    let kept = black_box(Box::new(5));
    assert!(alloc_core::traceback_of(&*kept).is_none());
}

fn start_twice() {
    start().unwrap();
    assert_eq!(alloc_core::traceback_limit(), Some(128));
    let kept = vec![0_u8; black_box(64)];
    // The same once more changes nothing.
    start().unwrap();
    alloc_core::start_with(Config::default().frames(128)).unwrap();
    assert_eq!(traced_memory().current, 64);
    let error = alloc_core::start_with(Config::default().frames(5)).unwrap_err();
    assert!(error.is_already_tracing(), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("128") && message.contains('5'),
        "{message}"
    );
    assert_eq!(alloc_core::traceback_limit(), Some(128));
    drop((message, error));
    // Only the same block is there: errors were dropped.
    assert_eq!(traced_memory().current, 64);
    alloc_core::stop();
    alloc_core::start_with(Config::default().frames(5)).unwrap();
    assert_eq!(alloc_core::traceback_limit(), Some(5));
    drop(kept);
}

fn wrong_configurations() {
    for frames in [1001, u16::MAX] {
        let error = alloc_core::start_with(Config::default().frames(frames)).unwrap_err();
        assert!(error.is_invalid_config(), "{error}");
        let message = error.to_string();
        assert!(message.contains("from 0 to 1000"), "{message}");
        assert!(message.contains(&frames.to_string()), "{message}");
        assert!(!message.ends_with('.'), "{message}");
        assert!(!alloc_core::is_tracing());
    }
    for callsites in [0, u32::MAX] {
        let error = alloc_core::start_with(Config::default().max_callsites(callsites));
        assert!(error.unwrap_err().is_invalid_config());
    }
    for frames in [1, 1000] {
        alloc_core::start_with(Config::default().frames(frames)).unwrap();
        assert_eq!(alloc_core::traceback_limit(), Some(frames));
        alloc_core::stop();
    }
}

fn counters_without_stacks() {
    let before: Vec<Box<[u8; 1000]>> = (0..10).map(|_| Box::new([1; 1000])).collect();
    alloc_core::start_with(Config::default().frames(0)).unwrap();
    let kept: Vec<u8> = black_box(vec![7; 5000]);
    drop(black_box(vec![7_u8; 3000]));
    // From before tracing began: not known, and not missed.
    drop(before);
    let memory = traced_memory();
    let snapshot = take_snapshot().unwrap();
    assert_eq!((memory.current.get(), memory.peak.get()), (5000, 8000));
    let [trace] = snapshot.traces() else {
        panic!("{:?}", snapshot.traces());
    };
    assert!(trace.traceback.is_uncaptured());
    assert_eq!(trace.traceback[0].to_string(), "<heap>");
    let counters = trace.counters;
    assert_eq!(counters.current, Amount::new(5000, 1));
    assert_eq!(counters.peak, Amount::new(8000, 2));
    assert_eq!(counters.at_peak, Amount::new(8000, 2));
    assert_eq!(counters.total, Amount::new(8000, 2));
    assert_eq!(snapshot.health().unknown_frees, 11);
    assert_eq!(alloc_core::traceback_limit(), Some(0));
    alloc_core::stop();
    drop(kept);
}

#[inline(never)]
fn kept_for_now() -> Box<[u8; 100]> {
    Box::new(black_box([3; 100]))
}

fn peaks_are_exact_beside_muted_frees() {
    start().unwrap();
    let mut boxes: Vec<_> = alloc_core::untraced(|| Vec::with_capacity(3));
    for round in 0..black_box(4) {
        // Two go where nothing is recorded, and one comes: never more than three at once. NOTE: from one line, so
        // that it must be one call, too, whoever optimizes.
        if black_box(round) == 3 {
            alloc_core::untraced(|| boxes.truncate(1));
        }
        boxes.push(kept_for_now());
    }
    // The heap's peak comes later than the callsite's.
    drop(black_box(vec![3_u8; 10_000]));
    let here = at_function(&take_snapshot().unwrap(), "kept_for_now");
    assert_eq!(here.current, Amount::new(200, 2));
    assert_eq!(here.peak, Amount::new(300, 3));
    assert_eq!(here.at_peak, Amount::new(200, 2));
}

#[inline(never)]
fn made_in_a_function() -> Box<[u64; 9]> {
    Box::new(black_box([9; 9]))
}

fn traceback_of_a_block() {
    let before = black_box(Box::new(1_u64));
    let on_the_stack = black_box([0_u64; 8]);
    start().unwrap();
    let block = made_in_a_function(); // mark: call of made_in_a_function
    let traceback = alloc_core::traceback_of(&*block).unwrap();
    let innermost = traceback.charged(ChargeTo::Caller);
    assert!(
        innermost
            .function()
            .unwrap()
            .ends_with("made_in_a_function"),
        "{innermost}"
    );
    assert!(
        innermost.file().unwrap().full().ends_with(HERE.file),
        "{innermost}"
    );
    let place = traceback
        .iter()
        .position(|frame| frame == innermost)
        .unwrap();
    let caller = &traceback[place + 1];
    assert!(
        caller.function().unwrap().ends_with("traceback_of_a_block"),
        "{caller}"
    );
    assert_eq!(caller.line(), HERE.line("call of made_in_a_function"));
    assert!(!traceback.is_truncated() && !traceback.is_broken() && !traceback.is_overflow());
    let outermost = traceback.iter().filter_map(|frame| frame.function());
    assert!(
        outermost.into_iter().any(|name| name.ends_with("main")),
        "{traceback}"
    );

    assert!(alloc_core::traceback_of(&*before).is_none());
    assert!(alloc_core::traceback_of(&on_the_stack).is_none());
    assert!(alloc_core::traceback_of(std::ptr::null::<u8>()).is_none());
    let address = std::ptr::from_ref(&*block);
    drop(block);
    assert!(alloc_core::traceback_of(address).is_none());

    // What the block is of, and how long it is, does not matter.
    let text = String::from(black_box("a text"));
    assert!(alloc_core::traceback_of(text.as_str()).is_some());
    let slice = vec![1_u16; black_box(3)];
    assert!(alloc_core::traceback_of(&slice[..]).is_some());
}

#[inline(never)]
fn deep(levels: usize) -> Box<[u8; 96]> {
    if levels > 0 {
        // Something is left to do after the call, so it stays one.
        black_box(deep(black_box(levels - 1)))
    } else {
        Box::new(black_box([0; 96]))
    }
}

fn few_frames() {
    for frames in [1, 2, 32, 1000] {
        alloc_core::start_with(Config::default().frames(frames)).unwrap();
        let blocks = (deep(300), deep(300), deep(301));
        let snapshot = checked_snapshot();
        assert_eq!(snapshot.traceback_limit(), frames);
        let function = at_function(&snapshot, "deep");
        check(function, ("deep", (288, 3), (288, 3), (288, 3), 0));

        let traceback = alloc_core::traceback_of(&*blocks.0).unwrap();
        let is_deep = |name: &str| name.rsplit("::").next() == Some("deep");
        let calls = traceback
            .iter()
            .filter(|frame| frame.function().is_some_and(is_deep))
            .count();
        if frames == 1000 {
            assert_eq!((calls, traceback.is_truncated()), (301, false));
        } else {
            // The frames that are kept count from the line that is charged.
            assert_eq!(
                (calls, traceback.is_truncated()),
                (frames.into(), true),
                "{traceback}"
            );
        }
        let truncated = snapshot
            .traces()
            .iter()
            .filter(|it| it.traceback.is_truncated())
            .count();
        assert_eq!(snapshot.health().truncated_stacks, truncated as u64);
        drop(blocks);
        assert_eq!(traced_memory().current, 0);
        alloc_core::stop();
    }
}

fn a_recursion_of_any_depth_is_one_folded_stack() {
    #[inline(never)]
    fn there(levels: usize) -> Box<[u8; 64]> {
        black_box(match black_box(levels) {
            0 => Box::new([0; 64]),
            _ => back(levels - 1),
        })
    }
    #[inline(never)]
    fn back(levels: usize) -> Box<[u8; 64]> {
        black_box(there(black_box(levels)))
    }
    alloc_core::start_with(Config::default().frames(1000)).unwrap();
    let mut blocks = Vec::with_capacity(100);
    let mut pairs = Vec::with_capacity(100);
    (0..50).for_each(|levels| blocks.push(deep(levels)));
    (0..50).for_each(|levels| pairs.push(there(levels)));
    let snapshot = checked_snapshot();
    let of = |name: &str, by| {
        let is_charged = |it: &alloc_core::Statistic| {
            let function = it.key.charged(ChargeTo::Caller).and_then(Frame::function);
            function.is_some_and(|it| it.rsplit("::").next() == Some(name))
        };
        let mut statistics = snapshot.statistics(by);
        statistics.retain(is_charged);
        statistics
    };
    let numbers = |it: &alloc_core::Statistic| (it.size.get(), it.count, it.counters.total.blocks);

    let folded = of("deep", GroupBy::FoldedTraceback);
    assert_eq!(of("deep", GroupBy::Traceback).len(), 50);
    assert_eq!(
        folded.iter().map(numbers).collect::<Vec<_>>(),
        [(50 * 96, 50, 50)]
    );
    // The first call of the pair has nothing to be folded with.
    let folded = of("there", GroupBy::FoldedTraceback);
    assert_eq!(of("there", GroupBy::Traceback).len(), 50);
    assert_eq!(
        folded.iter().map(numbers).collect::<Vec<_>>(),
        [(49 * 64, 49, 49), (64, 1, 1)]
    );
    let sum = |by| -> u64 { snapshot.statistics(by).iter().map(|it| it.size.get()).sum() };
    assert_eq!(sum(GroupBy::FoldedTraceback), sum(GroupBy::Line));
    drop((blocks, pairs));
}

/// Twenty callsites, of which eight can be told apart.
fn a_full_callsite_table() {
    alloc_core::start_with(Config::default().max_callsites(8)).unwrap();
    macro_rules! boxes {
        ($($size:literal)*) => { ($(Box::new(black_box([0_u8; $size])),)*) };
    }
    let mut boxes = boxes!(10 20 30 40 50 60 70 80 90 100 110 120 130 140 150 160 170 180 190 200);
    check_heap(2100, 2100);
    let snapshot = checked_snapshot();
    let told_apart = snapshot
        .traces()
        .iter()
        .filter(|it| !it.traceback.is_overflow())
        .count();
    assert_eq!(told_apart, 8);
    let overflow = alloc_tests::sum_of(&snapshot, |it| it.traceback.is_overflow());
    assert_eq!(overflow.current.blocks, 20 - told_apart as u64);
    assert_eq!(snapshot.health().overflowed, overflow.total.blocks);

    // Once freed, a block of it is taken off it.
    boxes.19 = Box::new(black_box([1; 200]));
    check_heap(2100, 2300);
    let overflow = alloc_tests::sum_of(&checked_snapshot(), |it| it.traceback.is_overflow());
    assert_eq!(overflow.current.blocks, 20 - told_apart as u64);
    assert_eq!(overflow.total.blocks, 21 - told_apart as u64);
    drop(boxes);
    checked_snapshot();
    assert_eq!(traced_memory().current, 0);
}

fn a_snapshot_stays_as_it_is() {
    start().unwrap();
    let block = vec![1_u8; black_box(1000)]; // mark: snapshot
    let snapshot = checked_snapshot();
    drop(block);
    let other = vec![2_u8; black_box(9000)];
    check_line(
        HERE,
        &snapshot,
        ("snapshot", (1000, 1), (1000, 1), (1000, 1), 0),
    );
    assert_eq!(snapshot.traced_memory().peak, 1000);
    alloc_core::stop();
    check_line(
        HERE,
        &snapshot,
        ("snapshot", (1000, 1), (1000, 1), (1000, 1), 0),
    );
    assert_eq!(snapshot.statistics(GroupBy::Line).len(), 1);
    start().unwrap();
    assert!(checked_snapshot().traces().is_empty());
    check_line(
        HERE,
        &snapshot,
        ("snapshot", (1000, 1), (1000, 1), (1000, 1), 0),
    );
    drop(other);
}

fn a_dumped_snapshot_is_loaded_whole() {
    start().unwrap();
    let mut boxes = Vec::new();
    for size in 1..50 {
        boxes.push(vec![0_u8; black_box(size * 10)]);
    }
    boxes.drain(10..30);
    let text = format!("{:?}", black_box([1, 2, 3]));
    let snapshot = checked_snapshot();
    alloc_core::stop();
    drop((boxes, text));

    let path = std::env::temp_dir().join(format!("alloc-tests-{}.pb.gz", std::process::id()));
    snapshot.dump(&path).unwrap();
    let loaded = Snapshot::load(&path).unwrap();
    std::fs::remove_file(&path).unwrap();

    for by in [
        GroupBy::Line,
        GroupBy::File,
        GroupBy::Function,
        GroupBy::Traceback,
        GroupBy::FoldedTraceback,
    ] {
        for metric in [Metric::Current, Metric::Peak, Metric::AtPeak, Metric::Total] {
            let rows = |snapshot: &Snapshot| {
                let statistics = snapshot.statistics_by(by, metric);
                let row =
                    |it: &alloc_core::Statistic| (it.key.clone(), it.size, it.count, it.counters);
                statistics.iter().map(row).collect::<Vec<_>>()
            };
            assert!(!rows(&snapshot).is_empty());
            assert_eq!(rows(&loaded), rows(&snapshot), "{by} {metric}");
        }
    }
    assert_eq!(loaded.traced_memory(), snapshot.traced_memory());
    assert_eq!(loaded.traceback_limit(), snapshot.traceback_limit());
    assert_eq!(loaded.health(), snapshot.health());
    assert_eq!(loaded.process_id(), std::process::id());
    assert_eq!(loaded.command_line(), snapshot.command_line());
    assert_eq!(loaded.taken_at(), snapshot.taken_at());

    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes).unwrap();
    let read = Snapshot::read_from(bytes.as_slice()).unwrap();
    assert_eq!(read.traces().len(), snapshot.traces().len());
    assert!(
        Snapshot::read_from(&bytes[..bytes.len() / 2])
            .unwrap_err()
            .is_invalid_file()
    );
    assert!(
        Snapshot::read_from(&b"not a snapshot"[..])
            .unwrap_err()
            .is_invalid_file()
    );
    assert!(Snapshot::load(&path).unwrap_err().is_io());
}

fn statistics_are_sorted_and_printed_as_tracemalloc_does() {
    start().unwrap();
    let boxes: [_; 3] = std::array::from_fn(|_| Box::new(black_box([0_u8; 100]))); // mark: small
    let vec = vec![0_u8; black_box(20_480)]; // mark: large
    drop(black_box(vec![0_u8; black_box(50_000)])); // mark: largest
    let snapshot = checked_snapshot();
    alloc_core::stop();

    let [small, large, largest] = ["small", "large", "largest"].map(|mark| HERE.line(mark));
    let texts = |metric| {
        let statistics = snapshot.statistics_by(GroupBy::Line, metric);
        let without_path = |it: &alloc_core::Statistic| {
            let text = it.to_string();
            text[text.find(".rs:").expect("a Rust source file") + 4..].to_owned()
        };
        statistics.iter().map(without_path).collect::<Vec<_>>()
    };
    let at_now = texts(Metric::Current);
    assert_eq!(
        at_now[0],
        format!("{large}: size=20.0 KiB, count=1, average=20.0 KiB")
    );
    assert_eq!(
        at_now[1],
        format!("{small}: size=300 B, count=3, average=100 B")
    );
    let at_peak = texts(Metric::AtPeak);
    assert_eq!(
        at_peak[0],
        format!("{largest}: size=48.8 KiB, count=1, average=48.8 KiB")
    );
    assert_eq!(
        at_peak[1],
        format!("{large}: size=20.0 KiB, count=1, average=20.0 KiB")
    );
    assert_eq!(texts(Metric::Total)[0], at_peak[0]);
    drop((boxes, vec));
}

#[inline(never)]
fn two_hundred_bytes() -> Box<[u64; 25]> {
    Box::new(black_box([0; 25]))
}

fn panic_with_blocks(boxes: u64) {
    let kept: Vec<_> = (0..boxes).map(|_| two_hundred_bytes()).collect();
    std::panic::panic_any(kept.len());
}

/// What unwinding drops is freed as usual; the rest belongs to the panic's own machinery.
fn panics_that_unwind() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    start().unwrap();
    for _ in 0..10 {
        let payload = std::panic::catch_unwind(|| panic_with_blocks(7)).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&7_usize));
    }
    let snapshot = checked_snapshot();
    alloc_core::stop();
    std::panic::set_hook(hook);
    let boxes = at_function(&snapshot, "two_hundred_bytes");
    check(
        boxes,
        ("two_hundred_bytes", (0, 0), (1400, 7), (14_000, 70), 0),
    );
    assert_eq!(snapshot.traced_memory().current, 0);
}
