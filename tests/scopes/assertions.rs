//! Assertions in tests, as the author of a library writes them. Sixty tests have exact budgets:
//! under libtest, which runs them in threads of one process, they hold each time. Off by one byte,
//! each fails and names its own line.

use std::process::{Command, Output};

use alloc_core::{
    Amount, TraceAlloc, assert_memory, assert_no_alloc, assert_no_growth, assert_no_leak,
    assert_peak, measure,
};
use alloc_tests::Source;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const HERE: Source = alloc_tests::source!();

/// One if all budgets are to be wrong by a byte.
fn off() -> u64 {
    u64::from(std::env::var_os("BUDGETS_ARE_OFF").is_some())
}

/// Works like a parser: a buffer, words that are kept, and a list that grows.
#[inline(never)]
fn parse(size: usize) -> Vec<String> {
    let text = "word ".repeat(size);
    let mut words = Vec::new();
    for word in text.split(' ').take(8) {
        words.push(word.to_owned());
    }
    words
}

macro_rules! budgets {
    ($($name:ident = $size:literal)*) => {
        $(
            #[test]
            fn $name() {
                // The text, eight words of four letters, and room for four strings and then for
                // eight. A block that grows is in one place at a time.
                let peak = 5 * $size + 8 * 4 + 8 * 24;
                let words = assert_memory!(
                    parse($size),
                    peak <= (peak - off()),
                    allocations == 11,
                    allocated == (5 * $size + 8 * 4 + 4 * 24 + 8 * 24_u64),
                    reallocations == 1,
                    leaked == (8 * 4 + 8 * 24_u64),
                );
                assert_eq!(words.len(), 8);
            }
        )*
    };
}

budgets! {
    budget_01 = 100 budget_02 = 200 budget_03 = 300 budget_04 = 400 budget_05 = 500
    budget_06 = 100 budget_07 = 200 budget_08 = 300 budget_09 = 400 budget_10 = 500
    budget_11 = 101 budget_12 = 201 budget_13 = 301 budget_14 = 401 budget_15 = 501
    budget_16 = 102 budget_17 = 202 budget_18 = 302 budget_19 = 402 budget_20 = 502
    budget_21 = 103 budget_22 = 203 budget_23 = 303 budget_24 = 403 budget_25 = 503
    budget_26 = 104 budget_27 = 204 budget_28 = 304 budget_29 = 404 budget_30 = 504
    budget_31 = 105 budget_32 = 205 budget_33 = 305 budget_34 = 405 budget_35 = 505
    budget_36 = 106 budget_37 = 206 budget_38 = 306 budget_39 = 406 budget_40 = 506
    budget_41 = 107 budget_42 = 207 budget_43 = 307 budget_44 = 407 budget_45 = 507
    budget_46 = 1_000 budget_47 = 2_000 budget_48 = 3_000 budget_49 = 4_000 budget_50 = 5_000
    budget_51 = 10_000 budget_52 = 20_000 budget_53 = 30_000 budget_54 = 40_000 budget_55 = 50_000
    budget_56 = 100 budget_57 = 200 budget_58 = 300 budget_59 = 400 budget_60 = 500
}

const BUDGETS: usize = 60;

fn again(arguments: &[&str], off: bool) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command
        .args(arguments)
        .env("RUST_BACKTRACE", "0")
        .env_remove("BUDGETS_ARE_OFF");
    if off {
        command.env("BUDGETS_ARE_OFF", "1");
    }
    command.output().expect("this program runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn all_budgets_hold_in_every_way_to_run_them() {
    let busy = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|threads| {
        // A busy neighbour takes one processor.
        threads.spawn(|| {
            while busy.load(std::sync::atomic::Ordering::Relaxed) {
                drop(std::hint::black_box(parse(1_000)));
            }
        });
        for how in ["--test-threads=1", "--test-threads=64", "--quiet"] {
            for round in 0..50 {
                let output = again(&["budget_", how], false);
                assert!(
                    output.status.success(),
                    "{how}, round {round}: {}",
                    text(&output)
                );
                assert!(text(&output).contains("60 passed"), "{}", text(&output));
            }
        }
        // Each test in its own process, as under nextest.
        for number in 1..=BUDGETS {
            let output = again(&["--exact", &format!("budget_{number:02}")], false);
            assert!(
                output.status.success() && text(&output).contains("1 passed"),
                "{}",
                text(&output)
            );
        }
        busy.store(false, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn off_by_one_byte_all_fail_and_name_their_lines() {
    let output = again(&["budget_"], true);
    let text = text(&output);
    assert!(text.contains("0 passed; 60 failed"), "{text}");
    assert_eq!(
        text.matches(&format!(" panicked at {}:", HERE.file))
            .count(),
        BUDGETS,
        "{text}"
    );
    assert_eq!(text.matches(": 1 B too much\n").count(), BUDGETS, "{text}");
    // The text and the grown list are both reported, each with its line.
    assert!(
        text.matches(&format!("held at the peak by\n    {}:", HERE.file))
            .count()
            >= 2 * BUDGETS
    );
}

/// The message of a failure, without the place, which is the macro's caller.
#[track_caller]
fn message(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(work).expect_err("it fails");
    let owned = panic.downcast_ref::<String>().cloned();
    owned.expect("a message")
}

#[inline(never)]
fn large() -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(3000)) // mark: large
}

#[test]
fn a_failure_says_by_how_much_and_on_which_lines() {
    let text = message(|| drop(assert_peak!((large(), large()), <= 4 KiB))); // mark: failure
    let name =
        "assertions::a_failure_says_by_how_much_and_on_which_lines::{{closure}}::{{closure}}";
    let file = HERE.file;
    let stack = format!(
        "  6000 B in 2 blocks held at the peak by\n    \
             {file}:{} assertions::large\n    \
             {file}:{} {name}",
        HERE.line("large"),
        HERE.line("failure"),
    );
    let head = "peak: expected at most 4096 B, found 6000 B: 1904 B too much";
    // The two calls on one line are not distinguished.
    assert_eq!(text, format!("{head}\n{stack}"));
}

#[inline(never)]
fn sized(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}

/// The two blocks differ in the column alone.
#[test]
fn stacks_that_look_alike_are_one() {
    #[rustfmt::skip]
    let work = || (sized(1000), sized(2000), large());
    let text = message(|| drop(assert_memory!(work(), allocated == 0 B)));
    let stacks: Vec<&str> = text
        .lines()
        .filter(|it| it.starts_with("  3000 B"))
        .collect();
    assert_eq!(
        stacks,
        [
            "  3000 B in 2 blocks allocated by",
            "  3000 B in 1 block allocated by",
        ],
        "{text}"
    );
}

/// Allocates a mebibyte on another thread.
fn started() {
    let work = || drop(std::hint::black_box(vec![1_u8; 1 << 20]));
    std::thread::spawn(work).join().expect("no panic");
}

#[test]
fn work_that_starts_threads_is_counted_or_refused() {
    let refused = "this work started threads; use `threads = \"all\"` to count what they do, or \
                   `threads = \"own\"` to leave it out";
    let scoped = || std::thread::scope(|threads| drop(threads.spawn(large)));
    for text in [
        message(|| assert_peak!(started(), <= 64 KiB)),
        message(|| assert_peak!(started(), <= 64 MiB)),
        message(|| assert_memory!(scoped(), peak <= 64 KiB)),
        message(|| assert_no_leak!(started())),
        message(|| assert_no_growth!(rounds = 2, started)),
        message(|| alloc_core::assert_memory_snapshot!("threads", started())),
    ] {
        assert_eq!(text, refused);
    }
    let counted = message(|| assert_peak!(started(), <= 64 KiB, threads = "all"));
    let (head, rest) = counted.split_once('\n').expect("lines");
    assert!(
        head.starts_with("peak: expected at most 64.0 KiB (65536 B), found ")
            && rest.starts_with(&format!(
                "  1024 KiB in 1 block held at the peak by\n    {}:",
                HERE.file
            )),
        "{counted}"
    );
    assert_peak!(started(), <= 64 KiB, threads = "own");
    assert_memory!(started(), peak >= 1 MiB, threads = "all");
    assert_no_growth!(rounds = 2, threads = "own", started);
    assert_no_growth!(rounds = 2, warmup = 2, threads = "all", started);
}

/// Other threads do not count: neither those of other tests, nor those from before the work.
#[test]
fn only_threads_of_the_work_are_refused() {
    let (sender, receiver) = std::sync::mpsc::channel::<Vec<u8>>();
    let busy = std::sync::atomic::AtomicBool::new(true);
    let is_busy = || busy.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|threads| {
        threads.spawn(|| receiver.into_iter().for_each(drop));
        for _ in 0..3 {
            threads.spawn(|| {
                while is_busy() {
                    std::thread::spawn(|| drop(large()))
                        .join()
                        .expect("no panic");
                }
            });
        }
        for _ in 0..300 {
            assert_memory!(
                {
                    // The block is freed on another thread, which the work did not start.
                    let sent = large();
                    alloc_core::untraced(|| sender.send(sent)).expect("a receiver");
                },
                allocations == 1
            );
        }
        drop(sender);
        busy.store(false, std::sync::atomic::Ordering::Relaxed);
    });
}

#[alloc_core::memory_test(peak = "64 MiB")]
#[should_panic(expected = "this work started threads; use `threads = \"all\"`")]
fn a_test_that_starts_threads_is_refused() {
    started();
}

#[test]
fn each_limit_says_what_it_is_on() {
    for (text, expected) in [
        (
            message(|| drop(assert_memory!(large(), allocations == 0))),
            "allocations: expected 0, found 1: 1 too many\n  3000 B in 1 block allocated by\n",
        ),
        (
            message(|| drop(assert_memory!(large(), allocations >= 3))),
            "allocations: expected at least 3, found 1: 2 too few\n",
        ),
        (
            message(|| drop(assert_memory!(large(), allocated >= 1 MiB))),
            "allocated: expected at least 1024 KiB (1048576 B), found 3000 B: 1021 KiB (1045576 B) too little\n",
        ),
        (
            message(|| drop(assert_memory!(large(), allocated == 3001 B))),
            "allocated: expected 3001 B, found 3000 B: 1 B too little\n",
        ),
        (
            message(|| drop(assert_memory!(large(), leaked <= 2 KiB, peak >= 2 KiB))),
            "leaked: expected at most 2048 B, found 3000 B: 952 B too much\n  3000 B in 1 block still held by\n",
        ),
        (
            message(|| drop(assert_no_alloc!(large()))),
            "allocations: expected 0, found 1: 1 too many\n",
        ),
        (
            message(|| drop(assert_no_leak!(large()))),
            "leaked: expected 0 B, found 3000 B: 3000 B too much\n",
        ),
    ] {
        assert!(text.starts_with(expected), "{text}");
    }
    // Two limits make two sentences, and each list of lines appears once.
    let text = message(|| drop(assert_memory!(large(), allocations == 0, allocated == 0 B)));
    assert_eq!(
        text.matches("3000 B in 1 block allocated by").count(),
        1,
        "{text}"
    );
    assert!(
        text.contains("allocations: ") && text.contains("allocated: "),
        "{text}"
    );
}

#[test]
fn values_are_returned_and_borrows_end() {
    let mut list = vec![1, 2, 3];
    let sum: i32 = assert_no_alloc!(list.iter().sum());
    assert_eq!(sum, 6);
    let last = assert_memory!(list.pop(), allocations == 0, leaked == 0 B);
    assert_eq!((last, list.len()), (Some(3), 2));
    const BUDGET: alloc_core::Bytes = alloc_core::Bytes::kib(4);
    drop(assert_peak!(large(), <= (BUDGET)));
    drop(assert_peak!(large(), == 3_000 B));
}

/// A cache without a bound, one with a bound, and a list that grows now and then.
#[derive(Default)]
struct Service {
    unbounded: Vec<Vec<u8>>,
    bounded: std::collections::VecDeque<Vec<u8>>,
    numbers: Vec<u8>,
}

impl Service {
    fn bounded(&mut self) {
        if self.bounded.len() == 3 {
            self.bounded.pop_front();
        }
        self.bounded.push_back(vec![0; 1000]);
        self.numbers.push(0);
    }

    fn unbounded(&mut self) {
        self.bounded();
        self.unbounded.push(vec![0; 100]);
    }
}

#[test]
fn what_grows_in_every_round_is_reported() {
    let mut service = Service::default();
    assert_no_growth!(rounds = 6, warmup = 4, || service.bounded());
    assert_no_growth!(rounds = 6, || drop(large()));

    let mut service = Service::default();
    let text = message(std::panic::AssertUnwindSafe(|| {
        assert_no_growth!(rounds = 3, warmup = 4, || service.unbounded());
    }));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "1 line holds more after each of 3 rounds");
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[1].ends_with("::unbounded: 400 B, 500 B, 600 B, 700 B"),
        "{text}"
    );
}

#[test]
fn other_threads_neither_count_nor_are_hindered() {
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| (0..200).for_each(|_| drop(parse(50))));
        }
        for _ in 0..200 {
            drop(assert_memory!(large(), allocations == 1, peak == 3_000 B));
        }
    });
}

/// Allocates sixteen kilobytes in total, and frees all of them.
#[alloc_core::memory_test(peak = "10 KiB", leaked = 0, allocations = 2, allocated = 16_000)]
fn an_attribute_keeps_a_test_to_its_limits() {
    drop(std::hint::black_box(vec![1_u8; 10_000]));
    drop(std::hint::black_box(vec![1_u8; 6_000]));
}

#[alloc_core::memory_test(peak = 9_999)]
#[should_panic(expected = "peak: expected at most 9999 B, found 10000 B: 1 B too much")]
fn an_attribute_fails_a_test_that_does_not() {
    drop(std::hint::black_box(vec![1_u8; 10_000]));
}

#[alloc_core::memory_test(leaked = "0 B")]
#[should_panic(expected = "leaked: expected at most 0 B, found 10 B: 10 B too much")]
fn what_a_test_leaks_is_reported() {
    std::mem::forget(std::hint::black_box(vec![1_u8; 10]));
}

#[alloc_core::memory_test(leaked = 0)]
fn a_test_may_return_a_result() -> Result<(), std::num::ParseIntError> {
    let number: i32 = "12".to_owned().parse()?;
    assert_eq!(number, 12);
    Ok(())
}

#[alloc_core::memory_test(allocations = 1)]
#[test]
fn a_test_that_is_one_already_is_no_other() {
    drop(large());
}

/// The test harness keeps printed text in memory, on this thread. With `--nocapture` it does not.
#[test]
fn what_is_printed_does_not_count() {
    /// Formatting allocates memory of its own, which counts.
    struct Shown;
    impl std::fmt::Display for Shown {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&"shown".repeat(4))
        }
    }
    // Without a harness, standard output allocates its buffer once in a process.
    println!("first");
    assert_memory!(
        for round in 0..100 {
            println!("round {round}: {Shown}");
            eprintln!("round {round}");
        },
        allocations == 100,
        allocated == 2_000 B,
        leaked == 0 B,
    );
    let usage = measure(|| (0..100).for_each(|round| println!("round {round}: {Shown}"))).usage;
    assert_eq!(usage.allocated, Amount::new(2_000, 100));
    assert_eq!(usage.peak, Amount::new(20, 1));
}

#[test]
fn what_is_printed_does_not_count_without_a_harness() {
    for how in ["--nocapture", "--test-threads=1"] {
        let output = again(&["--exact", "what_is_printed_does_not_count", how], false);
        assert!(
            output.status.success() && text(&output).contains("1 passed"),
            "{}",
            text(&output)
        );
    }
}
