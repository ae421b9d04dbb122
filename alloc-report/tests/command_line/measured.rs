//! Lifetimes and what is made of them, slack and frees, as JSON and CSV.

use std::time::Duration;

use alloc_core::{
    Ages, Amount, Bytes, Counters, Frame, FreedBy, Lifetimes, Slack, Snapshot, Trace, Traceback,
};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support;

/// A folder with the snapshot `heap` of a program whose session measured everything.
fn folder() -> TempDir {
    let trace = |line, live: u64, freed: u64, micros, by: &[(&str, u64)]| {
        let frame = Frame::new(Some("demo::parse"), Some("src/parse.rs"), line, 9);
        let counters = Counters {
            current: Amount::new(25 * live, live),
            total: Amount::new(25 * (live + freed), live + freed),
            ..Counters::default()
        };
        let mut lived = Lifetimes::default();
        lived.freed = Ages::default().with_times(Duration::from_micros(micros), freed);
        lived.live = Ages::default().with_times(Duration::from_secs(1), live);
        let slack = Slack {
            current: Bytes::new(15 * live),
            total: Bytes::new(15 * (live + freed)),
        };
        let by = by
            .iter()
            .map(|&(label, blocks)| FreedBy::new(Amount::new(25 * blocks, blocks)).in_label(label));
        Trace::new(Traceback::new(vec![frame]), counters)
            .with_label("request")
            .with_lifetimes(lived)
            .with_slack(slack)
            .with_freed_by(by.collect::<Vec<_>>())
    };
    let traces = vec![
        trace(41, 4, 100, 5, &[("request", 70), ("answer", 30)]),
        trace(52, 1, 10, 3000, &[("answer", 10)]),
        trace(63, 2, 0, 1, &[]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let heap = folder.path().join("heap");
    Snapshot::from_traces(traces, 32).dump(heap).unwrap();
    folder
}

/// Compares the parts of a report that are not those of every report.
#[track_caller]
fn check_json(arguments: &str, expected: Value) {
    let mut report = support::json(folder().path(), arguments);
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(report[name], *value, "{name}");
    }
    let report = report.as_object_mut().unwrap();
    assert_eq!(report["snapshot"]["file"], "heap");
    report.retain(|name, _| !expected.as_object().unwrap().contains_key(name));
    let others: Vec<&str> = report.keys().map(String::as_str).collect();
    let of_every_report = [
        "all_frames",
        "by",
        "charge",
        "exclude",
        "include",
        "notes",
        "report",
        "skip",
        "snapshot",
    ];
    assert_eq!(others, of_every_report);
}

#[track_caller]
fn check_csv(arguments: &str, expected: Expect) {
    support::check(
        folder().path(),
        &format!("{arguments} --format csv"),
        expected,
    );
}

fn line(rank: u64, line: u64, numbers: Value) -> Value {
    let mut row = json!({
        "rank": rank, "key": format!("src/parse.rs:{line}"), "function": null,
        "file": "src/parse.rs", "path": "src/parse.rs", "line": line,
    });
    let numbers = numbers.as_object().unwrap().clone();
    row.as_object_mut().unwrap().extend(numbers);
    row
}

/// Blocks of one age, as a report has them. Nothing is known of their ages in bytes.
fn of_one_age(blocks: u64, below: u64) -> Value {
    json!({
        "blocks": blocks, "half_below_nanoseconds": below,
        "ninety_percent_below_nanoseconds": below, "all_below_nanoseconds": below,
        "times": [{ "below_nanoseconds": below, "blocks": blocks }], "bytes": [],
    })
}

#[test]
fn lifetimes_have_quantiles_and_histograms() {
    // The buckets end at 6 µs, 3 ms and 1 s: see `Ages`.
    check_json(
        "lifetimes heap -n 2",
        json!({
            "rows": [
                line(1, 41, json!({
                    "freed": of_one_age(100, 6_000), "live": of_one_age(4, 1_048_576_000),
                })),
                line(2, 52, json!({
                    "freed": of_one_age(10, 3_072_000), "live": of_one_age(1, 1_048_576_000),
                })),
            ],
            "other": { "rows": 1, "freed_blocks": 0, "live_blocks": 2 },
            "total": { "rows": 3, "freed_blocks": 110, "live_blocks": 7 },
        }),
    );
    check_csv(
        "lifetimes heap",
        expect![[r#"
        rank,by,key,function,file,path,line,functions,freed_blocks,freed_half_below_nanoseconds,freed_ninety_percent_below_nanoseconds,freed_all_below_nanoseconds,live_blocks,live_half_below_nanoseconds,live_ninety_percent_below_nanoseconds,live_all_below_nanoseconds
        1,line,src/parse.rs:41,,src/parse.rs,src/parse.rs,41,,100,6000,6000,6000,4,1048576000,1048576000,1048576000
        2,line,src/parse.rs:52,,src/parse.rs,src/parse.rs,52,,10,3072000,3072000,3072000,1,1048576000,1048576000,1048576000
        3,line,src/parse.rs:63,,src/parse.rs,src/parse.rs,63,,0,,,,2,1048576000,1048576000,1048576000
    "#]],
    );
}

#[test]
fn temporary_blocks_have_their_limit() {
    let soon = |temporary: u64, freed: u64| {
        json!({
            "temporary_blocks": temporary, "temporary_bytes": 25 * temporary, "freed_blocks": freed,
        })
    };
    let mut row = soon(100, 100);
    row["share"] = 1.0.into();
    let sum = |rows: u64, blocks: u64| {
        let mut sum = soon(blocks, blocks);
        sum["rows"] = rows.into();
        sum
    };
    check_json(
        "temporary heap --within 10us",
        json!({
            "within_nanoseconds": 6_000, "within_bytes": null, "rows": [line(1, 41, row.clone())],
            "other": sum(0, 0), "total": sum(1, 100),
        }),
    );
    check_json(
        "temporary heap --within 1s -n 1",
        json!({
            "within_nanoseconds": 3_072_000, "within_bytes": null, "rows": [line(1, 41, row)],
            "other": sum(1, 10), "total": sum(2, 110),
        }),
    );
    // These have no ages in bytes.
    check_json(
        "temporary heap --within 64KiB",
        json!({
            "within_nanoseconds": null, "within_bytes": 65_536, "rows": [],
            "other": sum(0, 0), "total": sum(0, 0),
        }),
    );
    check_csv(
        "temporary heap --within 1s",
        expect![[r#"
        rank,by,key,function,file,path,line,functions,temporary_blocks,temporary_bytes,freed_blocks,share
        1,line,src/parse.rs:41,,src/parse.rs,src/parse.rs,41,,100,2500,100,1
        2,line,src/parse.rs:52,,src/parse.rs,src/parse.rs,52,,10,250,10,1
    "#]],
    );
}

#[test]
fn generations_have_survivors_and_a_verdict() {
    let fate = |live: u64, freed: u64| {
        json!({
            "live_blocks": live, "survived": [live, 0, 0, 0], "old_bytes": 0,
            "freed_blocks": freed, "young_blocks": 0,
        })
    };
    let mut row = fate(4, 100);
    row["verdict"] = "Nothing that lives is old.".into();
    let sum = |rows: u64, live, freed| {
        let mut sum = fate(live, freed);
        sum["rows"] = rows.into();
        sum
    };
    check_json(
        "generations heap -n 1",
        json!({
            "young_below_nanoseconds": 0, "rows": [line(1, 41, row)],
            "other": sum(2, 3, 10), "total": sum(3, 7, 110),
        }),
    );
    check_csv(
        "generations heap",
        expect![[r#"
        rank,by,key,function,file,path,line,functions,live_blocks,survived_0,survived_1,survived_2,survived_3_or_more,old_bytes,freed_blocks,young_blocks,verdict
        1,line,src/parse.rs:41,,src/parse.rs,src/parse.rs,41,,4,4,0,0,0,0,100,0,Nothing that lives is old.
        2,line,src/parse.rs:63,,src/parse.rs,src/parse.rs,63,,2,2,0,0,0,0,0,0,Nothing is old yet.
        3,line,src/parse.rs:52,,src/parse.rs,src/parse.rs,52,,1,1,0,0,0,0,10,0,Nothing that lives is old.
    "#]],
    );
}

#[test]
fn slack_is_of_live_blocks_or_of_all() {
    let numbers = |blocks: u64| {
        json!({
            "slack_bytes": 15 * blocks, "asked_bytes": 25 * blocks, "usable_bytes": 40 * blocks,
            "blocks": blocks, "share": 0.375,
        })
    };
    let sum = |rows: u64, blocks| {
        let mut sum = numbers(blocks);
        sum["rows"] = rows.into();
        sum
    };
    check_json(
        "slack heap -n 1",
        json!({
            "of": "live", "rows": [line(1, 41, numbers(4))], "other": sum(2, 3), "total": sum(3, 7),
        }),
    );
    check_json(
        "slack heap -n 1 --of all",
        json!({
            "of": "all", "rows": [line(1, 41, numbers(104))], "other": sum(2, 13),
            "total": sum(3, 117),
        }),
    );
    check_csv(
        "slack heap -n 2",
        expect![[r#"
        rank,by,key,function,file,path,line,functions,slack_bytes,asked_bytes,usable_bytes,blocks,share
        1,line,src/parse.rs:41,,src/parse.rs,src/parse.rs,41,,60,100,160,4,0.375
        2,line,src/parse.rs:63,,src/parse.rs,src/parse.rs,63,,30,50,80,2,0.375
    "#]],
    );
}

#[test]
fn frees_name_who_freed() {
    let freed = |blocks: u64| json!({ "bytes": 25 * blocks, "blocks": blocks });
    let by =
        |name: &str, blocks: u64| json!({ "name": name, "bytes": 25 * blocks, "blocks": blocks });
    let row = |rank, number, blocks: u64, by: Value| {
        let mut row = line(rank, number, freed(blocks));
        row["freed_by"] = by;
        row
    };
    let sum =
        |rows: u64, blocks: u64| json!({ "rows": rows, "bytes": 25 * blocks, "blocks": blocks });
    check_json(
        "frees heap --by line",
        json!({
            "freed_by": "label",
            "rows": [
                row(1, 41, 100, json!([by("request", 70), by("answer", 30)])),
                row(2, 52, 10, json!([by("answer", 10)])),
            ],
            "other": sum(0, 0),
            "total": sum(2, 110),
        }),
    );
    check_json(
        "frees heap --by line -n 1",
        json!({
            "freed_by": "label",
            "rows": [row(1, 41, 100, json!([by("request", 70), by("answer", 30)]))],
            "other": sum(1, 10),
            "total": sum(2, 110),
        }),
    );
    check_csv(
        "frees heap --by line",
        expect![[r#"
        rank,by,key,function,file,path,line,functions,freed_by,freed_bytes,freed_blocks
        1,line,src/parse.rs:41,,src/parse.rs,src/parse.rs,41,,request,1750,70
        1,line,src/parse.rs:41,,src/parse.rs,src/parse.rs,41,,answer,750,30
        2,line,src/parse.rs:52,,src/parse.rs,src/parse.rs,52,,answer,250,10
    "#]],
    );
}

#[test]
fn what_was_not_measured_is_a_note() {
    for (command, note) in [
        ("lifetimes", "lifetimes were not recorded"),
        ("temporary", "lifetimes were not recorded"),
        ("slack", "slack was not measured"),
        ("frees", "who freed blocks was not recorded"),
    ] {
        let report = support::json(crate::set_up::folder().path(), &format!("{command} new"));
        let notes = report["notes"].as_array().unwrap();
        assert_eq!(report["report"], command);
        assert!(notes[0].as_str().unwrap().starts_with(note), "{notes:?}");
    }
}
