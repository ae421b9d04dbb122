//! The peak of the heap, and what each line holds at it.

use std::hint::black_box;

use alloc_core::{Amount, start, take_snapshot, traced_memory};
use alloc_tests::{Source, at_function};

use crate::{check_heap, check_line, checked_snapshot};

const HERE: Source = alloc_tests::source!();

pub(crate) fn the_peak_and_its_parts() {
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

pub(crate) fn of_equal_peaks_the_later_counts() {
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

/// Only the net growth counts: the old and the new block never exist together.
pub(crate) fn a_block_that_grows_at_the_peak() {
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

pub(crate) fn reset_peak() {
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
    // The total survives a reset.
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

#[inline(never)]
fn kept_for_now() -> Box<[u8; 100]> {
    Box::new(black_box([3; 100]))
}

pub(crate) fn peaks_are_exact_with_untraced_frees() {
    start().unwrap();
    let mut boxes: Vec<_> = alloc_core::untraced(|| Vec::with_capacity(3));
    for round in 0..black_box(4) {
        // Two blocks are freed untraced, and one is allocated, so there are never more than three.
        // NOTE: all calls are on one line, and the condition is opaque, so that the compiler keeps
        // one call.
        if black_box(round) == 3 {
            alloc_core::untraced(|| boxes.truncate(1));
        }
        boxes.push(kept_for_now());
    }
    // The heap peaks later than the callsite.
    drop(black_box(vec![3_u8; 10_000]));
    let here = at_function(&take_snapshot().unwrap(), "kept_for_now");
    assert_eq!(here.current, Amount::new(200, 2));
    assert_eq!(here.peak, Amount::new(300, 3));
    assert_eq!(here.at_peak, Amount::new(200, 2));
}
