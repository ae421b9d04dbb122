//! The thread's part of the heap: account and tally.

use std::ptr;

use super::{ThreadState, current};
use crate::record::session::TABLES;
use crate::record::settings;
use crate::tables::callsites::CallsiteId;
use crate::tables::counters::HeldBack;

impl ThreadState {
    /// Hands what it counted to the heap's callsite.
    ///
    /// NOTE: if it counted nothing it does not look either: others may have come and gone since it
    /// was alone, and what they did to the peak is not known here.
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

    /// Takes note of what the tally has, in a session that only counts.
    pub(crate) fn check_peak(&self) {
        self.tally
            .check_peak(&self.account, &TABLES.heap, &TABLES.epoch);
    }

    /// Whether the tally is no part of the account: the thread is alone in a session that only
    /// counts.
    fn tally_is_apart(&self) -> bool {
        self.account.is_alone() && settings::only_counts()
    }

    /// What the thread holds back of the heap.
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

    /// Whether it is the calling thread's.
    fn is_own(&self) -> bool {
        current().is_some_and(|own| ptr::eq(own, self))
    }

    /// Has the heap know the peak that it is at, as far as only this thread does, before it is
    /// changed by another way than the thread's counters. NOTE: only by the owner, or while it
    /// stands still.
    pub(crate) fn tell_peak(&self) {
        if self.tally_is_apart() {
            self.check_peak();
        } else {
            self.account.tell_peak(&TABLES.heap);
        }
    }

    /// Like [`tell_peak`](Self::tell_peak), within a record: counts what is complete, and does not
    /// save the contents at the peak.
    pub(crate) fn tell_peak_within_record(&self) {
        self.account.tell_peak(&TABLES.heap);
        if self.tally_is_apart() {
            TABLES.heap.raise_peak(self.held_back().bytes);
        }
    }

    /// Counts bytes of the heap that no tally has.
    pub(crate) fn grow(&self, bytes: i64) {
        if self.tally_is_apart() {
            self.account.add(bytes);
            self.tally.limit_anew(&self.account, &TABLES.heap);
        } else if self.account.grow(bytes, &TABLES.heap) {
            self.look_after_tally();
        }
    }

    /// The end of what [`grow`](Self::grow) counted.
    pub(crate) fn shrink(&self, bytes: i64) {
        if self.tally_is_apart() {
            self.check_peak();
            self.account.add(-bytes);
            self.tally.limit_anew(&self.account, &TABLES.heap);
        } else if self.account.shrink(bytes, &TABLES.heap, &TABLES.epoch) {
            self.look_after_tally();
        }
    }
}
