//! Snapshot files read by Go's pprof, from which the format comes.

use std::path::Path;

use alloc_core::{Names, Snapshot};
use alloc_tests::{Tool, program};

/// The rows of `go tool pprof -top`, without the head.
fn top(file: &Path, sample: &str, unit: &str) -> Option<String> {
    let sample = format!("-sample_index={sample}");
    pprof(file, &["-top", "-lines", &sample, unit])
}

/// The output of `go tool pprof` for a file.
fn pprof(file: &Path, arguments: &[&str]) -> Option<String> {
    let mut go = Tool("go").command("version")?;
    go.args(["tool", "pprof"]).args(arguments).arg(file);
    // The Go tools need a folder for a cache, even if they store nothing in it.
    go.env("HOME", std::env::temp_dir())
        .env("PPROF_TMPDIR", std::env::temp_dir());
    let output = go.output().expect("go runs");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{message}");
    Some(String::from_utf8(output.stdout).expect("it prints UTF-8"))
}

#[track_caller]
fn check_total(table: &str, sample: &str, sum: &str) {
    assert!(table.contains(&format!("Type: {sample}")), "{table}");
    // Showing nodes accounting for 150000B, 100% of 150000B total
    let total = table
        .lines()
        .find(|line| line.starts_with("Showing nodes"))
        .expect("a sum");
    let total = total
        .trim_end_matches(" total")
        .rsplit(' ')
        .next()
        .expect("a number");
    assert_eq!(total.trim_end_matches('B'), sum, "{table}");
}

/// Functions that allocate for the program are hidden, so its own lines come first. Names are
/// complete.
#[test]
fn go_tool_pprof_begins_with_the_program_s_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("heap.pb.gz");
    let argument = path.to_str().expect("a path in UTF-8");
    let output = program(
        env!("CARGO_BIN_EXE_traced"),
        &["collections", argument],
        &[],
    );
    assert!(output.status.success(), "{output:?}");
    let named = folder.path().join("named.pb.gz");
    let snapshot = Snapshot::load(&path).expect("it loads");
    snapshot.dump_with(&named, Names::Symbols).expect("a file");
    let Some(table) = pprof(
        &named,
        &[
            "-top",
            "-nodefraction=0",
            "-sample_index=alloc_space",
            "-unit=b",
        ],
    ) else {
        return;
    };
    let rows: Vec<String> = table
        .lines()
        .skip_while(|line| !line.trim_start().starts_with("flat"))
        .skip(1)
        .map(|row| row.split_ascii_whitespace().collect::<Vec<_>>())
        .filter(|row| row[0] != "0")
        .map(|row| format!("{} {}", row[0], row[5..].join(" ")))
        .collect();
    assert_eq!(
        rows,
        [
            "3000000B traced::collections::vector",
            "2000000B traced::collections::boxes",
            "1000000B <traced::collections::Text as core::convert::From<usize>>::from",
        ],
        "{table}"
    );
    // The tool looks for names itself if the file has none.
    let table = pprof(&path, &["-top", "-sample_index=alloc_space"]).expect("the tool");
    assert!(!table.contains("__rust_alloc"), "{table}");
}

#[test]
fn go_tool_pprof_shows_the_same_sums_and_lines() {
    let name = format!("alloc-tests-pprof-{}.pb.gz", std::process::id());
    let path = std::env::temp_dir().join(name);
    let argument = path.to_str().expect("a path in UTF-8");
    let output = program(env!("CARGO_BIN_EXE_traced"), &["dump", argument], &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let printed = String::from_utf8(output.stdout).expect("it prints UTF-8");
    // Live bytes and blocks, then total bytes and blocks.
    let numbers = printed.split_ascii_whitespace().collect::<Vec<_>>();

    // The tool formats names in its own way, so rows are compared with a file that has names.
    let named =
        std::env::temp_dir().join(format!("alloc-tests-pprof-{}.named", std::process::id()));
    let snapshot = Snapshot::load(&path).expect("it loads");
    snapshot.dump_with(&named, Names::Symbols).expect("a file");

    let tables = [
        ("inuse_space", "-unit=b", numbers[0], "100000B"),
        ("inuse_objects", "-unit=count", numbers[1], "100"),
        ("alloc_space", "-unit=b", numbers[2], "100000B"),
        ("alloc_objects", "-unit=count", numbers[3], "100"),
    ];
    for (sample, unit, sum, boxes) in tables {
        let Some(table) = top(&path, sample, unit) else {
            break;
        };
        check_total(&table, sample, sum);
        let table = top(&named, sample, unit).expect("the tool");
        check_total(&table, sample, sum);
        // The line of the boxes has them as flat values, under the name of the function.
        let row = table
            .lines()
            .find(|row| row.contains("thousand_bytes"))
            .expect(&table);
        assert!(row.contains("traced.rs:"), "{row}");
        assert!(
            row.split_ascii_whitespace().any(|column| column == boxes),
            "{row}"
        );
    }
    for path in [path, named] {
        std::fs::remove_file(path).expect("it was written");
    }
}
