//! Each way to allocate, grow and free a block, and the line that it is charged to.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc, realloc};
use std::collections::HashMap;
use std::hint::black_box;

use alloc_core::{Amount, GroupBy, start, traced_memory};
use alloc_tests::{Source, at_function};

use crate::{check, check_heap, check_line, checked_snapshot};

const HERE: Source = alloc_tests::source!();

pub(crate) fn a_thousand_boxes() {
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
pub(crate) fn a_growing_vec() {
    start().unwrap();
    let mut numbers = Vec::new();
    for number in 0..100_u64 {
        numbers.push(black_box(number)); // mark: push
        if number == 99 {
            let bytes = 8 * 128;
            let total = 8 * (4 + 8 + 16 + 32 + 64 + 128);
            let counters = HERE.counters(&checked_snapshot(), "push");
            check(counters, ("push", (bytes, 1), (bytes, 1), (total, 6), 5));
            // The standard library makes the first block at one place and grows it at another, so
            // the line has two callsites, whose peaks are added.
            assert_eq!(counters.peak, Amount::new(8 * 4 + bytes, 2));
        }
    }
    assert_eq!(numbers.capacity(), 128);
}

pub(crate) fn a_shrunk_vec() {
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

    let bytes_of = &black_box([7_u8; 64])[..32];
    let boxed_bytes = black_box(Vec::from(bytes_of).into_boxed_slice()); // mark: boxed bytes
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

pub(crate) fn a_realloc_moves_the_block_to_the_line_that_grew_it() {
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

    // A reallocation to the same size counts, too.
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

/// The block behind it keeps the first from growing in place; to shrink, it need not move.
pub(crate) fn a_realloc_that_moves_copies_the_smaller_of_both_sizes() {
    let layout = |size| Layout::from_size_align(size, 8).unwrap();
    // SAFETY: the sizes are not zero, and each block is resized and freed with its layout.
    let resize = |block, old, new| black_box(unsafe { realloc(block, layout(old), new) }); // mark: resize
    // From before tracing, when its size was not recorded.
    // SAFETY: the size is not zero.
    let before = black_box(unsafe { alloc(layout(5000)) });
    // SAFETY: the size is not zero.
    let behind = black_box(unsafe { alloc(layout(64)) });
    start().unwrap();
    let copied = || HERE.counters(&checked_snapshot(), "resize").copied.get();

    let grown = resize(before, 5000, 9000);
    assert_ne!(grown, before);
    assert_eq!(copied(), 5000);

    let shrunk = resize(grown, 9000, 6000);
    assert_eq!(shrunk, grown);
    assert_eq!(copied(), 5000);

    let (mut block, mut size, mut truth) = (shrunk, 6000, 5000);
    for round in 0..100 {
        let new = [40_000, 300, 700_000, 6000][round % 4];
        let moved = resize(block, size, new);
        let copies = if moved == block { 0 } else { size.min(new) };
        truth += copies as u64;
        (block, size) = (moved, new);
    }
    assert!(truth > 5000, "{truth}");
    assert_eq!(copied(), truth);
    // SAFETY: it has this layout.
    unsafe { dealloc(block, layout(size)) };
    // SAFETY: it has this layout.
    unsafe { dealloc(behind, layout(64)) };
    assert_eq!(copied(), truth);
    let snapshot = checked_snapshot();
    assert_eq!(alloc_tests::sum_of(&snapshot, |_| true).copied, truth);
    assert!(snapshot.knows_copied());

    alloc_core::stop();
    alloc_core::start_with(alloc_core::Config::default().frames(0)).unwrap();
    assert!(!checked_snapshot().knows_copied(), "it only counts");
}

pub(crate) fn zeroed_memory() {
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

/// A value of no bytes is no block: the allocator is never called.
pub(crate) fn zero_sized_types() {
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

pub(crate) fn over_aligned_types() {
    start().unwrap();
    let page = black_box(Box::new(Page([1; 4096]))); // mark: boxed page
    let mut pages = Vec::new();
    for number in 0..3 {
        pages.push(Page([number; 4096])); // mark: pushed pages
        if number == 2 {
            // The capacity is one at first, since a page is large, then two, then four.
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

pub(crate) fn strings() {
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

/// The standard library decides how large a table is, so the sizes are read from the heap after
/// each growth.
pub(crate) fn hash_maps() {
    // The thread's first map makes the keys of its hasher, which are never freed.
    drop(black_box(HashMap::<u64, u64>::new()));
    start().unwrap();
    let map = HashMap::<u64, u64>::with_capacity(black_box(100)); // mark: map
    let table = traced_memory().current.get();
    assert!(table >= 100 * 16, "{table}");
    check_line(
        HERE,
        &checked_snapshot(),
        ("map", (table, 1), (table, 1), (table, 1), 0),
    );
    drop(map);

    alloc_core::clear_traces();
    let mut map = HashMap::new();
    let (mut tables, mut growths) = ([0; 15], 0);
    for key in 0..15 {
        let capacity = map.capacity();
        insert(&mut map, black_box(key));
        if map.capacity() != capacity {
            tables[growths] = traced_memory().current.get();
            growths += 1;
        }
    }
    let tables = &tables[..growths];
    let [.., old, new] = *tables else {
        panic!("expected two tables or more, found {tables:?}");
    };
    let counters = at_function(&checked_snapshot(), "insert");
    assert_eq!(counters.current, Amount::new(new, 1));
    assert_eq!(
        counters.total,
        Amount::new(tables.iter().sum(), growths as u64)
    );
    // A new table is filled before the old one is freed.
    assert_eq!(traced_memory().peak, old + new);
    assert_eq!(counters.reallocations, 0);
}

/// The use of the result keeps the call from becoming a jump, which would leave no frame.
#[inline(never)]
fn insert(map: &mut HashMap<u64, u64>, key: u64) {
    black_box(map.insert(key, key));
}

/// Adapters, `collect` and comparison functions belong to the standard library: their caller is
/// charged.
pub(crate) fn inlined_and_generic_library_code() {
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
    // Two counts precede the bytes.
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

pub(crate) fn two_lines_of_one_function() {
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

#[inline(never)]
fn two_hundred_bytes() -> Box<[u64; 25]> {
    Box::new(black_box([0; 25]))
}

fn panic_with_blocks(boxes: u64) {
    let kept: Vec<_> = (0..boxes).map(|_| two_hundred_bytes()).collect();
    std::panic::panic_any(kept.len());
}

/// Unwinding frees what it drops. The other blocks belong to the machinery of panics.
pub(crate) fn panics_that_unwind() {
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
