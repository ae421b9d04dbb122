//! Assertions on what a piece of work allocates: the macros, and what they come to.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use crate::Error;
use crate::scope::{Scope, Usage};
use crate::snapshot::recorded::{Recorded, RecordedCallsite, StackEnd};
use crate::snapshot::snapshot::Snapshot;
use crate::{Amount, Bytes, ChargeTo, Frame, Metric, Origin, Trace, record::thread};

mod has_run;

pub use has_run::{Arm, OfAny, OfFuture, Value, expect_run};

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

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __assert_no_growth {
    ([$rounds:expr, $warmup:expr, $threads:tt] async move || $work:expr $(,)?) => {
        $crate::__assert_no_growth!(@ [$rounds, $warmup, $threads] async move || $work)
    };
    ([$rounds:expr, $warmup:expr, $threads:tt] async || $work:expr $(,)?) => {
        $crate::__assert_no_growth!(@ [$rounds, $warmup, $threads] async || $work)
    };
    ([$($options:tt)*] async $($other:tt)*) => {
        compile_error!("expected an async closure, as in `async || service.handle().await`")
    };
    ([$rounds:expr, $warmup:expr, $threads:tt] $work:expr $(,)?) => {
        $crate::__run!(|value| {
            $crate::__private::assert_no_growth(
                $rounds,
                $warmup,
                $crate::__term!(threads = $threads),
                $work,
                &value,
            )
        })
    };
    (@ [$rounds:expr, $warmup:expr, $threads:tt] $($work:tt)+) => {
        $crate::__run!(|value| {
            $crate::__private::assert_no_growth_async(
                $rounds,
                $warmup,
                $crate::__term!(threads = $threads),
                $($work)+,
                &value,
            )
            .await
            .or_panic()
        })
    };
}

/// Async work, and what stands before the terms that follow it.
#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __assert_async {
    ([$($term:tt)*] move $work:block $(, $($more:tt)*)?) => {
        $crate::__assert_async!(@ [async move $work] $($term)* $($($more)*)?)
    };
    ([$($term:tt)*] $work:block $(, $($more:tt)*)?) => {
        $crate::__assert_async!(@ [async $work] $($term)* $($($more)*)?)
    };
    ([$($term:tt)*] $work:expr $(, $($more:tt)*)?) => {
        $crate::__assert_async!(@ [async { $work.await }] $($term)* $($($more)*)?)
    };
    (@ [$($work:tt)+] $($term:tt)*) => {
        $crate::__run!(|value| {
            $crate::__private::assert_memory_async($($work)+, &$crate::__terms!($($term)*), &value)
                .await
                .or_panic()
        })
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __terms {
    (threads = $threads:tt $(,)?) => { $crate::__terms!() };
    (peak) => { $crate::__terms!() };
    ($what:ident $number:literal $($rest:tt)*) => {
        compile_error!(concat!(
            "expected <=, >= or == before the number, as in `",
            stringify!($what),
            " <= 64 KiB`; found `",
            stringify!($what $number $($rest)*),
            "`"
        ))
    };
    ($($what:ident $operator:tt $number:tt $($unit:ident)?),+ $(,)?) => {
        [$($crate::__term!($what $operator $number $($unit)?)),+]
    };
    () => { compile_error!("expected a limit after the work, as in `peak <= 64 KiB`; found none") };
    ($($other:tt)+) => {
        compile_error!(concat!(
            "expected limits, as in `peak <= 64 KiB, allocations == 3`; found `",
            stringify!($($other)+),
            "`"
        ))
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __term {
    (threads = "all") => { $crate::__private::Term::Threads($crate::__private::Threads::All) };
    (threads = "own") => { $crate::__private::Term::Threads($crate::__private::Threads::Own) };
    (threads = none) => { $crate::__private::Term::Threads($crate::__private::Threads::None) };
    (threads $($other:tt)*) => {
        compile_error!(concat!(
            "expected `threads = \"all\"` or `threads = \"own\"`; found `threads ",
            stringify!($($other)*),
            "`"
        ))
    };
    ($what:ident $operator:tt $number:tt $($unit:ident)?) => {
        $crate::__private::Term::Limit($crate::__private::Limit {
            quantity: $crate::__quantity!($what $($unit)?),
            comparison: $crate::__comparison!($operator),
            number: $crate::__number!($number $($unit)?),
        })
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __quantity {
    (peak $($unit:ident)?) => { $crate::__private::Quantity::Peak };
    (allocated $($unit:ident)?) => { $crate::__private::Quantity::Allocated };
    (leaked $($unit:ident)?) => { $crate::__private::Quantity::Leaked };
    (allocations) => { $crate::__private::Quantity::Allocations };
    (reallocations) => { $crate::__private::Quantity::Reallocations };
    ($($other:tt)*) => {
        compile_error!(concat!(
            "expected peak, allocated or leaked with bytes, or allocations or reallocations with a number \
             without a unit; found ",
            stringify!($($other)*)
        ))
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __comparison {
    (<=) => {
        $crate::__private::Comparison::AtMost
    };
    (>=) => {
        $crate::__private::Comparison::AtLeast
    };
    (==) => {
        $crate::__private::Comparison::Exactly
    };
    ($other:tt) => {
        compile_error!(concat!("expected <=, >= or ==; found ", stringify!($other)))
    };
}

#[doc(hidden)]
#[macro_export]
#[collapse_debuginfo(yes)]
macro_rules! __number {
    (($number:expr)) => { $crate::Bytes::from($number).get() };
    ($number:literal) => { $number };
    ($number:literal B) => { $number };
    ($number:literal KiB) => { const { $number * 1024 } };
    ($number:literal MiB) => { const { $number * 1024 * 1024 } };
    ($number:literal GiB) => { const { $number * 1024 * 1024 * 1024 } };
    ($($other:tt)*) => {
        compile_error!(concat!(
            "expected a number with B, KiB, MiB or GiB, or an expression in parentheses; found ",
            stringify!($($other)*)
        ))
    };
}

/// What a limit is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Bytes live at one moment.
    Peak,
    /// Bytes ever allocated.
    Allocated,
    /// Bytes live at the end.
    Leaked,
    /// Blocks ever allocated.
    Allocations,
    /// Blocks reallocated.
    Reallocations,
}

/// How a limit is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// No more than that.
    AtMost,
    /// No less.
    AtLeast,
    /// Just that.
    Exactly,
}

/// One limit.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What it is on.
    pub quantity: Quantity,
    /// How it is meant.
    pub comparison: Comparison,
    /// Bytes or blocks.
    pub number: u64,
}

/// What becomes of what threads do that the work starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// There must be none.
    None,
    /// It does not count.
    Own,
    /// It counts.
    All,
}

/// What is asked of a piece of work.
#[derive(Clone, Copy, Debug)]
pub enum Term {
    /// To keep to a limit.
    Limit(Limit),
    /// What becomes of its threads.
    Threads(Threads),
}

impl Threads {
    /// What the terms say, or else that there must be none.
    pub(crate) fn of(terms: &[Term]) -> Threads {
        let threads = terms.iter().find_map(|term| match term {
            Term::Threads(threads) => Some(*threads),
            Term::Limit(_) => None,
        });
        threads.unwrap_or(Threads::None)
    }

    pub(crate) fn enter(self) -> Result<Scope, Error> {
        match self {
            Threads::None => Scope::enter_noticing_threads(),
            Threads::Own => Scope::enter_with_stacks(),
            Threads::All => Scope::enter_with_threads(),
        }
    }
}

impl Quantity {
    fn of(self, usage: &Usage) -> u64 {
        match self {
            Quantity::Peak => usage.peak.bytes.get(),
            Quantity::Allocated => usage.allocated.bytes.get(),
            Quantity::Leaked => usage.current.bytes.get(),
            Quantity::Allocations => usage.allocated.blocks,
            Quantity::Reallocations => usage.reallocations,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Quantity::Peak => "peak",
            Quantity::Allocated => "allocated",
            Quantity::Leaked => "leaked",
            Quantity::Allocations => "allocations",
            Quantity::Reallocations => "reallocations",
        }
    }

    /// Bytes as people say them, and to the byte where that is not the same.
    fn number(self, number: u64) -> String {
        match self {
            Quantity::Allocations | Quantity::Reallocations => number.to_string(),
            _ => {
                let short = Bytes::new(number).to_string();
                match short.strip_suffix(" B") {
                    Some(_) => short,
                    None => format!("{short} ({number} B)"),
                }
            }
        }
    }

    /// By what the lines are sorted that did it, and how that is called.
    fn metric(self) -> (Metric, &'static str) {
        match self {
            Quantity::Peak => (Metric::AtPeak, "held at the peak"),
            Quantity::Leaked => (Metric::Current, "still held"),
            _ => (Metric::Total, "allocated"),
        }
    }
}

impl Limit {
    fn is_kept(&self, usage: &Usage) -> bool {
        let found = self.quantity.of(usage);
        match self.comparison {
            Comparison::AtMost => found <= self.number,
            Comparison::AtLeast => found >= self.number,
            Comparison::Exactly => found == self.number,
        }
    }

    /// `peak: expected at most 1024 B, found 1500 B: 476 B too much`.
    fn failure(&self, usage: &Usage) -> String {
        let (quantity, found) = (self.quantity, self.quantity.of(usage));
        let comparison = match self.comparison {
            Comparison::AtMost => "at most ",
            Comparison::AtLeast => "at least ",
            Comparison::Exactly => "",
        };
        let is_more = found > self.number;
        let many = matches!(quantity, Quantity::Allocations | Quantity::Reallocations);
        let far = match (is_more, many) {
            (true, true) => "too many",
            (true, false) => "too much",
            (false, true) => "too few",
            (false, false) => "too little",
        };
        format!(
            "{}: expected {comparison}{}, found {}: {} {far}",
            quantity.name(),
            quantity.number(self.number),
            quantity.number(found),
            quantity.number(found.abs_diff(self.number)),
        )
    }
}

/// What came of a piece of work: its value, or what it did not keep to.
#[derive(Debug)]
#[must_use]
pub struct Checked<T>(Result<T, String>);

impl<T> From<Result<T, String>> for Checked<T> {
    fn from(checked: Result<T, String>) -> Checked<T> {
        Checked(checked)
    }
}

impl<T> Checked<T> {
    /// NOTE: the panic is the caller's, which is why an async assertion calls this where the macro
    /// stands.
    #[track_caller]
    pub fn or_panic(self) -> T {
        match self.0 {
            Ok(value) => value,
            Err(message) => {
                let _muted = thread::mute();
                panic!("{message}");
            }
        }
    }
}

/// What is said where nothing can be measured.
pub(crate) fn cannot_measure(error: Error) -> String {
    let _muted = thread::mute();
    format!("cannot measure: {error}")
}

/// What is said of threads that are neither counted nor left out.
const STARTED_THREADS: &str = "this work started threads; use `threads = \"all\"` to count what they do, or \
                               `threads = \"own\"` to leave it out";

/// Says why the numbers of a scope are not those of the whole work.
pub(crate) fn refuse_threads(has_started_threads: bool) -> Result<(), String> {
    if has_started_threads {
        return Err(STARTED_THREADS.to_owned());
    }
    Ok(())
}

/// Runs `work` and panics if it does not keep to `terms`.
#[track_caller]
pub fn assert_memory<T>(work: impl FnOnce() -> T, terms: &[Term], _value: &Value<T>) -> T {
    checked(work, terms).or_panic()
}

fn checked<T>(work: impl FnOnce() -> T, terms: &[Term]) -> Checked<T> {
    let measured = || {
        let scope = Threads::of(terms).enter().map_err(cannot_measure)?;
        let value = work();
        refuse_threads(scope.has_started_threads())?;
        check(terms, scope.usage(), || scope.snapshot())?;
        Ok(value)
    };
    Checked(measured())
}

/// The same for a future, whichever threads poll it.
pub async fn assert_memory_async<F: Future>(
    future: F,
    terms: &[Term],
    _value: &Value<F::Output>,
) -> Checked<F::Output> {
    let measured = async {
        let handle = Threads::of(terms).enter().map(|scope| scope.handle());
        let handle = handle.map_err(cannot_measure)?;
        let value = handle.instrument(future).await;
        refuse_threads(handle.has_started_threads())?;
        check(terms, handle.usage(), || handle.snapshot())?;
        Ok(value)
    };
    Checked(measured.await)
}

/// The same for a future that one thread polls, with all that this thread does from its begin to
/// its end: so tasks count that run on this thread beside it.
pub async fn assert_memory_on_thread<F: Future>(future: F, terms: &[Term]) -> Checked<F::Output> {
    let measured = async {
        let scope = Threads::of(terms).enter().map_err(cannot_measure)?;
        let value = future.await;
        refuse_threads(scope.has_started_threads())?;
        check(terms, scope.usage(), || scope.snapshot())?;
        Ok(value)
    };
    Checked(measured.await)
}

fn check(
    terms: &[Term],
    usage: Result<Usage, Error>,
    snapshot: impl FnOnce() -> Result<Snapshot, Error>,
) -> Result<(), String> {
    let usage = usage.map_err(cannot_measure)?;
    let is_broken = |term: &Term| match term {
        Term::Limit(limit) => !limit.is_kept(&usage),
        Term::Threads(_) => false,
    };
    if !terms.iter().any(is_broken) {
        return Ok(());
    }
    let snapshot = snapshot().map_err(cannot_measure)?;
    let _muted = thread::mute();
    Err(message(terms, &usage, &snapshot))
}

fn message(terms: &[Term], usage: &Usage, snapshot: &Snapshot) -> String {
    let limits = terms.iter().filter_map(|term| match term {
        Term::Limit(limit) => Some(limit),
        Term::Threads(_) => None,
    });
    let broken: Vec<&Limit> = limits.filter(|it| !it.is_kept(usage)).collect();
    let mut message = String::new();
    for limit in &broken {
        let _ = writeln!(message, "{}", limit.failure(usage));
    }
    let mut shown = Vec::new();
    for limit in broken {
        let (metric, what) = limit.quantity.metric();
        if !shown.contains(&metric) {
            shown.push(metric);
            // NOTE: writing to a string does not fail.
            let _ = lines(&mut message, snapshot, metric, what);
        }
    }
    message.truncate(message.trim_end().len());
    message
}

/// How many stacks a message shows, and how many frames of each.
const STACKS: usize = 3;
const FRAMES: usize = 5;

fn lines(message: &mut String, snapshot: &Snapshot, metric: Metric, what: &str) -> fmt::Result {
    // NOTE: stacks that look alike are one: they differ in a column, or in frames that are not
    // shown.
    let mut stacks: HashMap<String, Amount> = HashMap::new();
    for trace in snapshot.traces() {
        let amount = trace.counters.amount(metric);
        if amount != Amount::default() {
            *stacks.entry(shown(trace)?).or_default() += amount;
        }
    }
    let mut stacks: Vec<(String, Amount)> = stacks.into_iter().collect();
    stacks.sort_by(|(one, a), (other, b)| {
        let larger_first = (b.bytes, b.blocks).cmp(&(a.bytes, a.blocks));
        larger_first.then_with(|| one.cmp(other))
    });
    for (frames, Amount { bytes, blocks }) in stacks.iter().take(STACKS) {
        let s = if *blocks == 1 { "" } else { "s" };
        writeln!(message, "  {bytes} in {blocks} block{s} {what} by")?;
        message.push_str(frames);
    }
    match stacks.len().saturating_sub(STACKS) {
        0 => Ok(()),
        1 => writeln!(message, "  and 1 more stack"),
        more => writeln!(message, "  and {more} more stacks"),
    }
}

/// The lines of a stack.
fn shown(trace: &Trace) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for frame in frames(trace) {
        let function = frame.function().unwrap_or_default();
        writeln!(text, "    {frame} {function}")?;
    }
    Ok(text)
}

/// The frames that tell something: the program's own and its dependencies', from the line that is charged to
/// the assertion.
fn frames(trace: &Trace) -> Vec<&Frame> {
    let frames: &[Frame] = &trace.traceback;
    let is_ours = |frame: &&Frame| frame.origin() == Origin::Tracer;
    let inner = frames.iter().take_while(is_ours).count();
    let told: Vec<&Frame> = frames[inner..]
        .iter()
        .take_while(|frame| !is_ours(frame))
        .filter(|frame| frame.origin() != Origin::Std)
        .take(FRAMES)
        .collect();
    if told.is_empty() {
        return vec![trace.traceback.charged(ChargeTo::Caller)];
    }
    told
}

/// Runs `work` in rounds, and panics if a line holds more after each of them.
#[track_caller]
pub fn assert_no_growth<T>(
    rounds: usize,
    warmup: usize,
    threads: Term,
    mut work: impl FnMut() -> T,
    _value: &Value<T>,
) {
    let mut measured = || {
        expect_rounds(rounds)?;
        let scope = Threads::of(&[threads]).enter().map_err(cannot_measure)?;
        (0..warmup).for_each(|_| drop(work()));
        let mut held = Held::new(rounds, scope.snapshot())?;
        for round in 1..=rounds {
            drop(work());
            held.note(round, scope.snapshot())?;
        }
        refuse_threads(scope.has_started_threads())?;
        held.has_not_grown()
    };
    Checked(measured()).or_panic();
}

/// The same for futures, whichever threads poll them.
pub async fn assert_no_growth_async<T>(
    rounds: usize,
    warmup: usize,
    threads: Term,
    mut work: impl AsyncFnMut() -> T,
    _value: &Value<T>,
) -> Checked<()> {
    let measured = async {
        expect_rounds(rounds)?;
        let handle = Threads::of(&[threads]).enter().map(|scope| scope.handle());
        let handle = handle.map_err(cannot_measure)?;
        for _ in 0..warmup {
            drop(handle.instrument(work()).await);
        }
        let mut held = Held::new(rounds, handle.snapshot())?;
        for round in 1..=rounds {
            drop(handle.instrument(work()).await);
            held.note(round, handle.snapshot())?;
        }
        refuse_threads(handle.has_started_threads())?;
        held.has_not_grown()
    };
    Checked(measured.await)
}

fn expect_rounds(rounds: usize) -> Result<(), String> {
    match rounds {
        0 | 1 => Err(format!("expected at least 2 rounds, found {rounds}")),
        _ => Ok(()),
    }
}

/// What each stack held after each round.
type HeldByStack = HashMap<(StackEnd, Box<[usize]>), Vec<u64>>;

/// What the lines held that these stacks are charged to.
fn by_line<'h>(
    held: impl Iterator<Item = (&'h (StackEnd, Box<[usize]>), &'h Vec<u64>)>,
    snapshot: &Snapshot,
) -> Vec<(Frame, Vec<u64>)> {
    let mut recorded = Recorded {
        traceback_limit: snapshot.traceback_limit(),
        ..Recorded::default()
    };
    let mut bytes = Vec::new();
    for ((stack_end, stack), held) in held {
        let start = recorded.addresses.len();
        recorded.addresses.extend(stack);
        recorded.callsites.push(RecordedCallsite {
            stack: start..recorded.addresses.len(),
            stack_end: *stack_end,
            ..RecordedCallsite::default()
        });
        bytes.push(held);
    }
    let mut lines: HashMap<Frame, Vec<u64>> = HashMap::new();
    for (frame, held) in snapshot.charged(&recorded).into_iter().zip(bytes) {
        let line = lines.entry(frame).or_insert_with(|| vec![0; held.len()]);
        line.iter_mut().zip(held).for_each(|(sum, it)| *sum += it);
    }
    lines.into_iter().collect()
}

/// What is held after each round.
struct Held {
    rounds: usize,
    by_stack: HeldByStack,
    last: Snapshot,
}

impl Held {
    /// Begins with what is held before the first round, which is what the others are compared with.
    fn new(rounds: usize, before: Result<Snapshot, Error>) -> Result<Held, String> {
        let before = before.map_err(cannot_measure)?;
        let mut held = Held {
            rounds,
            by_stack: thread::outside_scope(HashMap::new),
            last: before,
        };
        held.add(0);
        Ok(held)
    }

    fn note(&mut self, round: usize, after: Result<Snapshot, Error>) -> Result<(), String> {
        self.last = after.map_err(cannot_measure)?;
        self.add(round);
        Ok(())
    }

    fn add(&mut self, round: usize) {
        let _muted = thread::mute();
        let Recorded {
            addresses,
            callsites,
            ..
        } = self.last.recorded();
        for callsite in callsites {
            let stack = addresses[callsite.stack.clone()].into();
            let held = self.by_stack.entry((callsite.stack_end, stack));
            let bytes = held.or_insert_with(|| vec![0; self.rounds + 1]);
            bytes[round] += callsite.counters.current.bytes.get();
        }
    }

    /// An error is the lines that grow.
    fn has_not_grown(&self) -> Result<(), String> {
        let _muted = thread::mute();
        let Held {
            rounds,
            by_stack: held,
            last,
        } = self;
        // Names take time, so stacks are looked at first: where a line grows, some stack of it
        // does.
        let has_grown = |round: usize| held.values().any(|bytes| bytes[round - 1] < bytes[round]);
        if !(1..=*rounds).all(has_grown) {
            return Ok(());
        }
        let has_changed = |bytes: &[u64]| bytes.iter().any(|it| *it != bytes[0]);
        let changed = held.iter().filter(|(_, bytes)| has_changed(bytes));
        let is_growing = |(_, bytes): &(Frame, Vec<u64>)| bytes.is_sorted_by(|a, b| a < b);
        if !by_line(changed, last).iter().any(is_growing) {
            return Ok(());
        }
        // What has not changed is on the same lines.
        let mut grown = by_line(held.iter(), last);
        grown.retain(is_growing);
        grown.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes[*rounds] - bytes[0]));
        let lines = if grown.len() == 1 {
            "line holds"
        } else {
            "lines hold"
        };
        let mut message = format!("{} {lines} more after each of {rounds} rounds", grown.len());
        for (frame, bytes) in &grown {
            let after: Vec<String> = bytes.iter().map(|&it| Bytes::new(it).to_string()).collect();
            let function = frame.function().unwrap_or_default();
            let _ = write!(message, "\n  {frame} {function}: {}", after.join(", "));
        }
        Err(message)
    }
}
