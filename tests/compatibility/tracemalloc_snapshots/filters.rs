//! Filters.

use std::fmt::Write as _;

use alloc_core::{Filter, Snapshot, Trace};

use crate::{old, trace};

/// The innermost frames of the traces that pass the filters.
fn kept(snapshot: &Snapshot, filters: &[Filter]) -> Vec<String> {
    let filtered = snapshot.filter_traces(filters);
    let innermost = |it: &Trace| it.traceback[0].to_string();
    filtered.traces().iter().map(innermost).collect()
}

#[test]
fn t17_filter_traces() {
    let snapshot = old();
    let without_b = kept(&snapshot, &[Filter::exclude("b.py")]);
    assert_eq!(
        without_b,
        ["a.py:2", "a.py:2", "a.py:2", "a.py:5", "<unknown>"]
    );
    // The original snapshot does not change.
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
    // A value that is no list of filters does not compile.
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
fn t29_filter_attributes() {
    let filter = Filter::include("abc");
    assert!(filter.is_inclusive() && !Filter::exclude("abc").is_inclusive());
    assert_eq!(filter.file_pattern(), "abc");
    // The other conditions are not set.
    assert_eq!(filter, Filter::include("abc").all_frames(false));
    let more = [
        Filter::include("abc").line(0),
        Filter::include("abc").all_frames(true),
        Filter::include("abc").domain(0),
        Filter::include("ab"),
        Filter::exclude("abc"),
    ];
    assert!(more.iter().all(|other| *other != filter));
    // The order of conditions does not matter.
    assert_eq!(filter.clone().line(5).domain(2), filter.domain(2).line(5));
}

/// Whether a trace with one frame passes a filter.
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
        // Without a line any line matches; 0 is an ordinary line.
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
    // Case and separators matter, except on Windows. There is no suffix like `.pyc` to be
    // normalized.
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
