//! Writes the snapshots that the environment requests, on a thread of its own.
//!
//! # The writer thread
//!
//! It is a [background thread](crate::environment::background): its allocations are not recorded,
//! and it has no share of the heap's peak credit. A fork does not copy threads, so a child starts
//! its own.
//!
//! Some calls are only permitted in a process with one thread, such as entering a user namespace,
//! and programs make them in their first lines. So the thread starts when it is first needed:
//!
//! - For intervals below one second, for conditions, and where [nothing detects](waiting) what a
//!   signal interrupted: at once.
//! - For longer intervals: at the first allocation or free one second after the process started.
//! - For a signal: when the first one arrives. If it interrupted a wait, the handler starts the
//!   thread. Otherwise the next allocation or free does, or the handler, which is called
//!   [again](retry) until then.
//! - For either of the last two: when another thread of the program allocates.
//!
//! Allocations call [`answer`] only while a start is [requested](control::ask). They are then off
//! the fast path.
//!
//! # Alternatives
//!
//! A timer's signal would interrupt system calls, and would end a program that resets its signal
//! handlers. A process that shares memory (`CLONE_VM`) does not count as a thread. But it keeps the
//! privileges, directory and root that the program gave up, outlives an `exec`, and has no
//! thread-local storage of the C library.
//!
//! # Modules
//!
//! Here is what the environment requests, and when the thread starts. `writing` writes a snapshot
//! while no other is written, `signal` is the signals' handler, and `writer` is the thread's loop.

mod signal;
mod writer;
mod writing;

use std::sync::OnceLock;
use std::time::Duration;

use crate::control;
use crate::environment::signals::Signal;
use crate::environment::template::Template;
use crate::environment::watch::Conditions;
use crate::environment::{background, retry, wake};
use crate::record::thread::Busy;
use crate::snapshot::file::Names;
use crate::system::sync::{AtomicBool, AtomicU64, Ordering};
use crate::system::{hooks, waiting};
use crate::tables::counters::Concurrency;
use crate::write::With;

pub(crate) use writing::hold;
pub(super) use writing::writing;

/// The variable that names the signal for snapshots.
const SIGNAL: &str = "ALLOC_TRACE_SIGNAL";

/// What the environment requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// The interval of numbered snapshots.
    pub(crate) every: Option<Duration>,
    /// The signal that requests a numbered snapshot.
    pub(crate) signal: Option<Signal>,
    /// The signal that requests a heap graph.
    pub(crate) graph_signal: Option<Signal>,
    /// The file to which the heap's numbers are appended.
    pub(crate) live: Option<Template>,
    /// The conditions on which a numbered snapshot is written.
    pub(crate) when: Option<Conditions>,
    /// The path of numbered snapshots.
    pub(crate) numbered: Template,
    /// The path of the snapshot at the process's end.
    pub(crate) at_exit: Option<Template>,
    /// How many numbered snapshots of a process are kept; all if `None`.
    pub(crate) keep: Option<u32>,
    /// What snapshots have.
    pub(crate) with: With,
}

impl Order {
    /// How long after its start a program stays single-threaded, for intervals of at least this.
    const GRACE: Duration = Duration::from_secs(1);

    fn needs_a_thread(&self) -> bool {
        let waits = self.every.is_some() || self.any_signal().is_some();
        waits || self.live.is_some() || self.when.is_some()
    }

    /// Whether memory for a snapshot is set aside, and no names are read, which need the heap.
    fn sets_memory_aside(&self) -> bool {
        let is_recorder = self.when.is_some() || self.keep.is_some();
        is_recorder && self.with.names == Names::Addresses
    }

    fn needs_a_thread_at_once(&self) -> bool {
        self.live.is_some()
            || self.when.is_some()
            || self.every.is_some_and(|it| it < Order::GRACE)
            || self.any_signal().is_some() && !waiting::CAN_TELL
    }

    pub(crate) fn any_signal(&self) -> Option<Signal> {
        self.signal.or(self.graph_signal)
    }
}

/// The requests of this process.
///
/// NOTE: a `OnceLock` blocks only in `set` and `get_or_init`. [`order`] sets it once, under the
/// control lock, and everything else calls `get`, which never waits.
static ORDER: OnceLock<Order> = OnceLock::new();
/// When the process started, by [`hooks::monotonic_time`], in nanoseconds.
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// Whether the writer thread was started in this process.
static HAS_THREAD: AtomicBool = AtomicBool::new(false);
/// Stores the requests and registers the exit handler. Does not allocate. `false` if the system
/// refuses the handler.
pub(crate) fn order(order: Order) -> bool {
    begin_to_count();
    hooks::stay_loaded();
    let _ = ORDER.set(order);
    hooks::call_at_exit(writing::at_exit)
}

/// Returns the requests that need the thread, and the time since the process started.
fn order_for_thread() -> Option<(&'static Order, Duration)> {
    let order = ORDER.get().filter(|it| it.needs_a_thread())?;
    let began = Duration::from_nanos(BEGAN.load(Ordering::Relaxed));
    Some((order, hooks::monotonic_time().saturating_sub(began)))
}

fn begin_to_count() {
    let now = hooks::monotonic_time().as_nanos() as u64;
    BEGAN.store(now, Ordering::Relaxed);
}

/// Installs the signal handler, and starts the thread if it is needed at once.
///
/// Called before the program's own code runs, with no lock held.
pub(crate) fn start() {
    let Some((order, _)) = order_for_thread() else {
        return;
    };
    for (signal, name) in [
        (order.signal, SIGNAL),
        (order.graph_signal, "ALLOC_TRACE_GRAPH_SIGNAL"),
    ] {
        if signal.is_some_and(|it| !it.handle(signal::signalled)) {
            hooks::write_to_stderr(&["alloc-core: ", name, ": the system refused a handler\n"]);
        }
    }
    prepare(order);
}

fn prepare(order: &Order) {
    if order.needs_a_thread_at_once() {
        start_thread();
        return;
    }
    order.any_signal().into_iter().for_each(retry::prepare);
    if order.every.is_some() {
        control::ask();
    }
}

/// Prepares a child after a fork. It has one thread, and inherits its parent's signal handler.
pub(crate) fn start_in_child() {
    let Some((order, _)) = order_for_thread() else {
        return;
    };
    begin_to_count();
    signal::forget();
    wake::take();
    HAS_THREAD.store(false, Ordering::Release);
    prepare(order);
}

/// Starts the thread, unless it was started before.
fn start_thread() {
    if writing::has_ended() {
        return;
    }
    // The acquire pairs with the release in `start_in_child`, which publishes the reset state.
    if !HAS_THREAD.swap(true, Ordering::AcqRel) && !background::serve(writer::serve) {
        hooks::write_to_stderr(&["alloc-core: the system refused a thread to write snapshots\n"]);
    }
}

/// Whether a session that starts, or whose concurrency changes, must [ask](control::ask)
/// allocations to call [`answer`].
pub(crate) fn waits_for_an_answer(concurrency: Concurrency) -> bool {
    let waits = |order: &Order| {
        let is_slow = order.every.is_some() || signal::has_arrived();
        order.needs_a_thread() && (is_slow || concurrency == Concurrency::Multi)
    };
    !HAS_THREAD.load(Ordering::Relaxed) && ORDER.get().is_some_and(waits)
}

/// Starts the thread if it is time.
///
/// Called before a record while [asked](control::ask), by a thread that is not inside the tracer.
#[cold]
pub(crate) fn answer() {
    let order = order_for_thread().filter(|_| !HAS_THREAD.load(Ordering::Relaxed));
    let Some((order, since)) = order else {
        return control::unask();
    };
    match control::generation() {
        // A session that starts asks again, and may have done so just now.
        control::OFF | control::UNSET => ask_no_more_unless(control::is_on),
        // The thread that paused it is about to set the concurrency.
        generation if control::is_paused(generation) => {}
        generation => {
            let is_time = order.every.is_some() && since >= Order::GRACE;
            let has_others = control::concurrency(generation) == Concurrency::Multi;
            let was_signalled = || signal::has_arrived();
            if is_time || has_others || was_signalled() {
                control::unask();
                let _busy = Busy::begin();
                let error = hooks::errno();
                start_thread();
                hooks::set_errno(error);
            } else if order.every.is_none() {
                ask_no_more_unless(was_signalled);
            }
        }
    }
}

fn ask_no_more_unless(is_asked_again: impl FnOnce() -> bool) {
    control::unask();
    if is_asked_again() {
        control::ask();
    }
}
