//! Baselines of what a piece of work allocates: written, kept, and compared.

use std::path::PathBuf;
use std::process::{Command, Output};

use alloc_core::{TraceAlloc, assert_memory_snapshot};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// How many words there are in addition to those of the baseline.
fn more() -> usize {
    std::env::var("MORE_WORDS").map_or(0, |it| it.parse().expect("a number"))
}

#[inline(never)]
fn words(n: usize) -> Vec<String> {
    let mut words = Vec::with_capacity(n);
    for _ in 0..n {
        words.push("word".to_owned());
    }
    words
}

#[inline(never)]
fn joined(words: &[String]) -> String {
    // NOTE: not the last call, which would be a jump and leave this function off the stack.
    std::hint::black_box(words.join(" "))
}

/// Its baseline in `memory` is part of the repository.
#[test]
fn words_are_as_before() {
    let n = 10 + more();
    let text = assert_memory_snapshot!("words", { joined(&words(n)) });
    assert!(text.starts_with("word word"));
}

/// The words, made by a future.
#[test]
fn async_words_are_as_before() {
    let n = 10 + more();
    let mut test = std::pin::pin!(async {
        let words = async || words(n);
        assert_memory_snapshot!("async words", async { joined(&words().await) })
    });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(text) = test.as_mut().poll(&mut context) else {
        panic!("nothing is waited for");
    };
    assert!(text.starts_with("word word"));
}

#[test]
fn within_five_per_cent() {
    let n = 100 + more();
    assert_memory_snapshot!("hundred words", tolerance = 5 %, { drop(words(n)) });
}

#[test]
#[ignore = "it is run by the test below"]
fn never_blessed() {
    assert_memory_snapshot!("never", drop(words(1)));
}

fn again(test: &str, variables: &[(&str, &str)]) -> Output {
    Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", test, "--include-ignored"])
        .envs(variables.iter().copied())
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("this program runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn one_more_word_is_reported_by_function() {
    let output = again("words_are_as_before", &[("MORE_WORDS", "1")]);
    assert!(!output.status.success());
    let text = text(&output);
    // Ten words of four letters, room for ten strings, and the text, each with one more.
    let (old, new) = (10 * 4 + 10 * 24 + 49, 11 * 4 + 11 * 24 + 54);
    for line in [
        format!(
            "  allocated: expected {old} B, found {new} B (+{})",
            new - old
        ),
        "  allocations: expected 12, found 13 (+1)".to_owned(),
        "words: expected 280 B, found 308 B (+28)".to_owned(),
        // A function that is inlined has another name.
        ": expected 49 B, found 54 B (+5)".to_owned(),
        "ALLOC_BLESS=1 in the environment rewrites it".to_owned(),
    ] {
        assert!(text.contains(&line), "no {line} in {text}");
    }
    // Four words of a hundred are within five per cent, six are not.
    assert!(
        again("within_five_per_cent", &[("MORE_WORDS", "4")])
            .status
            .success()
    );
    assert!(
        !again("within_five_per_cent", &[("MORE_WORDS", "6")])
            .status
            .success()
    );
}

#[test]
fn a_baseline_that_is_not_there_is_written_on_demand() {
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("scopes/memory")
        .join(format!("baselines-never.{build}.txt"));
    let missing = again("never_blessed", &[]);
    assert!(!missing.status.success() && !path.exists());
    assert!(
        text(&missing).contains("; ALLOC_BLESS=1 in the environment writes it"),
        "{missing:?}"
    );
    assert!(
        again("never_blessed", &[("ALLOC_BLESS", "1")])
            .status
            .success()
    );
    assert!(again("never_blessed", &[]).status.success());
    let written = std::fs::read_to_string(&path).expect("a file");
    std::fs::write(&path, written.replace("allocations", "alloctions")).expect("a file");
    let damaged = again("never_blessed", &[]);
    std::fs::remove_file(&path).expect("it is there");
    assert!(text(&damaged).contains("baselines-never."), "{damaged:?}");
    assert!(
        text(&damaged).contains(":2: expected a number"),
        "{damaged:?}"
    );
}
