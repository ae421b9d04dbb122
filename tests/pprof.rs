//! Snapshot files in the tool that the format comes from.

use std::path::Path;

use alloc_core::{Names, Snapshot};
use alloc_tests::{Tool, program};

/// The rows of `go tool pprof -top`, without the head.
fn top(file: &Path, sample: &str, unit: &str) -> Option<String> {
    let mut go = Tool("go").command("version")?;
    let sample = format!("-sample_index={sample}");
    go.args(["tool", "pprof", "-top", "-lines", &sample, unit])
        .arg(file);
    // The Go tools want a place for a cache, though they keep nothing there here.
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
    // Bytes and blocks live, then bytes and blocks in all.
    let numbers = printed.split_ascii_whitespace().collect::<Vec<_>>();

    // The tool names addresses in its own way, so rows are compared with a file that has names.
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
        // The boxes' own line has them flat, under the function's name.
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
