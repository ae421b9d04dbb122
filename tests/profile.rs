//! What `#[profile]` prints, against exact arithmetic.

use std::path::Path;

use alloc_tests::program;

const PROFILED: &str = env!("CARGO_BIN_EXE_profiled");
const SOURCE: &str = include_str!("programs/profiled.rs");

/// The number of the first line that has this text.
fn line(text: &str) -> usize {
    let at = SOURCE.lines().position(|line| line.contains(text));
    at.unwrap_or_else(|| panic!("no line has {text}")) + 1
}

#[test]
fn each_call_is_told_with_its_lines() {
    let output = program(PROFILED, &[], &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    let file = "tests/programs/profiled.rs";
    let head = |name: &str, attribute: usize, call: u32, rest: &str| {
        format!("profiled::{name} at {file}:{attribute}, call {call}: {rest}\n")
    };
    const COLUMNS: &str = "  line  allocated       held       peak  count  source\n";
    let row = |text: &str, numbers: &str| {
        let source = SOURCE.lines().nth(line(text) - 1).expect("a line").trim();
        format!("{:>6} {numbers}  {source}\n", line(text))
    };
    let of = |function: &str| line(function) - 1;
    let mut expected = String::new();
    expected += &head(
        "plain",
        of("fn plain"),
        1,
        "allocated 1100 B in 2 blocks, peak 1000 B, live 100 B in 1 block",
    );
    expected += COLUMNS;
    expected += &row("drop(block(10", "    1000 B          ·     1000 B      1");
    expected += &row("    block(size)", "     100 B      100 B      100 B      1");
    expected += &head(
        "plain",
        of("fn plain"),
        2,
        "allocated 77 B in 2 blocks, peak 70 B, live 7 B in 1 block",
    );
    expected += COLUMNS;
    expected += &row("drop(block(10", "      70 B          ·       70 B      1");
    expected += &row("    block(size)", "       7 B        7 B        7 B      1");
    expected += &head(
        "insert",
        of("pub fn insert"),
        1,
        "allocated 4 B in 1 block, peak 4 B, live 4 B in 1 block",
    );
    expected += COLUMNS;
    expected += &row(
        "self.0.push(value",
        "       4 B        4 B        4 B      1",
    );
    // Generic functions are one.
    expected += &head(
        "insert",
        of("pub fn insert"),
        2,
        "allocated 5 B in 1 block, peak 5 B, live 5 B in 1 block",
    );
    expected += COLUMNS;
    expected += &row(
        "return Err(\"empty\"",
        "       5 B        5 B        5 B      1",
    );
    expected += &head(
        "later",
        of("async fn later"),
        1,
        "allocated 2000 B in 2 blocks, peak 2000 B, live 1000 B in 1 block",
    );
    expected += COLUMNS;
    expected += &row(
        "let kept = block(size)",
        "    1000 B     1000 B     1000 B      1",
    );
    expected += &row("check(size)?", "    1000 B          ·     1000 B      1");
    // A block of no bytes is none.
    expected += &head(
        "later",
        of("async fn later"),
        2,
        "allocated 4 B in 1 block, peak 4 B, live 4 B in 1 block",
    );
    expected += COLUMNS;
    expected += &row("check(size)?", "       4 B        4 B        4 B      1");
    expected += &head(
        "nothing",
        of("async fn nothing"),
        1,
        "allocated 0 B in 0 blocks, peak 0 B, live 0 B in 0 blocks",
    );
    // Closures are the function's, what it calls is not.
    expected += &head(
        "parse::parse",
        of("pub fn parse"),
        1,
        "allocated 50 B in 2 blocks, peak 30 B, live 30 B in 1 block",
    );
    expected += COLUMNS;
    expected += &row(
        "let read = |size|",
        "      20 B          ·       20 B      1",
    );
    expected += &row(
        "        read(size);",
        "      20 B          ·       20 B      1",
    );
    expected += &row(
        "        read_all(size)",
        "      30 B       30 B       30 B      1",
    );
    assert_eq!(text, expected);
}

#[test]
fn without_tracing_nothing_is_told() {
    let output = program(PROFILED, &["off"], &[]);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let traced = program(PROFILED, &["on"], &[("ALLOC_TRACE", Path::new("8"))]);
    assert!(!traced.stderr.is_empty());
}
