//! Matrices of who freed whose memory: whole output.

use alloc_core::{Amount, Counters, Frame, FreedBy, Freer, GroupBy, Snapshot, Trace, Traceback};
use expect_test::{Expect, expect};

/// A line in a label, of which labels freed so much, in blocks of 64 bytes.
fn trace(line: u32, label: &str, freed: &[(&str, u64)]) -> Trace {
    let amount = |bytes| Amount::new(bytes, bytes / 64);
    let sum = freed.iter().map(|(_, bytes)| bytes).sum();
    let counters = Counters {
        total: amount(sum),
        ..Counters::default()
    };
    let by = freed.iter().filter(|(label, _)| *label != "?");
    let by = by.map(|&(label, bytes)| match label {
        "" => FreedBy::new(amount(bytes)).on_thread("main"),
        label => FreedBy::new(amount(bytes))
            .in_label(label)
            .on_thread("worker"),
    });
    let frame = Frame::new(Some("demo::parse"), Some("src/parse.rs"), line, 9);
    Trace::new(Traceback::new(vec![frame]), counters)
        .with_label(label)
        .with_thread("worker")
        .with_freed_by(by.collect::<Vec<_>>())
}

const KIB: u64 = 1 << 10;

fn snapshot() -> Snapshot {
    let traces = vec![
        trace(
            41,
            "GET /search",
            &[("GET /search", 90 * KIB), ("cache > evict", 30 * KIB)],
        ),
        trace(52, "GET /search", &[("", 5 * KIB)]),
        trace(
            63,
            "cache > fill",
            &[("cache > evict", 64 * KIB), ("GET /search", 192)],
        ),
        trace(
            74,
            "POST /upload",
            &[("POST /upload", 20 * KIB), ("cleaner", 10 * KIB)],
        ),
    ];
    Snapshot::from_traces(traces, 32)
}

/// Routes that free their own memory, and a little of the next.
fn routes(number: u64) -> Snapshot {
    let route = |at: u64| format!("GET /route/{at:02}");
    let traces = (0..number).map(|at| {
        let (own, next) = (route(at), route((at + 1) % number));
        trace(
            at as u32,
            &own,
            &[(&own, (number - at) * 20 * KIB), (&next, 640)],
        )
    });
    Snapshot::from_traces(traces.collect(), 32)
}

#[track_caller]
fn check(table: &alloc_report::FreesTable<'_>, expected: Expect) {
    expected.assert_eq(&table.to_string());
}

#[test]
fn labels_are_shown_against_labels() {
    check(&alloc_report::frees(&snapshot(), 2), expect![[""]]);
}

#[test]
fn lines_are_shown_against_threads() {
    let snapshot = snapshot();
    let table = alloc_report::frees(&snapshot, 10).by(GroupBy::Line);
    check(&table.freed_by(Freer::Thread), expect![[""]]);
}

#[test]
fn what_does_not_fit_shares_a_column() {
    let snapshot = routes(12);
    for (width, expected) in [(80, expect![[""]]), (120, expect![[""]])] {
        let table = alloc_report::frees(&snapshot, 3).width(width);
        let text = table.to_string();
        assert!(
            text.lines().all(|line| line.chars().count() <= width),
            "{text}"
        );
        expected.assert_eq(&text);
    }
}

#[test]
fn what_was_not_recorded_is_a_column_and_a_note() {
    let traces = vec![trace(41, "parse", &[("parse", 640), ("?", 128)])];
    let snapshot = Snapshot::from_traces(traces, 32);
    check(&alloc_report::frees(&snapshot, 10), expect![[""]]);
}

#[test]
fn what_has_no_freers_says_how_to_record_them() {
    let traces = vec![Trace {
        freed_by: None,
        thread: None,
        ..trace(41, "parse", &[("parse", 640)])
    }];
    let snapshot = Snapshot::from_traces(traces, 32);
    check(
        &alloc_report::frees(&snapshot, 10).freed_by(Freer::Thread),
        expect![[""]],
    );
}
