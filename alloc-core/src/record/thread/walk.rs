//! The thread's stack walker, and its cache of recent callsites.

use super::ThreadState;
use crate::capture::Walker;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::callsites::Recent;

impl ThreadState {
    /// The thread's stack walker.
    ///
    /// # Safety
    ///
    /// The caller is the owner and records, and no other reference from this function is alive.
    #[expect(
        clippy::mut_from_ref,
        reason = "the record that is under way is the only user"
    )]
    #[inline(always)]
    pub(crate) unsafe fn walker(&self) -> &mut Walker {
        // SAFETY: the caller is the owner and holds no other reference. No other record of the same
        // thread interrupts this one: it would find `is_inside`.
        unsafe { &mut *self.walker.get() }
    }

    /// The thread's stack walker, set to `frames` frames until the thread joins a generation again.
    ///
    /// # Safety
    ///
    /// The requirements of [`walker`](Self::walker); or the thread is muted.
    #[expect(
        clippy::mut_from_ref,
        reason = "nobody records with this state meanwhile"
    )]
    pub(crate) unsafe fn walker_for(&self, frames: usize) -> &mut Walker {
        // SAFETY: the caller guarantees what `walker` requires.
        let walker = unsafe { self.walker() };
        if self.frames.swap(frames, Relaxed) != frames {
            walker.forget();
            walker.set_limit(frames);
            // NOTE: no session has this number, so the next join clears what the walker cached.
            self.session.store(u64::MAX, Relaxed);
            self.rejoin_later();
        }
        walker
    }

    /// The thread's cache of recent callsites.
    #[inline(always)]
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }
}
