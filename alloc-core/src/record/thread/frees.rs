//! Who frees whose blocks, as a thread counts it.

use super::ThreadState;
use crate::record::session::TABLES;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::callsites::CallsiteId;
use crate::tables::frees::Freer;

impl ThreadState {
    /// Whether the session that the thread last joined counts who frees the blocks of each
    /// callsite.
    #[inline(always)]
    pub(crate) fn counts_frees(&self) -> bool {
        self.counts_frees.load(Relaxed)
    }

    /// Counts that the thread frees a block, in the label that it is in.
    #[inline(never)]
    pub(crate) fn count_free(&self, callsite: CallsiteId, size: usize) {
        self.frees.add(callsite, self.freer(), size, &TABLES.frees);
    }

    /// The thread, as one that frees.
    pub(crate) fn freer(&self) -> Freer {
        Freer {
            label: super::label(),
            thread: self.tag().thread,
        }
    }

    /// Adds what the thread freed and holds back. NOTE: only by the owner, or while it is stopped.
    pub(crate) fn settle_frees(&self) {
        self.frees.flush(&TABLES.frees);
    }
}
