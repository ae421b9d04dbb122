//! The command `suspects`: what grows at every step.

use std::fs;

use alloc_core::Snapshot;
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::set_up::{of_a_process, trace, with_number};
use crate::support::{check as check_in, check_error, command, json as json_in, stdout, text};

/// Fields of alloc-core's extension.
const PROCESS_ID: u64 = 5;
const SAMPLED_EVERY: u64 = 9;

/// What a server holds after some minutes.
fn server(minute: u64) -> Snapshot {
    let cache = minute * 100_000;
    let index = 5_000_000 - 1_000_000 / (minute + 1);
    let traces = vec![
        trace(
            "demo::fill",
            "src/cache.rs",
            41,
            (cache * 120, cache),
            (0, 0),
        ),
        trace(
            "demo::log",
            "src/log.rs",
            7,
            (minute * 2_000, minute * 20),
            (0, 0),
        ),
        trace("demo::index", "src/index.rs", 5, (index, 3), (0, 0)),
        trace("demo::load", "src/load.rs", 9, (30_000_000, 1), (0, 0)),
    ];
    Snapshot::from_traces(traces, 32)
}

fn file(minute: u64) -> Vec<u8> {
    of_a_process(&server(minute), 60 * minute, false, 0)
}

/// A folder with the snapshots `1` to `4` of a process, a minute apart, and `end`, of its end.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for minute in 1..=4 {
        fs::write(folder.path().join(minute.to_string()), file(minute)).unwrap();
    }
    let end = of_a_process(&Snapshot::from_traces(vec![], 32), 300, true, 0);
    fs::write(folder.path().join("end"), end).unwrap();
    folder
}

#[track_caller]
fn check(arguments: &str, expected: Expect) {
    check_in(folder().path(), arguments, expected);
}

#[test]
fn lines_that_grow_at_every_step_are_named() {
    check(
        "suspects 1 2 3 4",
        expect![[r#"
            last: server, pid 4242, 2025-01-01 00:04:00 UTC
            first: server, pid 4242, 2025-01-01 00:01:00 UTC
            2 lines of the workspace grew in each of 3 steps, by 34.3 MiB in 3 minutes
            The heap grew by 34.6 MiB to 79.0 MiB

            #    growth     count      size    an hour  line
            1  34.3 MiB  +300,000  45.8 MiB  686.6 MiB  src/cache.rs:41
                   It grew in each of 3 steps, by 195 KiB a second; nothing that it allocated was freed.

            2  <0.1 MiB       +60  <0.1 MiB    0.1 MiB  src/log.rs:7
                   It grew in each of 3 steps, by 117 KiB an hour; nothing that it allocated was freed.

               34.3 MiB  +300,060  45.8 MiB  686.8 MiB  total
        "#]],
    );
}

#[test]
fn a_limit_shows_when_it_is_reached() {
    check(
        "suspects 1 2 3 4 --limit-memory 1GiB -n 1",
        expect![[r#"
            last: server, pid 4242, 2025-01-01 00:04:00 UTC
            first: server, pid 4242, 2025-01-01 00:01:00 UTC
            2 lines of the workspace grew in each of 3 steps, by 34.3 MiB in 3 minutes
            The heap grew by 34.6 MiB to 79.0 MiB; at this rate it reaches the limit of 1024 MiB in 83 minutes

            #    growth     count      size    an hour  limit in  line
            1  34.3 MiB  +300,000  45.8 MiB  686.6 MiB    83 min  src/cache.rs:41
                   It grew in each of 3 steps, by 195 KiB a second; nothing that it allocated was freed.

               <0.1 MiB       +60  <0.1 MiB    0.1 MiB     344 d  other (1 line)
               34.3 MiB  +300,060  45.8 MiB  686.8 MiB    83 min  total
        "#]],
    );
    check(
        "suspects 1 2 3 4 --limit-memory 64MiB -n 0",
        expect![[r#"
            last: server, pid 4242, 2025-01-01 00:04:00 UTC
            first: server, pid 4242, 2025-01-01 00:01:00 UTC
            2 lines of the workspace grew in each of 3 steps, by 34.3 MiB in 3 minutes
            The heap grew by 34.6 MiB to 79.0 MiB, and so the limit of 64.0 MiB is reached

            #    growth     count      size    an hour  limit in  line
               34.3 MiB  +300,060  45.8 MiB  686.8 MiB   reached  other (2 lines)
               34.3 MiB  +300,060  45.8 MiB  686.8 MiB   reached  total
        "#]],
    );
}

#[test]
fn two_snapshots_are_too_few_to_be_sure() {
    check(
        "suspects 3 4 -n 1",
        expect![[r#"
            last: server, pid 4242, 2025-01-01 00:04:00 UTC
            first: server, pid 4242, 2025-01-01 00:03:00 UTC
            3 lines of the workspace grew from the first snapshot to the second, by 11.5 MiB in 60 seconds
            The heap grew by 11.5 MiB to 79.0 MiB

            #    growth     count      size    an hour  line
            1  11.4 MiB  +100,000  45.8 MiB  686.6 MiB  src/cache.rs:41
                   It grew by 195 KiB a second; nothing that it allocated was freed.

               <0.1 MiB       +20   4.6 MiB    3.0 MiB  other (2 lines)
               11.5 MiB  +100,020  50.4 MiB  689.6 MiB  total

            note: two snapshots cannot tell growth from a cache that fills up: add a third
        "#]],
    );
}

/// The index reaches a plateau, and so it is not named.
#[test]
fn nothing_is_said_where_nothing_grows() {
    check(
        "suspects 1 2 3 4 --include index.rs",
        expect![[r#"
            last: server, pid 4242, 2025-01-01 00:04:00 UTC
            first: server, pid 4242, 2025-01-01 00:01:00 UTC
            No line of the workspace grew in each of 3 steps
            The heap grew by 293 KiB to 4688 KiB

            note: filters removed 3 of 4 callsites
        "#]],
    );
}

#[test]
fn files_are_compared_in_order_of_time_without_that_of_the_end() {
    let folder = folder();
    let folder = folder.path();
    let sorted = stdout(folder, "suspects 1 2 3 4");
    let shuffled = stdout(folder, "suspects 4 1 end 3 2");
    let notes = "\
note: left out what was written when the program ended: little is live by then
note: the snapshots were given in another order, and are compared in order of time
";
    assert_eq!(shuffled, format!("{sorted}\n{notes}"));
}

#[test]
fn a_recording_has_all_its_snapshots() {
    let folder = folder();
    let recording = folder.path().join("morning");
    fs::create_dir(&recording).unwrap();
    let about = json!({ "command": [], "process_id": 4242, "started_at": 0.0, "traced": true });
    fs::write(recording.join("run.json"), about.to_string()).unwrap();
    fs::write(recording.join("memory.csv"), "").unwrap();
    for minute in 1..=4 {
        let name = format!("heap-4242.{minute:04}.pb.gz");
        fs::write(recording.join(name), file(minute)).unwrap();
    }
    assert_eq!(
        stdout(folder.path(), "suspects morning"),
        stdout(folder.path(), "suspects 1 2 3 4")
    );
}

#[test]
fn the_newest_snapshot_may_come_from_standard_input() {
    let folder = folder();
    let run = |arguments: &str, minute: u64| {
        let path = folder.path().join(minute.to_string());
        let input = fs::File::open(path).unwrap();
        let mut command = command(folder.path(), arguments);
        command.stdin(input).output().unwrap()
    };
    let output = run("suspects 1 2 -", 3);
    assert_eq!(
        text(&output.stdout),
        stdout(folder.path(), "suspects 1 2 3")
    );
    let output = run("suspects 1 - 2", 3);
    assert_eq!(
        text(&output.stderr),
        "error: expected the newest snapshot last, found it on standard input before others\n"
    );
}

#[test]
fn stacks_follow_their_sentence() {
    check(
        "suspects 1 2 3 --by traceback -n 1",
        expect![[r#"
            last: server, pid 4242, 2025-01-01 00:03:00 UTC
            first: server, pid 4242, 2025-01-01 00:01:00 UTC
            2 tracebacks grew in each of 2 steps, by 22.9 MiB in 2 minutes
            The heap grew by 23.1 MiB to 67.5 MiB

            #    growth     count      size    an hour  traceback
            1  22.9 MiB  +200,000  34.3 MiB  686.6 MiB  src/cache.rs:41
                   It grew in each of 2 steps, by 195 KiB a second; nothing that it allocated was freed.
                   … 2 frames of the standard library
                   src/cache.rs:41  demo::fill
                   src/main.rs:3    demo::main
                   … 1 frame of the runtime

               <0.1 MiB       +40  <0.1 MiB    0.1 MiB  other (1 traceback)
               22.9 MiB  +200,040  34.3 MiB  686.8 MiB  total
        "#]],
    );
}

#[test]
fn programs_read_json_and_csv() {
    let folder = folder();
    let report = json_in(folder.path(), "suspects 1 2 3 4 --limit-memory 1GiB");
    let row = &report["rows"][0];
    let picked: Vec<&Value> = [
        "file",
        "line",
        "bytes",
        "bytes_diff",
        "blocks",
        "blocks_diff",
    ]
    .iter()
    .map(|key| &row[key])
    .collect();
    assert_eq!(
        json!(picked),
        json!(["src/cache.rs", 41, 48_000_000, 36_000_000, 400_000, 300_000])
    );
    assert_eq!(row["steps"], json!([12_000_000, 12_000_000, 12_000_000]));
    assert_eq!(row["bytes_per_second"], json!(200_000.0));
    assert_eq!(row["bytes_per_hour"], json!(720_000_000.0));
    let heap = 48_000_000 + 8_000 + 4_800_000 + 30_000_000;
    let free = f64::from((1 << 30) - heap);
    assert_eq!(row["seconds_to_limit"], json!(free / 200_000.0));
    // Both suspects together.
    assert_eq!(
        report["seconds_to_limit"],
        json!(free / (200_000.0 + 6_000.0 / 180.0))
    );
    assert_eq!(
        row["allocated"],
        json!({ "bytes": 36_000_000, "blocks": 300_000 })
    );
    assert_eq!(row["freed"], json!({ "bytes": 0, "blocks": 0 }));
    assert_eq!(report["snapshots"].as_array().unwrap().len(), 4);
    assert_eq!(report["total"]["rows"], json!(2));
    assert_eq!(report["held"], Value::Null);

    check_in(
        folder.path(),
        "suspects 1 2 3 4 --limit-memory 1GiB --format csv",
        expect![[r#"
            rank,by,key,function,file,path,line,functions,bytes,bytes_diff,blocks,blocks_diff,bytes_per_second,bytes_per_hour,seconds_to_limit,allocated_bytes,allocated_blocks,freed_bytes,freed_blocks,thread,label,sentence
            1,line,src/cache.rs:41,,src/cache.rs,src/cache.rs,41,,48000000,36000000,400000,300000,200000,720000000,4954.66912,36000000,300000,0,0,,,"src/cache.rs:41 grew in each of 3 steps, by 195 KiB a second; nothing that it allocated was freed"
            2,line,src/log.rs:7,,src/log.rs,src/log.rs,7,,8000,6000,80,60,33.333333333333336,120000.00000000001,29728014.72,6000,60,0,0,,,"src/log.rs:7 grew in each of 3 steps, by 117 KiB an hour; nothing that it allocated was freed"
        "#]],
    );
}

#[test]
fn snapshots_that_are_no_steps_of_one_process_are_refused() {
    let folder = folder();
    let folder = folder.path();
    let write = |name: &str, file: Vec<u8>| fs::write(folder.join(name), file).unwrap();
    write("other", with_number(file(2), PROCESS_ID, 4243));
    write("sample", with_number(file(2), SAMPLED_EVERY, 512 << 10));
    check_error(
        folder,
        "suspects 1",
        "expected two or more snapshots, found 1 at 1; growth shows from one to the next",
    );
    check_error(
        folder,
        "suspects 1 2 other",
        "expected snapshots of one process, found process 4242 of server in 1 and process 4243 of \
         server in other",
    );
    check_error(
        folder,
        "suspects 1 sample 3",
        "expected snapshots of one recording, found all allocations in 1 and a sample every 512 \
         KiB in sample",
    );
    check_error(
        folder,
        "suspects 1 2 --include cash.rs",
        "no callsite matches --include cash.rs; did you mean: src/cache.rs",
    );
}

/// Of a sample, growth must exceed the error.
#[test]
fn a_sample_is_said_to_be_one() {
    let folder = folder();
    let folder = folder.path();
    for minute in 1..=4 {
        let file = with_number(file(minute), SAMPLED_EVERY, 64 << 10);
        fs::write(folder.join(minute.to_string()), file).unwrap();
    }
    check_in(
        folder,
        "suspects 1 2 3 4",
        expect![[r#"
            last: server, pid 4242, 2025-01-01 00:04:00 UTC
            first: server, pid 4242, 2025-01-01 00:01:00 UTC
            1 line of the workspace grew in each of 3 steps, by 34.3 MiB in 3 minutes
            The heap grew by 34.6 MiB to 79.0 MiB

            #    growth     count      size    an hour  line
            1  34.3 MiB  +300,000  45.8 MiB  686.6 MiB  src/cache.rs:41
                   It grew in each of 3 steps, by 195 KiB a second; nothing that it allocated was freed.

               34.3 MiB  +300,000  45.8 MiB  686.6 MiB  total

            note: sampled every 64.0 KiB on average: all numbers are estimates
        "#]],
    );
}
