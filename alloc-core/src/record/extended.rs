//! [`Extended`]: records every block, with its stack, and more if the session asks for it: the time of
//! its birth, its usable size, its exact size, and who frees it.

use super::enter::try_enter_fast;
use super::hooks::{FastPath, Hooks};
use super::recorder::{Details, Recorder};
use super::session::TABLES;
use super::thread::ThreadState;
use crate::system::arena;
use crate::system::sync::AtomicU32;
use crate::tables::block::Block;
use crate::tables::blocks::{CompanionWord, Place};
use crate::tables::callsites::CallsiteId;
use crate::tables::lifetimes::{Birth, Time};
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
        let Some((place, block)) = TABLES.blocks.find(address) else {
            return false;
        };
        let (birth, callsite) = (birth_at(place), block.callsite());
        if !self.0.try_free_at(place, callsite, size) {
            return false;
        }
        if let Some(birth) = birth {
            self.state().died(Time::now(), callsite, birth);
        }
        self.count_free(Some(callsite), size);
        true
    }
}

impl Hooks for Extended {
    type Taken = (Option<Block>, Option<Birth>);

    #[inline(always)]
    fn allocated(&self, address: usize, size: usize) {
        self.0.allocated_with(address, size, self.kept(None));
    }

    fn freed(&self, address: usize, size: usize) {
        let found = TABLES.blocks.find(address);
        let callsite = found.map(|(_, block)| block.callsite());
        if let Some((place, block)) = found
            && let Some(birth) = birth_at(place)
        {
            self.state().died(Time::now(), block.callsite(), birth);
        }
        self.0.freed(address, size);
        self.count_free(callsite, size);
    }

    fn take(&self, block: (usize, usize)) -> (Option<Block>, Option<Birth>) {
        let birth = TABLES.blocks.place(block.0).and_then(birth_at);
        (self.0.take(block), birth)
    }

    fn put_back(&self, address: usize, (block, _): (Option<Block>, Option<Birth>)) {
        // NOTE: the birth is still there.
        self.0.put_back(address, block);
    }

    #[inline(always)]
    fn reallocated(
        &self,
        (block, birth): (Option<Block>, Option<Birth>),
        old: (usize, usize),
        new: (usize, usize),
    ) {
        let callsite = block.map(Block::callsite);
        let time = birth.map(|_| Time::now());
        self.0.reallocated_with(block, old, new, self.kept(time));
        if let (Some(time), Some(callsite), Some(birth)) = (time, callsite, birth) {
            self.state().died(time, callsite, birth);
        }
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

    /// What to keep of a block that is allocated at this time, or else now.
    #[inline(always)]
    fn kept(&self, time: Option<Time>) -> Kept {
        let state = self.state();
        Kept { state, time }
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

/// The birth of a block, and its time and exact size, as far as the session keeps them.
#[derive(Clone, Copy)]
struct Kept {
    state: &'static ThreadState,
    time: Option<Time>,
}

// NOTE: without optimization these are calls, so that their values take no stack while a stack is
// captured.
impl Details for Kept {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn prefetch(self, place: Place<'_, AtomicU32>) {
        if let Some(birth) = place.companion::<Birth>() {
            arena::prefetch(birth);
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn keep(self, place: Place<'_, AtomicU32>, size: usize) {
        if let Some(birth) = place.companion() {
            let time = self.time.unwrap_or_else(Time::now);
            birth.write(self.state.birth(time, size));
        }
        if let Some(origin) = place.companion() {
            origin.write(Origin::now(size));
        }
    }
}

/// The birth of the block at a place, if the session keeps it.
#[inline(always)]
fn birth_at(place: Place<'_, AtomicU32>) -> Option<Birth> {
    place.companion().and_then(CompanionWord::read)
}
