//! The command `alloc-report`, run as people and programs run it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use expect_test::{Expect, expect};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with two snapshots, `old` and `new`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    old_snapshot().dump(folder.path().join("old")).unwrap();
    new_snapshot().dump(folder.path().join("new")).unwrap();
    folder
}

fn old_snapshot() -> Snapshot {
    Snapshot::from_traces(
        vec![
            trace("demo::load", "src/load.rs", 7, (300_000, 3), (300_000, 3)),
            trace("demo::fill", "src/cache.rs", 41, (1_000, 10), (1_000, 10)),
        ],
        32,
    )
}

fn new_snapshot() -> Snapshot {
    Snapshot::from_traces(
        vec![
            trace("demo::load", "src/load.rs", 7, (0, 0), (300_000, 3)),
            trace(
                "demo::fill",
                "src/cache.rs",
                41,
                (12_500_000, 99_746),
                (12_400_000, 99_000),
            ),
            trace("demo::fill", "src/cache.rs", 52, (4_096, 1), (0, 0)),
            trace("demo::index", "src/index.rs", 5, (2_048, 2), (2_048, 2)),
        ],
        32,
    )
}

fn trace(function: &str, file: &str, line: u32, current: (u64, u64), at_peak: (u64, u64)) -> Trace {
    let grow = "/rustc/59807616e/library/alloc/src/raw_vec/mod.rs";
    let start = "/rustc/59807616e/library/std/src/rt.rs";
    let frames = vec![
        Frame::new(
            Some("alloc::raw_vec::RawVec<T,A>::grow_one"),
            Some(grow),
            340,
            9,
        ),
        Frame::new(Some("alloc::vec::Vec<T,A>::push"), Some(grow), 341, 9),
        Frame::new(Some(function), Some(file), line, 9),
        Frame::new(Some("demo::main"), Some("src/main.rs"), 3, 5),
        Frame::new(Some("std::rt::lang_start"), Some(start), 200, 5),
    ];
    let amount = |(bytes, blocks)| Amount::new(bytes, blocks);
    let counters = Counters {
        current: amount(current),
        peak: amount(current.max(at_peak)),
        at_peak: amount(at_peak),
        total: amount((current.0 + at_peak.0, current.1 + at_peak.1)),
        reallocations: 2,
    };
    Trace::new(Traceback::new(frames), counters)
}

fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alloc-report"));
    command
        .current_dir(folder)
        .args(arguments.split_whitespace());
    // Each of these decides about colour or width; `CI` takes a terminal for one that has colour.
    for variable in ["CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(variable);
    }
    command
}

fn run(folder: &Path, arguments: &str) -> Output {
    command(folder, arguments).output().unwrap()
}

#[track_caller]
fn check(arguments: &str, expected: Expect) {
    let output = run(folder().path(), arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    expected.assert_eq(&String::from_utf8(output.stdout).unwrap());
}

#[track_caller]
fn check_json(arguments: &str, check: impl FnOnce(Value)) {
    let output = run(folder().path(), arguments);
    assert_eq!(output.status.code(), Some(0));
    check(serde_json::from_slice(&output.stdout).unwrap());
}

#[track_caller]
fn check_failure(folder: &Path, arguments: &str, code: i32, message: &str) {
    let output = run(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(message), "{stderr}");
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty());
}

#[test]
fn top_shows_lines() {
    check(
        "top new",
        expect![[r#"
        11.9 MiB in 99,749 blocks, by line; at the peak 12.1 MiB

        #      size   share   count  average  line
        1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
        2  4096 B     <0.1%       1   4096 B  src/cache.rs:52
        3  2048 B     <0.1%       2   1024 B  src/index.rs:5
           11.9 MiB  100.0%  99,749    125 B  total
    "#]],
    );
}

#[test]
fn top_shows_as_many_rows_as_asked_for() {
    check(
        "top new -n 1",
        expect![[r#"
        11.9 MiB in 99,749 blocks, by line; at the peak 12.1 MiB

        #      size   share   count  average  line
        1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
           6144 B     <0.1%       3   2048 B  other (2 lines)
           11.9 MiB  100.0%  99,749    125 B  total
    "#]],
    );
    check(
        "top new -n 0",
        expect![[r#"
        11.9 MiB in 99,749 blocks, by line; at the peak 12.1 MiB

        #      size   share   count  average  line
           11.9 MiB  100.0%  99,749    125 B  other (3 lines)
           11.9 MiB  100.0%  99,749    125 B  total
    "#]],
    );
}

#[test]
fn top_groups_by_file_and_function_and_sorts_by_other_metrics() {
    check(
        "top new --by file --sort at-peak",
        expect![[r#"
        12.1 MiB in 99,005 blocks at the peak, by file; now 11.9 MiB

        #      size   share   count   average  file
        1  11.8 MiB   97.6%  99,000   125 B    src/cache.rs
        2   293 KiB    2.4%       3  97.7 KiB  src/load.rs
        3  2048 B     <0.1%       2  1024 B    src/index.rs
           12.1 MiB  100.0%  99,005   128 B    total
    "#]],
    );
    check(
        "top new --by function --sort total",
        expect![[r#"
        24.0 MiB in 198,754 blocks ever allocated, by function; now 11.9 MiB

        #      size   share    count   average  function
        1  23.8 MiB   98.8%  198,747   125 B    demo::fill
        2   293 KiB    1.2%        3  97.7 KiB  demo::load
        3  4096 B     <0.1%        4  1024 B    demo::index
           24.0 MiB  100.0%  198,754   127 B    total
    "#]],
    );
    check(
        "top new --by line --sort peak -n 2",
        expect![[r#"
        12.2 MiB in 99,752 blocks summed over own peaks, by line; at the peak 12.1 MiB

        #      size   share   count   average  line
        1  11.9 MiB   97.6%  99,746   125 B    src/cache.rs:41
        2   293 KiB    2.3%       3  97.7 KiB  src/load.rs:7
           6144 B     <0.1%       3  2048 B    other (2 lines)
           12.2 MiB  100.0%  99,752   128 B    total

        note: own peaks were reached at different moments: their sum may exceed the peak of the heap, 12.1 MiB
    "#]],
    );
}

#[test]
fn top_shows_whole_stacks() {
    check(
        "top new --by traceback -n 2",
        expect![[r#"
        11.9 MiB in 99,749 blocks, by traceback; at the peak 12.1 MiB

        #      size   share   count  average  traceback
        1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
               … 2 frames of the standard library
               src/cache.rs:41  demo::fill
               src/main.rs:3    demo::main
               … 1 frame of the runtime

        2  4096 B     <0.1%       1   4096 B  src/cache.rs:52
               … 2 frames of the standard library
               src/cache.rs:52  demo::fill
               src/main.rs:3    demo::main
               … 1 frame of the runtime

           2048 B     <0.1%       2   1024 B  other (1 traceback)
           11.9 MiB  100.0%  99,749    125 B  total
    "#]],
    );
}

#[test]
fn diff_shows_what_changed() {
    check(
        "diff old new",
        expect![[r#"
        11.9 MiB (+11.6 MiB) in 99,749 blocks (+99,736), by line; at the peak 12.1 MiB

        #      size     change   count   change  average  line
        1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
        2     0 B     -293 KiB       0       -3           src/load.rs:7
        3  4096 B    +4096 B         1       +1   4096 B  src/cache.rs:52
        4  2048 B    +2048 B         2       +2   1024 B  src/index.rs:5
           11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
    "#]],
    );
    check(
        "diff old new -n 1 --by file --sort at-peak",
        expect![[r#"
        12.1 MiB (+11.8 MiB) in 99,005 blocks (+98,992) at the peak, by file; now 11.9 MiB

        #      size     change   count   change   average  file
        1  11.8 MiB  +11.8 MiB  99,000  +98,990   125 B    src/cache.rs
            295 KiB  +2048 B         5       +2  59.0 KiB  other (2 files, 1 unchanged)
           12.1 MiB  +11.8 MiB  99,005  +98,992   128 B    total
    "#]],
    );
}

#[test]
fn diff_with_itself_shows_that_nothing_changed() {
    check(
        "diff new new",
        expect![[r#"
            11.9 MiB (+0 B) in 99,749 blocks (+0), by line; at the peak 12.1 MiB

            #      size  change   count  change  average  line
               11.9 MiB    +0 B  99,749      +0    125 B  other (3 lines, unchanged)
               11.9 MiB    +0 B  99,749      +0    125 B  total
        "#]],
    );
}

#[test]
fn top_as_json_has_every_key_that_is_documented() {
    check_json("top new -n 1 --sort total --format json", |report| {
        assert_eq!(report["snapshot"]["file"], "new");
        assert_eq!(report["snapshot"]["taken_at"], Value::Null);
        assert_eq!(report["snapshot"]["traceback_limit"], 32);
        assert_eq!(report["snapshot"]["current_bytes"], 12_506_144);
        assert_eq!(report["snapshot"]["peak_bytes"], 12_702_048);
        assert_eq!(report["snapshot"]["peak_error_bytes"], 0);
        assert_eq!(report["snapshot"]["health"]["broken_stacks"], 0);
        let expected = json!({
            "report": "top",
            "by": "line",
            "cumulative": false,
            "metric": "total",
            "order": "bytes",
            "charge": "caller",
            "include": [],
            "exclude": [],
            "all_frames": false,
            "snapshot": report["snapshot"],
            "rows": [{
                "rank": 1,
                "key": "src/cache.rs:41",
                "function": null,
                "file": "src/cache.rs",
                "path": "src/cache.rs",
                "line": 41,
                "bytes": 24_900_000,
                "blocks": 198_746,
                "average_bytes": 125,
                "share": 24_900_000.0 / 25_208_192.0,
                "current": { "bytes": 12_500_000, "blocks": 99_746 },
                "peak": { "bytes": 12_500_000, "blocks": 99_746 },
                "at_peak": { "bytes": 12_400_000, "blocks": 99_000 },
                "total": { "bytes": 24_900_000, "blocks": 198_746 },
                "freed": { "bytes": 12_400_000, "blocks": 99_000 },
                "reallocations": 2,
            }],
            "other": { "rows": 3, "bytes": 308_192, "blocks": 8 },
            "total": { "rows": 4, "bytes": 25_208_192, "blocks": 198_754 },
            "notes": [],
        });
        assert_eq!(report, expected);
    });
}

#[test]
fn stacks_as_json_are_whole() {
    check_json("top new -n 1 --by traceback --format json", |report| {
        let row = &report["rows"][0];
        assert_eq!(
            (&row["function"], &row["line"]),
            (&json!("demo::fill"), &json!(41))
        );
        let functions: Vec<_> = row["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(|frame| frame["function"].as_str().unwrap())
            .collect();
        assert_eq!(
            functions,
            [
                "alloc::raw_vec::RawVec<T,A>::grow_one",
                "alloc::vec::Vec<T,A>::push",
                "demo::fill",
                "demo::main",
                "std::rt::lang_start",
            ]
        );
        let fill = json!({
            "function": "demo::fill",
            "file": "src/cache.rs",
            "path": "src/cache.rs",
            "line": 41,
            "column": 9,
        });
        assert_eq!(row["frames"][2], fill);
        assert_eq!(row["frames"][0]["file"], "library/alloc/src/raw_vec/mod.rs");
    });
}

#[test]
fn diff_as_json_keeps_what_did_not_change() {
    check_json(
        "diff old new --sort at-peak --by file --format json",
        |report| {
            assert_eq!(report["report"], "diff");
            assert_eq!(
                (&report["old"]["file"], &report["new"]["file"]),
                (&json!("old"), &json!("new"))
            );
            let row = |rank, file, bytes: [i64; 2], blocks: [i64; 2], average| {
                json!({
                    "rank": rank,
                    "key": file,
                    "function": null,
                    "file": file,
                    "path": file,
                    "line": null,
                    "bytes": bytes[0],
                    "bytes_diff": bytes[1],
                    "blocks": blocks[0],
                    "blocks_diff": blocks[1],
                    "average_bytes": average,
                })
            };
            let rows = json!([
                row(
                    1,
                    "src/cache.rs",
                    [12_400_000, 12_399_000],
                    [99_000, 98_990],
                    125
                ),
                row(2, "src/index.rs", [2_048, 2_048], [2, 2], 1_024),
                row(3, "src/load.rs", [300_000, 0], [3, 0], 100_000),
            ]);
            assert_eq!(report["rows"], rows);
            let sum = |rows, bytes, bytes_diff, blocks, blocks_diff| {
                json!({
                    "rows": rows,
                    "bytes": bytes,
                    "bytes_diff": bytes_diff,
                    "blocks": blocks,
                    "blocks_diff": blocks_diff,
                })
            };
            assert_eq!(
                report["total"],
                sum(3, 12_702_048, 12_401_048, 99_005, 98_992)
            );
            assert_eq!(report["other"], sum(0, 0, 0, 0, 0));
        },
    );
}

#[test]
fn charging_the_workspace_finds_the_callers_of_a_library() {
    let folder = tempfile::tempdir().unwrap();
    let library = "/c/registry/src/i-1/serde_json-1.0.1/src/de.rs";
    let frames = vec![
        Frame::new(Some("serde_json::parse"), Some(library), 9, 1),
        Frame::new(Some("demo::main"), Some("src/main.rs"), 3, 5),
    ];
    let current = Amount::new(1_000, 1);
    let counters = Counters {
        current,
        at_peak: current,
        ..Counters::default()
    };
    let trace = Trace::new(Traceback::new(frames), counters);
    Snapshot::from_traces(vec![trace], 32)
        .dump(folder.path().join("new"))
        .unwrap();

    let shown = |arguments| String::from_utf8(run(folder.path(), arguments).stdout).unwrap();
    let by_caller = shown("top new");
    assert!(by_caller.contains("by line;") && by_caller.contains("serde_json-1.0.1/src/de.rs:9"));
    let by_workspace = shown("top new --charge workspace");
    assert!(
        by_workspace.contains("by line of the workspace;"),
        "{by_workspace}"
    );
    assert!(by_workspace.contains("src/main.rs:3"), "{by_workspace}");
    assert!(!by_workspace.contains("serde_json"), "{by_workspace}");
}

#[test]
fn lines_of_source_are_shown_where_the_file_is_at_hand() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("cache.rs");
    fs::write(
        &source,
        "fn fill() {\n\tself.map\t.insert(key);\u{1b}[31m\n}\n",
    )
    .unwrap();
    let trace = trace("demo::fill", source.to_str().unwrap(), 2, (10, 1), (10, 1));
    Snapshot::from_traces(vec![trace], 32)
        .dump(folder.path().join("new"))
        .unwrap();

    let line = "self.map .insert(key);\\u{1b}[31m";
    let stdout = run(folder.path(), "top new").stdout;
    assert!(String::from_utf8(stdout).unwrap().contains(line));
    let stdout = run(folder.path(), "top new --no-source").stdout;
    assert!(!String::from_utf8(stdout).unwrap().contains("insert"));
}

#[test]
fn names_that_act_on_a_terminal_are_escaped_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let trace = trace(
        "f\u{9b}2J\u{202e}",
        "a\u{1b}[2J\u{7f}\u{202e}sr.rs",
        2,
        (10, 1),
        (10, 1),
    );
    let snapshot = Snapshot::from_traces(vec![trace], 32);
    snapshot.dump(folder.path().join("new\u{202e}")).unwrap();
    for format in ["text", "json", "csv"] {
        for by in [
            "line",
            "file",
            "function",
            "traceback",
            "folded",
            "module,line",
            "crate",
        ] {
            let arguments = format!("top new\u{202e} --by {by} --format {format}");
            let output = run(folder.path(), &arguments);
            assert_eq!(output.status.code(), Some(0));
            let text = String::from_utf8(output.stdout).unwrap();
            let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(acts), "{by} as {format}: {text:?}");
        }
    }
    let json = run(folder.path(), "top new\u{202e} --format json").stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["rows"][0]["file"], "a\u{1b}[2J\u{7f}\u{202e}sr.rs");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_what_was_expected() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("notes.txt"), "not a snapshot").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    let whole = fs::read(folder.join("new")).unwrap();
    fs::write(folder.join("cut"), &whole[..whole.len() / 2]).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();

    let expected = "expected a heap profile in pprof's format, found";
    check_failure(
        folder,
        "top missing",
        1,
        "cannot read the snapshot missing: No such file",
    );
    check_failure(
        folder,
        "top sub",
        1,
        "expected a snapshot file, or a folder that alloc-report run wrote, found another folder at sub\n",
    );
    check_failure(
        folder,
        "top notes.txt",
        1,
        &format!("cannot read the snapshot notes.txt: {expected}"),
    );
    check_failure(
        folder,
        "top empty",
        1,
        &format!("cannot read the snapshot empty: {expected}"),
    );
    check_failure(
        folder,
        "top cut",
        1,
        &format!("cannot read the snapshot cut: {expected}"),
    );
    check_failure(
        folder,
        "top cut --format json",
        1,
        "cannot read the snapshot cut",
    );
    check_failure(
        folder,
        "diff missing new",
        1,
        "cannot read the snapshot missing",
    );
    check_failure(folder, "diff old cut", 1, "cannot read the snapshot cut");
}

#[test]
fn a_wrong_command_line_exits_with_two() {
    let folder = folder();
    let folder = folder.path();
    check_failure(folder, "", 2, "Usage: alloc-report [OPTIONS] <COMMAND>");
    check_failure(folder, "top", 2, "<FILE>");
    check_failure(folder, "diff old", 1, "two are compared by diff OLD NEW");
    check_failure(folder, "diff", 2, "<OLD>");
    check_failure(
        folder,
        "top new --by colour",
        2,
        "line, file, function, module, crate, traceback, folded, size-class, thread, domain",
    );
    check_failure(
        folder,
        "top new --sort size",
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
        "expected one number at most",
    );
    check_failure(
        folder,
        "top new --sort blocks,bytes",
        2,
        "one order at most",
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
        "expected the number of a line after the last colon, found \"forty\"",
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
        "heap.pb.gz",
        "after.pb.gz",
        "before.pb.gz",
        "monday.pb.gz",
        "friday.pb.gz",
    ] {
        fs::copy(folder.path().join("new"), folder.path().join(name)).unwrap();
    }
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
        let help = run(folder.path(), help).stdout;
        let help = String::from_utf8(help).unwrap();
        let lines = help.lines().map(str::trim);
        for line in lines.filter_map(|line| line.strip_prefix("alloc-report ")) {
            // What a shell does with the output is not ours.
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
    assert_eq!(examples, 29);
}

/// What a shell completes, and what the manual says, is made of the same description as the help.
#[test]
fn completions_and_the_manual_know_the_options() {
    let folder = folder();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(folder.path(), &format!("completions {shell}")).stdout;
        let script = String::from_utf8(script).unwrap();
        for word in ["diff", "all-frames", "cumulative", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let page = String::from_utf8(run(folder.path(), "man").stdout).unwrap();
    assert!(
        page.contains(".TH alloc") && page.contains("Exit status"),
        "{page}"
    );

    let written = run(folder.path(), "man pages").stdout;
    let written = String::from_utf8(written).unwrap();
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

#[test]
fn groups_within_groups_are_indented_and_half_as_many() {
    check(
        "top new --by function,line -n 2 --sort total",
        expect![[r#"
            24.0 MiB in 198,754 blocks ever allocated, by function, then line; now 11.9 MiB

            #      size   share    count   average  function, line
            1  23.8 MiB   98.8%  198,747   125 B    demo::fill
               23.7 MiB   98.8%  198,746   125 B      src/cache.rs:41
               4096 B     <0.1%        1  4096 B      other (1 line)
            2   293 KiB    1.2%        3  97.7 KiB  demo::load
                293 KiB    1.2%        3  97.7 KiB    src/load.rs:7
               4096 B     <0.1%        4  1024 B    other (1 function)
               24.0 MiB  100.0%  198,754   127 B    total
        "#]],
    );
    check(
        "top new --by file,traceback -n 1",
        expect![[r#"
        11.9 MiB in 99,749 blocks, by file, then traceback; at the peak 12.1 MiB

        #      size   share   count  average  file, traceback
        1  11.9 MiB  >99.9%  99,747    125 B  src/cache.rs
           11.9 MiB  >99.9%  99,746    125 B    src/cache.rs:41
                 … 2 frames of the standard library
                 src/cache.rs:41  demo::fill
                 src/main.rs:3    demo::main
                 … 1 frame of the runtime

           4096 B     <0.1%       1   4096 B    other (1 traceback)
           2048 B     <0.1%       2   1024 B  other (1 file)
           11.9 MiB  100.0%  99,749    125 B  total
    "#]],
    );
    check(
        "diff old new --by file,line -n 3",
        expect![[r#"
        11.9 MiB (+11.6 MiB) in 99,749 blocks (+99,736), by file, then line; at the peak 12.1 MiB

        #      size     change   count   change  average  file, line
        1  11.9 MiB  +11.9 MiB  99,747  +99,737    125 B  src/cache.rs
           11.9 MiB  +11.9 MiB  99,746  +99,736    125 B    src/cache.rs:41
           4096 B    +4096 B         1       +1   4096 B    src/cache.rs:52
        2     0 B     -293 KiB       0       -3           src/load.rs
              0 B     -293 KiB       0       -3             src/load.rs:7
        3  2048 B    +2048 B         2       +2   1024 B  src/index.rs
           2048 B    +2048 B         2       +2   1024 B    src/index.rs:5
           11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
    "#]],
    );
    check_json("top new --by function,line --format json -n 1", |report| {
        assert_eq!(report["by"], "function,line");
        let row = &report["rows"][0];
        assert_eq!(
            (&row["key"], &row["line"]),
            (&json!("demo::fill"), &Value::Null)
        );
        assert_eq!(row["within"]["rows"][0]["key"], "src/cache.rs:41");
        assert_eq!(
            row["within"]["other"],
            json!({ "rows": 1, "bytes": 4_096, "blocks": 1 })
        );
    });
}

#[test]
fn cumulative_counting_does_not_add_up() {
    check(
        "top new --by file --cumulative",
        expect![[r#"
        11.9 MiB in 99,749 blocks, by file, cumulative; at the peak 12.1 MiB

        #      size   share   count  average  file
        1  11.9 MiB  100.0%  99,749    125 B  src/main.rs
        2  11.9 MiB  100.0%  99,749    125 B  library/std/src/rt.rs
        3  11.9 MiB  100.0%  99,749    125 B  library/alloc/src/raw_vec/mod.rs
        4  11.9 MiB  >99.9%  99,747    125 B  src/cache.rs
        5  2048 B     <0.1%       2   1024 B  src/index.rs
           11.9 MiB  100.0%  99,749    125 B  total
    "#]],
    );
    check(
        "diff old new --by line --cumulative -n 2",
        expect![[r#"
        11.9 MiB (+11.6 MiB) in 99,749 blocks (+99,736), by line, cumulative; at the peak 12.1 MiB

        #      size     change   count   change  average  line
        1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
        2  11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  src/main.rs:3
                                                          other (6 lines)
           11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
    "#]],
    );
    check_json(
        "top new --by line --cumulative -n 1 --format json",
        |report| {
            assert_eq!(report["cumulative"], true);
            let nothing = json!({ "rows": 6, "bytes": null, "blocks": null });
            assert_eq!(report["other"], nothing);
            assert_eq!(report["total"]["bytes"], 12_506_144);
        },
    );
}

#[test]
fn filters_keep_and_drop() {
    check(
        "top new --include cache.rs",
        expect![[r#"
        11.9 MiB in 99,747 blocks, by line

        #      size   share   count  average  line
        1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
        2  4096 B     <0.1%       1   4096 B  src/cache.rs:52
           11.9 MiB  100.0%  99,747    125 B  total

        note: filters left 2 of 4 callsites out
    "#]],
    );
    check(
        "top new --include cache.rs:41 --include src/i*.rs",
        expect![[r#"
            11.9 MiB in 99,748 blocks, by line

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  2048 B     <0.1%       2   1024 B  src/index.rs:5
               11.9 MiB  100.0%  99,748    125 B  total

            note: filters left 2 of 4 callsites out
        "#]],
    );
    check(
        "top new --exclude function=demo::fill,line=41 --sort total",
        expect![[r#"
            301 KiB in 8 blocks ever allocated, by line; now 6144 B

            #      size   share  count   average  line
            1   293 KiB   97.3%      3  97.7 KiB  src/load.rs:7
            2  4096 B      1.3%      4  1024 B    src/index.rs:5
            3  4096 B      1.3%      1  4096 B    src/cache.rs:52
                301 KiB  100.0%      8  37.6 KiB  total

            note: filters left 1 of 4 callsites out
        "#]],
    );
    check(
        "top new --include function=demo::main",
        expect![[r#"
        0 B in 0 blocks, by line; at the peak 0 B

        note: filters left 4 of 4 callsites out
    "#]],
    );
    check(
        "top new --include main.rs:3 --exclude load.rs --all-frames",
        expect![[r#"
            11.9 MiB in 99,749 blocks, by line

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  4096 B     <0.1%       1   4096 B  src/cache.rs:52
            3  2048 B     <0.1%       2   1024 B  src/index.rs:5
               11.9 MiB  100.0%  99,749    125 B  total

            note: filters left 1 of 4 callsites out
        "#]],
    );
    check(
        "diff old new --exclude crate=demo",
        expect![[r#"
        0 B (+0 B) in 0 blocks (+0), by line; at the peak 0 B

        note: filters left 4 of 4 callsites out
        note: in the older snapshot: filters left 2 of 2 callsites out
    "#]],
    );
    check_json(
        "top new --exclude cache.rs --all-frames --format json",
        |report| {
            assert_eq!(
                (&report["exclude"], &report["all_frames"]),
                (&json!(["cache.rs"]), &json!(true))
            );
            assert_eq!(
                report["notes"],
                json!(["filters left 2 of 4 callsites out"])
            );
        },
    );
}

#[test]
fn rows_are_sorted_by_blocks_and_average() {
    check(
        "top new --sort total,blocks",
        expect![[r#"
        24.0 MiB in 198,754 blocks ever allocated, by line, sorted by blocks; now 11.9 MiB

        #      size   share    count   average  line
        1  23.7 MiB   98.8%  198,746   125 B    src/cache.rs:41
        2  4096 B     <0.1%        4  1024 B    src/index.rs:5
        3   293 KiB    1.2%        3  97.7 KiB  src/load.rs:7
        4  4096 B     <0.1%        1  4096 B    src/cache.rs:52
           24.0 MiB  100.0%  198,754   127 B    total
    "#]],
    );
    check(
        "top new --sort average,freed",
        expect![[r#"
        12.1 MiB in 99,005 blocks ever freed, by line, sorted by average; now 11.9 MiB

        #      size   share   count   average  line
        1   293 KiB    2.4%       3  97.7 KiB  src/load.rs:7
        2  2048 B     <0.1%       2  1024 B    src/index.rs:5
        3  11.8 MiB   97.6%  99,000   125 B    src/cache.rs:41
           12.1 MiB  100.0%  99,005   128 B    total
    "#]],
    );
    check(
        "diff old new --sort blocks",
        expect![[r#"
        11.9 MiB (+11.6 MiB) in 99,749 blocks (+99,736), by line, sorted by blocks; at the peak 12.1 MiB

        #      size     change   count   change  average  line
        1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
        2     0 B     -293 KiB       0       -3           src/load.rs:7
        3  2048 B    +2048 B         2       +2   1024 B  src/index.rs:5
        4  4096 B    +4096 B         1       +1   4096 B  src/cache.rs:52
           11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
    "#]],
    );
}

#[test]
fn as_csv_there_is_a_line_for_each_row() {
    check(
        "top new --by function,line -n 2 --format csv",
        expect![[r#"
            rank,by,key,function,file,path,line,bytes,blocks,average_bytes,share,current_bytes,current_blocks,peak_bytes,peak_blocks,at_peak_bytes,at_peak_blocks,total_bytes,total_blocks,freed_bytes,freed_blocks,reallocations
            1,function,demo::fill,demo::fill,,,,12504096,99747,125,0.9998362404910738,12504096,99747,12504096,99747,12400000,99000,24904096,198747,12400000,99000,4
            1.1,line,src/cache.rs:41,,src/cache.rs,src/cache.rs,41,12500000,99746,125,0.9995087214732215,12500000,99746,12500000,99746,12400000,99000,24900000,198746,12400000,99000,2
            1.2,line,src/cache.rs:52,,src/cache.rs,src/cache.rs,52,4096,1,4096,0.0003275190178523452,4096,1,4096,1,0,0,4096,1,0,0,2
            2,function,demo::index,demo::index,,,,2048,2,1024,0.0001637595089261726,2048,2,2048,2,2048,2,4096,4,2048,2,2
            2.1,line,src/index.rs:5,,src/index.rs,src/index.rs,5,2048,2,1024,0.0001637595089261726,2048,2,2048,2,2048,2,4096,4,2048,2,2
        "#]],
    );
    check(
        "diff old new -n 2 --by crate --format csv",
        expect![[r#"
        rank,by,key,function,file,path,line,bytes,bytes_diff,blocks,blocks_diff,average_bytes
        1,crate,demo,,,,,12506144,12205144,99749,99736,125
    "#]],
    );
    check(
        "top new -n 1 --by traceback --format csv",
        expect![[r#"
        rank,by,key,function,file,path,line,bytes,blocks,average_bytes,share,current_bytes,current_blocks,peak_bytes,peak_blocks,at_peak_bytes,at_peak_blocks,total_bytes,total_blocks,freed_bytes,freed_blocks,reallocations
        1,traceback,library/alloc/src/raw_vec/mod.rs:340 < library/alloc/src/raw_vec/mod.rs:341 < src/cache.rs:41 < src/main.rs:3 < library/std/src/rt.rs:200,demo::fill,src/cache.rs,src/cache.rs,41,12500000,99746,125,0.9995087214732215,12500000,99746,12500000,99746,12400000,99000,24900000,198746,12400000,99000,2
    "#]],
    );
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let folder = folder();
    for arguments in ["top new", "diff old new --format json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(folder.path(), arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let folder = folder();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = command(folder.path(), "top new")
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("cannot write to the standard output: No space left"),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn without_a_terminal_there_is_colour_only_on_demand() {
    let folder = folder();
    let has_colour = |variables: &[(&str, &str)]| {
        let variables = variables.iter().copied();
        let output = command(folder.path(), "diff old new")
            .envs(variables)
            .output()
            .unwrap();
        output.stdout.contains(&b'\x1b')
    };
    assert!(!has_colour(&[]));
    assert!(has_colour(&[("CLICOLOR_FORCE", "1")]));
    assert!(!has_colour(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[cfg(target_os = "linux")]
mod on_a_terminal {
    use std::io::Read;

    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};

    use super::*;

    /// What the command writes to a terminal of so many columns.
    fn run(columns: u16, arguments: &str, variables: &[(&str, &str)]) -> String {
        let folder = folder();
        let file = "/c/registry/src/i-1/tree-sitter-0.25.10/binding_rust/parser/lib.rs";
        let function = "<tree_sitter::Tree as core::clone::Clone>::clone::from_raw_parts";
        let wide = trace(function, file, 1_234, (10, 1), (10, 1));
        Snapshot::from_traces(vec![wide], 32)
            .dump(folder.path().join("wide"))
            .unwrap();

        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let terminal = openpt(flags).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).unwrap();
        let stdout = ioctl_tiocgptpeer(&terminal, flags).unwrap();

        let mut command = command(folder.path(), arguments);
        command
            .env("TERM", "xterm-256color")
            .envs(variables.iter().copied())
            .stdout(stdout);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut shown = Vec::new();
        // The end of a terminal is an error (EIO), not an end of file.
        let _ = fs::File::from(terminal).read_to_end(&mut shown);
        assert!(child.wait().unwrap().success());
        String::from_utf8(shown).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn there_is_colour_unless_no_color_is_set() {
        let text = run(100, "diff old new", &[]);
        assert!(text.contains("\u{1b}[31m+11.9 MiB\u{1b}[0m"), "{text:?}");
        assert!(text.contains("\u{1b}[32m"), "{text:?}");
        assert!(!run(100, "diff old new", &[("NO_COLOR", "1")]).contains('\u{1b}'));
        assert!(!run(100, "diff old new", &[("TERM", "dumb")]).contains('\u{1b}'));
    }

    #[test]
    fn the_table_fits_the_width() {
        let text = run(60, "top wide --by traceback", &[("NO_COLOR", "1")]);
        expect![[r#"
            10 B in 1 block, by traceback; at the peak 10 B

            #  size   share  count  average  traceback
            1  10 B  100.0%      1     10 B  …/parser/lib.rs:1234
                   … 2 frames of the standard library
                   …/parser/lib.rs:1234  <tree_sitter::T…:from_raw_parts
                   src/main.rs:3         demo::main
                   … 1 frame of the runtime

               10 B  100.0%      1     10 B  total
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn without_a_known_width_the_table_is_eighty_columns_wide() {
        let arguments = "top wide --by traceback";
        let known = run(80, arguments, &[]);
        assert_eq!(run(0, arguments, &[]), known);
        assert_ne!(run(79, arguments, &[]), known);
        assert_ne!(run(81, arguments, &[]), known);
    }
}

#[test]
fn a_check_fails_if_memory_grew_by_more_than_is_allowed() {
    let folder = folder();
    let check = |arguments: &str| {
        let output = run(folder.path(), arguments);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (status, text) = check("check old new");
    expect![[r#"
        metric           old       new      growth         allowed  verdict
        peak         294 KiB  12.1 MiB    +4119.9%  2% or 64.0 KiB  grew by more than is allowed
        allocations       26    198754  +764338.5%       2% or 100  grew by more than is allowed

        What changed: held at the peak
           change       new  function
        +11.8 MiB  11.8 MiB  demo::fill
          +2048 B    2048 B  demo::index

        What changed: allocations
         change     new  function
        +198727  198747  demo::fill
             +4       4  demo::index
             -3       3  demo::load
    "#]]
    .assert_eq(&text);
    assert_eq!(status, Some(3));

    // What is the same, and what is less, is well.
    let (status, text) = check("check new new");
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("unchanged") && !text.contains("What changed"),
        "{text}"
    );
    let (status, text) = check("check new old --metric current,allocated");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("better"), "{text}");
    // A limit just above what it grew by, and one just below.
    assert_eq!(
        check("check old new --metric peak --max-growth 4121%").0,
        Some(0)
    );
    assert_eq!(
        check("check old new --metric peak --max-growth 4119%").0,
        Some(3)
    );
    for limits in ["much", "5", "peak=5", "heap=5%"] {
        check_failure(
            folder.path(),
            &format!("check old new --max-growth {limits}"),
            2,
            "expected a part such as 5%, or for one metric a part or an amount",
        );
    }

    // Each metric by its own limit, and only these.
    let limits = "peak=12MiB,allocations=198728,allocated=50%,current=0";
    let (status, text) = check(&format!("check old new --max-growth {limits} -n 0"));
    expect![[r#"
        metric           old       new      growth   allowed  verdict
        peak         294 KiB  12.1 MiB    +4119.9%  12.0 MiB  ok
        allocations       26    198754  +764338.5%    198728  ok
        allocated    588 KiB  24.0 MiB    +4087.4%       50%  grew by more than is allowed
        current      294 KiB  11.9 MiB    +4054.9%        0%  grew by more than is allowed
    "#]]
    .assert_eq(&text);
    assert_eq!(status, Some(3));

    let (_, text) = check("check old new --metric allocations --format markdown -n 1");
    expect![[r#"
        ### Memory

        | metric | old | new | growth | allowed | verdict |
        | --- | ---: | ---: | ---: | ---: | --- |
        | allocations | 26 | 198754 | +764338.5% | 2% or 100 | grew by more than is allowed |

        <details><summary>What changed: allocations</summary>

        | change | new | function |
        | ---: | ---: | --- |
        | +198727 | 198747 | demo::fill |
        | -3 | 3 | demo::load |

        </details>
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_check_is_an_object_too() {
    let folder = folder();
    let arguments = "check old new --max-growth peak=20MiB --metric peak --format json -n 1";
    let output = run(folder.path(), arguments);
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (old, new) = (301_000_u64, 12_702_048_u64);
    assert_eq!(
        report,
        json!({
            "report": "check",
            "passed": true,
            "by": "function",
            "old": "old",
            "new": "new",
            "metrics": [{
                "metric": "peak",
                "unit": "bytes",
                "old": old,
                "new": new,
                "growth_percent": (new as f64 / old as f64 - 1.0) * 100.0,
                "most": old + (20 << 20),
                "passed": true,
                "changes": [{ "change": 12_399_000, "new": 12_400_000, "name": "demo::fill" }],
            }],
            "notes": [],
        })
    );
}

/// What a program with threads does differently each time it runs fails no check that was not told
/// to be strict.
#[test]
fn a_check_passes_over_the_noise_of_threads_and_says_what_cannot_be_compared() {
    let folder = folder();
    let write = |name: &str, bytes: u64, blocks: u64| {
        let amount = (bytes, blocks);
        let traces = vec![trace("demo::serve", "src/serve.rs", 7, amount, amount)];
        let snapshot = Snapshot::from_traces(traces, 32);
        snapshot.dump(folder.path().join(name)).unwrap();
    };
    write("before", 10_000_000, 50_000);
    write("after", 10_150_000, 50_400);
    let check = |arguments: &str| {
        let output = run(folder.path(), arguments);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (status, text) = check("check before after");
    expect![[r#"
        metric            old       new  growth         allowed  verdict
        peak         9766 KiB  9912 KiB   +1.5%  2% or 64.0 KiB  ok
        allocations    100000    100800   +0.8%       2% or 100  ok

        What changed: held at the peak
          change       new  function
        +146 KiB  9912 KiB  demo::serve

        What changed: allocations
        change     new  function
          +800  100800  demo::serve
    "#]]
    .assert_eq(&text);
    assert_eq!(status, Some(0));
    assert_eq!(check("check before after --max-growth 0").0, Some(3));

    // What cannot be compared is said, as below a diff.
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    fs::copy(data.join("go-new.pb.gz"), folder.path().join("go")).unwrap();
    let (_, text) = check("check go before --metric peak -n 1");
    expect![[r#"
        metric       old       new  growth         allowed  verdict
        peak    5073 KiB  9766 KiB  +92.5%  2% or 64.0 KiB  grew by more than is allowed

        What changed: held at the peak
           change       new  function
        +9766 KiB  9766 KiB  demo::serve

        note: in the older snapshot: the file does not tell what was live at the peak: the zeros stand for it
    "#]]
    .assert_eq(&text);
}

#[test]
fn symbolize_replaces_the_file_that_it_reads_and_no_other_unasked() {
    let folder = folder();
    let path = folder.path();
    let old = fs::read(path.join("old")).unwrap();
    check_failure(
        path,
        "symbolize new -o old",
        1,
        "error: expected a path where no file is, found one at old; --force replaces it\n",
    );
    assert_eq!(fs::read(path.join("old")).unwrap(), old);
    for arguments in [
        "symbolize new",
        "symbolize new -o new",
        "symbolize new -o old --force",
    ] {
        let output = run(path, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {output:?}");
    }
    assert_ne!(fs::read(path.join("old")).unwrap(), old);
}
