//! The gap that a thread counts in, in a session that only counts.

use super::ThreadState;
use crate::record::session::TABLES;
use crate::system::sync::AtomicU8;
use crate::tables::gaps::Range;

impl ThreadState {
    /// A gap where blocks are.
    pub(crate) fn gap(&self) -> Range {
        self.gap.get()
    }

    /// Has the gap at hand as long as no block is left out.
    pub(crate) fn open_gap(&self) {
        let Range { start, len } = self.gap.get();
        let is_one_excluded = || TABLES.counted.has_excluded();
        self.open_gap.open(start, len, is_one_excluded);
    }

    /// The place of a block in the table of what lies between two gaps, if that is at hand.
    ///
    /// # Safety
    ///
    /// The caller is the owner, and a record is under way that counts, as long as the place is
    /// used.
    #[inline(always)]
    pub(crate) unsafe fn mapped_place(&self, address: usize) -> Option<&AtomicU8> {
        // SAFETY: no other reference is alive; what is pointed to is the table, by the caller's
        // promise.
        let outside = unsafe { &*self.outside.as_ptr() };
        // SAFETY: the caller's promise.
        unsafe { outside.place(address) }
    }

    /// Has what lies around a block at hand.
    pub(crate) fn keep_around(&self, address: usize) {
        match TABLES.counted.around(address) {
            Ok(gap) => {
                self.gap.set(gap);
                self.open_gap();
            }
            Err(Some(outside)) => self.outside.set(outside),
            Err(None) => {}
        }
    }
}
