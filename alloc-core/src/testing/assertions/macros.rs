//! The public assertion macros, with their documentation.

/// Asserts that a piece of work keeps to limits on memory, and returns its value.
///
/// It counts what the work allocates on this thread, to the byte, whatever other threads do: so it holds
/// under `cargo test`, `cargo nextest` and any number of threads. Tracing is not needed and not disturbed.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::assert_memory;
///
/// let words = assert_memory!(
///     "one two three".split(' ').map(str::to_owned).collect::<Vec<_>>(),
///     peak <= 1 KiB,
///     allocations == 4,
///     allocated >= 100 B,
/// );
/// assert_eq!(words.len(), 3);
/// ```
///
/// | limit | on |
/// | --- | --- |
/// | `peak` | the most bytes that were live at one moment |
/// | `allocated` | all bytes that were allocated; a reallocation counts as one allocation of the new size |
/// | `allocations` | how many blocks were allocated, those of reallocations among them |
/// | `reallocations` | how many of the allocations were reallocations |
/// | `leaked` | bytes that are live when the work is done: what its value holds is among them |
///
/// What `print!` takes for itself does not count, where that can be told: under a test harness it is kept in
/// memory, and without one it is not. It is told on x86-64 Linux, by the program's symbols.
///
/// Each with `<=`, `>=` or `==`; numbers of bytes with a unit, `B`, `KiB`, `MiB` or `GiB`, numbers of blocks
/// without, or any expression in parentheses: `peak <= (BUDGET)`. What is no limit does not compile:
///
/// ```compile_fail
/// # use alloc_core::assert_memory;
/// assert_memory!((), peak <= 64 kb);
/// ```
///
/// # Async work
///
/// With `async` before the work, the macro awaits it. What it allocates counts on whichever thread
/// it is polled. A task that it spawns on a runtime does not count.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     match std::pin::pin!(future).poll(&mut context) {
/// #         std::task::Poll::Ready(value) => value,
/// #         std::task::Poll::Pending => unreachable!(),
/// #     }
/// # }
/// use alloc_core::{assert_memory, assert_no_alloc};
///
/// async fn load() -> Vec<u8> {
///     vec![0; 100]
/// }
///
/// # block_on(async {
/// let bytes = assert_memory!(async load(), peak <= 100 B, allocations == 1);
/// assert_no_alloc!(async {
///     drop(bytes);
/// });
/// # });
/// ```
///
/// A future that nobody awaits does not compile:
///
/// ```compile_fail
/// # use alloc_core::assert_no_alloc;
/// # async fn load() -> Vec<u8> { vec![] }
/// # async fn test() {
/// assert_no_alloc!(load()).await;
/// # }
/// ```
///
/// # Threads
///
/// Work that starts threads fails, unless it is said what becomes of them: with `threads = "all"`
/// what they do counts, and what threads do that they start; with `threads = "own"` it does not.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// # #[cfg(target_os = "linux")]
/// alloc_core::assert_memory!(
///     std::thread::spawn(|| drop(vec![0_u8; 10_000])).join().unwrap(),
///     peak >= 10_000 B,
///     threads = "all",
/// );
/// ```
///
/// Threads are those that `std::thread` starts: scoped ones, and those of a rayon pool or a tokio
/// runtime that is made by the work. They are noticed on Linux. Threads that are there already,
/// such as those of rayon's global pool in its second use, are not told from those of other tests:
/// they neither count nor are noticed. For these see [`ScopeHandle::run`](crate::ScopeHandle::run).
///
/// # Panics
///
/// If a limit is not kept, with by how much, and the lines that did it with their stacks; if the
/// work started threads; and where the numbers would not be true, as [`measure`](crate::measure())
/// does.
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! assert_memory {
    (async $($work:tt)+) => { $crate::__assert_async!([] $($work)+) };
    ($work:expr, $($term:tt)+) => {
        $crate::__run!(|value| {
            $crate::__private::assert_memory(|| $work, &$crate::__terms!($($term)+), &value)
        })
    };
    ($work:expr $(,)?) => { $crate::__terms!() };
}

/// Asserts that a piece of work never holds more than so many bytes at one moment, and returns its value:
/// [`assert_memory!`] with one limit on the peak.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let text = alloc_core::assert_peak!("word ".repeat(1000), <= 8 KiB);
/// assert_eq!(text.len(), 5000);
/// ```
///
/// Async: `assert_peak!(async load(), <= 8 KiB)`.
/// Threads: `assert_peak!(load(), <= 8 KiB, threads = "all")`.
///
/// # Panics
///
/// As [`assert_memory!`].
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! assert_peak {
    (async $($work:tt)+) => { $crate::__assert_async!([peak] $($work)+) };
    ($work:expr, $($limit:tt)+) => { $crate::assert_memory!($work, peak $($limit)+) };
    ($work:expr $(,)?) => { $crate::__terms!(peak) };
}

/// Asserts that a piece of work allocates nothing, and returns its value.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let numbers = vec![3, 1, 2];
/// assert_eq!(alloc_core::assert_no_alloc!(numbers.iter().max()), Some(&3));
/// ```
///
/// Async: `assert_no_alloc!(async next())`. To start a thread allocates.
///
/// # Panics
///
/// As [`assert_memory!`].
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! assert_no_alloc {
    (async $($work:tt)+) => { $crate::__assert_async!([allocations == 0,] $($work)+) };
    ($work:expr $(, $($more:tt)*)?) => {
        $crate::assert_memory!($work, allocations == 0 $(, $($more)*)?)
    };
}

/// Asserts that nothing of what a piece of work allocates is live when it is done, and returns its value,
/// which must hold nothing either.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let length = alloc_core::assert_no_leak!(vec![1, 2, 3].len());
/// assert_eq!(length, 3);
/// ```
///
/// Async: `assert_no_leak!(async load())`. Threads: `assert_no_leak!(load(), threads = "all")`.
///
/// # Panics
///
/// As [`assert_memory!`].
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! assert_no_leak {
    (async $($work:tt)+) => { $crate::__assert_async!([leaked == 0 B,] $($work)+) };
    ($work:expr $(, $($more:tt)*)?) => {
        $crate::assert_memory!($work, leaked == 0 B $(, $($more)*)?)
    };
}

/// Asserts that work which is done again and again comes to hold no more: the test for caches without
/// bound, handlers that are never removed, and globals that grow.
///
/// The work is run `warmup` times, and then `rounds` times. A line of source that holds more after each of
/// these rounds than after the one before grows. What grows now and then, as a vector does, is no leak.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let mut last = String::new();
/// alloc_core::assert_no_growth!(rounds = 5, warmup = 2, || last = "request".repeat(10));
/// ```
///
/// Async, with an async closure: `assert_no_growth!(rounds = 5, async || handle().await)`.
/// Threads: `assert_no_growth!(rounds = 5, threads = "all", || handle())`.
///
/// # Panics
///
/// If a line grows, with how much it holds after each round; and as [`assert_memory!`] if the work
/// started threads, and where the numbers would not be true.
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! assert_no_growth {
    (rounds = $rounds:expr, warmup = $warmup:expr, threads = $threads:tt, $($work:tt)+) => {
        $crate::__assert_no_growth!([$rounds, $warmup, $threads] $($work)+)
    };
    (rounds = $rounds:expr, warmup = $warmup:expr, $($work:tt)+) => {
        $crate::__assert_no_growth!([$rounds, $warmup, none] $($work)+)
    };
    (rounds = $rounds:expr, threads = $threads:tt, $($work:tt)+) => {
        $crate::__assert_no_growth!([$rounds, 1, $threads] $($work)+)
    };
    (rounds = $rounds:expr, $($work:tt)+) => {
        $crate::__assert_no_growth!([$rounds, 1, none] $($work)+)
    };
}
