//! What walks the thread's stack, and the callsites that it met last.

use super::ThreadState;
use crate::capture::Walker;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::callsites::Recent;

impl ThreadState {
    /// What walks the stack.
    ///
    /// # Safety
    ///
    /// The caller is the owner and records, and no other reference from here is alive.
    #[expect(
        clippy::mut_from_ref,
        reason = "the record that is under way is the only user"
    )]
    #[inline(always)]
    pub(crate) unsafe fn walker(&self) -> &mut Walker {
        // SAFETY: the caller's promise. A record is not interrupted by another of the same thread:
        // that one finds `is_inside`.
        unsafe { &mut *self.walker.get() }
    }

    /// What walks the stack, showing `frames` frames until the thread joins a generation again.
    ///
    /// # Safety
    ///
    /// As [`walker`](Self::walker); or the thread is muted.
    #[expect(
        clippy::mut_from_ref,
        reason = "nobody records with this state meanwhile"
    )]
    pub(crate) unsafe fn walker_for(&self, frames: usize) -> &mut Walker {
        // SAFETY: the caller's promise.
        let walker = unsafe { self.walker() };
        if self.frames.swap(frames, Relaxed) != frames {
            walker.forget();
            walker.set_limit(frames);
            // NOTE: no session is this one: what is remembered is forgotten again.
            self.session.store(u64::MAX, Relaxed);
            self.rejoin_later();
        }
        walker
    }

    /// The callsites that the thread met last.
    #[inline(always)]
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }
}
