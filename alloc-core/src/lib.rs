//! tracemalloc for Rust: a global allocator that records every allocation by callsite.
//!
//! Add one line, and ask at any moment which lines hold the memory now, which held it at the peak,
//! and what grew between two moments:
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
//! prints, first, the line that made the thousand boxes:
//!
//! ```text
//! src/main.rs:8: size=977 KiB, count=1000, average=1000 B
//! ```
//!
//! The companion crate `alloc-report` compares snapshots and shows them as tables, in the program or
//! from files.
//!
//! # What is recorded
//!
//! Every block that passes through the global allocator: Rust's collections and boxes, on all
//! threads. For each callsite, that is each distinct call stack, how many bytes and blocks are
//! current, at their peak, in total, and how many there were when the whole heap was at its peak.
//! Sizes are those the program asked for. What C libraries get from `malloc`, memory maps and stacks
//! do not pass through the global allocator and are not seen.
//!
//! [`Config::sample_every`] records a sample instead, for production; [`Config::frames`]`(1)` looks for the
//! user's line alone, and [`Config::frames`]`(0)` counts the heap without stacks.
//!
//! A reallocation moves the block to the callsite that reallocated it, as in `tracemalloc`. In the
//! totals it counts as one allocation of the new size, as valgrind and dhat count it.
//!
//! # Environment
//!
//! `ALLOC_TRACE=128 ALLOC_TRACE_OUT=heap.pb.gz ./program` traces a program from before `main` to its end.
//! Snapshots by the clock, on a signal, and of a sample: see [`environment`].
//!
//! # Coming from Python
//!
//! The page [`tracemalloc`] has what each function, class and method of the Python module is called here,
//! and each deliberate difference with its reason.
//!
//! # Fork, signals, exit, panics
//!
//! - **Fork**: the child goes on tracing with all that the parent had recorded, its other threads'
//!   blocks included. A fork waits for records under way, so no table is half changed.
//! - **Signals**: a handler may allocate. Where it interrupted the tracer itself, its allocations are
//!   not recorded ([`Health::skipped`]), its frees are.
//! - **Exit**: `ALLOC_TRACE_OUT` is written when `main` returns or panics and on
//!   [`std::process::exit`]; not after `abort`, `_exit` or a deadly signal. What threads and
//!   destructors free after that is not in it.
//! - **Panics**: the tracer never panics in an allocation. If the system refuses memory for its
//!   tables, it says so on standard error, stops recording, and calls that ask for numbers return
//!   [`Error::is_broken`].
//! - **Thread ends**: destructors of thread-locals that allocate are recorded as long as the system
//!   lets the tracer's own destructor run last; after that allocations are skipped and frees are not.
//!
//! # What it costs
//!
//! Off: one load and one branch for each allocation and free. On: see the table in the README; `cargo
//! bench` measures it. Memory: four bytes for each granule of touched heap (32 bytes with glibc), some
//! 40 KiB for each thread that allocates, 64 bytes for each callsite that it meets, up to 512 KiB,
//! and up to 210 KiB for stacks that come back; and 130 bytes for a callsite and 8 for each of its frames that
//! the one before it does not share.
//!
//! What threads share, and how often it is written:
//!
//! | what | written |
//! | --- | --- |
//! | the word that says whether to record | when tracing starts, stops or is cleared, and when a first companion of a lone thread comes or goes |
//! | the live-block index | at each record, in the slot of a block that belongs to the writing thread alone |
//! | the tables of a session that only counts | at each block where memory was mapped when it began, and for each that it leaves out |
//! | the table of callsites, and of unwind rules | once for each new one |
//! | a callsite's shared counters | when a thread's cell is folded: after 16 KiB net, or for another callsite |
//! | the heap's total | when a thread used up its credit: 64 KiB, less near the peak |
//! | the count of a place where drawn blocks lie | when a block of a sample is recorded or freed |
//! | the epoch of the peak | when the heap first shrinks after a new peak |

mod allocator;
mod capture;
mod control;
pub mod environment;
mod process;
mod record;
mod scope;
mod snapshot;
mod system;
mod tables;
mod testing;
pub mod tracemalloc;
mod write;

#[doc(inline)]
pub use alloc_core_snapshot::{
    Amount, Bytes, ChargeTo, Counters, Error, Escaped, Filter, Frame, FunctionPattern, GroupBy,
    GroupKey, Grouping, Health, Metric, MissingDebugInfo, Names, Origin, ResidentMemory, Snapshot,
    SortBy, SourcePath, Statistic, SymbolSearch, Trace, Traceback, TracebackText, TracedMemory,
    resident_memory, resident_memory_of, resident_set_size,
};
pub use allocator::TraceAlloc;
pub use capture::CaptureMethod;
pub use control::Config;
pub use control::track::{track, untrack};
pub use scope::{
    Instrumented, Measured, Scope, ScopeHandle, Usage, measure, measure_future, try_measure,
};
#[cfg(feature = "criterion")]
pub use testing::bench::criterion::{Memory, TimeAndMemory, TimedMemory};
pub use testing::bench::{BenchMemory, BenchMemoryTable, bench_memory, bench_memory_of};
pub use testing::memory_usage::{MemorySample, MemoryUsage, memory_usage};

/// Prints, each time the function returns, what the call allocated: all in all, and by the lines of the
/// function, each with what it called.
///
/// While tracing is off it costs a load and a branch. While it is on, each call counts for itself, on its own
/// thread or wherever its future is polled, whatever other threads do. What it prints goes to
/// standard error; `#[profile(event)]` makes it an event of the crate `tracing`, of the level info and the
/// target `alloc_core::profile`, with the feature `tracing` of this crate.
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
/// The function's own lines are told by its full name: in a release build that takes `debug = 1`, since with
/// `debug = "line-tables-only"` what was inlined has no more than its bare name. Where its lines are not to be
/// found, those of its callers are told.
///
/// A recursive function prints for each of its calls. It works on methods and async functions; `const`
/// functions are refused:
///
/// ```compile_fail
/// #[alloc_core::profile]
/// const fn size() -> usize {
///     40
/// }
/// ```
pub use alloc_core_macros::profile;

/// A test that keeps to limits on memory: [`assert_memory!`] around its body.
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
/// | limit | at most |
/// | --- | --- |
/// | `peak` | so many bytes live at one moment |
/// | `allocated` | so many bytes allocated |
/// | `leaked` | so many bytes live at the end, when the locals of the test are gone |
/// | `allocations` | so many blocks allocated |
///
/// Bytes are a number, or text with a unit: `"64 KiB"`. What the harness takes to start the test and what
/// other tests do does not count. What the test's own thread allocates does.
///
/// A test that starts threads fails, and says so, unless it tells what becomes of them: with
/// `threads = "own"` what they do does not count. With `threads = "all"` it does, and what threads
/// do that they start, as [`Scope::enter_with_threads`] says. What the test did not wait for, and
/// what a runtime or a pool leaves in the own storage of the test's thread, counts as live. How
/// threads are noticed, and which are not, is said at [`assert_memory!`].
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
/// It works together with other attributes that make tests, such as `#[tokio::test]` and `#[rstest]`, which
/// stand below it, with `#[should_panic]`, and with tests that return a `Result`. `#[test]` beside
/// it is not needed.
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
/// What the test's thread allocates from the first line of the test to its last counts: so do the
/// tasks that run on it. With `threads = "own"` only the test's future does, on whichever thread it
/// is polled. With `threads = "all"` all that the runtime does counts, which is then made within
/// the test. A runtime of several threads, as `#[tokio::test(flavor = "multi_thread")]` makes one,
/// needs one of the two:
///
/// ```compile_fail
/// #[alloc_core::memory_test(peak = "64 KiB")]
/// #[tokio::test(flavor = "multi_thread")]
/// async fn whose_tasks_count() {}
/// ```
pub use alloc_core_macros::memory_test;

/// For the attributes and the macros.
#[doc(hidden)]
pub mod __private {
    pub use crate::process::register_hooks;
    pub use crate::testing::assertions::{
        Arm, Checked, Comparison, Limit, OfAny, OfFuture, Quantity, Term, Threads, Value,
        assert_memory, assert_memory_async, assert_memory_on_thread, assert_no_growth,
        assert_no_growth_async, expect_run,
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
/// What was allocated before is not known, and freeing it later changes nothing. Does nothing if
/// tracing is on already with this configuration, or was started by the environment.
///
/// # Errors
///
/// As [`start_with`].
pub fn start() -> Result<(), Error> {
    start_with(Config::default())
}

/// Starts tracing.
///
/// Does nothing if tracing is on already with the same configuration. What the environment started
/// (`ALLOC_TRACE`) goes before what the program asks for.
///
/// # Errors
///
/// [`Error::is_not_installed`] if the global allocator of the program is another;
/// [`Error::is_already_tracing`] if tracing is on with another configuration;
/// [`Error::is_invalid_config`] if a value is out of range; [`Error::is_broken`] if the system gives
/// no memory.
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
    control::start_with(config)
}

/// Stops tracing and forgets everything that was recorded. Snapshots stay as they are.
///
/// Does nothing if tracing is off.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// assert!(alloc_core::is_tracing());
/// alloc_core::stop();
/// assert!(!alloc_core::is_tracing());
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn stop() {
    control::stop();
}

/// Whether tracing is on.
///
/// ```
/// assert!(!alloc_core::is_tracing());
/// ```
pub fn is_tracing() -> bool {
    control::is_on()
}

/// Forgets everything that was recorded, and goes on tracing.
///
/// Blocks that are live now are forgotten too: freeing them later changes nothing. Does nothing if
/// tracing is off.
pub fn clear_traces() {
    control::clear_traces();
}

/// The heap's current and peak bytes, as far as it is traced; zeros if tracing is off.
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

/// Makes the present the peak: of the heap and of every callsite.
///
/// So the peak of a stretch of work can be measured. What is recorded stays. Does nothing if tracing
/// is off.
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

/// The physical memory that the tracer's own tables take up.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// alloc_core::start()?;
/// assert!(alloc_core::tracer_memory() > 0);
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[doc(alias = "get_tracemalloc_memory")]
pub fn tracer_memory() -> Bytes {
    environment::tracer_memory()
}

/// The number of frames that a traceback keeps; nothing if tracing is off.
///
/// ```
/// assert_eq!(alloc_core::traceback_limit(), None);
/// ```
#[doc(alias = "get_traceback_limit")]
pub fn traceback_limit() -> Option<u16> {
    control::traceback_limit()
}

/// Where the live block that starts at `block` was allocated; nothing if it is not traced, or no stacks are
/// captured, as with [`Config::frames(0)`](Config::frames).
///
/// The address is that of the block, as `Vec::as_ptr` or `Box::as_ptr` have it, not of something
/// inside it or on the stack.
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

/// Where the block at `address` of a domain was [tracked](track()); nothing if it is not.
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

/// Reads what every callsite holds now, held at the peak, and allocated in total.
///
/// Other threads go on meanwhile.
///
/// # Errors
///
/// [`Error::is_not_tracing`] if tracing is off; [`Error::is_broken`] if the numbers are no longer
/// true.
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
    process::take_snapshot()
}

/// Runs `work` without recording what it allocates on this thread, also if tracing starts meanwhile.
///
/// For code that reports on the heap and should not show up in it. What it frees is recorded all the
/// same.
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

/// How stacks are captured in this process; nothing before tracing was first started.
///
/// ```
/// assert_eq!(alloc_core::capture_method(), None);
/// ```
pub fn capture_method() -> Option<CaptureMethod> {
    control::capture_method()
}
