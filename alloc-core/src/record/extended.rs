//! [`Extended`]: records every block, with its stack, and more if the session asks for it: the time of
//! its birth, its usable size, its exact size, and who frees it.

use super::enter::try_enter_fast;
use super::hooks::{FastPath, Hooks};
use super::recorder::Recorder;
use super::session::TABLES;
use super::thread::ThreadState;
use crate::tables::block::Block;
use crate::tables::blocks::Word;
use crate::tables::callsites::CallsiteId;
use crate::tables::lifetimes::Birth;
use crate::tables::origin::Origin;
use crate::tables::usable::Side;

/// The guard of one event, in a session that may record more of a block than its stack.
///
/// It does what a [`Recorder`] does, keeps the birth of each block if the session records lifetimes
/// and its time and exact size if the session is for exact graphs, counts its usable size if the
/// session measures slack, and each free by label and thread if the session counts frees. On the
/// slow path it is the guard of sessions without these details, too.
pub(crate) struct Extended(pub(super) Recorder);

impl FastPath for Extended {
    #[inline(always)]
    fn try_enter() -> Option<Extended> {
        let state = try_enter_fast(ThreadState::extends_at)?;
        Some(Extended(Recorder { state }))
    }

    #[inline(always)]
    fn try_free_fast(&self, address: usize, size: usize) -> bool {
        if self.state().measures() {
            return false;
        }
        // PERF: as with the slot of the block, in `Recorder::insert`.
        let slot = TABLES.births.prefetched(address);
        let callsite = TABLES.blocks.get(address).map(Block::callsite);
        if !self.0.try_free_fast(address, size) {
            return false;
        }
        let birth = slot.and_then(|it| it.replace(None));
        if birth.is_some() {
            self.state().died(callsite, birth);
        }
        self.count_free(callsite, size);
        true
    }
}

impl Hooks for Extended {
    type Taken = (Option<Block>, Option<Birth>);

    #[inline(always)]
    fn allocated(&self, address: usize, size: usize) {
        self.0.allocated(address, size);
        if self.state().ages() {
            self.state().born(address, size);
        }
        self.keep_origin(address, size);
    }

    fn freed(&self, address: usize, size: usize) {
        let callsite = TABLES.blocks.get(address).map(Block::callsite);
        if self.state().ages() {
            self.state().died(callsite, TABLES.births.remove(address));
        }
        self.0.freed(address, size);
        self.count_free(callsite, size);
    }

    fn take(&self, block: (usize, usize)) -> (Option<Block>, Option<Birth>) {
        let birth = match self.state().ages() {
            true => TABLES.births.remove(block.0),
            false => None,
        };
        (self.0.take(block), birth)
    }

    fn put_back(&self, address: usize, (block, birth): (Option<Block>, Option<Birth>)) {
        self.0.put_back(address, block);
        if let Some(birth) = birth {
            // The slot exists, so neither kind of error can occur.
            let _ = TABLES.births.insert(address, birth);
        }
    }

    #[inline(always)]
    fn reallocated(
        &self,
        (block, birth): (Option<Block>, Option<Birth>),
        old: (usize, usize),
        new: (usize, usize),
    ) {
        let callsite = block.map(Block::callsite);
        self.0.reallocated(block, old, new);
        if self.state().ages() {
            self.state().died(callsite, birth);
            self.state().born(new.0, new.1);
        }
        self.keep_origin(new.0, new.1);
        self.count_free(callsite, old.1);
    }

    #[inline(always)]
    fn measures(&self) -> bool {
        self.state().measures()
    }

    fn callsite_of(&self, address: usize) -> Option<CallsiteId> {
        TABLES.callsite_of(address)
    }

    fn usable_allocated(&self, callsite: CallsiteId, bytes: usize) {
        self.state().count_usable(Side::Allocated, callsite, bytes);
    }

    fn usable_freed(&self, callsite: CallsiteId, bytes: usize) {
        self.state().count_usable(Side::Freed, callsite, bytes);
    }
}

impl Extended {
    #[inline(always)]
    fn state(&self) -> &'static ThreadState {
        self.0.state
    }

    /// Keeps the time and the exact size of a block, if the session is for exact graphs.
    #[inline(always)]
    fn keep_origin(&self, address: usize, size: usize) {
        if self.state().keeps_origins() {
            // NOTE: a block without memory for its origin has no age.
            let _ = TABLES.origins.insert(address, Origin::now(size));
        }
    }

    /// Counts who frees a block, if the session counts that.
    ///
    /// NOTE: after the counters of the callsite, so that a reader that reads this first never sees
    /// more than was freed.
    #[inline(always)]
    fn count_free(&self, callsite: Option<CallsiteId>, size: usize) {
        if self.state().counts_frees()
            && let Some(callsite) = callsite
        {
            self.state().count_free(callsite, size);
        }
    }
}
