//! The command line itself: errors, examples, completions and the manual.

use std::fs;
use std::path::Path;
use std::process::Command;

use alloc_core::Snapshot;
use serde_json::json;

use crate::set_up::{folder, new_snapshot, trace};
use crate::support::{check_failure, stdout};

#[test]
fn a_wrong_command_line_exits_with_2() {
    let folder = folder();
    let folder = folder.path();
    for (arguments, message) in [
        ("", "Usage: alloc-report [OPTIONS] <COMMAND>"),
        ("top", "<FILE>"),
        ("diff", "<OLD>"),
        ("suspects", "<OLD>"),
        ("tree", "<FILE>"),
        (
            "tree new --sort live",
            "expected one of current, peak, at-peak, total, freed, found \"live\"",
        ),
        (
            "tree new --by stack --format csv",
            "possible values: text, json",
        ),
        ("view", "<FILE>"),
        ("live", "<PID|FILE|ADDRESS>"),
        ("live new --every 0", "expected 0.1 to 1000000 seconds"),
        ("lifetimes", "<FILE>"),
        ("temporary", "<FILE>"),
        (
            "temporary new --within soon",
            "expected a time such as 10us or 5ms, or bytes such as 4KiB, found \"soon\"",
        ),
        ("generations", "<OLD>"),
        ("advise", "<FILE>"),
        ("slack", "<FILE>"),
        ("slack new --by colour", "found \"colour\""),
        ("slack new --of some", "[possible values: live, all]"),
        ("run --slack --sample 512KiB demo", "cannot be used with"),
        ("lifetimes new --by colour", "found \"colour\""),
        ("temporary new --format xml", "text, json, csv"),
        ("generations new --format xml", "text, json, csv"),
        ("slack new --format xml", "text, json, csv"),
        ("frees", "<FILE>"),
        ("frees new --by colour", "found \"colour\""),
        (
            "frees new --freed-by line",
            "expected label or thread, found \"line\"",
        ),
        ("frees new --format xml", "text, json, csv"),
        (
            "suspects old new --limit-memory 1GB",
            "expected a number of bytes such as 512KiB, found \"1GB\"",
        ),
        (
            "suspects old new --by line,file",
            "invalid value 'line,file'",
        ),
        (
            "suspects old new --sort peak",
            "unexpected argument '--sort'",
        ),
        (
            "top new --by colour",
            "line, file, function, module, crate, traceback, folded, size-class, type, thread, label, domain",
        ),
        (
            "top new --sort colour",
            "current, peak, at-peak, total, freed, bytes, blocks, average",
        ),
        ("top new --by line,lines", "invalid value 'lines'"),
        ("top new --sort peak,total", "expected at most one metric"),
        ("top new --sort blocks,bytes", "at most one order"),
        (
            "top new --by traceback --cumulative",
            "expected line, file, function, module or crate, found traceback",
        ),
        (
            "top new --include fuction=main",
            "expected a file, or one of file=, line=, function=, crate=, thread=, label=, domain=, found fuction=",
        ),
        (
            "diff old new --exclude cache.rs:forty",
            "expected a line number after the last colon, found \"forty\"",
        ),
        ("top new --include=", "expected a condition, found nothing"),
        (
            "top new --all-frames",
            "<--include <CONDITIONS>|--exclude <CONDITIONS>>",
        ),
        ("completions tcsh", "bash, elvish, fish, powershell, zsh"),
        ("top new --charge me", "caller, workspace"),
        ("top new --format xml", "text, json, csv"),
        ("top new -n -1", "invalid value '-1'"),
        ("graph", "<FILE>"),
        ("fleet top-lines", "<FOLDER>"),
        (
            "fleet top-lines . --print oracle",
            "duckdb, spark, clickhouse",
        ),
        ("flame new", "unrecognized subcommand"),
    ] {
        check_failure(folder, arguments, 2, message);
    }
}

#[test]
fn a_diff_of_one_ordinary_snapshot_is_an_error() {
    let folder = folder();
    let message = "use diff OLD NEW to compare two snapshots";
    check_failure(folder.path(), "diff old", 1, message);
}

#[test]
#[cfg(unix)]
fn the_examples_of_the_help_run() {
    let folder = folder();
    for name in [
        "after.pb.gz",
        "before.pb.gz",
        "monday.pb.gz",
        "friday.pb.gz",
        "first.pb.gz",
        "second.pb.gz",
        "third.pb.gz",
        "heap-4711.0001.pb.gz",
        "heap-4711.0002.pb.gz",
        "heap-4711.0003.pb.gz",
    ] {
        fs::copy(folder.path().join("new"), folder.path().join(name)).unwrap();
    }
    let worker = trace("demo::work", "src/work.rs", 3, (10, 1), (10, 1)).with_thread("worker-1");
    let mut traces = new_snapshot().traces().to_vec();
    traces.push(worker);
    Snapshot::from_traces(traces, 32)
        .dump(folder.path().join("heap.pb.gz"))
        .unwrap();
    let recording = folder.path().join("morning");
    fs::create_dir(&recording).unwrap();
    let about = json!({ "command": [], "process_id": 7, "started_at": 0.0, "traced": true });
    fs::write(recording.join("run.json"), about.to_string()).unwrap();
    fs::write(recording.join("memory.csv"), "").unwrap();
    for (from, to) in [("old", "heap-7.0001.pb.gz"), ("new", "heap-7.pb.gz")] {
        fs::copy(folder.path().join(from), recording.join(to)).unwrap();
    }
    let graph = alloc_report::graph::builder::sample().file();
    for name in ["app", "monday", "friday"] {
        fs::write(folder.path().join(format!("{name}.heapgraph")), &graph).unwrap();
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let delta = folder.path().join("delta.pb.gz");
    fs::copy(data.join("go-delta.pb.gz"), delta).unwrap();
    // What `export --to parquet` writes, which is tested where that feature is.
    let rows = folder.path().join("fleet/service=shop");
    fs::create_dir_all(&rows).unwrap();
    fs::write(rows.join("a.parquet"), "").unwrap();
    let mut examples = 0;
    for help in [
        "--help",
        "top --help",
        "diff --help",
        "graph --help",
        "html --help",
        "flamegraph --help",
        "advise --help",
        "export --help",
        "fleet --help",
        "temporary --help",
        "generations --help",
        "summary --help",
        "view --help",
        "suspects --help",
        "frees --help",
        "slack --help",
        "resident --help",
        "oom --help",
        "completions --help",
        "man --help",
    ] {
        let help = stdout(folder.path(), help);
        let lines = help.lines().map(str::trim);
        let lines = lines.filter_map(|line| line.strip_prefix("alloc-report "));
        // NOTE: there is no such process. The test `recording` asks one.
        let is_tested_here =
            |line: &&str| !line.contains("--pid") && !line.contains("--to parquet");
        for line in lines.filter(is_tested_here) {
            // Without what the shell does with the output.
            let arguments = line.split([';', '|', '>']).next().unwrap();
            let output = Command::new("sh")
                .args(["-c", &format!("$REPORT {arguments}")])
                .env("REPORT", env!("CARGO_BIN_EXE_alloc-report"))
                .env("HOME", folder.path())
                .current_dir(folder.path())
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{line}: {stderr}");
            examples += 1;
        }
    }
    assert_eq!(examples, 109);
}

/// Completions and the manual are generated from the same description as the help.
#[test]
fn completions_and_the_manual_contain_the_options() {
    let folder = folder();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stdout(folder.path(), &format!("completions {shell}"));
        for word in ["diff", "all-frames", "cumulative", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let page = stdout(folder.path(), "man");
    assert!(
        page.contains(".TH alloc") && page.contains("Exit status"),
        "{page}"
    );

    let written = stdout(folder.path(), "man pages");
    let names = [
        "",
        "-top",
        "-diff",
        "-summary",
        "-tree",
        "-lifetimes",
        "-temporary",
        "-generations",
        "-frees",
        "-slack",
        "-oom",
        "-resident",
        "-graph",
        "-html",
        "-flamegraph",
        "-advise",
        "-view",
        "-live",
        "-suspects",
        "-check",
        "-annotate",
        "-symbolize",
        "-import",
        "-export",
        "-fleet",
        "-run",
        "-timeline",
        "-peak",
        "-list",
        "-clean",
        "-completions",
        "-man",
    ];
    let expected = names.map(|name| format!("pages/alloc-report{name}.1\n"));
    assert_eq!(written, expected.concat());
    let top = fs::read_to_string(folder.path().join("pages/alloc-report-top.1")).unwrap();
    assert!(
        top.contains("cumulative") && top.contains("cache.rs:41"),
        "{top}"
    );
}
