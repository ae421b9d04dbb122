//! Tables of lifetimes: whole output.

use std::time::Duration;

use alloc_core::{Ages, Amount, Counters, Frame, GroupBy, Lifetimes, Snapshot, Trace, Traceback};
use expect_test::expect;

/// A line whose blocks lived so long, and of which some live.
fn trace(line: u32, freed: &[(Duration, u64)], live: &[(Duration, u64)]) -> Trace {
    let ages = |all: &[(Duration, u64)]| {
        let none = Ages::default();
        all.iter()
            .fold(none, |ages, &(age, blocks)| ages.with_times(age, blocks))
    };
    let mut lifetimes = Lifetimes::default();
    (lifetimes.freed, lifetimes.live) = (ages(freed), ages(live));
    let blocks = lifetimes.freed.count() + lifetimes.live.count();
    let counters = Counters {
        total: Amount::new(8 * blocks, blocks),
        ..Counters::default()
    };
    let frame = Frame::new(Some("demo::parse"), Some("src/parse.rs"), line, 9);
    Trace::new(Traceback::new(vec![frame]), counters).with_lifetimes(lifetimes)
}

fn snapshot() -> Snapshot {
    let (micros, seconds) = (Duration::from_micros, Duration::from_secs);
    let traces = vec![
        trace(41, &[(micros(5), 90_000), (micros(800_000), 10_000)], &[]),
        trace(
            52,
            &[(seconds(90), 10)],
            &[(seconds(7_000), 1), (seconds(5), 99)],
        ),
        trace(63, &[], &[(seconds(200_000), 2)]),
    ];
    Snapshot::from_traces(traces, 32)
}

#[test]
fn the_lines_that_freed_most_come_first() {
    expect![[r#"
        100,010 blocks were freed, and 102 live, by line

        #    freed  half below  90% below  all below  live  half below  oldest  line
        1  100,000        6 µs       6 µs        1 s     0                      src/parse.rs:41
        2       10     1.7 min    1.7 min    1.7 min   100       6.3 s   2.4 h  src/parse.rs:52
                                                                                other (1 line)"#]]
    .assert_eq(&alloc_report::lifetimes(&snapshot(), 2).to_string());
}

#[test]
fn groups_have_the_lifetimes_of_all_their_callsites() {
    let snapshot = snapshot();
    let table = alloc_report::lifetimes(&snapshot, 2).by(GroupBy::File);
    expect![[r#"
        100,010 blocks were freed, and 102 live, by file

        #    freed  half below  90% below  all below  live  half below  oldest  file
        1  100,010        6 µs        1 s    1.7 min   102       6.3 s   2.4 d  src/parse.rs"#]]
    .assert_eq(&table.to_string());
}

#[test]
fn what_has_no_lifetimes_says_how_to_record_them() {
    let counters = Counters {
        total: Amount::new(8, 1),
        ..Counters::default()
    };
    let traces = vec![Trace::new(Traceback::new(vec![]), counters)];
    let snapshot = Snapshot::from_traces(traces, 32);
    expect![[r#"
        0 blocks were freed, and 0 live, by line

        note: lifetimes were not recorded: trace with ALLOC_TRACE_LIFETIMES=1 or Config::lifetimes(true)"#]].assert_eq(&alloc_report::lifetimes(&snapshot, 2).to_string());
}

#[test]
fn temporary_blocks_are_those_below_the_end_of_a_bucket() {
    let snapshot = snapshot();
    let check = |within: &str, expected: expect_test::Expect| {
        let table = alloc_report::temporary(&snapshot, 2).within(within.parse().unwrap());
        expected.assert_eq(&table.to_string());
    };
    check(
        "10us",
        expect![[r#"
        90,000 of 100,010 freed blocks were freed within 6 µs, by line

        #  temporary  share    freed      bytes  line
        1     90,000  90.0%  100,000  703.1 KiB  src/parse.rs:41"#]],
    );
    check(
        "1s",
        expect![[r#"
        90,000 of 100,010 freed blocks were freed within 6 µs, by line

        #  temporary  share    freed      bytes  line
        1     90,000  90.0%  100,000  703.1 KiB  src/parse.rs:41"#]],
    );
    check(
        "100s",
        expect![[r#"
        100,000 of 100,010 freed blocks were freed within 1 s, by line

        #  temporary   share    freed      bytes  line
        1    100,000  100.0%  100,000  781.3 KiB  src/parse.rs:41"#]],
    );
    // These have no ages in bytes.
    check(
        "4KiB",
        expect![
            "0 of 100,010 freed blocks were freed within 4096 B of further allocations, by line"
        ],
    );
}

#[test]
fn generations_say_what_survived_and_what_dies_young() {
    let (micros, seconds) = (Duration::from_micros, Duration::from_secs);
    let traces = vec![
        trace(
            1,
            &[],
            &[(seconds(100), 10), (seconds(16), 10), (seconds(2), 10)],
        ),
        trace(2, &[(micros(9), 1_000)], &[(seconds(2), 1)]),
        trace(3, &[(micros(9), 1_000)], &[(seconds(40), 5)]),
        trace(
            4,
            &[(seconds(20), 100)],
            &[(seconds(40), 5), (seconds(2), 5)],
        ),
        trace(5, &[], &[(seconds(2), 5)]),
    ];
    let newest = Snapshot::from_traces(traces, 32);
    let before = [30, 20, 10].map(seconds);
    let table = alloc_report::generations(&newest, &before, 5);
    expect![[r#"
        Of 51 live blocks, 30 survived a snapshot, and 20 survived 2; of 2,100 that were freed, 2,000 died young, by line

        #  live  new   1  2  3+  freed  young  line
        1    30   10  10  0  10      0         src/parse.rs:1
               What is made stays, and more is made.

        2    10    5   0  0   5    100     0%  src/parse.rs:4
               Blocks of all ages are freed; some are old.

        3     5    0   0  0   5  1,000   100%  src/parse.rs:3
               Most die young; what stays is old.

        4     5    5   0  0   0      0         src/parse.rs:5
               Nothing is old yet.

        5     1    1   0  0   0  1,000   100%  src/parse.rs:2
               Most die young, and nothing is old."#]].assert_eq(&table.to_string());
    let alone = alloc_report::generations(&newest, &[], 1);
    assert!(alone.to_string().contains("expected two or more, found 1"));
}
