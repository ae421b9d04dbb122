//! Trace events of a recording.

use std::fs;

use expect_test::expect;

use crate::support::check_error;
use crate::{export, samples};

const ABOUT: &str = r#"{"command": ["./shop", "--fast"], "process_id": 7, "started_at": 1000.5,
    "ended_at": 1002.0, "status": 0, "traced": true}"#;

const MEMORY: &str = "\
seconds,heap_bytes,heap_peak_bytes,total_bytes,total_blocks,rss_bytes,pss_bytes,uss_bytes,tracer_bytes
1000.5,,,,,1000,,,
1000.751,10,20,30,4,9007199254740993,,,5
";

#[test]
fn a_recording_has_a_point_for_each_moment() {
    let folder = samples::folder();
    let recording = folder.path().join("morning");
    fs::create_dir(&recording).unwrap();
    fs::write(recording.join("run.json"), ABOUT).unwrap();
    fs::write(recording.join("memory.csv"), MEMORY).unwrap();
    let (file, _) = export(folder.path(), "morning --to trace-events");
    expect![[r#"
        {"displayTimeUnit":"ms","traceEvents":[{"name":"process_name","ph":"M","pid":7,"ts":0,"args":{"name":"./shop --fast"}},{"name":"resident","ph":"C","pid":7,"ts":0,"args":{"bytes":1000}},{"name":"heap","ph":"C","pid":7,"ts":251000,"args":{"bytes":10}},{"name":"peak of the heap","ph":"C","pid":7,"ts":251000,"args":{"bytes":20}},{"name":"allocated","ph":"C","pid":7,"ts":251000,"args":{"bytes":30}},{"name":"allocations","ph":"C","pid":7,"ts":251000,"args":{"blocks":4}},{"name":"resident","ph":"C","pid":7,"ts":251000,"args":{"bytes":9007199254740993}},{"name":"tracer","ph":"C","pid":7,"ts":251000,"args":{"bytes":5}}]}
    "#]].assert_eq(str::from_utf8(&file).unwrap());
    check_error(
        folder.path(),
        "export morning --to trace-events --include src/load.rs",
        "expected no filters for trace-events of a recording, which have no stacks",
    );
}
