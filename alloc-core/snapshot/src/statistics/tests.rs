//! Statistics by each key, in each order.

use super::*;
use crate::{Frame, Trace, Traceback};

fn trace(bytes: u64, blocks: u64, frames: &[(&str, u32)]) -> Trace {
    let frames = frames
        .iter()
        .map(|&(file, line)| Frame::new(None, Some(file).filter(|it| !it.is_empty()), line, 0));
    let counters = Counters {
        current: Amount::new(bytes, blocks),
        ..Counters::default()
    };
    Trace::new(Traceback::new(frames.collect()), counters)
}

/// The first of the two snapshots in CPython's own tests.
fn cpython() -> Snapshot {
    let a2 = || trace(10, 1, &[("a.py", 2), ("b.py", 4)]);
    Snapshot::from_traces(
        vec![
            a2(),
            a2(),
            a2(),
            trace(2, 1, &[("a.py", 5), ("b.py", 4)]),
            trace(66, 1, &[("b.py", 1)]),
            trace(7, 1, &[("", 0)]),
        ],
        2,
    )
}

#[track_caller]
fn check(by: GroupBy, expected: &[&str]) {
    let lines: Vec<_> = cpython()
        .statistics(by)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn by_line() {
    check(
        GroupBy::Line,
        &[
            "b.py:1: size=66 B, count=1, average=66 B",
            "a.py:2: size=30 B, count=3, average=10 B",
            "<unknown>: size=7 B, count=1, average=7 B",
            "a.py:5: size=2 B, count=1, average=2 B",
        ],
    );
}

#[test]
fn by_file() {
    check(
        GroupBy::File,
        &[
            "b.py: size=66 B, count=1, average=66 B",
            "a.py: size=32 B, count=4, average=8 B",
            "<unknown>: size=7 B, count=1, average=7 B",
        ],
    );
}

#[test]
fn by_traceback_equal_stacks_are_one_group() {
    let statistics = cpython().statistics(GroupBy::Traceback);
    let sizes: Vec<_> = statistics
        .iter()
        .map(|it| (it.size.get(), it.count))
        .collect();
    assert_eq!(sizes, [(66, 1), (30, 3), (7, 1), (2, 1)]);
}

#[test]
fn equal_sizes_sort_by_count_and_then_by_key_all_descending() {
    let snapshot = Snapshot::from_traces(
        vec![
            trace(9, 1, &[("b.rs", 1)]),
            trace(9, 3, &[("a.rs", 1)]),
            trace(9, 1, &[("b.rs", 10)]),
            trace(0, 0, &[("gone.rs", 1)]),
        ],
        1,
    );
    let keys: Vec<_> = snapshot
        .statistics(GroupBy::Line)
        .iter()
        .map(|it| it.key.to_string())
        .collect();
    assert_eq!(keys, ["a.rs:1", "b.rs:10", "b.rs:1"]);
}

fn at(function: &str, line: u32) -> Frame {
    Frame::new(Some(function), Some("/w/demo/src/a.rs"), line, 1)
}

fn stack(frames: Vec<Frame>, bytes: u64, blocks: u64) -> Trace {
    let amount = Amount::new(bytes, blocks);
    let counters = Counters {
        current: amount,
        total: Amount::new(2 * bytes, 3 * blocks),
        ..Counters::default()
    };
    Trace::new(Traceback::new(frames), counters)
}

#[track_caller]
fn check_lines(snapshot: &Snapshot, by: impl Into<Grouping>, expected: &[&str]) {
    fn lines(statistics: &[Statistic], level: usize) -> Vec<String> {
        let of_one = |it: &Statistic| {
            let indent = "  ".repeat(level);
            let line = format!("{indent}{}: {}/{}", it.key, it.size.get(), it.count);
            [vec![line], lines(&it.parts, level + 1)].concat()
        };
        statistics.iter().flat_map(of_one).collect()
    }
    assert_eq!(lines(&snapshot.statistics(by), 0), expected);
}

/// A parser that recurses, and a cache.
fn parser() -> Snapshot {
    let parse = |line| at("demo::parse::value", line);
    let main = at("demo::main", 3);
    Snapshot::from_traces(
        vec![
            stack(vec![parse(7), parse(9), parse(9), main.clone()], 100, 4),
            stack(vec![parse(7), main.clone()], 10, 1).with_thread("reader"),
            stack(vec![at("cache::fill", 41), parse(9), main], 50, 2).with_domain(3),
        ],
        8,
    )
}

#[test]
fn cumulative_counting_counts_a_trace_once_for_each_key() {
    let cumulative = |by| Grouping::by(by).cumulative().unwrap();
    let lines = [
        "/w/demo/src/a.rs:3: 160/7",
        "/w/demo/src/a.rs:9: 150/6",
        "/w/demo/src/a.rs:7: 110/5",
        "/w/demo/src/a.rs:41: 50/2",
    ];
    check_lines(&parser(), cumulative(GroupBy::Line), &lines);
    let functions = [
        "demo::parse::value: 160/7",
        "demo::main: 160/7",
        "cache::fill: 50/2",
    ];
    check_lines(&parser(), cumulative(GroupBy::Function), &functions);
    check_lines(
        &parser(),
        cumulative(GroupBy::File),
        &["/w/demo/src/a.rs: 160/7"],
    );
}

#[test]
fn nested_keys_apply_to_the_same_frame() {
    let by = Grouping::by(GroupBy::Module).cumulative().unwrap();
    check_lines(
        &parser(),
        by.then(GroupBy::Function),
        &[
            "demo::parse: 160/7",
            "  demo::parse::value: 160/7",
            "demo: 160/7",
            "  demo::main: 160/7",
            "cache: 50/2",
            "  cache::fill: 50/2",
        ],
    );
}

#[test]
fn nested_groups_add_up() {
    check_lines(
        &parser(),
        [GroupBy::Crate, GroupBy::Thread, GroupBy::Line],
        &[
            "demo: 110/5",
            "  <thread not recorded>: 100/4",
            "    /w/demo/src/a.rs:7: 100/4",
            "  reader: 10/1",
            "    /w/demo/src/a.rs:7: 10/1",
            "cache: 50/2",
            "  <thread not recorded>: 50/2",
            "    /w/demo/src/a.rs:41: 50/2",
        ],
    );
    check_lines(
        &parser(),
        GroupBy::Domain,
        &["the Rust heap: 110/5", "domain 3: 50/2"],
    );
}

#[test]
fn metrics_and_orders() {
    let snapshot = Snapshot::from_traces(
        vec![
            stack(vec![at("bytes", 1)], 1000, 10),
            stack(vec![at("blocks", 2)], 900, 90),
            stack(vec![at("average", 3)], 303, 3),
            stack(vec![at("same average", 4)], 404, 4),
        ],
        1,
    );
    let order = |metric, order| {
        let by = Grouping::by(GroupBy::Function)
            .with_metric(metric)
            .sorted_by(order);
        let statistics = snapshot.statistics(by).into_iter();
        statistics.map(|it| it.key.to_string()).collect::<Vec<_>>()
    };
    let by_bytes = ["bytes", "blocks", "same average", "average"];
    let by_blocks = ["blocks", "bytes", "same average", "average"];
    let by_average = ["same average", "average", "bytes", "blocks"];
    for metric in [Metric::Current, Metric::Total, Metric::Freed] {
        assert_eq!(order(metric, SortBy::Bytes), by_bytes);
        assert_eq!(order(metric, SortBy::Blocks), by_blocks);
        assert_eq!(order(metric, SortBy::Average), by_average);
    }
    let freed = Grouping::by(GroupBy::Function).with_metric(Metric::Freed);
    let largest = &snapshot.statistics(freed)[0];
    assert_eq!((largest.size.get(), largest.count), (1000, 20));
}

#[test]
fn sizes_are_classed_by_the_mean_of_all_blocks_ever_allocated() {
    let sized = |line, bytes, blocks| stack(vec![at("f", line)], bytes, blocks);
    let snapshot = Snapshot::from_traces(
        // The total has twice the bytes in three times the blocks: means of 64, 64.67, 2 and 0.
        vec![
            sized(1, 96, 1),
            sized(2, 97, 1),
            sized(3, 9, 3),
            sized(4, 0, 1),
        ],
        1,
    );
    check_lines(
        &snapshot,
        GroupBy::SizeClass,
        &[
            "up to 128 B: 97/1",
            "up to 64 B: 96/1",
            "up to 2 B: 9/3",
            "up to 0 B: 0/1",
        ],
    );
}

#[test]
fn a_custom_key_groups_and_is_escaped() {
    let by_length = Grouping::by_key(|trace| trace.traceback.len().to_string());
    check_lines(
        &parser(),
        by_length.clone(),
        &["4: 100/4", "3: 50/2", "2: 10/1"],
    );
    let within = by_length.then_by_key(|_| "\u{1b}[31m");
    let part = &parser().statistics(within)[0].parts[0];
    assert_eq!(part.key.to_string(), "\\u{1b}[31m");
}
