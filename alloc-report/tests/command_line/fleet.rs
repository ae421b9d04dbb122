//! Questions about a fleet. `.ci/fleet` asks the engines.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{check_error, command, stdout, text};

/// A folder `fleet` that looks like one with rows.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let partition = folder.path().join("fleet/service=shop/day=2026-01-31");
    fs::create_dir_all(&partition).unwrap();
    fs::write(partition.join("a.parquet"), "").unwrap();
    folder
}

#[test]
fn the_questions_are_listed() {
    let list = stdout(folder().path(), "fleet");
    let names: Vec<&str> = list
        .lines()
        .map(|it| it.split_once("  ").unwrap().0.trim())
        .collect();
    // Each file is a question, and each question a file.
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet")).unwrap();
    let mut files: Vec<String> = files
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut expected: Vec<String> = names.iter().map(|it| format!("{it}.sql")).collect();
    expected.sort();
    assert_eq!(files, expected);
}

#[test]
fn the_question_is_the_same_for_each_engine() {
    let folder = folder();
    let printed = |engine| {
        let arguments = format!("fleet top-types fleet -n 3 --print {engine}");
        stdout(folder.path(), &arguments)
    };
    let question = include_str!("../../fleet/top-types.sql");
    let question = format!("\n{question}LIMIT 3;\n");
    let place = folder.path().join("fleet");
    for (engine, table) in [
        (
            "duckdb",
            format!("read_parquet('{}/**/*.parquet',", place.display()),
        ),
        ("spark", format!("OPTIONS (path '{}');", place.display())),
        (
            "clickhouse",
            format!("file('{}/**/*.parquet', Parquet);", place.display()),
        ),
    ] {
        let sql = printed(engine);
        let (before, rest) = sql.split_once(&question).unwrap();
        assert!(before.contains(&table) && rest.is_empty(), "{sql}");
    }
}

#[test]
fn bad_input_says_what_was_expected() {
    let folder = folder();
    let here = folder.path();
    fs::create_dir(here.join("empty")).unwrap();
    fs::create_dir(here.join("a[b]")).unwrap();
    for (arguments, message) in [
        (
            "fleet top-line fleet",
            "no question is named top-line; did you mean: top-lines",
        ),
        (
            "fleet top-lines empty",
            "expected a folder with Parquet files, found none in empty; export --to parquet writes \
             them",
        ),
        (
            "fleet top-lines nowhere",
            "cannot read nowhere: No such file or directory (os error 2)",
        ),
        (
            "fleet top-lines a[b]",
            "expected a path without * ? [ ] { }, which engines take for a pattern, found a[b]",
        ),
        (
            "fleet top-lines s3://bucket/heap",
            "expected a local folder, found s3://bucket/heap; --print shows the SQL for an engine",
        ),
    ] {
        check_error(here, arguments, message);
    }
}

#[cfg(unix)]
#[test]
fn without_an_engine_it_says_how_to_install_one() {
    let folder = folder();
    let mut command = command(folder.path(), "fleet top-lines fleet");
    let output = command.env("PATH", folder.path()).output().unwrap();
    let expected = "error: expected DuckDB, found neither the command duckdb nor python3 with the \
                    module duckdb; pip install duckdb installs it, and --print duckdb shows the SQL\n";
    assert_eq!(text(&output.stderr), expected);
    assert_eq!(output.status.code(), Some(1));
}

/// What an engine says and answers, by commands that stand in for one.
#[cfg(unix)]
#[test]
fn the_answer_of_the_engine_is_shown() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = folder();
    let engine = |name: &str, script: &str| {
        let path = folder.path().join("bin").join(name);
        fs::create_dir_all(folder.path().join("bin")).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let run = |arguments: &str| {
        let mut command = command(folder.path(), arguments);
        let path = format!("{}:/usr/bin:/bin", folder.path().join("bin").display());
        command.env("PATH", path).output().unwrap()
    };
    // Python without the module.
    engine("python3", "exit 3");
    let output = run("fleet top-lines fleet");
    assert!(text(&output.stderr).contains("pip install duckdb"));
    engine(
        "python3",
        "grep -q 'LIMIT 2;' && printf 'line,live_bytes\\na.rs:1,1048576\\n'",
    );
    let output = run("fleet top-lines fleet -n 2");
    assert_eq!(text(&output.stdout), "line        live\na.rs:1  1024 KiB\n");
    let output = run("fleet top-lines fleet -n 2 --format csv");
    assert_eq!(text(&output.stdout), "line,live_bytes\na.rs:1,1048576\n");
    // The command comes first.
    engine("duckdb", "echo \"no such column\" >&2; exit 1");
    let output = run("fleet top-lines fleet --where colour=1");
    assert_eq!(
        text(&output.stderr),
        "error: DuckDB fails: no such column\n"
    );
    assert_eq!(output.status.code(), Some(1));
}
