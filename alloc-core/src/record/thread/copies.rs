//! What a thread's reallocations copy.

use super::ThreadState;
use crate::record::session::TABLES;
use crate::tables::callsites::CallsiteId;
use crate::tables::counters::{Copies, SharedCounters};

const _: () = assert!(CallsiteId::MOST <= Copies::MOST_CALLSITE);

impl ThreadState {
    /// Counts bytes that a reallocation copied to a block of a callsite.
    #[cold]
    #[inline(never)]
    pub(crate) fn copied(&self, callsite: CallsiteId, bytes: u64) {
        self.copies.add(callsite.get(), bytes, shared);
    }

    /// Folds what the thread holds back. NOTE: only by the owner, or while it is stopped.
    pub(super) fn fold_copies(&self) {
        self.copies.fold(shared);
    }
}

fn shared(callsite: u32) -> Option<&'static SharedCounters> {
    let callsite = TABLES.callsites.get(CallsiteId::from_word(callsite)?)?;
    Some(&callsite.shared)
}
