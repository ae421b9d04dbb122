//! What CPython's own tests of `tracemalloc` assert of snapshots made by hand, written anew: one test
//! for each, under its number in the table of `alloc_core::tracemalloc`. Those that trace are in
//! `tracemalloc.rs` and `tracked.rs`, those of the environment in `process.rs`.

use std::fmt::Write as _;

use alloc_core::{
    Amount, Counters, Filter, Frame, GroupBy, Grouping, Snapshot, Statistic, Trace, Traceback,
};
use alloc_report::{CompareTo as _, StatisticDiff};

/// A frame as Python has it: a file that is called `<unknown>` is not known.
fn frame(file: &str, line: u32) -> Frame {
    Frame::new(
        None,
        Some(file).filter(|file| *file != "<unknown>"),
        line,
        0,
    )
}

/// A stack, innermost frame first.
fn stack(frames: &[(&str, u32)]) -> Traceback {
    Traceback::new(
        frames
            .iter()
            .map(|&(file, line)| frame(file, line))
            .collect(),
    )
}

/// One block.
fn trace(domain: u32, bytes: u64, frames: &[(&str, u32)]) -> Trace {
    let current = Amount::new(bytes, 1);
    let counters = Counters {
        current,
        ..Counters::default()
    };
    Trace::new(stack(frames), counters).with_domain(domain)
}

/// The first of the two snapshots of CPython's tests.
fn old() -> Snapshot {
    let same = || trace(0, 10, &[("a.py", 2), ("b.py", 4)]);
    let traces = vec![
        same(),
        same(),
        same(),
        trace(1, 2, &[("a.py", 5), ("b.py", 4)]),
        trace(2, 66, &[("b.py", 1)]),
        trace(3, 7, &[("<unknown>", 0)]),
    ];
    Snapshot::from_traces(traces, 2)
}

/// The second.
fn new() -> Snapshot {
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

/// Key, bytes and blocks.
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

/// Key, bytes, their change, blocks, their change.
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

/// The innermost frames of what the filters let through.
fn kept(snapshot: &Snapshot, filters: &[Filter]) -> Vec<String> {
    let filtered = snapshot.filter_traces(filters);
    let innermost = |it: &Trace| it.traceback[0].to_string();
    filtered.traces().iter().map(innermost).collect()
}

#[test]
fn t01_repr() {
    let two = stack(&[("a.py", 2), ("b.py", 4)]);
    assert_eq!(
        format!("{two:?}"),
        "[<Frame a.py:2 in \"?\">, <Frame b.py:4 in \"?\">]"
    );
    assert_eq!(two.to_string(), "a.py:2\nb.py:4");
    assert_eq!(two.total_nframe(), Some(2));
    assert_eq!(format!("{:?}", stack(&[])), "[]");
    assert_eq!(stack(&[]).to_string(), "");
}

#[test]
fn t16_create_snapshot() {
    let snapshot = Snapshot::from_traces(vec![trace(0, 5, &[("a.py", 2)])], 1);
    assert_eq!(
        (snapshot.traceback_limit(), snapshot.traces().len()),
        (1, 1)
    );
    let trace = &snapshot.traces()[0];
    assert_eq!(trace.counters.current, Amount::new(5, 1));
    assert_eq!(
        (trace.traceback.len(), trace.traceback.total_nframe()),
        (1, Some(1))
    );
    let frame = &trace.traceback[0];
    assert_eq!((frame.file().unwrap().full(), frame.line()), ("a.py", 2));
}

#[test]
fn t17_filter_traces() {
    let snapshot = old();
    let without_b = kept(&snapshot, &[Filter::exclude("b.py")]);
    assert_eq!(
        without_b,
        ["a.py:2", "a.py:2", "a.py:2", "a.py:5", "<unknown>"]
    );
    // The one that it is called on stays as it is.
    assert_eq!(snapshot.traces(), old().traces());
    let two_lines = [
        Filter::include("a.py").line(2),
        Filter::include("a.py").line(5),
    ];
    assert_eq!(
        kept(&snapshot, &two_lines),
        ["a.py:2", "a.py:2", "a.py:2", "a.py:5"]
    );
    let copy = snapshot.filter_traces(&[]);
    assert_eq!(copy.traces(), snapshot.traces());
    assert_eq!(copy.traceback_limit(), 2);
    // What is no list of filters does not compile.
}

#[test]
fn t18_filter_traces_domain() {
    let snapshot = old();
    let one = Filter::exclude("a.py").domain(1);
    let others = ["a.py:2", "a.py:2", "a.py:2", "b.py:1", "<unknown>"];
    assert_eq!(kept(&snapshot, &[one]), others);
    assert_eq!(
        kept(&snapshot, &[Filter::include("a.py").domain(1)]),
        ["a.py:5"]
    );
    assert_eq!(
        kept(&snapshot, &[Filter::include("a.py").domain(2)]),
        [""; 0]
    );
    // Pattern and domain both have to match for a trace to be dropped.
    assert_eq!(
        kept(&snapshot, &[Filter::exclude("a.py").domain(2)]).len(),
        6
    );
}

#[test]
fn t19_filter_traces_domain_filter() {
    let snapshot = old();
    let without = kept(&snapshot, &[Filter::exclude_domain(3)]);
    assert_eq!(without, ["a.py:2", "a.py:2", "a.py:2", "a.py:5", "b.py:1"]);
    assert_eq!(kept(&snapshot, &[Filter::include_domain(3)]), ["<unknown>"]);
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
    // A key that there is not.
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
    // Where CPython counts 300 bytes in 3 blocks.
    let recursion = trace(
        0,
        100,
        &[("a.py", 1), ("a.py", 1), ("a.py", 1), ("b.py", 1)],
    );
    let snapshot = Snapshot::from_traces(vec![recursion], 4);
    let once = [("b.py:1", 100, 1), ("a.py:1", 100, 1)];
    check_statistics(&snapshot, cumulative(GroupBy::Line), &once);
}

/// CPython's trace prints as its oldest frame, `b.py:4`; here it is the line that is charged.
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

#[test]
fn t27_slices() {
    let snapshot = old();
    let traces = snapshot.traces();
    assert_eq!(traces[..2], [traces[0].clone(), traces[1].clone()]);
    let traceback = &traces[0].traceback;
    assert_eq!(traceback[..2], [frame("a.py", 2), frame("b.py", 4)]);
    assert_eq!(traceback.last(), Some(&frame("b.py", 4)));
    assert!(traceback.contains(&frame("b.py", 4)) && !traceback.contains(&frame("b.py", 5)));
}

#[test]
fn t28_format_traceback() {
    // A file of five lines, and a stack that goes through all of them, the last one innermost.
    let name = format!("alloc-tests-{}-t28.py", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, "  one()\ntwo()\n\nfour()\n\tfive()\n").unwrap();
    let file = path.to_str().unwrap();
    let five = stack(&[5, 4, 3, 2, 1].map(|line| (file, line)));
    let lines = |chosen: &[(u32, &str)]| {
        let mut lines = Vec::new();
        for (number, source) in chosen {
            lines.push(format!("  File \"{file}\", line {number}"));
            if !source.is_empty() {
                lines.push(format!("    {source}"));
            }
        }
        lines
    };
    // The third line is empty, which is left out as in CPython.
    let all = [
        (1, "one()"),
        (2, "two()"),
        (3, ""),
        (4, "four()"),
        (5, "five()"),
    ];
    let mut reversed = all;
    reversed.reverse();
    let format = || five.format();
    assert_eq!(format().oldest_first().lines(), lines(&all));
    assert_eq!(format().lines(), lines(&reversed));
    // limit=1, limit=2, limit=0.
    assert_eq!(format().most_recent(1).lines(), lines(&all[4..]));
    assert_eq!(
        format().most_recent(2).oldest_first().lines(),
        lines(&all[3..])
    );
    assert_eq!(format().most_recent(0).lines(), [""; 0]);
    assert_eq!(format().most_recent(99).lines(), lines(&reversed));
    // limit=-1 as documented, where CPython leaves the most recent one out; most_recent_first as well.
    assert_eq!(format().oldest(1).lines(), lines(&all[..1]));
    assert_eq!(format().oldest(2).oldest_first().lines(), lines(&all[..2]));
    assert_eq!(format().oldest(2).lines(), lines(&[all[1], all[0]]));
    assert_eq!(format().oldest(99).oldest_first().lines(), lines(&all));
    assert_eq!(stack(&[]).format().lines(), [""; 0]);
    std::fs::remove_file(&path).unwrap();
    // Without the file there are no sources.
    let places = stack(&[("gone.py", 3), ("<unknown>", 0)])
        .format()
        .to_string();
    assert_eq!(places, "  File \"gone.py\", line 3\n  File \"<unknown>\"");
}

#[test]
fn t29_filter_attributes() {
    let filter = Filter::include("abc");
    assert!(filter.is_inclusive() && !Filter::exclude("abc").is_inclusive());
    assert_eq!(filter.file_pattern(), "abc");
    // Nothing more is asked for.
    assert_eq!(filter, Filter::include("abc").all_frames(false));
    let more = [
        Filter::include("abc").line(0),
        Filter::include("abc").all_frames(true),
        Filter::include("abc").domain(0),
        Filter::include("ab"),
        Filter::exclude("abc"),
    ];
    assert!(more.iter().all(|other| *other != filter));
    // In whatever order.
    assert_eq!(filter.clone().line(5).domain(2), filter.domain(2).line(5));
}

/// Whether a filter lets a frame's trace through.
fn lets_through(filter: &Filter, file: &str, line: u32) -> bool {
    let snapshot = Snapshot::from_traces(vec![trace(0, 1, &[(file, line)])], 1);
    !kept(&snapshot, std::slice::from_ref(filter)).is_empty()
}

#[test]
fn t30_filter_match() {
    for (file, line) in [
        ("abc", 0),
        ("abc", 5),
        ("abc", 10),
        ("12356", 0),
        ("12356", 5),
    ] {
        let is_abc = file == "abc";
        // No line is any, 0 is a line like another.
        for wanted in [None, Some(5), Some(0)] {
            let with_line = |filter: Filter| match wanted {
                None => filter,
                Some(wanted) => filter.line(wanted),
            };
            let hit = is_abc && wanted.is_none_or(|wanted| wanted == line);
            let (include, exclude) = (Filter::include("abc"), Filter::exclude("abc"));
            assert_eq!(lets_through(&with_line(include), file, line), hit);
            assert_eq!(lets_through(&with_line(exclude), file, line), !hit);
        }
    }
}

#[test]
fn t31_filter_match_filename() {
    for (pattern, file, hit) in [
        ("abc", "abc", true),
        ("abc", "12356", false),
        ("abc", "<unknown>", false),
        ("<unknown>", "<unknown>", true),
        ("<unknown>", "abc", false),
        ("b.py", "/a/b.py", false),
    ] {
        assert_eq!(lets_through(&Filter::include(pattern), file, 1), hit);
        assert_eq!(lets_through(&Filter::exclude(pattern), file, 1), !hit);
    }
}

#[test]
fn t32_filter_match_filename_joker() {
    #[track_caller]
    fn check(file: &str, pattern: &str, hit: bool) {
        assert_eq!(
            lets_through(&Filter::include(pattern), file, 1),
            hit,
            "{pattern} on {file}"
        );
    }
    for file in ["abc", "a.txt", "<unknown>"] {
        check(file, "", false);
        check(file, "*", true);
    }
    check("abc", "a*", true);
    check("abc", "abc*", true);
    check("abc", "b*", false);
    check("abc", "a*c", true);
    check("abcdcx", "a*cx", true);
    check("abb", "a*c", false);
    check("abcdce", "a*c*e", true);
    check("abcdd", "a*c*e", false);
    check("abcbdefeg", "a*bd*eg", true);
    check("abcbdefeg", "a*bd*cx", false);
    check("/a/x/b.py", "/a/*", true);
    check("/a/b.py", "*b.py", true);
    // Case and separators count but on Windows. There is no suffix such as `.pyc` to be folded.
    check("aBC", "ABc", cfg!(windows));
    check("aBcDe", "Ab*dE", cfg!(windows));
    check(r"a\b", "a/b", cfg!(windows));
    check("a/b/c", r"a\b\c", cfg!(windows));
    check("a.pyc", "a.py", false);
}

#[test]
fn t33_filter_match_trace() {
    let tracebacks: [&[(&str, u32)]; 4] = [
        &[("a.py", 2), ("b.py", 4)],
        &[("b.py", 4), ("b.py", 5)],
        &[("a.py", 2)],
        &[("<unknown>", 0)],
    ];
    #[track_caller]
    fn check(tracebacks: &[&[(&str, u32)]], include: Filter, exclude: Filter, hits: [bool; 4]) {
        for (frames, hit) in tracebacks.iter().zip(hits) {
            let snapshot = Snapshot::from_traces(vec![trace(0, 1, frames)], 2);
            let lets = |filter: &Filter| !kept(&snapshot, std::slice::from_ref(filter)).is_empty();
            let mut text = String::new();
            write!(text, "{include:?} on {frames:?}").unwrap();
            assert_eq!((lets(&include), lets(&exclude)), (hit, !hit), "{text}");
        }
    }
    let both = |filter: fn(&str) -> Filter, all| filter("b.py").all_frames(all);
    check(
        &tracebacks,
        both(Filter::include, true),
        both(Filter::exclude, true),
        [true, true, false, false],
    );
    check(
        &tracebacks,
        both(Filter::include, false),
        both(Filter::exclude, false),
        [false, true, false, false],
    );
    let unknown = |filter: fn(&str) -> Filter| filter("<unknown>");
    check(
        &tracebacks,
        unknown(Filter::include),
        unknown(Filter::exclude),
        [false, false, false, true],
    );
    check(
        &tracebacks,
        Filter::include("*").line(4).all_frames(true),
        Filter::exclude("*").line(4).all_frames(true),
        [true, true, false, false],
    );
}
