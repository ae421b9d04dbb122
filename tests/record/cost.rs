//! What the tracer costs in memory, and what it does not change.

use std::path::Path;

use alloc_tests::program;

const BARE: &str = env!("CARGO_BIN_EXE_bare");
const TRACED: &str = env!("CARGO_BIN_EXE_traced");

/// The numbers that a case prints with `ALLOC_TRACE` set to `frames`.
fn numbers(path: &str, case: &str, frames: &str) -> Vec<u64> {
    let output = program(path, &[case], &[("ALLOC_TRACE", Path::new(frames))]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    let stdout = String::from_utf8(output.stdout).expect("it prints UTF-8");
    let numbers = stdout.split_ascii_whitespace();
    numbers.map(|it| it.parse().expect("a number")).collect()
}

/// At most 15 % of the live heap and 16 MiB, with 200 MiB live in blocks of 48 to 128 bytes.
#[test]
fn memory_on_top_of_a_heap_of_small_blocks() {
    let (bare, traced) = std::thread::scope(|scope| {
        let bare = scope.spawn(|| numbers(BARE, "records", ""));
        let traced = numbers(TRACED, "records", "");
        (bare.join().expect("the bare program runs"), traced)
    });
    let ([bare, bare_files], [traced, files, live, tables]) = (&bare[..], &traced[..]) else {
        panic!("two numbers and four");
    };
    assert!(*live >= 200 << 20, "{live}");
    let allowed = live * 15 / 100 + (16 << 20);
    let on_top = traced - bare;
    println!("live {live}, on top {on_top}, tables {tables}, allowed {allowed}");
    assert!(
        on_top <= allowed,
        "{on_top} bytes on top of {live}, allowed {allowed}"
    );
    assert!(
        *tables <= allowed,
        "{tables} bytes of tables for {live}, allowed {allowed}"
    );
    // The tracer's own figure agrees with the system's: code and constants are no tables, and a MiB is
    // for stacks and what the loader keeps.
    let code = files - bare_files;
    println!("code {code}");
    assert!(
        (on_top - code).abs_diff(*tables) <= 1 << 20,
        "{on_top} bytes on top, {code} of them code, {tables} said"
    );
}

/// Tracing begins before `main`, so the heap is the same in both programs.
#[test]
fn a_growing_vec_moves_as_often_as_without_the_tracer() {
    let moves = numbers(BARE, "grow", "");
    assert!(moves[0] > 1, "{moves:?}");
    assert_eq!(numbers(TRACED, "grow", "32"), moves);
}
