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
    check_failure(folder, "", 2, "Usage: alloc-report [OPTIONS] <COMMAND>");
    check_failure(folder, "top", 2, "<FILE>");
    check_failure(
        folder,
        "diff old",
        1,
        "use diff OLD NEW to compare two snapshots",
    );
    check_failure(folder, "diff", 2, "<OLD>");
    check_failure(
        folder,
        "top new --by colour",
        2,
        "line, file, function, module, crate, traceback, folded, size-class, thread, domain",
    );
    check_failure(
        folder,
        "top new --sort colour",
        2,
        "current, peak, at-peak, total, freed, bytes, blocks, average",
    );
    check_failure(
        folder,
        "top new --by line,lines",
        2,
        "invalid value 'lines'",
    );
    check_failure(
        folder,
        "top new --sort peak,total",
        2,
        "expected at most one metric",
    );
    check_failure(
        folder,
        "top new --sort blocks,bytes",
        2,
        "at most one order",
    );
    check_failure(
        folder,
        "top new --by traceback --cumulative",
        2,
        "expected line, file, function, module or crate, found traceback",
    );
    check_failure(
        folder,
        "top new --include fuction=main",
        2,
        "expected a file, or one of file=, line=, function=, crate=, thread=, domain=, found fuction=",
    );
    check_failure(
        folder,
        "diff old new --exclude cache.rs:forty",
        2,
        "expected a line number after the last colon, found \"forty\"",
    );
    check_failure(
        folder,
        "top new --include=",
        2,
        "expected a condition, found nothing",
    );
    check_failure(
        folder,
        "top new --all-frames",
        2,
        "<--include <CONDITIONS>|--exclude <CONDITIONS>>",
    );
    check_failure(
        folder,
        "completions tcsh",
        2,
        "bash, elvish, fish, powershell, zsh",
    );
    check_failure(folder, "top new --charge me", 2, "caller, workspace");
    check_failure(folder, "top new --format xml", 2, "text, json, csv");
    check_failure(folder, "top new -n -1", 2, "invalid value '-1'");
    check_failure(folder, "flame new", 2, "unrecognized subcommand");
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
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let delta = folder.path().join("delta.pb.gz");
    fs::copy(data.join("go-delta.pb.gz"), delta).unwrap();
    let mut examples = 0;
    for help in [
        "--help",
        "top --help",
        "diff --help",
        "completions --help",
        "man --help",
    ] {
        let help = stdout(folder.path(), help);
        let lines = help.lines().map(str::trim);
        for line in lines.filter_map(|line| line.strip_prefix("alloc-report ")) {
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
    assert_eq!(examples, 33);
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
        "-check",
        "-annotate",
        "-symbolize",
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
