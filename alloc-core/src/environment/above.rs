//! [`begin`]: the first call, which registers with the layers below what this one does for them.

use std::cell::UnsafeCell;
use std::sync::MutexGuard;

use super::{reporter, startup};
use crate::control::{self, Above, GranuleHint, track};
use crate::record::thread::{ScopeOwners, Stage, stage};
use crate::system::hooks::{self, ForkHandlers};
use crate::{Bytes, process, scope};

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

/// The first call of all, from an allocator. `use_inner` uses the inner one.
pub(crate) fn begin(granule: GranuleHint, use_inner: impl FnOnce()) {
    process::register_hooks();
    control::begin(granule, use_inner, &ABOVE);
}

/// The physical memory of the tracer.
pub(crate) fn tracer_memory() -> Bytes {
    control::tracer_memory(|| scope::resident() + process::resident_names())
}

/// What a fork holds on to, from before it to after.
struct Fork {
    writing: MutexGuard<'static, ()>,
    _tracked: track::Held,
    control: control::Fork,
}

/// What the thread that forks holds from before the fork to after it.
struct ForkPlace(UnsafeCell<Option<Fork>>);

// SAFETY: touched only by the handlers below, by a thread that holds the control lock, which is
// itself what is kept here: so by one thread at a time.
unsafe impl Sync for ForkPlace {}

static FORK: ForkPlace = ForkPlace(UnsafeCell::new(None));

/// Nothing is held where the thread that forks may hold any of the locks: in a signal handler that interrupted the
/// control of the tracer.
unsafe extern "C" fn before() {
    if stage() == Stage::Busy {
        return;
    }
    let writing = reporter::hold();
    let _tracked = track::hold();
    let control = control::before_fork();
    let fork = Fork {
        writing,
        _tracked,
        control,
    };
    // SAFETY: `fork` holds the control lock.
    unsafe { *FORK.0.get() = Some(fork) };
}

unsafe extern "C" fn in_parent() {
    // SAFETY: this is the thread that ran `before`, so it holds the control lock.
    if let Some(fork) = unsafe { (*FORK.0.get()).take() } {
        control::after_fork_in_parent(fork.control);
    }
}

unsafe extern "C" fn in_child() {
    hooks::register_barrier();
    // SAFETY: this is the copy of the thread that ran `before`, and the only one.
    let Some(fork) = (unsafe { (*FORK.0.get()).take() }) else {
        return control::after_fork_unprepared();
    };
    let busy = control::after_fork_in_child(fork.control);
    // NOTE: before the reporter starts, which may lock it.
    drop(fork.writing);
    reporter::start_in_child();
    drop(busy);
}
