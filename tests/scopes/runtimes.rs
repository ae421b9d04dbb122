//! Scopes on the threads of tokio and rayon, compared with exact arithmetic. The tests run side by
//! side under libtest.

use std::future::poll_fn;
use std::task::{Context, Poll};

use alloc_core::{
    Amount, Scope, ScopeHandle, TraceAlloc, Usage, assert_memory, assert_no_alloc,
    assert_no_growth, assert_no_leak, assert_peak, measure_future,
};
use alloc_tests::Source;
use rayon::prelude::*;
use tokio::sync::mpsc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const HERE: Source = alloc_tests::source!();

fn block(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}

fn tokio(workers: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(workers)
        .enable_time()
        .build()
        .expect("a runtime")
}

/// Allocates on the thread that polls it, and yields after each round.
async fn work(rounds: usize, size: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        drop(block(10 * size));
        kept.push(block(size));
        yield_once().await;
    }
    kept
}

/// Yields once. Tokio's `yield_now` allocates now and then to queue its task.
async fn yield_once() {
    let mut yielded = false;
    let poll = |context: &mut Context<'_>| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    };
    poll_fn(poll).await;
}

/// What `work` allocates: its list, and two blocks in each round, of which it keeps one.
fn of_work(rounds: u64, size: u64) -> (Amount, Amount) {
    let list = 24 * rounds;
    (
        Amount::new(list + 11 * size * rounds, 1 + 2 * rounds),
        Amount::new(list + size * rounds, 1 + rounds),
    )
}

#[test]
fn a_future_is_measured_wherever_it_is_polled() {
    let runtime = tokio(4);
    // Other tasks do not count.
    let others: Vec<_> = (0..8).map(|_| runtime.spawn(work(200, 99))).collect();
    let measured: Vec<_> = (1..=8)
        .map(|size| runtime.spawn(async move { measure_future(work(100, size)).await }))
        .collect();
    for (task, size) in measured.into_iter().zip(1..) {
        let measured = runtime
            .block_on(task)
            .expect("no panic")
            .expect("a measure");
        let (allocated, current) = of_work(100, size);
        assert_eq!(measured.usage.allocated, allocated);
        assert_eq!(measured.usage.current, current);
        // In the last round the second block is live, too.
        assert_eq!(measured.usage.peak.bytes, current.bytes + (9 * size).into());
    }
    others.into_iter().for_each(|it| drop(runtime.block_on(it)));
}

#[test]
fn tasks_that_a_scope_spawns_share_it() {
    let runtime = tokio(4);
    let handle = ScopeHandle::new().expect("a scope");
    // The tasks themselves are allocated outside of the scope.
    let tasks: Vec<_> = (0..50)
        .map(|_| runtime.spawn(handle.instrument(work(20, 7))))
        .collect();
    let kept: Vec<_> = tasks
        .into_iter()
        .map(|it| runtime.block_on(it).expect("no panic"))
        .collect();
    let (allocated, current) = of_work(20, 7);
    let times = |it: Amount| Amount::new(50 * it.bytes.get(), 50 * it.blocks);
    let usage = handle.usage().expect("a usage");
    assert_eq!(
        (usage.allocated, usage.current),
        (times(allocated), times(current))
    );
    assert!(usage.peak.bytes >= times(current).bytes);
    drop(kept);
    assert_eq!(handle.usage().expect("a usage").current, Amount::default());
}

#[test]
fn what_is_sent_belongs_to_the_sender_s_scope() {
    let runtime = tokio(2);
    let (sender, mut receiver) = mpsc::unbounded_channel::<Vec<u8>>();
    let receiving = runtime.spawn(async move {
        let mut received = 0;
        while let Some(block) = receiver.recv().await {
            received += block.capacity();
        }
        received
    });
    let handle = ScopeHandle::new().expect("a scope");
    let sending = handle.instrument(async move {
        for _ in 0..100 {
            let block = block(1000);
            // The channel's own memory is not part of the arithmetic.
            alloc_core::untraced(|| sender.send(block).expect("it is received"));
            yield_once().await;
        }
    });
    runtime.block_on(sending);
    assert_eq!(runtime.block_on(receiving).expect("no panic"), 100_000);
    let usage = handle.usage().expect("a usage");
    assert_eq!(usage.allocated, Amount::new(100_000, 100));
    assert_eq!(
        usage.freed, usage.allocated,
        "on another thread, and counted"
    );
}

#[test]
fn a_future_that_is_dropped_before_its_end_is_counted_to_its_end() {
    let runtime = tokio(2);
    let handle = ScopeHandle::new().expect("a scope");
    let task = runtime.spawn(handle.instrument(async {
        let _kept = work(5, 100).await;
        std::future::pending::<()>().await;
    }));
    while handle.usage().expect("a usage").current.blocks < 6 {
        std::thread::yield_now();
    }
    task.abort();
    assert!(
        runtime
            .block_on(task)
            .expect_err("it was ended")
            .is_cancelled()
    );
    let usage = handle.usage().expect("a usage");
    assert_eq!(
        (usage.allocated, usage.current),
        (of_work(5, 100).0, Amount::default())
    );
}

#[test]
fn closures_of_a_parallel_iterator_run_in_a_scope() {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .expect("a pool");
    let scope = Scope::enter().expect("a scope");
    let handle = scope.handle();
    let before = scope.usage().expect("a usage");
    let kept: Vec<Vec<u8>> = alloc_core::untraced(|| {
        pool.install(|| {
            let parse = |size: usize| handle.run(|| (block(2 * size), block(size)).1);
            (1..=1000).into_par_iter().map(parse).collect()
        })
    });
    let sum = 1000 * 1001 / 2;
    let after = scope.usage().expect("a usage");
    assert_eq!(before, Usage::default());
    assert_eq!(after.allocated, Amount::new(3 * sum, 2000));
    assert_eq!(after.current, Amount::new(sum, 1000));
    drop(kept);
}

#[test]
fn a_pool_whose_threads_live_in_a_scope_is_counted_whole() {
    let handle = ScopeHandle::new().expect("a scope");
    let inside = handle.clone();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .spawn_handler(move |thread| {
            let handle = inside.clone();
            std::thread::Builder::new()
                .spawn(move || handle.run(|| thread.run()))
                .map(drop)
        })
        .build()
        .expect("a pool");
    pool.install(|| {
        (1..=1000_usize)
            .into_par_iter()
            .for_each(|size| drop(block(size)))
    });
    let usage = handle.usage().expect("a usage");
    // Rayon allocates some memory of its own.
    assert!(
        usage.allocated.bytes >= 1000 * 1001 / 2 && usage.allocated.blocks >= 1000,
        "{usage}"
    );
}

#[alloc_core::memory_test(peak = 1_560, leaked = 0, allocations = 21, threads = "own")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_async_test_keeps_to_its_limits() {
    // Room for ten vectors, ten blocks of sixty bytes, and the last of six hundred: see `of_work`.
    drop(work(10, 60).await);
}

#[alloc_core::memory_test(peak = "1 KiB")]
#[tokio::test]
#[should_panic(expected = "peak: expected at most 1024 B, found 1380 B: 356 B too much")]
async fn an_async_test_that_does_not_fails() {
    drop(work(10, 60).await);
}

/// Allocates a megabyte in a task on any thread of the runtime.
async fn megabyte_in_a_task() {
    let task = tokio::spawn(async { drop(block(1_000_000)) });
    task.await.expect("no panic");
}

#[alloc_core::memory_test(peak = "100 KiB", threads = "own")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_own_threads_only_the_test_s_own_future_counts() {
    megabyte_in_a_task().await;
}

#[alloc_core::memory_test(peak = "100 KiB")]
#[tokio::test]
#[should_panic(
    expected = "  977 KiB in 1 block held at the peak by\n    tests/scopes/runtimes.rs:"
)]
async fn tasks_on_the_test_s_thread_count() {
    megabyte_in_a_task().await;
}

#[alloc_core::memory_test(peak = "10 MiB")]
#[tokio::test]
#[should_panic(expected = "this work started threads; use `threads = \"all\"`")]
async fn an_async_test_that_starts_threads_is_refused() {
    let task = tokio::task::spawn_blocking(|| drop(block(1_000_000)));
    task.await.expect("no panic");
}

#[alloc_core::memory_test(peak = "100 KiB", threads = "all")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(
    expected = "  977 KiB in 1 block held at the peak by\n    tests/scopes/runtimes.rs:"
)]
async fn tasks_count_with_all_threads() {
    megabyte_in_a_task().await;
}

#[alloc_core::memory_test(peak = "1500 KiB", leaked = "1 KiB", threads = "all")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
/// The runtime keeps its waker in a thread-local of the test's thread.
async fn a_runtime_s_threads_keep_to_limits() -> Result<(), tokio::task::JoinError> {
    tokio::spawn(megabyte_in_a_task()).await
}

/// Parentheses in the visibility and in the return type are no arguments.
#[alloc_core::memory_test(peak = "100 KiB", threads = "all")]
#[tokio::test]
pub(crate) async fn a_test_with_other_parentheses_has_no_arguments() -> Result<(), (u8, u8)> {
    drop(block(100));
    Ok(())
}

#[alloc_core::memory_test(peak = "1 MiB", threads = "all")]
fn a_pool_of_the_test_s_own_counts() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build();
    let each = |size: usize| drop(block(size));
    pool.expect("a pool")
        .install(|| (1..=1000_usize).into_par_iter().for_each(each));
}

#[alloc_core::memory_test(allocated = 500_499, threads = "all")]
#[should_panic(expected = "allocated: expected at most 489 KiB (500499 B), found ")]
fn a_pool_of_the_test_s_own_fails_it() {
    a_pool_of_the_test_s_own_counts();
}

#[alloc_core::memory_test(leaked = 0, threads = "own")]
fn other_threads_of_the_test_may_do_as_they_like() {
    let kept = alloc_core::untraced(|| std::thread::spawn(|| block(1000)).join());
    std::mem::forget(kept);
}

#[alloc_core::memory_test(peak = 60)]
#[rstest::rstest]
#[case(30)]
#[case(60)]
fn each_case_keeps_to_the_limits(#[case] size: usize) {
    drop(block(size));
}

#[alloc_core::memory_test(peak = 60)]
#[rstest::rstest]
#[should_panic(expected = "peak: expected at most 60 B, found 61 B: 1 B too much")]
fn each_value_that_does_not_fails(#[values(61)] size: usize) {
    drop(block(size));
}

#[alloc_core::memory_test(peak = 60)]
#[rstest::rstest]
#[case(60)]
#[tokio::test]
async fn an_async_case_keeps_to_the_limits(#[case] size: usize) {
    drop(block(size));
}

#[tokio::test]
async fn async_work_is_awaited_and_counted() {
    let kept = assert_memory!(
        async work(10, 60),
        peak == 1_380 B,
        allocations == 21,
        leaked == 840 B,
    );
    assert_eq!(kept.len(), 10);
    let mut rounds = 0;
    let length = assert_peak!(
        async {
            rounds += 1;
            work(rounds, 60).await.len()
        },
        <= 700 B
    );
    assert_eq!((length, rounds), (1, 1));
    assert_no_alloc!(async move { drop(kept) });
    assert_no_alloc!(async yield_once());
    assert_no_leak!(async { drop(work(10, 60).await) });
    assert_no_growth!(rounds = 3, async || drop(work(10, 60).await));
}

/// Tests that fail. The test below reads their output.
mod failing {
    use super::{block, work};

    #[alloc_core::memory_test(allocations = 20)] // mark: attribute
    #[tokio::test]
    #[ignore = "it is run by the test below"]
    async fn attribute() {
        drop(work(10, 60).await);
    }

    #[tokio::test]
    #[ignore = "it is run by the test below"]
    async fn limit() {
        super::assert_no_alloc!(async work(10, 60)); // mark: limit
    }

    #[tokio::test]
    #[ignore = "it is run by the test below"]
    async fn growth() {
        let mut kept = Vec::new();
        super::assert_no_growth!(rounds = 2, async || kept.push(work(1, 60).await)); // mark: growth
    }

    #[tokio::test]
    #[ignore = "it is run by the test below"]
    async fn threads() {
        let task = async { tokio::task::spawn_blocking(|| drop(block(9))).await };
        super::assert_peak!(async task, <= 1 MiB).expect("no panic"); // mark: threads
    }
}

#[test]
fn async_failures_are_the_test_s() {
    let output = std::process::Command::new(std::env::current_exe().expect("a path"))
        .args(["failing::", "--ignored", "--test-threads=1"])
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for (test, message) in [
        (
            "attribute",
            "allocations: expected at most 20, found 21: 1 too many",
        ),
        ("limit", "allocations: expected 0, found 21: 21 too many"),
        ("growth", "2 lines hold more after each of 2 rounds"),
        (
            "threads",
            "this work started threads; use `threads = \"all\"` to count what they do, or \
             `threads = \"own\"` to leave it out",
        ),
    ] {
        let (_, failure) = text
            .split_once(&format!("thread 'failing::{test}'"))
            .expect(&text);
        let (place, rest) = failure.split_once(":\n").expect(&text);
        let expected = format!(" panicked at {}:{}:", HERE.file, HERE.line(test));
        assert!(place.contains(&expected), "{expected}: {text}");
        assert_eq!(rest.lines().next(), Some(message), "{text}");
    }
}
