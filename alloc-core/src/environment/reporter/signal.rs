//! The handler of the signals that request a snapshot or a heap graph.
//!
//! Async-signal-safe: it stores what is wanted, and wakes or starts the thread.

use std::ffi::c_void;

use super::{HAS_THREAD, ORDER, start_thread};
use crate::control;
use crate::environment::{retry, signals, wake};
use crate::record::thread::{self, Stage, ThreadState};
use crate::system::sync::{AtomicBool, Ordering};
use crate::system::{hooks, waiting};

/// Whether a signal arrived before the writer thread started.
static WAS_SIGNALLED: AtomicBool = AtomicBool::new(false);
/// What signals requested that was not written yet.
static WANTS_SNAPSHOT: AtomicBool = AtomicBool::new(false);
static WANTS_GRAPH: AtomicBool = AtomicBool::new(false);

/// Whether a signal arrived before the writer thread started.
pub(super) fn has_arrived() -> bool {
    WAS_SIGNALLED.load(Ordering::Relaxed)
}

/// Forgets the signals of a parent, in a child after a fork.
pub(super) fn forget() {
    for was in [&WAS_SIGNALLED, &WANTS_SNAPSHOT, &WANTS_GRAPH] {
        was.store(false, Ordering::Relaxed);
    }
}

/// Takes the request for a snapshot. `false` if there is none.
pub(super) fn take_snapshot() -> bool {
    WANTS_SNAPSHOT.swap(false, Ordering::Relaxed)
}

/// Takes the request for a heap graph. `false` if there is none.
pub(super) fn take_graph() -> bool {
    WANTS_GRAPH.swap(false, Ordering::Relaxed)
}

/// The signal's handler.
pub(super) extern "C" fn signalled(
    signal: libc::c_int,
    info: *const c_void,
    interrupted: *const c_void,
) {
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

/// Reports a signal that arrived while tracing is off. Async-signal-safe.
pub(super) fn warn_that_tracing_is_off() {
    hooks::write_to_stderr(&[
        "alloc-core: ALLOC_TRACE_SIGNAL: no snapshot written: tracing is off; \
         with ALLOC_TRACE=128 it is on from the start\n",
    ]);
}
