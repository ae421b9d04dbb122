//! [`Events`]: counts of what a thread could not record.

use crate::record::gate::{self, Fault};
use crate::system::sync::{AtomicU64, Ordering::Relaxed};
use crate::tables::blocks::InsertError;

/// Counts of what a thread could not record.
#[repr(C)]
pub(crate) struct Events {
    skipped: AtomicU64,
    unknown_frees: AtomicU64,
    lost_blocks: AtomicU64,
}

impl Events {
    pub(crate) const fn new() -> Events {
        Events {
            skipped: AtomicU64::new(0),
            unknown_frees: AtomicU64::new(0),
            lost_blocks: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn skipped(&self) {
        self.skipped.store(self.skipped.load(Relaxed) + 1, Relaxed);
    }

    #[inline]
    pub(crate) fn unknown_free(&self) {
        self.unknown_frees
            .store(self.unknown_frees.load(Relaxed) + 1, Relaxed);
    }

    #[inline]
    pub(crate) fn lost_block(&self) {
        self.lost_blocks
            .store(self.lost_blocks.load(Relaxed) + 1, Relaxed);
    }

    /// Counts a block that was not recorded.
    #[cold]
    pub(crate) fn not_inserted(&self, error: InsertError) {
        self.skipped();
        if error == InsertError::OutOfMemory {
            gate::give_up(Fault::OutOfMemory);
        }
    }

    pub(crate) fn add_to(&self, health: &mut crate::Health) {
        health.skipped += self.skipped.load(Relaxed);
        health.unknown_frees += self.unknown_frees.load(Relaxed);
        health.lost_blocks += self.lost_blocks.load(Relaxed);
    }

    /// Moves these counts to `others`. NOTE: only under the control lock.
    pub(super) fn move_to(&self, others: &Events) {
        for (mine, theirs) in [
            (&self.skipped, &others.skipped),
            (&self.unknown_frees, &others.unknown_frees),
            (&self.lost_blocks, &others.lost_blocks),
        ] {
            theirs.fetch_add(mine.swap(0, Relaxed), Relaxed);
        }
    }

    /// Clears the counts. NOTE: only under the control lock.
    pub(crate) fn clear(&self) {
        self.skipped.store(0, Relaxed);
        self.unknown_frees.store(0, Relaxed);
        self.lost_blocks.store(0, Relaxed);
    }
}
