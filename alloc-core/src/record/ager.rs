//! [`Ager`]: records every block, with its stack and the time of its birth.

use super::enter::try_enter_fast;
use super::hooks::{FastPath, Hooks};
use super::recorder::Recorder;
use super::session::TABLES;
use super::thread::ThreadState;
use crate::tables::blocks::Word;
use crate::tables::callsites::CallsiteId;
use crate::tables::lifetimes::Birth;

/// The guard of one event, in a session that may record how long blocks live.
///
/// It does what a [`Recorder`] does, and keeps the birth of each block if the session records
/// lifetimes. On the slow path it is the guard of both kinds of session.
pub(crate) struct Ager(pub(super) Recorder);

impl FastPath for Ager {
    #[inline(always)]
    fn try_enter() -> Option<Ager> {
        let state = try_enter_fast(ThreadState::ages_at)?;
        Some(Ager(Recorder { state }))
    }

    #[inline(always)]
    fn try_free_fast(&self, address: usize, size: usize) -> bool {
        // PERF: as with the slot of the block, in `Recorder::insert`.
        let slot = TABLES.births.prefetched(address);
        let callsite = TABLES.blocks.get(address);
        if !self.0.try_free_fast(address, size) {
            return false;
        }
        let birth = slot.and_then(|it| it.replace(None));
        self.state().died(callsite, birth);
        true
    }
}

impl Hooks for Ager {
    type Taken = (Option<CallsiteId>, Option<Birth>);

    #[inline(always)]
    fn allocated(&self, address: usize, size: usize) {
        self.0.allocated(address, size);
        if self.state().ages() {
            self.state().born(address, size);
        }
    }

    fn freed(&self, address: usize, size: usize) {
        if self.state().ages() {
            let callsite = TABLES.blocks.get(address);
            self.state().died(callsite, TABLES.births.remove(address));
        }
        self.0.freed(address, size);
    }

    fn take(&self, block: (usize, usize)) -> (Option<CallsiteId>, Option<Birth>) {
        let birth = match self.state().ages() {
            true => TABLES.births.remove(block.0),
            false => None,
        };
        (self.0.take(block), birth)
    }

    fn put_back(&self, address: usize, (callsite, birth): (Option<CallsiteId>, Option<Birth>)) {
        self.0.put_back(address, callsite);
        if let Some(birth) = birth {
            // The slot exists, so neither kind of error can occur.
            let _ = TABLES.births.insert(address, birth);
        }
    }

    #[inline(always)]
    fn reallocated(
        &self,
        (callsite, birth): (Option<CallsiteId>, Option<Birth>),
        old: (usize, usize),
        new: (usize, usize),
    ) {
        self.0.reallocated(callsite, old, new);
        if self.state().ages() {
            self.state().died(callsite, birth);
            self.state().born(new.0, new.1);
        }
    }
}

impl Ager {
    #[inline(always)]
    fn state(&self) -> &'static ThreadState {
        self.0.state
    }
}
