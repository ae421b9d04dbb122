//! Assertions on what a piece of work allocates: the macros, and what they come to.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use crate::error::Error;
use crate::recorded::{Recorded, RecordedCallsite, StackEnd};
use crate::scope::{Scope, ScopeHandle, Usage, or_panic};
use crate::snapshot::Snapshot;
use crate::{Amount, Bytes, ChargeTo, Frame, Metric, Origin, Trace, thread};

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
/// # Panics
///
/// If a limit is not kept, with by how much, and the lines that did it with their stacks; and where the
/// numbers would not be true, as [`measure`](crate::measure()) does.
#[macro_export]
macro_rules! assert_memory {
    ($work:expr, $($what:ident $operator:tt $number:tt $($unit:ident)?),+ $(,)?) => {
        $crate::__private::assert_memory(
            || $work,
            &[$($crate::__limit!($what $operator $number $($unit)?)),+],
        )
    };
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
/// # Panics
///
/// As [`assert_memory!`].
#[macro_export]
macro_rules! assert_peak {
    ($work:expr, $operator:tt $number:tt $($unit:ident)?) => {
        $crate::assert_memory!($work, peak $operator $number $($unit)?)
    };
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
/// # Panics
///
/// As [`assert_memory!`].
#[macro_export]
macro_rules! assert_no_alloc {
    ($work:expr) => {
        $crate::assert_memory!($work, allocations == 0)
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
/// # Panics
///
/// As [`assert_memory!`].
#[macro_export]
macro_rules! assert_no_leak {
    ($work:expr) => {
        $crate::assert_memory!($work, leaked == 0 B)
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
/// # Panics
///
/// If a line grows, with how much it holds after each round; and as [`measure`](crate::measure()) does.
#[macro_export]
macro_rules! assert_no_growth {
    (rounds = $rounds:expr, warmup = $warmup:expr, $work:expr $(,)?) => {
        $crate::__private::assert_no_growth($rounds, $warmup, $work)
    };
    (rounds = $rounds:expr, $work:expr $(,)?) => {
        $crate::assert_no_growth!(rounds = $rounds, warmup = 1, $work)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __limit {
    ($what:ident $operator:tt $number:tt $($unit:ident)?) => {
        $crate::__private::Limit {
            quantity: $crate::__quantity!($what $($unit)?),
            comparison: $crate::__comparison!($operator),
            number: $crate::__number!($number $($unit)?),
        }
    };
}

#[doc(hidden)]
#[macro_export]
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

/// Runs `work` and panics if it does not keep to `limits`.
#[track_caller]
pub fn assert_memory<T>(work: impl FnOnce() -> T, limits: &[Limit]) -> T {
    assert_memory_in(or_panic(Scope::enter_with_stacks()), work, limits)
}

/// The same, with what threads do that the work starts.
#[track_caller]
pub fn assert_memory_of_threads<T>(work: impl FnOnce() -> T, limits: &[Limit]) -> T {
    assert_memory_in(or_panic(Scope::enter_with_threads()), work, limits)
}

#[track_caller]
fn assert_memory_in<T>(scope: Scope, work: impl FnOnce() -> T, limits: &[Limit]) -> T {
    let value = work();
    check(limits, scope.usage(), || scope.snapshot());
    value
}

/// The same for a future, whichever threads poll it.
pub async fn assert_memory_future<F: Future>(future: F, limits: &[Limit]) -> F::Output {
    let handle = or_panic(ScopeHandle::with_stacks());
    let value = handle.instrument(future).await;
    check(limits, handle.usage(), || handle.snapshot());
    value
}

#[track_caller]
fn check(
    limits: &[Limit],
    usage: Result<Usage, Error>,
    snapshot: impl FnOnce() -> Result<Snapshot, Error>,
) {
    let usage = or_panic(usage);
    if limits.iter().all(|limit| limit.is_kept(&usage)) {
        return;
    }
    let snapshot = or_panic(snapshot());
    let _muted = thread::mute();
    let message = message(limits, &usage, &snapshot);
    panic!("{message}");
}

fn message(limits: &[Limit], usage: &Usage, snapshot: &Snapshot) -> String {
    let broken: Vec<&Limit> = limits.iter().filter(|it| !it.is_kept(usage)).collect();
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
    let amount = |trace: &Trace| trace.counters.amount(metric);
    let mut traces: Vec<&Trace> = snapshot.traces().iter().collect();
    traces.retain(|trace| amount(trace) != Amount::default());
    traces.sort_by_key(|trace| std::cmp::Reverse((amount(trace).bytes, amount(trace).blocks)));
    for trace in traces.iter().take(STACKS) {
        let Amount { bytes, blocks } = amount(trace);
        let s = if blocks == 1 { "" } else { "s" };
        writeln!(message, "  {bytes} in {blocks} block{s} {what} by")?;
        for frame in frames(trace) {
            writeln!(
                message,
                "    {frame} {}",
                frame.function().unwrap_or_default()
            )?;
        }
    }
    match traces.len().saturating_sub(STACKS) {
        0 => Ok(()),
        1 => writeln!(message, "  and 1 more stack"),
        more => writeln!(message, "  and {more} more stacks"),
    }
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
pub fn assert_no_growth<T>(rounds: usize, warmup: usize, work: impl FnMut() -> T) {
    assert!(rounds >= 2, "expected at least 2 rounds, found {rounds}");
    if let Some(message) = or_panic(grown(rounds, warmup, work)) {
        panic!("{message}");
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

fn grown<T>(
    rounds: usize,
    warmup: usize,
    mut work: impl FnMut() -> T,
) -> Result<Option<String>, Error> {
    let scope = Scope::enter_with_stacks()?;
    (0..warmup).for_each(|_| drop(work()));
    let mut held: HeldByStack = thread::outside_scope(HashMap::new);
    let mut last = scope.snapshot()?;
    for round in 0..=rounds {
        // NOTE: what is held before the first round is what the others are compared with.
        if round > 0 {
            drop(work());
            last = scope.snapshot()?;
        }
        let _muted = thread::mute();
        let Recorded {
            addresses,
            callsites,
            ..
        } = last.recorded();
        for callsite in callsites {
            let stack = addresses[callsite.stack.clone()].into();
            let held = held.entry((callsite.stack_end, stack));
            let bytes = held.or_insert_with(|| vec![0; rounds + 1]);
            bytes[round] += callsite.counters.current.bytes.get();
        }
    }
    let _muted = thread::mute();
    // Names take time, so stacks are looked at first: where a line grows, some stack of it does.
    let has_grown = |round| held.values().any(|bytes| bytes[round - 1] < bytes[round]);
    if !(1..=rounds).all(has_grown) {
        return Ok(None);
    }
    let has_changed = |bytes: &[u64]| bytes.iter().any(|it| *it != bytes[0]);
    let changed = held.iter().filter(|(_, bytes)| has_changed(bytes));
    let is_growing = |(_, bytes): &(Frame, Vec<u64>)| bytes.is_sorted_by(|a, b| a < b);
    if !by_line(changed, &last).iter().any(is_growing) {
        return Ok(None);
    }
    // What has not changed is on the same lines.
    let mut grown = by_line(held.iter(), &last);
    grown.retain(is_growing);
    grown.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes[rounds] - bytes[0]));
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
    Ok(Some(message))
}
