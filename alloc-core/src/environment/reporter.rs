//! What the environment asks for while the program runs, and the thread that writes it.
//!
//! # The thread
//!
//! It stands [apart](crate::environment::background): nothing that it allocates is recorded, and it is not one of the threads among which
//! the heap's peak is divided. A fork takes no threads along, so a child starts its own.
//!
//! There are things that only a process of one thread can do, such as to enter a namespace of users, and programs do
//! them in their first lines. So the thread starts when it is first needed:
//!
//! - at once for what is more frequent than once a second, and where [it cannot be told](waiting) what a signal
//!   interrupted;
//! - for the clock with the first allocation or free a second after the process began;
//! - for a signal when the first one comes: in the handler, if it interrupted a wait, else with the next allocation or
//!   free, or in the handler after all, which is called [again](retry) until then;
//! - for both as soon as another thread of the program's allocates: there are several anyway.
//!
//! An allocation takes part in this only while something is [asked](control::ask), where it is off the hot path.
//!
//! Others were considered. A timer's signal would interrupt system calls that the program expects to be left alone,
//! and end a program that takes its handlers back. A process that shares the memory, which the system does not count as a
//! thread, keeps rights, folder and root that the program gave up, outlives an `exec`, and has no thread-local memory
//! of the C library's.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use crate::Error;
use crate::environment::clock::Clock;
use crate::environment::live::Live;
use crate::environment::signals::{self, Signal};
use crate::environment::template::{self, Template};
use crate::record::thread::{self, Busy, Stage, ThreadState};
use crate::snapshot::file::Names;
use crate::system::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::tables::counters::Concurrency;
use crate::write::{self, Moment, Reserve};
use crate::{
    control, environment::background, environment::retry, environment::wake, record::stack_here,
    system::hooks, system::waiting,
};

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// A numbered snapshot each time that this has passed.
    pub(crate) every: Option<Duration>,
    /// A numbered snapshot on this signal.
    pub(crate) signal: Option<Signal>,
    /// The heap's numbers, ten times a second.
    pub(crate) live: Option<Template>,
    /// Where numbered snapshots go.
    pub(crate) numbered: Template,
    /// Where the snapshot goes at the process's end.
    pub(crate) at_exit: Option<Template>,
    /// How many numbered snapshots of a process are kept, if not all.
    pub(crate) keep: Option<u32>,
    /// What snapshots are written with.
    pub(crate) names: Names,
}

impl Order {
    /// How long a program may do what needs a process of one thread, where the clock is slow.
    const GRACE: Duration = Duration::from_secs(1);

    fn needs_a_thread(&self) -> bool {
        self.every.is_some() || self.signal.is_some() || self.live.is_some()
    }

    fn needs_a_thread_at_once(&self) -> bool {
        self.live.is_some()
            || self.every.is_some_and(|it| it < Order::GRACE)
            || self.signal.is_some() && !waiting::CAN_TELL
    }
}

static ORDER: OnceLock<Order> = OnceLock::new();
/// When the process began, by the [clock](hooks::monotonic_time), in nanoseconds.
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// Whether the thread was started in this process.
static HAS_THREAD: AtomicBool = AtomicBool::new(false);
/// Whether a signal came before there was a thread.
static WAS_SIGNALLED: AtomicBool = AtomicBool::new(false);
/// How many numbered snapshots there are.
static NUMBER: AtomicU32 = AtomicU32::new(0);
/// The numbered snapshots that are [kept](Order::keep), the oldest first, and the process that
/// wrote them.
static KEPT: Mutex<(u32, VecDeque<PathBuf>)> = Mutex::new((0, VecDeque::new()));
/// Held while one is written, so that the process does not end in the middle of it.
static WRITING: Mutex<()> = Mutex::new(());
/// Whether the process is at its end. Guarded by the lock.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// Takes note of what is to be done while the program runs, and of whether a snapshot is to be written at its
/// end. Does not allocate. `false` where the system refuses to call us at the end.
pub(crate) fn order(order: Order) -> bool {
    write::begin();
    begin_to_count();
    hooks::stay_loaded();
    let _ = ORDER.set(order);
    hooks::call_at_exit(at_exit)
}

/// What is to be done by a thread, and how long ago the process began.
fn order_for_thread() -> Option<(&'static Order, Duration)> {
    let order = ORDER.get().filter(|it| it.needs_a_thread())?;
    let began = Duration::from_nanos(BEGAN.load(Ordering::Relaxed));
    Some((order, hooks::monotonic_time().saturating_sub(began)))
}

fn begin_to_count() {
    let now = hooks::monotonic_time().as_nanos() as u64;
    BEGAN.store(now, Ordering::Relaxed);
}

/// Has signals handled, and starts the thread if it is needed at once: when no lock is held, and the program's own code
/// has not begun.
pub(crate) fn start() {
    let Some((order, _)) = order_for_thread() else {
        return;
    };
    if let Some(signal) = order.signal
        && !signal.handle(signalled)
    {
        hooks::write_to_stderr(&["alloc-core: ALLOC_TRACE_SIGNAL: the system refused a handler\n"]);
    }
    prepare(order);
}

fn prepare(order: &Order) {
    if order.needs_a_thread_at_once() {
        start_thread();
        return;
    }
    order.signal.into_iter().for_each(retry::prepare);
    if order.every.is_some() {
        control::ask();
    }
}

/// The same in a child after a fork, which has one thread, and the handler that its parent left it.
pub(crate) fn start_in_child() {
    let Some((order, _)) = order_for_thread() else {
        return;
    };
    begin_to_count();
    WAS_SIGNALLED.store(false, Ordering::Relaxed);
    wake::take();
    HAS_THREAD.store(false, Ordering::Release);
    prepare(order);
}

/// Starts the thread, unless it was started.
fn start_thread() {
    if HAS_ENDED.load(Ordering::Relaxed) {
        return;
    }
    // The release shows a child what was made ready for the thread; the acquire pairs with it.
    if !HAS_THREAD.swap(true, Ordering::AcqRel) && !background::serve(serve) {
        hooks::write_to_stderr(&["alloc-core: the system refused a thread to write snapshots\n"]);
    }
}

/// Whether there is something to be [asked](control::ask) of a session that begins, or is in other company now.
pub(crate) fn waits_for_an_answer(concurrency: Concurrency) -> bool {
    let waits = |order: &Order| {
        let is_slow = order.every.is_some() || WAS_SIGNALLED.load(Ordering::Relaxed);
        order.needs_a_thread() && (is_slow || concurrency == Concurrency::Multi)
    };
    !HAS_THREAD.load(Ordering::Relaxed) && ORDER.get().is_some_and(waits)
}

/// Starts the thread, if it is time: called before a record, by a thread that is not inside the tracer, as long as
/// it is [asked](control::ask).
#[cold]
pub(crate) fn answer() {
    let order = order_for_thread().filter(|_| !HAS_THREAD.load(Ordering::Relaxed));
    let Some((order, since)) = order else {
        return control::unask();
    };
    match control::generation() {
        // A session that begins asks again; it may have done so just now.
        control::OFF | control::UNSET => ask_no_more_unless(control::is_on),
        // Whoever pauses it is about to say in what company the thread is.
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
    // SAFETY: the second argument of this handler.
    let is_retry = unsafe { retry::is_one(info) };
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
        // SAFETY: the third argument of this handler.
        if is_outside && unsafe { waiting::was_interrupted(interrupted) } {
            start_thread();
        } else {
            // It may go on to wait without an allocation.
            retry::soon();
        }
    } else if !is_retry {
        tell_that_it_is_off();
    }
    hooks::set_errno(error);
    if !is_retry {
        signals::call_previous(signal, info, interrupted);
    }
}

/// Waits until no snapshot is being written, and keeps it so for as long as a fork takes: whoever writes
/// holds locks of many libraries.
pub(crate) fn hold() -> MutexGuard<'static, ()> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For a signal that comes while nothing is traced. A signal's handler may call it.
fn tell_that_it_is_off() {
    hooks::write_to_stderr(&[
        "alloc-core: ALLOC_TRACE_SIGNAL: no snapshot written: tracing is off; with ALLOC_TRACE=128 it is on from the \
         start\n",
    ]);
}

extern "C" fn at_exit() {
    if stack_here::may_be_within_allocation() {
        // NOTE: nor does it wait for one that is being written, maybe by what was interrupted.
        HAS_ENDED.store(true, Ordering::Relaxed);
        if ORDER.get().is_some_and(|it| it.at_exit.is_some()) {
            hooks::write_to_stderr(&[
                "alloc-core: ALLOC_TRACE_OUT: no snapshot written: a signal handler called exit, and what it \
                 interrupted may be in the middle of an allocation\n",
            ]);
        }
        return;
    }
    let out = ORDER.get().and_then(|it| it.at_exit);
    if let Some(out) = out.filter(|_| control::was_ever_on()) {
        // The path and what the writer needs are not the program's.
        let _muted = thread::mute();
        let written = if out.is_numbered() {
            write_numbered(out, Moment::Exit).map(|_| ())
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
    // Waits for one that is being written; none is begun any more, since it would be cut off.
    let _writing = hold();
    HAS_ENDED.store(true, Ordering::Relaxed);
}

/// Writes the last snapshot to what `path` says for this process and for so many numbered
/// snapshots.
fn write(path: impl FnOnce(u32, u32) -> PathBuf) -> Result<(), String> {
    writing(|| {
        let path = path(std::process::id(), NUMBER.load(Ordering::Relaxed));
        template::check_length(&path)?;
        let packed = write::pack(names(), Moment::Exit).map_err(|error| about(error, &path))?;
        let others = packed.put(&path).map_err(|error| about(error, &path))?;
        if others {
            let path = path.to_string_lossy();
            hooks::write_to_stderr(&[
                "alloc-core: ",
                &path,
                ": replaced a file that was written while this process ran: with %p in the path each \
                 process has its own\n",
            ]);
        }
        Ok(())
    })
}

fn names() -> Names {
    ORDER.get().map_or(Names::Addresses, |order| order.names)
}

fn about(error: Error, path: &Path) -> String {
    let error = match error.is_io() {
        true => error.about("cannot write", path),
        false => error,
    };
    error.to_string()
}

/// Runs `write` while no other snapshot is written, unless the process is at its end, or there is no memory for it.
fn writing<T: Default>(write: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // A panic must not cross into the C library.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _writing = hold();
        if HAS_ENDED.load(Ordering::Relaxed) {
            return Ok(T::default());
        }
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

/// Writes a snapshot under the next number that no file has: another process may have the same path, and so may what
/// this one was before an `exec`. Returns where it is, if it was written.
fn write_numbered(out: Template, moment: Moment) -> Result<Option<PathBuf>, String> {
    writing(|| {
        let process = std::process::id();
        let next = || {
            let number = NUMBER.load(Ordering::Relaxed) + 1;
            NUMBER.store(number, Ordering::Relaxed);
            out.numbered(process, number)
        };
        let mut path = next();
        template::check_length(&path)?;
        let packed = write::pack(names(), moment).map_err(|error| about(error, &path))?;
        while !packed.put_new(&path).map_err(|error| about(error, &path))? {
            path = next();
        }
        if let Some(keep) = ORDER.get().and_then(|order| order.keep) {
            remove_beyond(keep as usize, process, &path);
        }
        Ok(Some(path))
    })
}

/// Takes note of a snapshot that was just written, and removes the oldest beyond so many.
fn remove_beyond(keep: usize, process: u32, newest: &Path) {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let (owner, paths) = &mut *kept;
    if *owner != process {
        // NOTE: a child after a fork leaves what its parent wrote to its parent.
        *owner = process;
        paths.clear();
    }
    paths.push_back(newest.to_owned());
    while paths.len() > keep {
        if let Some(oldest) = paths.pop_front() {
            // It may be gone: whoever looked at it may have taken it away.
            let _ = fs::remove_file(oldest);
        }
    }
}

/// Writes a numbered snapshot, and says where it went if somebody asked for it by a signal.
fn tick(out: Template, was_signalled: bool) {
    if !control::is_on() {
        if was_signalled {
            tell_that_it_is_off();
        }
        return;
    }
    match write_numbered(out, Moment::Running) {
        Ok(Some(path)) if was_signalled => {
            // NOTE: in one piece, as other threads write there too.
            let message = format!("alloc-core: wrote {}\n", path.display());
            hooks::write_to_stderr(&[&message]);
        }
        Ok(_) => {}
        Err(error) => {
            hooks::write_to_stderr(&["alloc-core: no snapshot written: ", &error, "\n"]);
        }
    }
}

/// The thread.
fn serve() {
    let Some((order, ago)) = order_for_thread() else {
        return;
    };
    let mut snapshots = order.every.map(|every| Clock::begun(every, ago));
    let mut live = order.live.and_then(Live::new);
    loop {
        let next = [
            snapshots.as_ref().map(Clock::left),
            live.as_ref().map(|it| it.clock.left()),
        ];
        let signalled = wake::wait(next.into_iter().flatten().min());
        let is_due = snapshots.as_mut().is_some_and(Clock::is_due);
        if signalled || is_due {
            tick(order.numbered, signalled);
        }
        if let Some(live) = &mut live
            && live.clock.is_due()
        {
            live.append();
        }
    }
}
