//! The comparison against CPython's own tests and outputs.

use alloc_core_snapshot::{Bytes, Frame, GroupBy, SortBy};

use super::*;
use crate::fixture::{S1, S2, snapshot};

#[track_caller]
fn check(by: GroupBy, expected: &[&str]) {
    let diffs = snapshot(S2).compare_to(&snapshot(S1), by);
    let text: Vec<String> = diffs.iter().map(StatisticDiff::to_string).collect();
    assert_eq!(text, expected);
}

#[test]
fn lines_match_cpython() {
    check(
        GroupBy::Line,
        &[
            "a.py:5: size=5002 B (+5000 B), count=2 (+1), average=2501 B",
            "c.py:578: size=400 B (+400 B), count=1 (+1), average=400 B",
            "b.py:1: size=0 B (-66 B), count=0 (-1)",
            "<unknown>: size=0 B (-7 B), count=0 (-1)",
            "a.py:2: size=30 B (+0 B), count=3 (+0), average=10 B",
        ],
    );
}

#[test]
fn files_match_cpython() {
    let diffs = snapshot(S2).compare_to(&snapshot(S1), GroupBy::File);
    let rows: Vec<_> = diffs
        .iter()
        .map(|diff| {
            let file = diff.key.charged(Default::default()).and_then(Frame::file);
            let file = file.map_or("<unknown>", |file| file.short());
            (
                file,
                diff.size.get(),
                diff.size_diff.get(),
                diff.count,
                diff.count_diff,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("a.py", 5032, 5000, 5, 1),
            ("c.py", 400, 400, 1, 1),
            ("b.py", 0, -66, 0, -1),
            ("<unknown>", 0, -7, 0, -1),
        ]
    );
}

#[test]
fn tracebacks_match_cpython() {
    check(
        GroupBy::Traceback,
        &[
            "a.py:5: size=5002 B (+5000 B), count=2 (+1), average=2501 B",
            "c.py:578: size=400 B (+400 B), count=1 (+1), average=400 B",
            "b.py:1: size=0 B (-66 B), count=0 (-1)",
            "<unknown>: size=0 B (-7 B), count=0 (-1)",
            "a.py:2: size=30 B (+0 B), count=3 (+0), average=10 B",
        ],
    );
}

#[test]
fn equal_changes_are_ordered_by_size_then_change_in_count_then_count_then_key() {
    // Each file precedes the next by the criterion in its name, and would follow it by any later
    // criterion.
    let old = snapshot(&[
        ("a size", 1, &[], 100, 9),
        ("b count diff", 1, &[], 10, 1),
        ("c count", 1, &[], 10, 8),
        ("e key", 1, &[], 10, 2),
        ("d key", 1, &[], 10, 2),
        ("f unchanged", 1, &[], 999, 9),
    ]);
    let new = snapshot(&[
        ("a size", 1, &[], 90, 9),
        ("b count diff", 1, &[], 20, 3),
        ("c count", 1, &[], 20, 9),
        ("e key", 1, &[], 20, 3),
        ("d key", 1, &[], 20, 3),
        ("f unchanged", 1, &[], 999, 9),
    ]);
    let diffs = new.compare_to(&old, GroupBy::File);
    let order: Vec<String> = diffs.iter().map(|diff| diff.key.to_string()).collect();
    let expected = [
        "a size",
        "b count diff",
        "c count",
        "e key",
        "d key",
        "f unchanged",
    ];
    assert_eq!(order, expected);
}

#[test]
fn an_order_sorts_by_its_own_change() {
    let old = snapshot(&[
        ("bytes", 1, &[], 10, 10),
        ("blocks", 1, &[], 99, 1),
        ("mean", 1, &[], 9, 9),
    ]);
    let new = snapshot(&[
        ("bytes", 1, &[], 90, 9),
        ("blocks", 1, &[], 99, 9),
        ("mean", 1, &[], 39, 1),
    ]);
    let order = |order| {
        let by = Grouping::by(GroupBy::File).sorted_by(order);
        let diffs = new.compare_to(&old, by).into_iter();
        diffs.map(|diff| diff.key.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(order(SortBy::Bytes), ["bytes", "mean", "blocks"]);
    // Both changed by eight blocks. The one with more blocks comes first.
    assert_eq!(order(SortBy::Blocks), ["blocks", "mean", "bytes"]);
    // The averages changed by 88, 38 and 9 bytes.
    assert_eq!(order(SortBy::Average), ["blocks", "mean", "bytes"]);
}

#[test]
fn nested_groups_are_compared_key_by_key() {
    let by = [GroupBy::File, GroupBy::Line];
    let diffs = snapshot(S2).compare_to(&snapshot(S1), by);
    let mut lines = Vec::new();
    for diff in &diffs {
        lines.push(diff.to_string());
        lines.extend(diff.parts.iter().map(|part| format!("  {part}")));
    }
    assert_eq!(
        lines,
        [
            "a.py: size=5032 B (+5000 B), count=5 (+1), average=1006 B",
            "  a.py:5: size=5002 B (+5000 B), count=2 (+1), average=2501 B",
            "  a.py:2: size=30 B (+0 B), count=3 (+0), average=10 B",
            "c.py: size=400 B (+400 B), count=1 (+1), average=400 B",
            "  c.py:578: size=400 B (+400 B), count=1 (+1), average=400 B",
            "b.py: size=0 B (-66 B), count=0 (-1)",
            "  b.py:1: size=0 B (-66 B), count=0 (-1)",
            "<unknown>: size=0 B (-7 B), count=0 (-1)",
            "  <unknown>: size=0 B (-7 B), count=0 (-1)",
        ]
    );
}

#[test]
fn a_key_without_blocks_on_either_side_is_omitted() {
    let old = snapshot(&[("freed.py", 1, &[], 0, 0), ("gone.py", 1, &[], 5, 1)]);
    let new = snapshot(&[("freed.py", 1, &[], 0, 0), ("gone.py", 1, &[], 0, 0)]);
    let diffs = new.compare_to(&old, GroupBy::Line);
    assert_eq!(diffs.len(), 1);
    assert_eq!(
        diffs[0].to_string(),
        "gone.py:1: size=0 B (-5 B), count=0 (-1)"
    );
}

/// The expected texts are the results of CPython 3.11's `tracemalloc._format_size(n, True)`.
#[test]
fn changes_print_as_in_tracemalloc() {
    for (bytes, text) in [
        (0, "+0 B"),
        (1, "+1 B"),
        (-1, "-1 B"),
        (-10_239, "-10239 B"),
        (10_240, "+10.0 KiB"),
        (-10_240, "-10.0 KiB"),
        (102_399, "+100.0 KiB"),
        (-102_400, "-100 KiB"),
        (102_912, "+100 KiB"),
        (103_936, "+102 KiB"),
        (10_485_759, "+10240 KiB"),
        (-12_345_678, "-11.8 MiB"),
        (-(1 << 40), "-1024 GiB"),
        (1 << 45, "+32.0 TiB"),
        (i64::MAX, "+8388608 TiB"),
        (i64::MIN, "-8388608 TiB"),
    ] {
        assert_eq!(BytesDiff::new(bytes).to_string(), text);
    }
}

/// The expected texts are the results of CPython 3.11's `tracemalloc._format_size(a / b, False)`.
#[test]
fn averages_print_as_in_tracemalloc() {
    for (size, count, text) in [
        (5, 2, "2 B"),
        (7, 2, "4 B"),
        (204_799, 20, "10240 B"),
        (12_345_678, 7, "1722 KiB"),
    ] {
        let new = snapshot(&[("a.py", 1, &[], size, count)]);
        let diff = &new.compare_to(&snapshot(&[]), GroupBy::Line)[0];
        let printed = diff.to_string();
        assert_eq!(printed.rsplit_once("average=").unwrap().1, text);
    }
}

#[test]
fn a_change_that_overflows_saturates() {
    let (none, all) = (Bytes::ZERO, Bytes::new(u64::MAX));
    assert_eq!(BytesDiff::between(all, none), i64::MAX);
    assert_eq!(BytesDiff::between(none, all), i64::MIN);
    assert_eq!(BytesDiff::between(all, Bytes::new(u64::MAX - 1)), 1);
}
