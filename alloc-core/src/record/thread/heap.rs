//! The thread's part of the heap: account and tally.

use std::ptr;

use super::{ThreadState, current};
use crate::record::session::TABLES;
use crate::record::settings;
use crate::tables::callsites::CallsiteId;
use crate::tables::counters::HeldBack;

impl ThreadState {
    /// Folds the tally into the heap's callsite.
    ///
    /// NOTE: an empty tally is not checked for a peak either. Other threads may have come and gone
    /// since this one was single, and their effect on the peak is unknown here.
    pub(crate) fn fold_tally(&self) {
        if settings::only_counts()
            && !self.tally.is_empty()
            && let Some(heap) = TABLES.callsites.get(CallsiteId::HEAP)
        {
            self.check_peak();
            self.tally
                .fold_into(&heap.shared, &self.account, TABLES.epoch());
        }
    }

    /// Checks the tally for a peak, in a session that only counts.
    pub(crate) fn check_peak(&self) {
        self.tally
            .check_peak(&self.account, &TABLES.heap, &TABLES.epoch);
    }

    /// Whether the tally is not in the account: a single thread, in a session that only counts.
    fn tally_is_apart(&self) -> bool {
        self.account.is_alone() && settings::only_counts()
    }

    /// What the thread holds back from the heap.
    pub(crate) fn held_back(&self) -> HeldBack {
        let read = || {
            let tally = if self.tally_is_apart() {
                self.tally.net_bytes()
            } else {
                0
            };
            self.account.net() + tally
        };
        self.account
            .held_back(self.is_own(), || self.read_consistent(read))
    }

    /// Reads tally and account at one moment.
    pub(super) fn read_consistent<R>(&self, read: impl Fn() -> R) -> R {
        self.tally.read_consistent(self.is_own(), read)
    }

    /// Whether the state belongs to the calling thread.
    fn is_own(&self) -> bool {
        current().is_some_and(|own| ptr::eq(own, self))
    }

    /// Records the peak in the heap if only this thread knows it. Called before the heap is changed
    /// by another way than the thread's counters. NOTE: only by the owner, or while it is stopped.
    pub(crate) fn tell_peak(&self) {
        if self.tally_is_apart() {
            self.check_peak();
        } else {
            self.account.tell_peak(&TABLES.heap);
        }
    }

    /// Like [`tell_peak`](Self::tell_peak), inside a record: reads only complete changes, and does
    /// not save the contents at the peak.
    pub(crate) fn tell_peak_within_record(&self) {
        self.account.tell_peak(&TABLES.heap);
        if self.tally_is_apart() {
            TABLES.heap.raise_peak(self.held_back().bytes);
        }
    }

    /// Counts bytes of the heap that are in no tally.
    pub(crate) fn grow(&self, bytes: i64) {
        if self.tally_is_apart() {
            self.account.add(bytes);
            self.tally.recompute_limit(&self.account, &TABLES.heap);
        } else if self.account.grow(bytes, &TABLES.heap) {
            self.look_after_tally();
        }
    }

    /// Subtracts what [`grow`](Self::grow) added.
    pub(crate) fn shrink(&self, bytes: i64) {
        if self.tally_is_apart() {
            self.check_peak();
            self.account.add(-bytes);
            self.tally.recompute_limit(&self.account, &TABLES.heap);
        } else if self.account.shrink(bytes, &TABLES.heap, &TABLES.epoch) {
            self.look_after_tally();
        }
    }
}
