//! Grouping, comparing and printing.

use alloc_core::{GroupBy, Grouping, Snapshot, Statistic};
use alloc_report::{CompareTo as _, StatisticDiff};

use crate::{old, stack, trace};

/// The second of the two snapshots.
pub(crate) fn new() -> Snapshot {
    let same = || trace(0, 10, &[("a.py", 2), ("b.py", 4)]);
    let traces = vec![
        same(),
        same(),
        same(),
        trace(2, 2, &[("a.py", 5), ("b.py", 4)]),
        trace(2, 5000, &[("a.py", 5), ("b.py", 4)]),
        trace(4, 400, &[("c.py", 578)]),
    ];
    Snapshot::from_traces(traces, 2)
}

/// Key, bytes and blocks of each statistic.
fn numbers(statistics: &[Statistic]) -> Vec<(String, u64, u64)> {
    let numbers = |it: &Statistic| (it.key.to_string(), it.size.get(), it.count);
    statistics.iter().map(numbers).collect()
}

#[track_caller]
fn check_statistics(snapshot: &Snapshot, by: impl Into<Grouping>, expected: &[(&str, u64, u64)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|&(key, bytes, blocks)| (key.to_owned(), bytes, blocks))
        .collect();
    assert_eq!(numbers(&snapshot.statistics(by)), expected);
}

/// Checks the key, bytes, their change, blocks, and their change.
#[track_caller]
fn check_differences(by: GroupBy, expected: &[(&str, u64, i64, u64, i64)]) {
    let diffs = new().compare_to(&old(), by);
    let row = |it: &StatisticDiff| {
        (
            it.key.to_string(),
            it.size.get(),
            it.size_diff.get(),
            it.count,
            it.count_diff,
        )
    };
    let expected: Vec<_> = expected
        .iter()
        .map(|&(key, size, size_diff, count, count_diff)| {
            (key.to_owned(), size, size_diff, count, count_diff)
        })
        .collect();
    assert_eq!(diffs.iter().map(row).collect::<Vec<_>>(), expected);
}

#[test]
fn t20_snapshot_group_by_line() {
    check_statistics(
        &old(),
        GroupBy::Line,
        &[
            ("b.py:1", 66, 1),
            ("a.py:2", 30, 3),
            ("<unknown>", 7, 1),
            ("a.py:5", 2, 1),
        ],
    );
    check_statistics(
        &new(),
        GroupBy::Line,
        &[("a.py:5", 5002, 2), ("c.py:578", 400, 1), ("a.py:2", 30, 3)],
    );
    check_differences(
        GroupBy::Line,
        &[
            ("a.py:5", 5002, 5000, 2, 1),
            ("c.py:578", 400, 400, 1, 1),
            ("b.py:1", 0, -66, 0, -1),
            ("<unknown>", 0, -7, 0, -1),
            ("a.py:2", 30, 0, 3, 0),
        ],
    );
}

#[test]
fn t21_snapshot_group_by_file() {
    check_statistics(
        &old(),
        GroupBy::File,
        &[("b.py", 66, 1), ("a.py", 32, 4), ("<unknown>", 7, 1)],
    );
    check_statistics(
        &new(),
        GroupBy::File,
        &[("a.py", 5032, 5), ("c.py", 400, 1)],
    );
    check_differences(
        GroupBy::File,
        &[
            ("a.py", 5032, 5000, 5, 1),
            ("c.py", 400, 400, 1, 1),
            ("b.py", 0, -66, 0, -1),
            ("<unknown>", 0, -7, 0, -1),
        ],
    );
}

#[test]
fn t22_snapshot_group_by_traceback() {
    let lines = [
        ("b.py:1", 66, 1),
        ("a.py:2", 30, 3),
        ("<unknown>", 7, 1),
        ("a.py:5", 2, 1),
    ];
    check_statistics(&old(), GroupBy::Traceback, &lines);
    check_statistics(
        &new(),
        GroupBy::Traceback,
        &[("a.py:5", 5002, 2), ("c.py:578", 400, 1), ("a.py:2", 30, 3)],
    );
    let statistics = old().statistics(GroupBy::Traceback);
    let whole = stack(&[("a.py", 2), ("b.py", 4)]);
    assert_eq!(statistics[1].key, alloc_core::GroupKey::Traceback(whole));
    check_differences(
        GroupBy::Traceback,
        &[
            ("a.py:5", 5002, 5000, 2, 1),
            ("c.py:578", 400, 400, 1, 1),
            ("b.py:1", 0, -66, 0, -1),
            ("<unknown>", 0, -7, 0, -1),
            ("a.py:2", 30, 0, 3, 0),
        ],
    );
    let error = Grouping::by(GroupBy::Traceback).cumulative().unwrap_err();
    assert!(error.is_invalid_grouping(), "{error}");
    // This key does not exist.
    assert!(
        "lineno"
            .parse::<Grouping>()
            .unwrap_err()
            .contains("found \"lineno\"")
    );
}

#[test]
fn t23_snapshot_group_by_cumulative() {
    let cumulative = |by| Grouping::by(by).cumulative().unwrap();
    check_statistics(
        &old(),
        cumulative(GroupBy::File),
        &[("b.py", 98, 5), ("a.py", 32, 4), ("<unknown>", 7, 1)],
    );
    check_statistics(
        &old(),
        cumulative(GroupBy::Line),
        &[
            ("b.py:1", 66, 1),
            ("b.py:4", 32, 4),
            ("a.py:2", 30, 3),
            ("<unknown>", 7, 1),
            ("a.py:5", 2, 1),
        ],
    );
    // CPython counts 300 bytes in 3 blocks here.
    let recursion = trace(
        0,
        100,
        &[("a.py", 1), ("a.py", 1), ("a.py", 1), ("b.py", 1)],
    );
    let snapshot = Snapshot::from_traces(vec![recursion], 4);
    let once = [("b.py:1", 100, 1), ("a.py:1", 100, 1)];
    check_statistics(&snapshot, cumulative(GroupBy::Line), &once);
}

/// A trace prints as the line that is charged; CPython's prints as its oldest frame, `b.py:4`.
#[test]
fn t24_trace_format() {
    let snapshot = old();
    let trace = &snapshot.traces()[0];
    assert_eq!(trace.to_string(), "a.py:2: 10 B");
    assert_eq!(trace.traceback[0].to_string(), "a.py:2");
}

#[test]
fn t25_statistic_format() {
    let statistics = old().statistics(GroupBy::Line);
    let text = "b.py:1: size=66 B, count=1, average=66 B";
    assert_eq!(statistics[0].to_string(), text);
}

#[test]
fn t26_statistic_diff_format() {
    let diffs = new().compare_to(&old(), GroupBy::Line);
    let text = "a.py:5: size=5002 B (+5000 B), count=2 (+1), average=2501 B";
    assert_eq!(diffs[0].to_string(), text);
}
