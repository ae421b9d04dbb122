//! A thread's cells: it counts by callsite here, and folds into counters that all threads share.

use super::ThreadState;
use crate::record::session::TABLES;
use crate::record::settings;
use crate::tables::callsites::CallsiteId;
use crate::tables::counters::{Cell, Delta, SharedCounters};

impl ThreadState {
    /// The cell of a callsite; evicts another callsite if needed.
    #[inline(always)]
    pub(crate) fn cell(&self, id: CallsiteId, epoch: u64) -> &Cell {
        let cell = self.place_of(id);
        if cell.callsite() != id.get() {
            return self.evict(cell, id, epoch);
        }
        cell
    }

    /// The cell that a callsite may occupy.
    #[inline(always)]
    pub(crate) fn place_of(&self, id: CallsiteId) -> &Cell {
        self.cells.place(id.get() as usize)
    }

    /// Slow path: evicts another callsite from the cell. NOTE: a record is under way, in the
    /// generation that the account belongs to.
    #[cold]
    fn evict(&self, cell: &Cell, id: CallsiteId, epoch: u64) -> &Cell {
        if cell.callsite() != 0 && self.cells.has_made_way() {
            self.fold_cells();
            self.cells.grow();
        }
        let cell = self.place_of(id);
        if self.account.is_alone() {
            fold(cell, id.get(), epoch, Cell::fold_alone_into);
        } else {
            fold(cell, id.get(), epoch, Cell::fold_into);
        }
        cell
    }

    /// Folds a cell that holds back too much.
    #[cold]
    pub(crate) fn fold(&self, cell: &Cell, epoch: u64) {
        fold(cell, cell.callsite(), epoch, Cell::fold_into);
    }

    /// Folds what the thread holds back of one callsite.
    pub(crate) fn fold_callsite(&self, id: CallsiteId) {
        let cell = self.place_of(id);
        if id == CallsiteId::HEAP && settings::only_counts() {
            self.fold_tally();
        } else if cell.callsite() == id.get() {
            self.fold(cell, TABLES.epoch());
        }
    }

    pub(super) fn fold_cells(&self) {
        let epoch = TABLES.epoch();
        for cell in self.cells.iter().filter(|cell| cell.callsite() != 0) {
            fold(cell, 0, epoch, Cell::fold_into);
        }
    }

    /// Folds everything that the thread holds back. NOTE: only by the owner, or while it is
    /// stopped.
    pub(crate) fn fold_all(&self) {
        self.fold_cells();
        self.fold_tally();
        self.settle_lifetimes();
        self.settle_frees();
        self.fold_sums();
        self.account.settle(&TABLES.heap);
    }

    /// What the thread holds back of a callsite's counters.
    pub(crate) fn delta(&self, id: CallsiteId) -> Option<Delta> {
        if id == CallsiteId::HEAP && settings::only_counts() {
            return Some(self.read_consistent(|| self.tally.read()));
        }
        let counted = self.place_of(id).read_of(id.get());
        match self.copies.of(id.get()) {
            0 => counted,
            copied => Some(Delta {
                copied,
                ..counted.unwrap_or_default()
            }),
        }
    }
}

/// Folds a cell into its callsite and empties it for `next`.
fn fold(cell: &Cell, next: u32, epoch: u64, into: impl Fn(&Cell, &SharedCounters, u32, u64)) {
    let callsite = CallsiteId::from_word(cell.callsite()).and_then(|id| TABLES.callsites.get(id));
    match callsite {
        Some(callsite) => into(cell, &callsite.shared, next, epoch),
        None => cell.empty_for(next, epoch),
    }
}
