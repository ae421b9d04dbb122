//! [`begin`]: the tracer's first call. It registers the callbacks that lower layers make into this
//! one.

use std::cell::UnsafeCell;
use std::sync::MutexGuard;

use super::{reporter, startup};
use crate::control::{self, Above, Knowledge, track};
use crate::record::thread::{ScopeOwners, Stage, stage};
use crate::system::hooks::{self, ForkHandlers};
use crate::system::only_here;
use crate::write::stock;
use crate::{Bytes, graph, label, process, scope};

static ABOVE: Above = Above {
    config: startup::config_from_environment,
    refuse: |error| startup::refuse(&["tracing could not be started: ", &error.to_string(), "\n"]),
    start_reporter: reporter::start,
    waits_for_an_answer: reporter::waits_for_an_answer,
    answer: reporter::answer,
    fork: ForkHandlers {
        before,
        in_parent,
        in_child,
    },
    scopes: ScopeOwners {
        disown: |scope| scope.disown(1),
        give_back: scope::SlotId::give_back,
    },
};

/// Initializes the tracer, from the first call of the allocator. `use_inner` calls the inner
/// allocator.
pub(crate) fn begin(inner: Knowledge, use_inner: impl FnOnce()) {
    process::begin();
    control::begin(inner, use_inner, &ABOVE);
}

/// Returns the physical memory that the tracer uses.
pub(crate) fn tracer_memory() -> Bytes {
    control::tracer_memory(|| {
        let names = process::resident_names();
        scope::resident() + label::resident() + names + stock::resident()
    })
}

/// The guards that a fork holds.
struct Fork {
    writing: MutexGuard<'static, ()>,
    _tracked: track::Held,
    _named: graph::Held,
    sockets: only_here::Held,
    control: control::Fork,
}

/// The place where the forking thread keeps its guards from before the fork to after it.
struct ForkPlace(UnsafeCell<Option<Fork>>);

// SAFETY: only the fork handlers below access it, on a thread that holds the control lock. That
// lock is part of the value, so one thread accesses it at a time.
unsafe impl Sync for ForkPlace {}

static FORK: ForkPlace = ForkPlace(UnsafeCell::new(None));

/// Takes all locks before a fork.
///
/// Takes none if this thread may hold one already, as in a signal handler that interrupted the
/// tracer.
unsafe extern "C" fn before() {
    if stage() == Stage::Busy {
        return;
    }
    let writing = reporter::hold();
    let _tracked = track::hold();
    let _named = graph::hold();
    let sockets = only_here::hold();
    let control = control::before_fork();
    let fork = Fork {
        writing,
        _tracked,
        _named,
        sockets,
        control,
    };
    // SAFETY: `fork` holds the control lock.
    unsafe { *FORK.0.get() = Some(fork) };
}

unsafe extern "C" fn in_parent() {
    // SAFETY: this thread ran `before`, so it holds the control lock.
    if let Some(fork) = unsafe { (*FORK.0.get()).take() } {
        control::after_fork_in_parent(fork.control);
    }
}

unsafe extern "C" fn in_child() {
    hooks::register_barrier();
    // SAFETY: this is the copy of the thread that ran `before`, and the child's only thread.
    let Some(fork) = (unsafe { (*FORK.0.get()).take() }) else {
        return control::after_fork_unprepared();
    };
    let busy = control::after_fork_in_child(fork.control);
    fork.sockets.close();
    // NOTE: released first, since the reporter may lock it when it starts.
    drop(fork.writing);
    reporter::start_in_child();
    drop(busy);
}
