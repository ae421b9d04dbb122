//! What a thread's reallocations copy.

use super::ThreadState;
use crate::record::session::TABLES;
use crate::tables::callsites::CallsiteId;
use crate::tables::counters::MOST_IN_SUMS;

const _: () = assert!(CallsiteId::MOST <= MOST_IN_SUMS);

impl ThreadState {
    /// Counts bytes that a reallocation copied to a block of a callsite.
    #[cold]
    #[inline(never)]
    pub(crate) fn copied(&self, callsite: CallsiteId, bytes: u64) {
        self.copies.add(callsite.get(), bytes, fold);
    }

    /// Folds what the thread holds back. NOTE: only by the owner, or while it is stopped.
    pub(super) fn fold_copies(&self) {
        self.copies.fold(fold);
    }
}

fn fold(callsite: u32, bytes: u64, emptied: &dyn Fn()) {
    let callsite = CallsiteId::from_word(callsite).and_then(|id| TABLES.callsites.get(id));
    match callsite {
        Some(callsite) => callsite.shared.fold_copied(bytes, emptied),
        None => emptied(),
    }
}
