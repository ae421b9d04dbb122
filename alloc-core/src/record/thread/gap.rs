//! The gap that a thread's blocks are in, in a session that only counts.

use super::ThreadState;
use crate::record::session::TABLES;
use crate::system::sync::AtomicU8;
use crate::tables::unmapped_ranges::Range;

impl ThreadState {
    /// The gap that the thread's blocks are in.
    pub(crate) fn gap(&self) -> Range {
        self.gap.get()
    }

    /// Opens the gap, unless a block is excluded.
    pub(crate) fn open_gap(&self) {
        let Range { start, len } = self.gap.get();
        let is_one_excluded = || TABLES.counted.has_excluded();
        self.open_gap.open(start, len, is_one_excluded);
    }

    /// The byte of a block, if the block is in the range that the thread caches.
    ///
    /// # Safety
    ///
    /// The caller is the owner, and a record that counts is under way as long as the byte is used.
    #[inline(always)]
    pub(crate) unsafe fn mapped_place(&self, address: usize) -> Option<&AtomicU8> {
        // SAFETY: no other reference is alive. The table it points to is alive, as the caller
        // guarantees.
        let outside = unsafe { &*self.outside.as_ptr() };
        // SAFETY: a record is under way, as the caller guarantees.
        unsafe { outside.place(address) }
    }

    /// Caches the range around a block: a gap or a range between two gaps.
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
