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
    check(
        &alloc_report::frees(&snapshot(), 2),
        expect![[r#"
            219 KiB in 3,507 blocks were freed, by label; columns by freeing label

                   freed         a         b         c         d        e  label
            b  125.0 KiB  30.0 KiB  90.0 KiB                      5,120 B  GET /search
                64.2 KiB  64.0 KiB   0.2 KiB                               cache > fill
                30.0 KiB                      20.0 KiB  10.0 KiB           other (1 label)
               219.2 KiB  94.0 KiB  90.2 KiB  20.0 KiB  10.0 KiB  5,120 B  total

            a  cache > evict
            b  GET /search
            c  POST /upload
            d  cleaner
            e  <no label>"#]],
    );
}

#[test]
fn lines_are_shown_against_threads() {
    let snapshot = snapshot();
    let table = alloc_report::frees(&snapshot, 10).by(GroupBy::Line);
    check(
        &table.freed_by(Freer::Thread),
        expect![[r#"
            219 KiB in 3,507 blocks were freed, by line; columns by freeing thread

                  freed          a        b  line
              120.0 KiB  120.0 KiB           src/parse.rs:41
               64.2 KiB   64.2 KiB           src/parse.rs:63
               30.0 KiB   30.0 KiB           src/parse.rs:74
                5.0 KiB             5,120 B  src/parse.rs:52
              219.2 KiB  214.2 KiB  5,120 B  total

            a  worker
            b  main"#]],
    );
}

#[test]
fn what_does_not_fit_shares_a_column() {
    let snapshot = routes(12);
    for (width, expected) in [
        (
            80,
            expect![[r#"
        1568 KiB in 25,080 blocks were freed, by label; columns by freeing label

                 freed          a          b          c     others  label
        a    240.6 KiB  240.0 KiB    0.6 KiB                        GET /route/00
        b    220.6 KiB             220.0 KiB    0.6 KiB             GET /route/01
        c    200.6 KiB                        200.0 KiB    0.6 KiB  GET /route/02
             905.6 KiB    0.6 KiB                        905.0 KiB  other (9 labels)
           1,567.5 KiB  240.6 KiB  220.6 KiB  200.6 KiB  905.6 KiB  total

        a  GET /route/00
        b  GET /route/01
        c  GET /route/02"#]],
        ),
        (
            120,
            expect![[r#"
        1568 KiB in 25,080 blocks were freed, by label; columns by freeing label

                 freed          a          b          c          d          e          f          g     others  label
        a    240.6 KiB  240.0 KiB    0.6 KiB                                                                    GET /route/00
        b    220.6 KiB             220.0 KiB    0.6 KiB                                                         GET /route/01
        c    200.6 KiB                        200.0 KiB    0.6 KiB                                              GET /route/02
             905.6 KiB    0.6 KiB                        180.0 KiB  160.6 KiB  140.6 KiB  120.6 KiB  303.1 KiB  other (9 labels)
           1,567.5 KiB  240.6 KiB  220.6 KiB  200.6 KiB  180.6 KiB  160.6 KiB  140.6 KiB  120.6 KiB  303.1 KiB  total

        a  GET /route/00
        b  GET /route/01
        c  GET /route/02
        d  GET /route/03
        e  GET /route/04
        f  GET /route/05
        g  GET /route/06"#]],
        ),
    ] {
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
    check(
        &alloc_report::frees(&snapshot, 10),
        expect![[r#"
            768 B in 12 blocks were freed, by label; columns by freeing label

               freed      a      b  label
            a  768 B  640 B  128 B  parse
               768 B  640 B  128 B  total

            a  parse
            b  <not recorded>

            note: who freed 128 B in 2 blocks was not recorded: blocks that were freed while the snapshot was taken, or beyond what the tracer distinguishes"#]],
    );
}

#[test]
fn what_has_no_freers_says_how_to_record_them() {
    let counters = Counters {
        total: Amount::new(640, 10),
        ..Counters::default()
    };
    let traces = vec![Trace::new(Traceback::new(vec![]), counters).with_label("parse")];
    let snapshot = Snapshot::from_traces(traces, 32);
    check(
        &alloc_report::frees(&snapshot, 10).freed_by(Freer::Thread),
        expect![[r#"
            640 B in 10 blocks were freed, by label; columns by freeing thread

              freed      a  label
              640 B  640 B  parse
              640 B  640 B  total

            a  <not recorded>

            note: who freed blocks was not recorded: trace with ALLOC_TRACE_FREES=1 or Config::frees(true)
            note: threads were not recorded: trace with ALLOC_TRACE_THREADS=1 or Config::threads(true)"#]],
    );
}
