//! The recording state of each thread, and the list of all states.

mod age;
mod cells;
mod events;
mod frees;
mod gap;
mod guards;
mod heap;
mod join;
mod label;
mod mode;
mod registry;
mod sample;
mod scope;
mod state;
mod sums;
mod walk;

use std::cell::Cell as Own;

use crate::system::sync::Ordering::Relaxed;

pub(crate) use events::Events;
use guards::muted;
pub(crate) use guards::{AtStage, Busy, begin_mute, end_mute, mute, untraced};
#[cfg(feature = "tracing")]
pub(crate) use label::{change_label, pass_label};
pub(crate) use label::{enter_label, label, leave_label};
pub(crate) use registry::Threads;
pub(crate) use scope::{
    ScopeOwners, disown_scope, give_back_spare_slot, keep_spare_slot, outside_scope,
    register_scopes, replace_scope, scope, scope_of_event, take_spare_slot, was_seen,
};
pub(crate) use state::ThreadState;

/// What the calling thread may do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The thread has not recorded anything.
    Fresh,
    /// The thread is inside the control of the tracer and may hold its lock: it must neither record
    /// nor wait.
    Busy,
    /// The thread has a state.
    Attached,
    /// The thread is ending and has given its state back.
    Gone,
    /// The thread belongs to the tracer and never records.
    Internal,
}

struct Local {
    state: Own<Option<&'static ThreadState>>,
    stage: Own<Stage>,
    /// The thread's scope; zero for none.
    scope: Own<u32>,
    /// The thread's label; zero for none.
    label: Own<u32>,
    /// Number of labels that the thread has entered and not left.
    labels_entered: Own<u32>,
    /// Whether the thread allocated or freed something while a scope existed.
    was_seen: Own<bool>,
    /// A slot for the thread's next scope; zero for none.
    ///
    /// PERF: saves two atomic exchanges of the fifty nanoseconds that an empty scope takes.
    spare_slot: Own<u32>,
    /// Number of live [`Muted`](guards::Muted) guards.
    muted: Own<u32>,
}

thread_local! {
    // NOTE: constant and without a destructor, so it exists from the thread's first instruction to
    // its last, and reading it never allocates.
    static LOCAL: Local =
        const {
            Local {
                state: Own::new(None),
                stage: Own::new(Stage::Fresh),
                scope: Own::new(0),
                label: Own::new(0),
                labels_entered: Own::new(0),
                was_seen: Own::new(false),
                spare_slot: Own::new(0),
                muted: Own::new(0),
            }
        };
}

/// The calling thread's state, if it has one.
#[inline(always)]
pub(crate) fn current() -> Option<&'static ThreadState> {
    LOCAL.try_with(|local| local.state.get()).ok().flatten()
}

pub(crate) fn stage() -> Stage {
    LOCAL
        .try_with(|local| local.stage.get())
        .unwrap_or(Stage::Gone)
}

/// Sets the calling thread's state, or removes it, and sets its stage.
pub(crate) fn set(state: Option<&'static ThreadState>, stage: Stage) {
    let _ = LOCAL.try_with(|local| {
        local.state.set(state);
        local.stage.set(stage);
    });
}

/// Called at a thread's end. Returns whether its state should be given back now.
///
/// Other destructors may still run and allocate or free, so the first calls request another round.
pub(crate) fn is_last_tls_destructor_round(state: &ThreadState) -> bool {
    // POSIX promises at least four rounds (PTHREAD_DESTRUCTOR_ITERATIONS).
    const ROUNDS: u32 = 3;
    let round = state.tls_destructor_rounds.load(Relaxed) + 1;
    state.tls_destructor_rounds.store(round, Relaxed);
    round >= ROUNDS
}
