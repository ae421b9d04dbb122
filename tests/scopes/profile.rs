//! What `#[profile]` prints, as a whole.

use std::path::Path;

use alloc_tests::program;
use expect_test::expect;

const PROFILED: &str = env!("CARGO_BIN_EXE_profiled");

/// Prints one table for each call. Generic functions are one function, a block of no bytes is none,
/// and a closure belongs to its function, while a function that it calls does not.
#[test]
fn each_call_prints_its_lines() {
    let output = program(PROFILED, &[], &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    expect![[r#"
        profiled::plain at tests/programs/profiled.rs:11, call 1: allocated 1100 B in 2 blocks, peak 1000 B, live 100 B in 1 block
          line  allocated       held       peak  count  source
            13     1000 B          ·     1000 B      1  drop(block(10 * size));
            14      100 B      100 B      100 B      1  block(size)
        profiled::plain at tests/programs/profiled.rs:11, call 2: allocated 77 B in 2 blocks, peak 70 B, live 7 B in 1 block
          line  allocated       held       peak  count  source
            13       70 B          ·       70 B      1  drop(block(10 * size));
            14        7 B        7 B        7 B      1  block(size)
        profiled::insert at tests/programs/profiled.rs:21, call 1: allocated 4 B in 1 block, peak 4 B, live 4 B in 1 block
          line  allocated       held       peak  count  source
            29        4 B        4 B        4 B      1  self.0.push(value.as_ref().to_vec());
        profiled::insert at tests/programs/profiled.rs:21, call 2: allocated 5 B in 1 block, peak 5 B, live 5 B in 1 block
          line  allocated       held       peak  count  source
            27        5 B        5 B        5 B      1  return Err("empty".to_owned());
        profiled::later at tests/programs/profiled.rs:34, call 1: allocated 2000 B in 2 blocks, peak 2000 B, live 1000 B in 1 block
          line  allocated       held       peak  count  source
            36     1000 B     1000 B     1000 B      1  let kept = block(size);
            38     1000 B          ·     1000 B      1  let text = check(size)?;
        profiled::later at tests/programs/profiled.rs:34, call 2: allocated 4 B in 1 block, peak 4 B, live 4 B in 1 block
          line  allocated       held       peak  count  source
            38        4 B        4 B        4 B      1  let text = check(size)?;
        profiled::nothing at tests/programs/profiled.rs:43, call 1: allocated 0 B in 0 blocks, peak 0 B, live 0 B in 0 blocks
        profiled::parse::parse at tests/programs/profiled.rs:50, call 1: allocated 50 B in 2 blocks, peak 30 B, live 30 B in 1 block
          line  allocated       held       peak  count  source
            52       20 B          ·       20 B      1  let read = |size| drop(super::block(2 * size));
            53       20 B          ·       20 B      1  read(size);
            54       30 B       30 B       30 B      1  read_all(size)
    "#]].assert_eq(&text);
}

#[test]
fn nothing_is_printed_without_tracing() {
    let output = program(PROFILED, &["off"], &[]);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let traced = program(PROFILED, &["on"], &[("ALLOC_TRACE", Path::new("8"))]);
    assert!(!traced.stderr.is_empty());
}
