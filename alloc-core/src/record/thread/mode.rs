//! The guard against reentrancy, and the marks that stopping the world waits for.

use super::ThreadState;
use crate::record::gate;
use crate::system::sync::{Ordering, fence};
use Ordering::Relaxed;

/// Bit of `mode`: a record is being made; the tables must stay as they are.
pub(super) const RECORDING: u32 = 1;

/// Step of `mode`: how many [`Muted`](super::guards::Muted) guards are alive.
pub(super) const MUTED: u32 = 2;

impl ThreadState {
    /// Whether the thread is inside the tracer: a record would be one of the tracer itself.
    #[inline(always)]
    pub(crate) fn is_inside(&self) -> bool {
        self.mode.load(Relaxed) != 0
    }

    /// Whether the tables are in use by a record of this thread.
    pub(crate) fn is_recording(&self) -> bool {
        // The acquire pairs with the release in `leave`: what was recorded is seen.
        self.mode.load(Ordering::Acquire) & RECORDING != 0
    }

    /// Marks the begin of a record, and returns what to pass to [`leave`](Self::leave).
    #[inline(always)]
    pub(crate) fn enter(&self) -> u32 {
        let mode = self.mode.load(Relaxed);
        self.mode.store(mode | RECORDING, Relaxed);
        gate::fence_after_enter();
        mode
    }

    /// Marks the begin of a record of a thread that is not [inside](Self::is_inside). Leave it with
    /// zero.
    #[inline(always)]
    pub(crate) fn enter_from_outside(&self) {
        self.mode.store(RECORDING, Relaxed);
        gate::fence_after_enter();
    }

    #[inline(always)]
    pub(crate) fn leave(&self, mode: u32) {
        // The release pairs with the acquire in `is_recording`.
        self.mode.store(mode, Ordering::Release);
    }

    /// Runs `work`, which uses the tables beside a record or within one, as soon as `may` says that
    /// it may. In between it calls `wait`.
    ///
    /// A signal handler may interrupt one use by another. That goes on at once if the first may,
    /// since whoever has all stand still waits for it.
    pub(crate) fn use_tables<R>(
        &self,
        may: impl Fn() -> bool,
        wait: impl Fn(),
        work: impl FnOnce() -> R,
    ) -> R {
        let (begun, uses) = (self.uses_begun.load(Relaxed), self.uses.load(Relaxed));
        loop {
            self.uses_begun.store(begun + 1, Relaxed);
            // The fence orders the mark before the look at the generation; it pairs with that of
            // `Control::stop_the_world`, between the generation and the look at the marks. Either
            // the generation is seen here, or the mark there.
            fence(Ordering::SeqCst);
            if uses > 0 || may() {
                break;
            }
            // NOTE: nor is one within which this began before it looked, and which looks after
            // this.
            self.uses_begun.store(0, Ordering::Release);
            wait();
        }
        self.uses.store(uses + 1, Relaxed);
        let result = work();
        self.uses.store(uses, Relaxed);
        // The release pairs with the acquire in `uses_tables`: what was changed is seen.
        self.uses_begun.store(begun, Ordering::Release);
        result
    }

    /// Whether the [use](Self::use_tables) of the tables that is under way interrupted another.
    /// NOTE: by the owner.
    pub(crate) fn uses_tables_within(&self) -> bool {
        self.uses.load(Relaxed) > 1
    }

    /// Whether somebody may wait for the thread: it records, or uses the tables beside. So a signal
    /// handler of its own must not wait for that one.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.is_recording() || self.uses_tables()
    }

    /// Whether a [use](Self::use_tables) of the tables is under way.
    pub(crate) fn uses_tables(&self) -> bool {
        self.uses_begun.load(Ordering::Acquire) != 0
    }
}
