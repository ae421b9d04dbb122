//! Trace events of a recording.

use std::fs;

use expect_test::expect;
use serde_json::json;
use tempfile::TempDir;

use crate::support::check_error;
use crate::{export, samples, tools};

const ABOUT: &str = r#"{"command": ["./shop", "--fast"], "process_id": 7, "started_at": 1000.5,
    "ended_at": 1002.0, "status": 0, "traced": true}"#;

const MEMORY: &str = "\
seconds,heap_bytes,heap_peak_bytes,total_bytes,total_blocks,rss_bytes,pss_bytes,uss_bytes,tracer_bytes
1000.5,,,,,1000,,,
1000.751,10,20,30,4,9007199254740991,,,5
";

/// A folder with the recording `morning`.
fn folder() -> TempDir {
    let folder = samples::folder();
    let recording = folder.path().join("morning");
    fs::create_dir(&recording).unwrap();
    fs::write(recording.join("run.json"), ABOUT).unwrap();
    fs::write(recording.join("memory.csv"), MEMORY).unwrap();
    folder
}

#[test]
fn a_recording_has_a_point_for_each_moment() {
    let folder = folder();
    let (file, _) = export(folder.path(), "morning --to trace-events");
    expect![[r#"
        {"displayTimeUnit":"ms","traceEvents":[{"name":"process_name","cat":"memory","ph":"M","pid":7,"tid":0,"ts":0,"args":{"name":"./shop --fast"}},{"name":"resident","cat":"memory","ph":"C","pid":7,"tid":0,"ts":0,"args":{"bytes":1000}},{"name":"heap","cat":"memory","ph":"C","pid":7,"tid":0,"ts":251000,"args":{"bytes":10}},{"name":"peak of the heap","cat":"memory","ph":"C","pid":7,"tid":0,"ts":251000,"args":{"bytes":20}},{"name":"allocated","cat":"memory","ph":"C","pid":7,"tid":0,"ts":251000,"args":{"bytes":30}},{"name":"allocations","cat":"memory","ph":"C","pid":7,"tid":0,"ts":251000,"args":{"blocks":4}},{"name":"resident","cat":"memory","ph":"C","pid":7,"tid":0,"ts":251000,"args":{"bytes":9007199254740991}},{"name":"tracer","cat":"memory","ph":"C","pid":7,"tid":0,"ts":251000,"args":{"bytes":5}}]}
    "#]].assert_eq(str::from_utf8(&file).unwrap());
    check_error(
        folder.path(),
        "export morning --to trace-events --include src/load.rs",
        "expected no filters for trace-events of a recording, which have no stacks",
    );
}

/// TracerBench's model of Chrome's traces has the process and each value.
#[test]
fn tracerbench_reads_every_value() {
    let folder = folder();
    let file = folder.path().join("morning.json");
    fs::write(&file, export(folder.path(), "morning --to trace-events").0).unwrap();
    let script = "
        const { buildModel } = require('@tracerbench/trace-model');
        const trace = JSON.parse(require('fs').readFileSync(process.argv[2]));
        const [only, ...others] = buildModel(trace.traceEvents).processes;
        const values = only.events.map(it => [it.name, it.ph, it.start, it.args]);
        console.log(JSON.stringify({ others, id: only.id, name: only.name, values }));";
    let Some(read) = tools::node(script, &file) else {
        return;
    };
    let expected = json!({
        "others": [],
        "id": 7,
        "name": "./shop --fast",
        "values": [
            ["process_name", "M", 0, { "name": "./shop --fast" }],
            ["resident", "C", 0, { "bytes": 1000 }],
            ["heap", "C", 251_000, { "bytes": 10 }],
            ["peak of the heap", "C", 251_000, { "bytes": 20 }],
            ["allocated", "C", 251_000, { "bytes": 30 }],
            ["allocations", "C", 251_000, { "blocks": 4 }],
            ["resident", "C", 251_000, { "bytes": 9_007_199_254_740_991_u64 }],
            ["tracer", "C", 251_000, { "bytes": 5 }],
        ],
    });
    assert_eq!(read, expected);
}
