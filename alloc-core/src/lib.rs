// NOTE: above 500 lines: the page of the crate, and each function at its root with an example.

//! tracemalloc for Rust: a global allocator that records every allocation by callsite.
//!
//! With one line added, a program can ask at any time which lines hold its memory, which held it
//! at the peak, and what grew between two moments:
//!
//! ```
//! use alloc_core::{GroupBy, TraceAlloc};
//!
//! #[global_allocator]
//! static ALLOC: TraceAlloc = TraceAlloc::system();
//!
//! fn main() -> Result<(), alloc_core::Error> {
//!     alloc_core::start()?;
//!     let kept: Vec<Box<[u8]>> = (0..1000).map(|_| vec![7; 1000].into()).collect();
//!
//!     let snapshot = alloc_core::take_snapshot()?;
//!     for statistic in snapshot.statistics(GroupBy::Line).iter().take(3) {
//!         println!("{statistic}");
//!     }
//! #   let top = &snapshot.statistics(GroupBy::Line)[0];
//! #   assert_eq!((top.size.get(), top.count), (1_000_000, 1000));
//! #   drop(kept);
//!     Ok(())
//! }
//! ```
//!
//! The first line printed is the one that allocated the thousand boxes:
//!
//! ```text
//! src/main.rs:8: size=977 KiB, count=1000, average=1000 B
//! ```
//!
//! The companion crate `alloc-report` compares snapshots and shows them as tables, in the program
//! or from files.
//!
//! # What is recorded
//!
//! Every block that passes through the global allocator, on all threads: Rust's collections and
//! boxes. A callsite is a distinct call stack. Its counters are the bytes and blocks that are live
//! now, that were live at its own peak and at the heap's peak, and that were allocated in total.
//! Sizes are those that the program requested. The tracer does not see memory that bypasses the
//! global allocator: `malloc` in C libraries, memory maps, stacks.
//!
//! [`Config::sample_every`] records a sample instead, for production. [`Config::frames`]`(1)`
//! captures only the user's line, and [`Config::frames`]`(0)` counts the heap without stacks.
//!
//! A reallocation moves the block to the callsite that reallocated it, as in `tracemalloc`. In the
//! totals it counts as one allocation of the new size, as in valgrind and dhat.
//!
//! # Environment
//!
//! `ALLOC_TRACE=128 ALLOC_TRACE_OUT=heap.pb.gz ./program` traces a program from before `main` to
//! its end. See [`environment`] for periodic snapshots, snapshots on a signal, and sampling.
//!
//! # Coming from Python
//!
//! The page [`tracemalloc`] lists the counterpart of each function, class and method of the Python
//! module, and the reason for each deliberate difference.
//!
//! # Fork, signals, exit, panics
//!
//! - **Fork**: the child keeps tracing, with everything that the parent recorded, including the
//!   blocks of its other threads. A fork waits for records in progress, so tables are consistent.
//! - **Signals**: a handler may allocate. If it interrupted the tracer itself, its allocations are
//!   skipped ([`Health::skipped`]). Its frees are recorded.
//! - **Exit**: `ALLOC_TRACE_OUT` is written when `main` returns or panics, and on
//!   [`std::process::exit`]. It is not written after `abort`, `_exit` or a fatal signal. It does
//!   not include what threads and destructors free later.
//! - **Panics**: the tracer never panics in an allocation. If the system refuses memory for its
//!   tables, it reports that on standard error and stops recording. Calls that return numbers then
//!   fail with [`Error::is_broken`].
//! - **Thread exit**: allocations in destructors of thread-locals are recorded until the tracer's
//!   own destructor has run, which is as late as the system permits. Later allocations are
//!   skipped. Frees are recorded throughout.
//!
//! # What it costs
//!
//! While tracing is off, each allocation and each free costs one load and one branch. The table in
//! the README shows the cost while it is on, as measured by `cargo bench`.
//!
//! The tracer's memory is, by part:
//!
//! | part | bytes |
//! | --- | --- |
//! | each granule of touched heap | 4; a granule is 32 bytes with glibc |
//! | each thread that allocates | 40 KiB, and 64 for each callsite it uses, up to 512 KiB |
//! | a thread's cache of recent stacks | up to 210 KiB |
//! | each callsite | 130, and 8 for each frame not shared with the previous stack |
//!
//! Threads share this state:
//!
//! | what | written |
//! | --- | --- |
//! | the gate word, which says whether to record | when tracing starts, stops or is cleared, and when the number of threads rises above one or returns to one |
//! | the live-block index | at each record, in the slot of a block that only the writing thread uses |
//! | the tables of a counters-only session | for each block in memory that was mapped when the session began, and for each block that it excludes |
//! | the tables of callsites and of unwind rules | once for each new entry |
//! | a callsite's shared counters | when a thread's cell is folded: after 16 KiB net, or when another callsite evicts it |
//! | the heap's total | when a thread has used up its credit: 64 KiB, less near the peak |
//! | the count of sampled blocks in an address range | when a sampled block is recorded or freed |
//! | the epoch of the peak | when the heap first shrinks after a new peak |

#![cfg_attr(
    not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64"),
        not(miri)
    )),
    allow(dead_code, unused_imports, reason = "only heap graphs use some of it")
)]

mod allocator;
mod announce;
mod budget;
mod capture;
mod control;
pub mod environment;
mod graph;
mod label;
mod process;
#[cfg(feature = "push")]
pub mod push;
mod record;
mod scope;
#[cfg(feature = "serve")]
pub mod serve;
mod services;
mod snapshot;
mod system;
mod tables;
mod testing;
pub mod tracemalloc;
mod write;

#[doc(inline)]
pub use alloc_core_snapshot::{
    Ages, Amount, Bytes, ChargeTo, Counters, Error, Escaped, Filter, Frame, FreedBy, Freer, Frees,
    FreesRow, FunctionPattern, GroupBy, GroupKey, Grouping, Health, LabelStatistic, Lifetimes,
    Metric, MissingDebugInfo, Names, Origin, Pinned, Residence, ResidentMemory, Slack, Snapshot,
    SortBy, SourcePath, Statistic, SymbolSearch, Trace, Traceback, TracebackText, TracedMemory,
    resident_memory, resident_memory_of, resident_set_size,
};
pub use allocator::TraceAlloc;
pub use budget::{Budget, BudgetWarning, Budgeted, OverBudget};
pub use capture::CaptureMethod;
pub use control::Config;
pub use control::track::{track, untrack};
pub use graph::{GraphOptions, HeapGraph, HeapRoot, heap_graph, heap_graph_with, ignore_leak};
#[cfg(feature = "tracing")]
pub use label::AllocLayer;
pub use label::{Label, LabelGuard, Labelled};
#[cfg(feature = "tower")]
pub use label::{LabelLayer, LabelService};
pub use scope::{
    Instrumented, Measured, Scope, ScopeHandle, Usage, measure, measure_future, try_measure,
};
#[cfg(feature = "serve")]
pub use serve::{ServeOptions, Server, serve, serve_with};
#[cfg(feature = "criterion")]
pub use testing::bench::criterion::{Memory, TimeAndMemory, TimedMemory};
pub use testing::bench::{BenchMemory, BenchMemoryTable, bench_memory, bench_memory_of};
pub use testing::memory_usage::{MemorySample, MemoryUsage, memory_usage};

/// Prints what each call of the function allocates, in total and by line.
///
/// The number of a line includes its callees. While tracing is off, a call costs one load and one
/// branch more. While it is on, each call is counted separately, on its own thread or on every
/// thread that polls its future. Other threads do not affect it. The table goes to standard error.
/// With the feature `tracing`, `#[profile(event)]` emits it as an event of the crate `tracing`, at
/// level info and with target `alloc_core::profile`.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// #[alloc_core::profile]
/// fn load(lines: usize) -> Vec<String> {
///     let text = "some text\n".repeat(lines);
///     text.lines().map(str::to_owned).collect()
/// }
///
/// alloc_core::start()?;
/// assert_eq!(load(1000).len(), 1000);
/// # Ok::<(), alloc_core::Error>(())
/// ```
///
/// prints
///
/// ```text
/// demo::load at src/main.rs:4, call 1: allocated 51.9 KiB in 1011 blocks, peak 42.3 KiB, live 32.6 KiB in 1001 blocks
///   line  allocated       held       peak  count  source
///      6   10000 B          ·   10000 B       1  let text = "some text\n".repeat(lines);
///      7   42.1 KiB   32.6 KiB   32.6 KiB   1010  text.lines().map(str::to_owned).collect()
/// ```
///
/// The lines come from debug information. A release build needs `debug = 1`: with
/// `debug = "line-tables-only"`, inlined functions have no full names.
///
/// A recursive function prints a table for each call. Methods and async functions work. `const`
/// functions are refused:
///
/// ```compile_fail
/// #[alloc_core::profile]
/// const fn size() -> usize {
///     40
/// }
/// ```
pub use alloc_core_macros::profile;

/// Makes a test that must stay within memory limits: [`assert_memory!`] around its body.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// #[alloc_core::memory_test(peak = "1 MiB", leaked = 0, allocations = 100)]
/// fn parses_within_a_megabyte() {
///     assert_eq!("one two".split(' ').map(str::to_owned).count(), 2);
/// }
/// ```
///
/// | limit | maximum |
/// | --- | --- |
/// | `peak` | bytes live at one moment |
/// | `allocated` | bytes allocated |
/// | `leaked` | bytes live at the end, after the test's locals are dropped |
/// | `allocations` | blocks allocated |
///
/// Bytes are a number, or text with a unit: `"64 KiB"`. Only the test's own thread counts, from
/// the first line of the test. The harness and other tests do not.
///
/// A test that starts threads fails, unless it says how to treat them. With `threads = "own"` they
/// do not count. With `threads = "all"` they count, and so do the threads that they start, as in
/// [`Scope::enter_with_threads`]. Memory counts as live if the test does not wait for the thread
/// that frees it, or if a runtime or a pool keeps it in a thread-local. [`assert_memory!`] says
/// which threads are detected.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// #[alloc_core::memory_test(peak = "64 KiB", threads = "all")]
/// fn both_halves_keep_to_it() {
///     std::thread::scope(|threads| {
///         threads.spawn(|| vec![1_u8; 10_000]);
///         threads.spawn(|| vec![2_u8; 10_000]);
///     });
/// }
/// ```
///
/// With `graph = true`, nothing may be left behind either: no block that nothing refers to, no cycle
/// of `Rc` or `Arc`, no forgotten clone. The failure shows the types of a cycle, and the lines that
/// made it. It needs the crate `alloc-report` with its feature `process`, and Linux on x86-64 or
/// aarch64; see `alloc_report::graph::without_leaks`.
///
/// It combines with other test attributes below it, such as `#[tokio::test]` and `#[rstest]`, with
/// `#[should_panic]`, and with tests that return a `Result`. `#[test]` is not needed.
///
/// # Async tests
///
/// An async test needs the attribute of a runtime below it:
///
/// ```compile_fail
/// #[alloc_core::memory_test(leaked = 0)]
/// async fn nobody_runs_it() {}
/// ```
///
/// By default everything that the test's thread allocates counts, including the tasks that run on
/// it. With `threads = "own"` only the test's future counts, on every thread that polls it. With
/// `threads = "all"` the runtime is created within the test, and everything that it does counts.
/// A runtime of several threads, such as that of `#[tokio::test(flavor = "multi_thread")]`, needs
/// one of the two:
///
/// ```compile_fail
/// #[alloc_core::memory_test(peak = "64 KiB")]
/// #[tokio::test(flavor = "multi_thread")]
/// async fn whose_tasks_count() {}
/// ```
pub use alloc_core_macros::memory_test;

/// The items that the attributes and macros expand to.
#[doc(hidden)]
pub mod __private {
    pub use crate::process::register_hooks;
    pub use crate::testing::assertions::{
        Arm, Checked, Comparison, Estimate, Limit, OfAny, OfFuture, Quantity, SizeTerm, Term,
        Threads, Tolerance, Value, assert_memory, assert_memory_async, assert_memory_on_thread,
        assert_no_growth, assert_no_growth_async, assert_size, assert_size_async, expect_run,
    };
    pub use crate::testing::baseline::{Baseline, assert_baseline, assert_baseline_async};
    pub use crate::testing::profile::{Output, Profile, Site, profile_future};
}

use process::modules;
use process::read_tables;
use record::thread;
use snapshot::{recorded::StackEnd, symbols};

#[cfg(test)]
#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// Starts tracing with the default [`Config`].
///
/// Blocks allocated earlier are unknown, and freeing them later changes nothing. Does nothing if
/// tracing is already on with this configuration, or was started by the environment.
///
/// # Errors
///
/// As [`start_with`].
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// assert!(alloc_core::is_tracing());
/// alloc_core::start()?; // Does nothing.
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn start() -> Result<(), Error> {
    start_with(Config::default())
}

/// Starts tracing with a [`Config`].
///
/// Does nothing if tracing is already on with the same configuration. A session started by the
/// environment (`ALLOC_TRACE`) takes precedence over the program's configuration.
///
/// # Errors
///
/// - [`Error::is_not_installed`] if the program's global allocator is not [`TraceAlloc`].
/// - [`Error::is_already_tracing`] if tracing is on with another configuration.
/// - [`Error::is_invalid_config`] if a value is out of range.
/// - [`Error::is_broken`] if the system gives no memory.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::Config;
///
/// alloc_core::start_with(Config::default().frames(8))?;
/// assert_eq!(alloc_core::traceback_limit(), Some(8));
///
/// let again = alloc_core::start_with(Config::default().frames(9));
/// assert!(again.unwrap_err().is_already_tracing());
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn start_with(config: Config) -> Result<(), Error> {
    if control::start_with(config)? {
        announce::started();
    }
    Ok(())
}

/// Stops tracing and discards everything recorded.
///
/// Snapshots that were taken stay valid. Does nothing if tracing is off.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// let snapshot = alloc_core::take_snapshot()?;
/// alloc_core::stop();
/// assert!(alloc_core::take_snapshot().unwrap_err().is_not_tracing());
/// assert_eq!(snapshot.traceback_limit(), 128);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn stop() {
    if control::stop() {
        announce::stopped();
    }
}

/// Whether tracing is on.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// assert!(!alloc_core::is_tracing());
/// alloc_core::start()?;
/// assert!(alloc_core::is_tracing());
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn is_tracing() -> bool {
    control::is_on()
}

/// Discards everything recorded, and keeps tracing.
///
/// Live blocks are discarded too: freeing them later changes nothing. Does nothing if tracing is
/// off.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// let kept = vec![0_u8; 1 << 20];
/// alloc_core::clear_traces();
/// assert!(alloc_core::traced_memory().current < 1 << 20);
/// assert!(alloc_core::is_tracing());
/// # drop(kept);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn clear_traces() {
    control::clear_traces();
}

/// Returns the traced heap's current and peak bytes, or zeros if tracing is off.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// let before = alloc_core::traced_memory();
/// drop(vec![0_u8; 1 << 20]);
/// let after = alloc_core::traced_memory();
/// assert_eq!(after.current, before.current);
/// assert!(after.peak >= before.current + (1 << 20).into());
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[doc(alias = "get_traced_memory")]
pub fn traced_memory() -> TracedMemory {
    control::traced_memory()
}

/// Resets the peaks of the heap and of every callsite to their current values.
///
/// Call it before a piece of work to measure that work's peak. All other records stay. Does
/// nothing if tracing is off.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// drop(vec![0_u8; 1 << 20]);
/// alloc_core::reset_peak();
/// assert!(alloc_core::traced_memory().peak < 1 << 20);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn reset_peak() {
    control::reset_peak();
}

/// Returns the physical memory that the tracer itself uses.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// drop(vec![0_u8; 100]);
/// assert!(alloc_core::tracer_memory() > 0);
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[doc(alias = "get_tracemalloc_memory")]
pub fn tracer_memory() -> Bytes {
    environment::tracer_memory()
}

/// Returns the number of frames that a traceback keeps, or `None` if tracing is off.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// assert_eq!(alloc_core::traceback_limit(), None);
/// alloc_core::start()?;
/// assert_eq!(alloc_core::traceback_limit(), Some(128));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[doc(alias = "get_traceback_limit")]
pub fn traceback_limit() -> Option<u16> {
    control::traceback_limit()
}

/// Returns the stack that allocated the live block at `block`.
///
/// `None` if the block is not traced, or if no stacks are captured, as with
/// [`Config::frames(0)`](Config::frames). The address must be the start of the block, as returned
/// by `Vec::as_ptr` or `Box::as_ptr`, not inside it or on the stack.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::ChargeTo;
///
/// alloc_core::start()?;
/// let numbers = vec![1, 2, 3];
/// let traceback = alloc_core::traceback_of(numbers.as_ptr()).unwrap();
/// println!("allocated at {}", traceback.charged(ChargeTo::Caller));
///
/// assert!(alloc_core::traceback_of(&raw const numbers).is_none());
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[doc(alias = "get_object_traceback")]
pub fn traceback_of<T: ?Sized>(block: *const T) -> Option<Traceback> {
    let _muted = thread::mute();
    let (addresses, end) = read_tables::stack_of(block.addr())?;
    let limit = control::traceback_limit()?;
    Some(traceback(&addresses, end, limit))
}

/// Returns the stack that [tracked](track()) the block at `address` of a domain, or `None` if it is
/// not tracked.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// const TEXTURES: u32 = 7;
///
/// alloc_core::start()?;
/// alloc_core::track(TEXTURES, 0x1000, 4096)?;
/// assert!(alloc_core::traceback_of_tracked(TEXTURES, 0x1000).is_some());
/// assert!(alloc_core::traceback_of_tracked(TEXTURES, 0x2000).is_none());
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn traceback_of_tracked(domain: u32, address: usize) -> Option<Traceback> {
    let _muted = thread::mute();
    let (addresses, end) = read_tables::stack_of_tracked(domain, address)?;
    let limit = control::traceback_limit()?;
    Some(traceback(&addresses, end, limit))
}

fn traceback(addresses: &[usize], end: StackEnd, limit: u16) -> Traceback {
    process::register_hooks();
    symbols::traceback_here(&modules::known(), addresses, end, limit)
}

/// Takes a snapshot: what every callsite holds now, held at the peak, and allocated in total.
///
/// Other threads keep running.
///
/// # Errors
///
/// [`Error::is_not_tracing`] if tracing is off. [`Error::is_broken`] if the tracer ran out of
/// memory.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// assert!(alloc_core::take_snapshot().unwrap_err().is_not_tracing());
///
/// alloc_core::start()?;
/// let snapshot = alloc_core::take_snapshot()?;
/// assert_eq!(snapshot.traceback_limit(), 128);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn take_snapshot() -> Result<Snapshot, Error> {
    let taken = process::take_snapshot();
    announce::took(taken.as_ref().map(|it| it.health()));
    taken
}

/// Takes a snapshot that also says where the resident memory of the process goes, and which callsites
/// keep pages resident: [`Snapshot::residence`] and [`Trace::pinned`].
///
/// A heap can be small and the process large: a page stays resident while it holds one live block.
/// Other threads keep running. It takes about 10 ms for each million blocks and each GiB.
///
/// # Errors
///
/// As [`take_snapshot`]. [`Error::is_invalid_config`] if the session is a sample or has no stacks.
/// [`Error::is_io`] where the system does not say which pages are resident: it needs Linux and
/// `/proc`.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// # fn main() -> Result<(), alloc_core::Error> {
/// # if !cfg!(target_os = "linux") { return Ok(()) }
/// alloc_core::start()?;
/// let mut blocks: Vec<Vec<u8>> = (0..100_000).map(|_| vec![1; 1000]).collect();
/// // One block in four stays, and nearly every page with it: each has room for four.
/// let mut number = 0;
/// blocks.retain(|_| {
///     number += 1;
///     number % 4 == 0
/// });
///
/// let snapshot = alloc_core::take_snapshot_with_residence()?;
/// let residence = snapshot.residence().unwrap();
/// assert!(residence.between > alloc_core::Bytes::mib(60));
/// let off = residence.sum().get().abs_diff(residence.resident.get());
/// assert!(off < residence.resident.get() / 50);
/// # Ok(())
/// # }
/// ```
pub fn take_snapshot_with_residence() -> Result<Snapshot, Error> {
    let taken = process::take_snapshot_with_residence();
    announce::took(taken.as_ref().map(|it| it.health()));
    taken
}

pub use process::allocator::describe_allocator;

/// Runs `work` without recording its allocations on this thread.
///
/// For code that reports on the heap and should not appear in it. Frees of recorded blocks are
/// still recorded. The guard holds even if tracing starts meanwhile.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// let before = alloc_core::traced_memory();
/// let report = alloc_core::untraced(|| vec![b'-'; 80]);
/// assert_eq!(alloc_core::traced_memory(), before);
/// # drop(report);
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn untraced<R>(work: impl FnOnce() -> R) -> R {
    let _muted = thread::mute();
    work()
}

/// Returns how stacks are captured in this process, or `None` before tracing first starts.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// assert!(alloc_core::capture_method().is_none());
/// alloc_core::start()?;
/// assert!(alloc_core::capture_method().is_some());
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn capture_method() -> Option<CaptureMethod> {
    control::capture_method()
}
