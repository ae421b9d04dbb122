//! [`Recorder`]: records every block, with its stack.

use super::count::{credit_slow, end, replace};
use super::enter::try_enter_fast;
use super::hooks::{FastPath, Hooks};
use super::session::TABLES;
use super::thread::ThreadState;
use crate::system::sync::AtomicU32;
use crate::tables::block::Block;
use crate::tables::blocks::{Place, Word};
use crate::tables::callsites::CallsiteId;
use crate::tables::sampling::{Interval, Weighted};

/// The guard of one event, in a session that records every block with its stack.
///
/// It guards against reentrancy: while it is alive, nothing that this thread allocates is recorded.
/// It also keeps the tables from being cleared, so drop it soon.
pub(crate) struct Recorder {
    pub(super) state: &'static ThreadState,
}

impl Drop for Recorder {
    #[inline(always)]
    fn drop(&mut self) {
        self.state.leave(0);
    }
}

impl FastPath for Recorder {
    #[inline(always)]
    fn try_enter() -> Option<Recorder> {
        try_enter_fast(ThreadState::records_at).map(|state| Recorder { state })
    }

    #[inline(always)]
    fn try_free_fast(&self, address: usize, size: usize) -> bool {
        let found = TABLES.blocks.find(address);
        found.is_some_and(|(place, block)| self.try_free_at(place, block.callsite(), size))
    }
}

impl Hooks for Recorder {
    type Taken = Option<Block>;

    #[inline(always)]
    fn allocated(&self, address: usize, size: usize) {
        self.allocated_with(address, size, NoDetails);
    }

    fn freed(&self, address: usize, size: usize) {
        match TABLES.blocks.remove(address) {
            Some(block) => end(self.state, block.callsite(), Weighted::one(size)),
            None => self.state.events.unknown_free(),
        }
    }

    fn take(&self, (address, _): (usize, usize)) -> Option<Block> {
        TABLES.blocks.remove(address)
    }

    fn put_back(&self, address: usize, taken: Option<Block>) {
        if let Some(block) = taken {
            TABLES.put_back(address, block, None);
        }
    }

    #[inline(always)]
    fn reallocated(&self, taken: Option<Block>, old: (usize, usize), new: (usize, usize)) {
        self.reallocated_with(taken, old, new, NoDetails);
    }
}

/// What a session keeps of a block besides its callsite and size.
pub(super) trait Details: Copy {
    /// Prefetches where it is kept.
    fn prefetch(self, place: Place<'_, AtomicU32>);

    /// Keeps it.
    fn keep(self, place: Place<'_, AtomicU32>, size: usize);
}

/// Nothing.
#[derive(Clone, Copy)]
struct NoDetails;

impl Details for NoDetails {
    #[inline(always)]
    fn prefetch(self, _place: Place<'_, AtomicU32>) {}

    #[inline(always)]
    fn keep(self, _place: Place<'_, AtomicU32>, _size: usize) {}
}

impl Recorder {
    /// A free on the fast path: `false` if something is in the way, and then nothing has happened.
    #[inline(always)]
    pub(super) fn try_free_at(
        &self,
        place: Place<'_, AtomicU32>,
        callsite: CallsiteId,
        size: usize,
    ) -> bool {
        let (state, bytes) = (self.state, size as i64);
        let cell = state.place_of(callsite);
        let Some(left) = cell.bytes_after(callsite.get(), bytes, state.ceiling()) else {
            return false;
        };
        if !state.account.try_shrink(bytes) {
            return false;
        }
        cell.free_fast(left, TABLES.epoch());
        place.word().write(None);
        true
    }

    #[inline(always)]
    pub(super) fn allocated_with(&self, address: usize, size: usize, details: impl Details) {
        if let Some(callsite) = self.insert(address, size, details) {
            self.begin(callsite, size);
        }
    }

    #[inline(always)]
    pub(super) fn reallocated_with(
        &self,
        taken: Option<Block>,
        (old_address, old_size): (usize, usize),
        (address, size): (usize, usize),
        details: impl Details,
    ) {
        // NOTE: no closure around what captures, which would be a frame of its own in a debug
        // build.
        let callsite = self.insert(address, size, details);
        let gone = taken.map(|block| (block.callsite(), Weighted::one(old_size)));
        let come = callsite.map(|callsite| (callsite, Weighted::one(size)));
        replace(self.state, gone, come);
        if let Some(callsite) = callsite
            && address != old_address
        {
            self.state.copied(callsite, old_size.min(size) as u64);
        }
    }

    /// Captures the stack and notes the block.
    #[inline(always)]
    fn insert(&self, address: usize, size: usize, details: impl Details) -> Option<CallsiteId> {
        let place = TABLES.blocks.prefetched(address);
        if let Some(place) = place {
            details.prefetch(place);
        }
        let callsite = capture(self.state, size);
        let block = Block::whole(callsite, address, size);
        let Some(place) = place else {
            insert_cold(self.state, address, block, None)?;
            if let Some(place) = TABLES.blocks.place(address) {
                details.keep(place, size);
            }
            return Some(callsite);
        };
        // NOTE: before the block, so that no reader takes the details of the last block here for
        // its own.
        details.keep(place, size);
        if place.word().replace(Some(block)).is_some() {
            // Another block was here, and its free was missed.
            self.state.events.lost_block();
        }
        Some(callsite)
    }

    /// Counts a block of a callsite.
    #[inline(always)]
    fn begin(&self, callsite: CallsiteId, size: usize) {
        let (state, bytes) = (self.state, size as i64);
        let cell = state.place_of(callsite);
        if !cell.try_alloc_fast(callsite.get(), bytes, TABLES.epoch(), state.ceiling()) {
            credit_slow(state, callsite, bytes);
        }
        state.account.grow(bytes, &TABLES.heap);
    }
}

/// Captures the stack of the caller, and returns its callsite. Fast path: the stack is cached, so
/// its callsite is known.
#[inline(always)]
pub(super) fn capture(state: &ThreadState, size: usize) -> CallsiteId {
    if state.has_stale_tag() {
        state.update_tag(size);
    }
    // SAFETY: the caller is the owner, a record is under way, and the reference ends with the walk.
    let walker = unsafe { state.walker() };
    let captured = if state.captures_line() {
        walker.capture_line()
    } else {
        walker.capture()
    };
    match captured.known {
        Some(callsite) => callsite,
        None => callsite_of(state, captured.hash ^ state.salt()),
    }
}

/// Looks up the callsite of the stack that was just captured, by its hash.
#[inline(always)]
fn callsite_of(state: &ThreadState, hash: u64) -> CallsiteId {
    let recent = state.recent().find(hash);
    let callsite = recent.unwrap_or_else(|| lookup_callsite_slow(state, hash));
    // SAFETY: the caller is the owner, a record is under way, and the reference ends here.
    unsafe { state.walker() }.remember(callsite);
    callsite
}

/// Slow path: looks up the callsite in the table that all threads share, and adds it if it is new.
#[inline(never)]
fn lookup_callsite_slow(state: &ThreadState, hash: u64) -> CallsiteId {
    let callsites = &TABLES.callsites;
    let callsite = callsites.find(hash).unwrap_or_else(|| {
        // SAFETY: the caller is the owner, a record is under way, and the reference ends with the
        // insertion.
        let walker = unsafe { state.walker() };
        callsites.insert_last_of(walker, state.tag())
    });
    state.recent().keep(hash, callsite);
    callsite
}

/// Slow path: records a block where the page map may have no page yet. `None` if there is no
/// memory.
#[cold]
#[inline(never)]
pub(super) fn insert_cold(
    state: &ThreadState,
    address: usize,
    block: Block,
    sampling: Option<Interval>,
) -> Option<()> {
    match TABLES.insert(address, block, sampling) {
        Ok(was_another) => {
            if was_another {
                // It was released without our knowledge.
                state.events.lost_block();
            }
            Some(())
        }
        Err(error) => {
            state.events.not_inserted(error);
            None
        }
    }
}
