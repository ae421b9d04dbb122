//! The usable sizes of blocks, as a thread counts them.

use super::ThreadState;
use crate::record::session::TABLES;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::callsites::CallsiteId;
use crate::tables::usable::Side;

impl ThreadState {
    /// Whether the session that the thread last joined measures the usable sizes of blocks.
    #[inline(always)]
    pub(crate) fn measures(&self) -> bool {
        self.measures.load(Relaxed)
    }

    /// Counts the usable size of a block that a callsite allocated.
    #[inline(never)]
    pub(crate) fn count_usable(&self, side: Side, callsite: CallsiteId, bytes: usize) {
        self.usable[side as usize].add(callsite.get(), bytes as u64, fold(side));
    }

    /// What the thread holds back of a callsite.
    pub(crate) fn usable_of(&self, callsite: CallsiteId, side: Side) -> u64 {
        self.usable[side as usize].of(callsite.get())
    }

    /// Folds what the thread holds back. NOTE: only by the owner, or while it is stopped.
    pub(super) fn fold_usable(&self) {
        if self.measures() {
            for side in Side::BOTH {
                self.usable[side as usize].fold(fold(side));
            }
        }
    }

    /// Forgets what the thread holds back. NOTE: only while the owner is stopped.
    pub(super) fn clear_usable(&self) {
        // NOTE: otherwise there is nothing, and the memory stays untouched.
        if self.measures() {
            self.usable.iter().for_each(|it| it.clear());
        }
    }
}

fn fold(side: Side) -> impl Fn(u32, u64, &dyn Fn()) {
    move |callsite, bytes, emptied| match CallsiteId::from_word(callsite) {
        Some(callsite) => TABLES.usable.fold(side, callsite, bytes, emptied),
        None => emptied(),
    }
}
