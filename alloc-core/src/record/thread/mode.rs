//! The reentrancy guard, and the marks that stopping the world waits for.

use super::ThreadState;
use crate::record::gate;
use crate::system::sync::{Ordering, fence};
use Ordering::Relaxed;

/// Bit of `mode`: a record is under way; the tables must stay as they are.
pub(super) const RECORDING: u32 = 1;

/// Unit in `mode` of the number of live [`Muted`](super::guards::Muted) guards.
pub(super) const MUTED: u32 = 2;

impl ThreadState {
    /// Whether the thread is inside the tracer, so that its allocations are the tracer's own.
    #[inline(always)]
    pub(crate) fn is_inside(&self) -> bool {
        self.mode.load(Relaxed) != 0
    }

    /// Whether a record of this thread uses the tables.
    pub(crate) fn is_recording(&self) -> bool {
        // The acquire pairs with the release in `leave`, so that what was recorded is visible.
        self.mode.load(Ordering::Acquire) & RECORDING != 0
    }

    /// Marks the start of a record. Returns the value to pass to [`leave`](Self::leave).
    #[inline(always)]
    pub(crate) fn enter(&self) -> u32 {
        let mode = self.mode.load(Relaxed);
        self.mode.store(mode | RECORDING, Relaxed);
        gate::fence_after_enter();
        mode
    }

    /// Marks the start of a record of a thread that is not [inside](Self::is_inside). Pass zero to
    /// `leave`.
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

    /// Runs `work`, which uses the tables outside a record or within one, as soon as `may` returns
    /// `true`. Calls `wait` in between.
    ///
    /// A signal handler may interrupt one use by another. The inner one starts at once if the outer
    /// one was allowed to, since stopping the world waits for the outer one.
    pub(crate) fn use_tables<R>(
        &self,
        may: impl Fn() -> bool,
        wait: impl Fn(),
        work: impl FnOnce() -> R,
    ) -> R {
        let (begun, uses) = (self.uses_begun.load(Relaxed), self.uses.load(Relaxed));
        loop {
            self.uses_begun.store(begun + 1, Relaxed);
            // The fence orders the mark before the load of the generation. It pairs with the fence
            // of `Control::stop_the_world`, between the store of the generation and the loads of
            // the marks. Either the new generation is seen here, or the mark there.
            fence(Ordering::SeqCst);
            if uses > 0 || may() {
                break;
            }
            // NOTE: this also clears the mark of an outer use that this one interrupted before it
            // loaded the generation. The outer use loads it again after this.
            self.uses_begun.store(0, Ordering::Release);
            wait();
        }
        self.uses.store(uses + 1, Relaxed);
        let result = work();
        self.uses.store(uses, Relaxed);
        // The release pairs with the acquire in `uses_tables`, so that changes are visible.
        self.uses_begun.store(begun, Ordering::Release);
        result
    }

    /// Whether the [use](Self::use_tables) under way interrupted another. NOTE: only by the owner.
    pub(crate) fn uses_tables_within(&self) -> bool {
        self.uses.load(Relaxed) > 1
    }

    /// Whether stopping the world may wait for this thread: it records, or uses the tables. Its
    /// signal handler must then not wait for the world to run again.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.is_recording() || self.uses_tables()
    }

    /// Whether a [use](Self::use_tables) of the tables is under way.
    pub(crate) fn uses_tables(&self) -> bool {
        self.uses_begun.load(Ordering::Acquire) != 0
    }
}
