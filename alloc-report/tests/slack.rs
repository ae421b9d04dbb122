//! Tables of slack: whole output.

use alloc_core::{Amount, Bytes, Counters, Frame, GroupBy, Slack, Snapshot, Trace, Traceback};
use expect_test::{Expect, expect};

/// A line with live blocks, and ten times as many that were ever allocated, each of a size and with
/// so many usable bytes.
fn trace(file: &str, line: u32, blocks: u64, size: u64, usable: u64) -> Trace {
    let amount = Amount::new(blocks * size, blocks);
    let counters = Counters {
        current: amount,
        peak: amount,
        at_peak: amount,
        total: Amount::new(10 * blocks * size, 10 * blocks),
        ..Counters::default()
    };
    let frame = Frame::new(Some("demo::parse"), Some(file), line, 9);
    let slack = Slack {
        current: Bytes::new(blocks * (usable - size)),
        total: Bytes::new(10 * blocks * (usable - size)),
    };
    Trace::new(Traceback::new(vec![frame]), counters).with_slack(slack)
}

fn snapshot() -> Snapshot {
    let traces = vec![
        trace("src/parse.rs", 41, 1000, 25, 40),
        trace("src/parse.rs", 52, 3, 2_000_000, 2_002_928),
        trace("src/cache.rs", 63, 70_000, 24, 24),
    ];
    Snapshot::from_traces(traces, 32)
}

#[track_caller]
fn check(table: impl std::fmt::Display, expected: Expect) {
    expected.assert_eq(&table.to_string());
}

#[test]
fn the_lines_with_the_most_slack_come_first() {
    check(
        alloc_report::slack(&snapshot(), 2),
        expect![[r#"
        23.2 KiB of 7548 KiB in live blocks are slack (0.3%), by line

        #     slack  of usable  asked for    usable  blocks               average  line
        1  14.6 KiB      37.5%   24.4 KiB  39.1 KiB   1,000          25 B in 40 B  src/parse.rs:41
        2    8784 B       0.1%   5859 KiB  5868 KiB       3  1953 KiB in 1956 KiB  src/parse.rs:52
                0 B       0.0%   1641 KiB  1641 KiB  70,000          24 B in 24 B  other (1 line)"#]],
    );
}

#[test]
fn groups_have_the_slack_of_all_their_callsites() {
    let snapshot = snapshot();
    check(
        alloc_report::slack(&snapshot, 5).by(GroupBy::File),
        expect![[r#"
            23.2 KiB of 7548 KiB in live blocks are slack (0.3%), by file

            #     slack  of usable  asked for    usable  blocks           average  file
            1  23.2 KiB       0.4%   5884 KiB  5907 KiB   1,003  6007 B in 6031 B  src/parse.rs
            2       0 B       0.0%   1641 KiB  1641 KiB  70,000      24 B in 24 B  src/cache.rs"#]],
    );
}

#[test]
fn all_blocks_count_on_request() {
    let snapshot = snapshot();
    check(
        alloc_report::slack(&snapshot, 1).count_all(true),
        expect![[r#"
            232 KiB of 73.7 MiB in all blocks ever allocated are slack (0.3%), by line

            #     slack  of usable  asked for    usable   blocks         average  line
            1   146 KiB      37.5%    244 KiB   391 KiB   10,000    25 B in 40 B  src/parse.rs:41
               85.8 KiB       0.1%   73.2 MiB  73.3 MiB  700,030  110 B in 110 B  other (2 lines)"#]],
    );
}

#[test]
fn what_was_not_measured_says_how_to_measure_it() {
    let counters = Counters {
        current: Amount::new(8, 1),
        ..Counters::default()
    };
    let traces = vec![Trace::new(Traceback::new(vec![]), counters)];
    let snapshot = Snapshot::from_traces(traces, 32);
    check(
        alloc_report::slack(&snapshot, 2),
        expect![[r#"
        0 B of 0 B in live blocks are slack (0.0%), by line

        note: slack was not measured: trace with ALLOC_TRACE_SLACK=1 or Config::slack(true)"#]],
    );
}
