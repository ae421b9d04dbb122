//! Guards that keep a thread from recording: busy, internal, muted.

use super::mode::{MUTED, RECORDING};
use super::scope::{OutsideScope, leave_scope, owners, replace_scope};
use super::{LOCAL, Stage};
use crate::system::signal_mask::Blocked;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::slot_id::SlotId;

/// Sets the calling thread's stage until it is dropped or the stage changes otherwise.
pub(crate) struct AtStage {
    stage: Stage,
    before: Stage,
}

impl AtStage {
    /// Treats the calling thread as one of the tracer's own.
    pub(crate) fn apart() -> AtStage {
        AtStage::begin(Stage::Internal)
    }

    fn begin(stage: Stage) -> AtStage {
        let before = LOCAL.try_with(|local| local.stage.replace(stage));
        AtStage {
            stage,
            before: before.unwrap_or(Stage::Gone),
        }
    }
}

impl Drop for AtStage {
    fn drop(&mut self) {
        let _ = LOCAL.try_with(|local| {
            // The work inside may have attached or detached the thread.
            if local.stage.get() == self.stage {
                local.stage.set(self.before);
            }
        });
    }
}

/// Marks the calling thread as inside the control of the tracer, and blocks signal handlers on it.
/// A handler could neither wait for the control lock nor change what it guards, so it would lose
/// the free of a block.
pub(crate) struct Busy {
    // NOTE: fields are dropped in this order.
    _at: AtStage,
    _signals: Blocked,
}

impl Busy {
    pub(crate) fn begin() -> Busy {
        let signals = Blocked::begin();
        Busy {
            _at: AtStage::begin(Stage::Busy),
            _signals: signals,
        }
    }
}

/// Mutes the calling thread: while it lives, the thread's allocations are neither recorded nor
/// counted by a scope.
///
/// For the tracer's own reading and reporting. A free is still recorded, so that a block from
/// before does not stay in the tables.
#[must_use]
pub(crate) struct Muted {
    _outside: OutsideScope,
}

/// Mutes the calling thread, whether it has a state, gets one meanwhile, or never has one.
pub(crate) fn mute() -> Muted {
    change_muted(|muted| muted + 1);
    Muted {
        _outside: leave_scope(),
    }
}

/// Runs `work` with the calling thread muted.
pub(crate) fn untraced<R>(work: impl FnOnce() -> R) -> R {
    let _muted = mute();
    work()
}

impl Drop for Muted {
    fn drop(&mut self) {
        change_muted(|muted| muted - 1);
    }
}

/// Mutes the calling thread until [`end_mute`], and returns the scope that it leaves.
///
/// For the crate of the reading side, which cannot hold a [`Muted`].
pub(crate) fn begin_mute() -> u32 {
    change_muted(|muted| muted + 1);
    replace_scope(None).map_or(0, SlotId::get)
}

/// Ends one [`begin_mute`] of the same thread.
pub(crate) fn end_mute(scope: u32) {
    change_muted(|muted| muted - 1);
    // NOTE: `None`, unless a guard was made meanwhile and still lives.
    if let Some(scope) = replace_scope(SlotId::from_word(scope)) {
        (owners().disown)(scope);
    }
}

fn change_muted(change: impl Fn(u32) -> u32) {
    let _ = LOCAL.try_with(|local| {
        local.muted.set(change(local.muted.get()));
        if let Some(state) = local.state.get() {
            let recording = state.mode.load(Relaxed) & RECORDING;
            state
                .mode
                .store((MUTED * local.muted.get()) | recording, Relaxed);
        }
    });
}

/// Number of live [`Muted`] guards on the calling thread.
pub(super) fn muted() -> u32 {
    LOCAL.try_with(|local| local.muted.get()).unwrap_or(0)
}
