//! [`Ager`]: records every block, with its stack and the time of its birth.

use super::enter::try_enter_fast;
use super::hooks::{FastPath, Hooks};
use super::recorder::Recorder;
use super::session::TABLES;
use super::thread::ThreadState;
use crate::tables::callsites::CallsiteId;
use crate::tables::lifetimes::Birth;

/// The guard of one event, in a session that records how long blocks live.
///
/// It does what a [`Recorder`] does, and keeps the birth of each block.
pub(crate) struct Ager(pub(super) Recorder);

impl FastPath for Ager {
    #[inline(always)]
    fn try_enter() -> Option<Ager> {
        let state = try_enter_fast(ThreadState::ages_at)?;
        Some(Ager(Recorder { state }))
    }

    #[inline(always)]
    fn try_free_fast(&self, address: usize, size: usize) -> bool {
        let callsite = TABLES.blocks.get(address);
        if !self.0.try_free_fast(address, size) {
            return false;
        }
        self.state().died(callsite, TABLES.births.remove(address));
        true
    }
}

impl Hooks for Ager {
    type Taken = (Option<CallsiteId>, Option<Birth>);

    #[inline(always)]
    fn allocated(&self, address: usize, size: usize) {
        self.0.allocated(address, size);
        self.state().born(address, size);
    }

    fn freed(&self, address: usize, size: usize) {
        let callsite = TABLES.blocks.get(address);
        self.0.freed(address, size);
        self.state().died(callsite, TABLES.births.remove(address));
    }

    fn take(&self, block: (usize, usize)) -> (Option<CallsiteId>, Option<Birth>) {
        (self.0.take(block), TABLES.births.remove(block.0))
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
        self.state().died(callsite, birth);
        self.state().born(new.0, new.1);
    }
}

impl Ager {
    #[inline(always)]
    fn state(&self) -> &'static ThreadState {
        self.0.state
    }
}
