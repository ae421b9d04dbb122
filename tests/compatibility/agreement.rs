//! Totals compared with those of valgrind.

use std::process::Output;

use alloc_tests::{Tool, program};

/// Blocks and bytes allocated. A reallocation counts as a block of the new size.
type Total = (u64, u64);

/// What a case of a program allocates by valgrind's memcheck, including the start of the runtime.
fn total_by_valgrind(program: &str, case: &str) -> Option<Total> {
    let mut valgrind = Tool("valgrind").command("--version")?;
    valgrind.args([
        "--tool=memcheck",
        "--leak-check=no",
        "--undef-value-errors=no",
        program,
        case,
    ]);
    let output = valgrind
        .env_remove("ALLOC_TRACE")
        .output()
        .expect("valgrind runs");
    let summary = text(&output).1;
    assert!(output.status.success(), "{summary}");
    // total heap usage: 1,234 allocs, 1,233 frees, 567,890 bytes allocated
    let usage = summary
        .lines()
        .find_map(|line| line.split_once("total heap usage: "));
    let usage = usage
        .unwrap_or_else(|| panic!("no summary in {summary}"))
        .1
        .replace(',', "");
    let numbers = usage
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect::<Vec<u64>>();
    Some((numbers[0], numbers[2]))
}

/// What the workload alone allocates: the difference between the program with it and without it.
fn workload_by_valgrind(program: &str) -> Option<Total> {
    let with = total_by_valgrind(program, "some-of-everything")?;
    let without = total_by_valgrind(program, "nothing-whatsoever")?;
    Some((with.0 - without.0, with.1 - without.1))
}

fn text(output: &Output) -> (&str, &str) {
    let text = |bytes| str::from_utf8(bytes).expect("the program prints UTF-8");
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn memcheck_counts_the_same_blocks_and_bytes() {
    let Some(expected) = workload_by_valgrind(env!("CARGO_BIN_EXE_bare")) else {
        return;
    };
    let output = program(env!("CARGO_BIN_EXE_traced"), &["some-of-everything"], &[]);
    assert!(output.status.success(), "{}", text(&output).1);
    let found = text(&output).0.split_ascii_whitespace();
    let found = found
        .map(|number| number.parse().expect("a number"))
        .collect::<Vec<u64>>();
    assert_eq!((found[0], found[1]), expected);
    assert!(found[0] > 10_000 && found[2] > 10, "{found:?}");
}

/// The tracer allocates nothing on the program's heap while it records.
#[test]
fn memcheck_sees_nothing_that_the_tracer_allocated() {
    let total = |path, case| total_by_valgrind(path, case);
    let traced = env!("CARGO_BIN_EXE_traced");
    let Some(with) = total(traced, "grow-a-little") else {
        return;
    };
    let without = total(traced, "nothing-whatsoever").expect("valgrind is there");
    let expected = total(env!("CARGO_BIN_EXE_bare"), "grow-a-little").expect("valgrind is there");
    let nothing =
        total(env!("CARGO_BIN_EXE_bare"), "nothing-whatsoever").expect("valgrind is there");
    assert_eq!(with.0 - without.0, expected.0 - nothing.0);
    assert_eq!(with.1 - without.1, expected.1 - nothing.1);
}
