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

use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::Error;
use crate::environment::clock::Clock;
use crate::environment::live::Live;
use crate::environment::rehearsals::Rehearsals;
use crate::environment::ring::{self, about};
use crate::environment::signals::{self, Signal};
use crate::environment::template::{self, Template};
use crate::environment::watch::{self, Conditions, Reason, Watch};
use crate::graph::heap_graph;
use crate::record::thread::{self, Busy, Stage, ThreadState};
use crate::snapshot::file::Names;
use crate::system::sync::{AtomicBool, AtomicU64, Ordering};
use crate::tables::counters::Concurrency;
use crate::write::{self, Moment, Packed, Reserve, With, stock};
use crate::{
    announce, control, environment::background, environment::retry, environment::wake,
    record::stack_here, system::hooks, system::waiting,
};

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
/// Whether a signal arrived before the writer thread started.
static WAS_SIGNALLED: AtomicBool = AtomicBool::new(false);
/// What signals requested that was not written yet.
static WANTS_SNAPSHOT: AtomicBool = AtomicBool::new(false);
static WANTS_GRAPH: AtomicBool = AtomicBool::new(false);
/// Held while a snapshot is written, so that the process does not end in the middle of it.
static WRITING: Mutex<()> = Mutex::new(());
/// Whether the process is ending. Guarded by [`WRITING`].
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// Stores the requests and registers the exit handler. Does not allocate. `false` if the system
/// refuses the handler.
pub(crate) fn order(order: Order) -> bool {
    begin_to_count();
    hooks::stay_loaded();
    let _ = ORDER.set(order);
    hooks::call_at_exit(at_exit)
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
        if signal.is_some_and(|it| !it.handle(signalled)) {
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
    WAS_SIGNALLED.store(false, Ordering::Relaxed);
    WANTS_SNAPSHOT.store(false, Ordering::Relaxed);
    WANTS_GRAPH.store(false, Ordering::Relaxed);
    wake::take();
    HAS_THREAD.store(false, Ordering::Release);
    prepare(order);
}

/// Starts the thread, unless it was started before.
fn start_thread() {
    if HAS_ENDED.load(Ordering::Relaxed) {
        return;
    }
    // The acquire pairs with the release in `start_in_child`, which publishes the reset state.
    if !HAS_THREAD.swap(true, Ordering::AcqRel) && !background::serve(serve) {
        hooks::write_to_stderr(&["alloc-core: the system refused a thread to write snapshots\n"]);
    }
}

/// Whether a session that starts, or whose concurrency changes, must [ask](control::ask)
/// allocations to call [`answer`].
pub(crate) fn waits_for_an_answer(concurrency: Concurrency) -> bool {
    let waits = |order: &Order| {
        let is_slow = order.every.is_some() || WAS_SIGNALLED.load(Ordering::Relaxed);
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
            let was_signalled = || WAS_SIGNALLED.load(Ordering::Relaxed);
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

/// The signal's handler.
extern "C" fn signalled(signal: libc::c_int, info: *const c_void, interrupted: *const c_void) {
    let error = hooks::errno();
    // SAFETY: `info` is this handler's second argument, and the handler is still running.
    let is_retry = unsafe { retry::is_one(info) };
    if !is_retry && (control::is_on() || HAS_THREAD.load(Ordering::Relaxed)) {
        let graph = ORDER.get().and_then(|it| it.graph_signal);
        let is_of_graph = graph.is_some_and(|it| it.number() == signal);
        let wants = if is_of_graph {
            &WANTS_GRAPH
        } else {
            &WANTS_SNAPSHOT
        };
        // The wake-up below publishes it.
        wants.store(true, Ordering::Relaxed);
    }
    if HAS_THREAD.load(Ordering::Relaxed) {
        if !is_retry {
            wake::wake();
        }
    } else if control::is_on() {
        wake::wake();
        WAS_SIGNALLED.store(true, Ordering::Relaxed);
        control::ask();
        let is_outside = thread::stage() != Stage::Busy
            && !thread::current().is_some_and(ThreadState::is_inside);
        // SAFETY: `interrupted` is this handler's third argument.
        if is_outside && unsafe { waiting::was_interrupted(interrupted) } {
            start_thread();
        } else {
            // The program may start to wait before its next allocation.
            retry::soon();
        }
    } else if !is_retry {
        warn_that_tracing_is_off();
    }
    hooks::set_errno(error);
    if !is_retry {
        signals::call_previous(signal, info, interrupted);
    }
}

/// Waits for a snapshot in progress and blocks others while the guard lives.
///
/// A fork holds it, since a thread that writes a snapshot holds locks of many libraries.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The variable that names the signal for snapshots.
const SIGNAL: &str = "ALLOC_TRACE_SIGNAL";

/// Reports a signal that arrived while tracing is off. Async-signal-safe.
fn warn_that_tracing_is_off() {
    hooks::write_to_stderr(&[
        "alloc-core: ALLOC_TRACE_SIGNAL: no snapshot written: tracing is off; \
         with ALLOC_TRACE=128 it is on from the start\n",
    ]);
}

extern "C" fn at_exit() {
    if stack_here::may_be_within_allocation() {
        // NOTE: does not wait for a snapshot in progress: this thread may be writing it.
        HAS_ENDED.store(true, Ordering::Relaxed);
        if ORDER.get().is_some_and(|it| it.at_exit.is_some()) {
            hooks::write_to_stderr(&[
                "alloc-core: ALLOC_TRACE_OUT: no snapshot written: a signal handler called exit, \
                 and what it interrupted may be in the middle of an allocation\n",
            ]);
        }
        return;
    }
    let out = ORDER.get().and_then(|it| it.at_exit);
    if let Some(out) = out.filter(|_| control::was_ever_on()) {
        // The path and the writer's memory are not the program's.
        let _muted = thread::mute();
        let written = if out.is_numbered() {
            write_numbered(out, Moment::Exit, None).map(|_| ())
        } else {
            write(|process, number| out.last(process, number))
        };
        if let Err(error) = written {
            hooks::write_to_stderr(&[
                "alloc-core: ALLOC_TRACE_OUT: no snapshot written: ",
                &error,
                "\n",
            ]);
        }
    }
    // Waits for a snapshot in progress, and prevents others, which the exit would cut off.
    let _writing = hold();
    HAS_ENDED.store(true, Ordering::Relaxed);
}

/// Writes the last snapshot. `path` takes the process id and the number of numbered snapshots.
fn write(path: impl FnOnce(u32, u32) -> PathBuf) -> Result<(), String> {
    writing(|| {
        let path = path(std::process::id(), ring::last_number());
        template::check_length(&path)?;
        let packed = pack(Moment::Exit, None).map_err(|error| about(error, &path))?;
        let others = packed.put(&path).map_err(|error| about(error, &path))?;
        if others {
            let path = path.to_string_lossy();
            hooks::write_to_stderr(&[
                "alloc-core: ",
                &path,
                ": replaced a file that was written while this process ran: \
                 with %p in the path each process has its own\n",
            ]);
        }
        Ok(())
    })
}

fn pack(moment: Moment, reason: Option<Reason>) -> Result<Packed, Error> {
    let order = ORDER.get();
    let with = order.map_or_else(With::default, |order| order.with);
    // What `alloc-report oom` reads.
    let mut metadata = Vec::new();
    if order.is_some_and(|order| order.when.is_some()) {
        metadata.extend(reason.map(|it| ("reason", it.to_string())));
        if let Some(memory) = watch::memory() {
            metadata.push(("memory.current", memory.current.to_string()));
            metadata.extend(memory.limit.map(|it| ("memory.limit", it.to_string())));
        }
    }
    let metadata: Vec<(&str, &str)> = metadata.iter().map(|it| (it.0, &*it.1)).collect();
    write::pack(with, moment, &metadata).or_else(|error| match with.residence {
        // A program may have left `/proc` behind, or trace a sample. The rest is known.
        true => {
            let residence = false;
            write::pack(With { residence, ..with }, moment, &metadata)
        }
        false => Err(error),
    })
}

/// Runs `write` while no other snapshot is written. Does nothing if the process is ending or if
/// there is no memory.
pub(super) fn writing<T: Default>(write: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // A panic must not unwind into the C library.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _writing = hold();
        if HAS_ENDED.load(Ordering::Relaxed) {
            return Ok(T::default());
        }
        let _stock = stock::Open::begin();
        if Reserve::take().is_none() {
            hooks::write_to_stderr(&[
                "alloc-core: no snapshot written: the system gave no memory for it\n",
            ]);
            return Ok(T::default());
        }
        write()
    }));
    result.unwrap_or_else(|_| Err("a panic while writing it".to_owned()))
}

/// Writes a numbered snapshot, and returns its path if it was written.
fn write_numbered(
    out: Template,
    moment: Moment,
    reason: Option<Reason>,
) -> Result<Option<PathBuf>, String> {
    writing(|| {
        let keep = ORDER.get().and_then(|order| order.keep);
        let written = ring::write(out, keep, || pack(moment, reason)).map(Some);
        if moment == Moment::Running && ORDER.get().is_some_and(Order::sets_memory_aside) {
            stock::enlarge();
        }
        written
    })
}

/// Writes numbered snapshots, and says what goes wrong once.
#[derive(Default)]
struct Ticks {
    /// How many were not written since the last one that was.
    failed: u32,
}

impl Ticks {
    /// Writes a numbered snapshot, and prints its path if a signal requested it. `false` if it
    /// could not be written.
    ///
    /// NOTE: a snapshot that nobody waits for fails in silence after the first. A message each time
    /// would fill the disk that is full.
    fn tick(&mut self, out: Template, was_signalled: bool, reason: Option<Reason>) -> bool {
        if !control::is_on() {
            if was_signalled {
                warn_that_tracing_is_off();
            }
            return true;
        }
        match write_numbered(out, Moment::Running, reason) {
            Ok(Some(path)) => {
                let failed = std::mem::take(&mut self.failed);
                if was_signalled || failed > 0 {
                    let after = match failed {
                        0 => String::new(),
                        _ => format!(", after {failed} that could not be written"),
                    };
                    // NOTE: in one write, since other threads write there too.
                    let message = format!("alloc-core: wrote {}{after}\n", path.display());
                    hooks::write_to_stderr(&[&message]);
                }
                announce::wrote(&path);
                true
            }
            Ok(None) => false,
            Err(error) => {
                if was_signalled || self.failed == 0 {
                    hooks::write_to_stderr(&["alloc-core: no snapshot written: ", &error, "\n"]);
                    announce::did_not_write(&error);
                }
                self.failed = self.failed.saturating_add(1);
                false
            }
        }
    }
}

/// Writes a heap graph next to the numbered snapshots, and prints its path.
fn write_graph(out: Template) {
    if !control::is_on() {
        return warn_that_tracing_is_off();
    }
    let written = writing(|| {
        let path = graph_path(&ring::next_path(out));
        template::check_length(&path)?;
        heap_graph(&path).map_err(|error| error.to_string())?;
        Ok(Some(path))
    });
    match written {
        Ok(Some(path)) => {
            let message = format!("alloc-core: wrote {}\n", path.display());
            hooks::write_to_stderr(&[&message]);
            announce::wrote(&path);
        }
        Ok(None) => {}
        Err(error) => {
            hooks::write_to_stderr(&["alloc-core: no heap graph written: ", &error, "\n"]);
            announce::did_not_write(&error);
        }
    }
}

/// The path of a heap graph, from that of a snapshot: `heap.0001.pb.gz` becomes
/// `heap.0001.heapgraph`.
fn graph_path(snapshot: &Path) -> PathBuf {
    let mut path = snapshot.to_owned();
    for extension in ["gz", "pb"] {
        if path.extension().is_some_and(|it| it == extension) {
            path.set_extension("");
        }
    }
    path.as_mut_os_string().push(".heapgraph");
    path
}

/// The writer thread's loop.
fn serve() {
    let Some((order, ago)) = order_for_thread() else {
        return;
    };
    let mut snapshots = order.every.map(|every| Clock::begun(every, ago));
    let mut live = order.live.and_then(Live::new);
    let mut watch = order.when.map(Watch::new);
    let mut ticks = Ticks::default();
    let mut rehearsals = order.sets_memory_aside().then(Rehearsals::default);
    loop {
        rehearsals.iter_mut().for_each(Rehearsals::rehearse_if_due);
        let next = [
            snapshots.as_ref().map(Clock::left),
            live.as_ref().map(|it| it.clock.left()),
            watch.as_ref().map(|_| watch::EVERY),
        ];
        wake::wait(next.into_iter().flatten().min());
        let signalled = WANTS_SNAPSHOT.swap(false, Ordering::Relaxed);
        if WANTS_GRAPH.swap(false, Ordering::Relaxed) {
            write_graph(order.numbered);
        }
        let is_due = snapshots.as_mut().is_some_and(Clock::is_due);
        let reason = watch.as_mut().and_then(Watch::look);
        if signalled || is_due || reason.is_some() {
            let is_written = ticks.tick(order.numbered, signalled, reason);
            match (&mut watch, reason) {
                (Some(watch), _) if is_written => watch.wrote(),
                (Some(watch), Some(reason)) => watch.failed(reason),
                _ => {}
            }
        }
        if let Some(live) = &mut live
            && live.clock.is_due()
        {
            live.append();
        }
    }
}
