//! The public assertion macros, with their documentation.

/// Asserts that a piece of work stays within memory limits, and returns its value.
///
/// The count is exact to the byte and covers this thread only, so the assertion is reliable under
/// `cargo test`, `cargo nextest` and any number of threads. It neither needs nor disturbs tracing.
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
/// | limit | bounds |
/// | --- | --- |
/// | `peak` | the most bytes live at one moment |
/// | `allocated` | all bytes allocated; a reallocation counts as one allocation of the new size |
/// | `allocations` | the number of blocks allocated, reallocations included |
/// | `reallocations` | the number of reallocations |
/// | `leaked` | the bytes live when the work is done, including those that its value holds |
///
/// A limit is a name, one of `<=`, `>=` and `==`, and a number. Bytes have a unit: `B`, `KiB`,
/// `MiB` or `GiB`. Block counts have none. Either may be an expression in parentheses:
/// `peak <= (BUDGET)`. Anything else does not compile:
///
/// ```compile_fail
/// # use alloc_core::assert_memory;
/// assert_memory!((), peak <= 64 kb);
/// ```
///
/// On x86-64 Linux, the buffers that `print!` fills under a test harness do not count. Elsewhere
/// they do, and where link-time optimization inlines the standard library's `print!`.
///
/// # Async work
///
/// With `async` before the work, the macro awaits it. Its allocations count on every thread that
/// polls it. A task that it spawns on a runtime does not count.
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
/// Work that starts threads fails, unless a term says how to treat them. With `threads = "all"`
/// their allocations count, and so do those of the threads that they start. With
/// `threads = "own"` only this thread counts.
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
/// Threads started through `std::thread` are detected, on Linux only. These include scoped threads
/// and those of a rayon pool or a tokio runtime that the work creates. Threads that already exist,
/// such as those of rayon's global pool on its second use, are neither detected nor counted:
/// nothing distinguishes them from the threads of other tests. For these see
/// [`ScopeHandle::run`](crate::ScopeHandle::run).
///
/// # Panics
///
/// - If a limit is broken. The message shows by how much, and the stacks that broke it.
/// - If the work started threads and no term says how to treat them.
/// - If nothing can be measured, as [`measure`](crate::measure()) does.
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

/// Asserts a limit on the bytes that a piece of work holds at its peak, and returns its value.
///
/// It is [`assert_memory!`] with one limit on the peak.
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
/// Async: `assert_no_alloc!(async next())`. Starting a thread allocates.
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

/// Asserts that a piece of work frees everything it allocates, and returns its value.
///
/// The value must hold no memory either.
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

/// Asserts that repeated work does not hold more and more memory.
///
/// It finds unbounded caches, handlers that are never removed, and globals that grow. The work runs
/// `warmup` times, then `rounds` times. A source line grows if it holds more after every round than
/// after the round before. Occasional growth, such as that of a vector, is no leak.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let mut last = String::new();
/// alloc_core::assert_no_growth!(rounds = 5, warmup = 2, || last = "request".repeat(10));
/// ```
///
/// Async work is an async closure: `assert_no_growth!(rounds = 5, async || handle().await)`.
/// Threads: `assert_no_growth!(rounds = 5, threads = "all", || handle())`.
///
/// # Panics
///
/// If a line grows. The message shows what it holds after each round. Also if the work started
/// threads or nothing can be measured, as [`assert_memory!`] does.
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

/// Asserts that a hand-written estimate of a value's size is right, and returns the value.
///
/// The closure builds the value in a scope. What it leaves live is what the value holds, exact to
/// the byte, and is compared with the estimate.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::assert_size_matches;
///
/// struct Table {
///     names: Vec<String>,
/// }
///
/// impl Table {
///     fn heap_size(&self) -> usize {
///         let names: usize = self.names.iter().map(String::capacity).sum();
///         self.names.capacity() * size_of::<String>() + names
///     }
/// }
///
/// fn build() -> Table {
///     Table { names: "one two three".split(' ').map(str::to_owned).collect() }
/// }
///
/// let table = assert_size_matches!(value.heap_size(), || build());
/// assert_eq!(table.names.len(), 3);
/// ```
///
/// The estimate is an expression that begins with `value.`, which is what the closure built, or a
/// closure that takes a reference to it: `|table: &Table| heap_size_of(table)`. It is a `usize`, a
/// `u64` or [`Bytes`](crate::Bytes), and runs outside of the scope. Anything else does not compile:
///
/// ```compile_fail
/// # use alloc_core::assert_size_matches;
/// assert_size_matches!(24, || vec![0_u8; 24]);
/// ```
///
/// # Terms
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::assert_size_matches;
///
/// // The estimate misses what the vector has spare.
/// let build = || {
///     let mut numbers = Vec::with_capacity(100);
///     numbers.extend(0..96_u64);
///     numbers
/// };
/// assert_size_matches!(|it: &Vec<u64>| 8 * it.len(), build, tolerance = 5 %);
/// assert_size_matches!(|it: &Vec<u64>| 8 * it.len(), build, tolerance = 32 B);
///
/// // An estimate that includes the three words of the vector itself.
/// assert_size_matches!(
///     |it: &Vec<u64>| size_of_val(it) + 8 * it.capacity(),
///     build,
///     size_of_val = true,
/// );
/// ```
///
/// - `tolerance = 5 %`: how far the estimate may be from the truth, either way, as a share of the
///   truth; or bytes, as in `tolerance = 64 B`. Without it the two must be equal.
/// - `size_of_val = true`: the bytes of the value itself count, for an estimate that includes
///   `size_of_val(self)`. Without it only the blocks that the value holds count.
/// - `threads = "all"`: as in [`assert_memory!`].
///
/// Async: `assert_size_matches!(value.heap_size(), async || load().await)`.
///
/// # What the value holds
///
/// Everything that the closure allocates and leaves live. That includes what it leaves in caches
/// and globals: if it fills any, build a value before the assertion. It excludes what existed
/// before, such as a shared buffer behind an `Arc` that the value takes a share of. Sizes are those
/// that the program requested, as an estimate counts them, not those that the allocator rounds them
/// up to.
///
/// # Panics
///
/// - If the estimate is wrong. The message shows estimate, truth and difference, and the stacks
///   that hold the most.
/// - If the work started threads or nothing can be measured, as [`assert_memory!`] does.
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! assert_size_matches {
    ($($all:tt)*) => { $crate::__assert_size!([$($all)*] $($all)*) };
}
