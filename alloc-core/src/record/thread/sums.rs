//! What a thread counts besides its cells: the bytes that its reallocations copy, and usable sizes.

use super::ThreadState;
use crate::record::session::TABLES;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::callsites::CallsiteId;
use crate::tables::counters::Sums;
use crate::tables::usable::Side;

const _: () = assert!(CallsiteId::MOST <= Sums::<1>::MOST_CALLSITE);

impl ThreadState {
    /// Counts bytes that a reallocation copied to a block of a callsite.
    #[cold]
    #[inline(never)]
    pub(crate) fn copied(&self, callsite: CallsiteId, bytes: u64) {
        self.copies.add(callsite.get(), bytes, fold_copied);
    }

    /// Whether the session that the thread last joined measures the usable sizes of blocks.
    #[inline(always)]
    pub(crate) fn measures(&self) -> bool {
        self.measures.load(Relaxed)
    }

    /// Counts the usable size of a block of a callsite.
    #[inline(never)]
    pub(crate) fn count_usable(&self, side: Side, callsite: CallsiteId, bytes: usize) {
        self.usable[side as usize].add(callsite.get(), bytes as u64, fold_usable(side));
    }

    /// What the thread holds back of the usable sizes of a callsite.
    pub(crate) fn usable_of(&self, callsite: CallsiteId, side: Side) -> u64 {
        self.usable[side as usize].of(callsite.get())
    }

    /// Folds what the thread holds back. NOTE: only by the owner, or while it is stopped.
    pub(super) fn fold_sums(&self) {
        self.copies.fold(fold_copied);
        if self.measures() {
            for side in Side::BOTH {
                self.usable[side as usize].fold(fold_usable(side));
            }
        }
    }

    /// Forgets what the thread holds back. NOTE: only while the owner is stopped.
    pub(super) fn clear_sums(&self) {
        self.copies.clear();
        // NOTE: otherwise there is nothing, and the memory stays untouched.
        if self.measures() {
            self.usable.iter().for_each(|it| it.clear());
        }
    }
}

fn fold_copied(callsite: u32, bytes: u64, emptied: &dyn Fn()) {
    let callsite = CallsiteId::from_word(callsite).and_then(|id| TABLES.callsites.get(id));
    match callsite {
        Some(callsite) => callsite.shared.fold_copied(bytes, emptied),
        None => emptied(),
    }
}

fn fold_usable(side: Side) -> impl Fn(u32, u64, &dyn Fn()) {
    move |callsite, bytes, emptied| match CallsiteId::from_word(callsite) {
        Some(callsite) => TABLES.usable.fold(side, callsite, bytes, emptied),
        None => emptied(),
    }
}
