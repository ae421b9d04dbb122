//! On and off: all that changes the [gate], and all that locks.
//!
//! In: calls of the program, the end of threads, forks. Out: a session whose tables exist, and
//! threads that have a state. Never: a lock that a record takes in the steady state.
//!
//! # Stopping the world
//!
//! To clear the tables, or to go from one thread to several, no thread may be recording. The holder
//! of the control lock sets the generation to [`PAUSED`], makes every processor see it with one
//! system call (`barrier`), and waits until no thread is in the middle of a record. That takes
//! microseconds; a thread that wants to record meanwhile waits for the lock. So the hot path pays
//! for this with one load and two plain stores.
//!
//! A signal handler that interrupted a record must not wait while the generation is paused: the
//! holder of the lock may be waiting for that very record. Once all records are done the generation
//! is [`STILL`]. From then on no thread waits for a record, so a handler may wait for the lock.
//! Before that, the handler goes on and [marks that](thread::ThreadState::use_tables), and the
//! holder waits for the mark as well. Changes to the counts of scopes by stack follow the same
//! rule. See [`beside_record`].
//!
//! # Locks
//!
//! [`READERS`] keeps the tables from being cleared while a snapshot is read; [`CONTROL`] guards
//! everything else. They are taken in this order. Neither is ever taken by a record in the steady
//! state. A fork holds both.

mod attach;
mod config;
mod fork;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]
pub(crate) mod graph;
mod read;
mod session;
mod stop_the_world;
pub(crate) mod track;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::capture::CaptureMethod;
use crate::record::thread::{self, Busy, ScopeOwners, Stage};
use crate::system::hooks::{self, ForkHandlers};
use crate::tables::blocks::Granule;
use crate::tables::counters::Concurrency;
use gate::STILL;

pub(crate) use crate::record::gate::{self, *};
pub(crate) use crate::record::settings::*;
pub(crate) use attach::{attached, with_exclusive_tables};
pub use config::Config;
pub(crate) use config::{GranuleHint, Knowledge};
pub(crate) use fork::{
    Fork, after_fork_in_child, after_fork_in_parent, after_fork_unprepared, before_fork, forks,
};
pub(crate) use read::{
    capture_method, is_rising, reading, settle_frees, traceback_limit, traced_memory, tracer_memory,
};
pub(crate) use session::{
    begin, clear_traces, is_unset, prepare_once, reset_peak, start_with, stop,
};

/// Callbacks into the layers above. This layer imports from none of them. Registered by the first
/// call.
pub(crate) struct Above {
    /// The configuration from the environment, if there is one.
    pub(crate) config: fn() -> Option<Config>,
    /// Ends the process, because that configuration is invalid.
    pub(crate) refuse: fn(&Error),
    /// Starts the reporter. Called without a lock.
    pub(crate) start_reporter: fn(),
    /// Whether the reporter waits for a thread to [answer], at this concurrency.
    pub(crate) waits_for_an_answer: fn(Concurrency) -> bool,
    pub(crate) answer: fn(),
    pub(crate) fork: ForkHandlers,
    pub(crate) scopes: ScopeOwners,
}

static READERS: Mutex<()> = Mutex::new(());

static CONTROL: Mutex<Control> = Mutex::new(Control {
    serial: 0,
    attached: 0,
    session: None,
    from_environment: false,
    granule: None,
    knows_usable_sizes: false,
    method: None,
    waits_for_an_answer: |_| false,
    fork_handlers: None,
});

/// What the control lock guards.
pub(crate) struct Control {
    /// Counts generations, so that successive ones differ.
    serial: u64,
    /// Number of threads that have a state.
    attached: u32,
    /// The configuration, while tracing is on.
    session: Option<Config>,
    from_environment: bool,
    granule: Option<Granule>,
    /// Whether the inner allocator gives the usable sizes of its blocks.
    knows_usable_sizes: bool,
    method: Option<CaptureMethod>,
    waits_for_an_answer: fn(Concurrency) -> bool,
    fork_handlers: Option<&'static ForkHandlers>,
}

type Lock = MutexGuard<'static, Control>;

fn lock_readers() -> MutexGuard<'static, ()> {
    READERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock() -> Lock {
    CONTROL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the world runs again. NOTE: never while the caller holds the control lock.
pub(crate) fn wait() {
    drop(lock());
}

/// Runs `work` while the tables cannot be cleared and no fork happens, outside a record of the
/// calling thread, or within one that a signal handler interrupted. Returns `None` in a handler
/// that interrupted the control of the tracer.
pub(crate) fn beside_record<R>(work: impl FnOnce() -> R) -> Option<R> {
    match (thread::current(), thread::stage()) {
        (_, Stage::Busy) => None,
        (Some(state), _) => Some(state.use_tables(|| generation() != STILL, wait, work)),
        (None, _) => {
            let _busy = Busy::begin();
            let _control = lock();
            Some(work())
        }
    }
}

impl Control {
    /// Registers the callbacks from the system. Returns `false` if the system refuses.
    fn prepare_hooks(&self) -> bool {
        self.fork_handlers
            .is_some_and(|fork| hooks::prepare(attach::at_thread_end, fork))
    }
}
