//! The fast path of a session that counts every block and captures no stacks.
//!
//! There is no callsite and no epoch, and no index as long as blocks are in a
//! [gap](crate::tables::unmapped_ranges). A pair of an allocation and a free takes some 110
//! instructions under callgrind: 10 each in the compiler's shims, which load the gate word, 13 each
//! for the guard, 4 each for the gap, 5 and 13 for the tally; the rest saves registers and calls
//! the inner allocator.

use crate::record::enter::try_enter_fast;
use crate::record::hooks::{FastPath, Hooks};
use crate::record::session::TABLES;
use crate::record::thread::ThreadState;
use crate::system::sync::AtomicU8;
use crate::{control, tables::counted, tables::open_gap};

/// The guard of one event that is only counted, as a
/// [`Recorder`](crate::record::recorder::Recorder) is for one that is recorded.
pub(crate) struct Counter {
    state: &'static ThreadState,
}

impl Drop for Counter {
    #[inline(always)]
    fn drop(&mut self) {
        self.state.leave(0);
    }
}

impl Counter {
    /// For a thread that has begun a record and has joined the generation of a session that only
    /// counts.
    #[inline(always)]
    pub(crate) fn with(state: &'static ThreadState) -> Counter {
        Counter { state }
    }

    /// Slow path: counts a reallocation of which the new or the old block is not counted.
    #[cold]
    #[inline(never)]
    fn reallocated_in_part(
        &self,
        was_counted: bool,
        old_size: usize,
        (address, size): (usize, usize),
    ) {
        let tally = &self.state.tally;
        if was_counted {
            // The new block found no room.
            self.shrink(old_size as i64);
            tally.freed(old_size);
        } else if self.insert(address) {
            tally.allocated(size);
            tally.add_reallocation();
            self.grow(size as i64);
        }
    }

    /// Fast path: removes a counted block. Returns `false` if a lookup is needed.
    #[inline(always)]
    fn try_forget_fast(&self, address: usize) -> bool {
        match self.noted(address) {
            Noted::Nothing => true,
            // NOTE: if the block is not marked, nothing has changed.
            Noted::At(place) => counted::forget(place),
            Noted::Elsewhere => false,
        }
    }

    /// Where the mark of a counted block is.
    #[inline(always)]
    fn noted(&self, address: usize) -> Noted<'_> {
        if self.state.open_gap.holds(address) {
            return Noted::Nothing;
        }
        // SAFETY: a record is under way as long as the counter lives.
        match unsafe { self.state.mapped_place(address) } {
            Some(place) => Noted::At(place),
            None => Noted::Elsewhere,
        }
    }

    /// Marks a block and returns whether it counts.
    #[inline(always)]
    fn insert(&self, address: usize) -> bool {
        match self.noted(address) {
            Noted::Nothing => true,
            Noted::At(place) => {
                if counted::note(place) {
                    self.state.events.lost_block();
                }
                true
            }
            Noted::Elsewhere => insert_slowly(self.state, address),
        }
    }

    /// Whether the tally is the thread's whole part of the heap.
    #[inline(always)]
    fn is_alone(&self) -> bool {
        self.state.account.is_alone()
    }

    #[inline(always)]
    fn grow(&self, bytes: i64) {
        if !self.is_alone() && self.state.account.grow(bytes, &TABLES.heap) {
            self.state.look_after_tally();
        }
    }

    /// NOTE: called before the tally shrinks.
    #[inline(always)]
    fn shrink(&self, bytes: i64) {
        let account = &self.state.account;
        if !self.is_alone() && account.shrink(bytes, &TABLES.heap, &TABLES.epoch) {
            self.state.look_after_tally();
        }
        if self.state.tally.needs_peak_check() {
            self.state.check_peak();
        }
    }
}

impl FastPath for Counter {
    #[inline(always)]
    fn try_enter() -> Option<Counter> {
        try_enter_fast(ThreadState::counts_at).map(Counter::with)
    }

    #[inline(always)]
    fn try_free_fast(&self, address: usize, size: usize) -> bool {
        let state = self.state;
        if state.tally.needs_peak_check() {
            return false;
        }
        // PERF: written twice, because one branch at the start is cheaper than the same branch
        // twice.
        if self.is_alone() {
            if !self.try_forget_fast(address) {
                return false;
            }
        } else {
            let Some(left) = state.account.left_without_settling(size as i64) else {
                return false;
            };
            if !self.try_forget_fast(address) {
                return false;
            }
            state.account.keep(left);
        }
        state.tally.freed(size);
        true
    }
}

impl Hooks for Counter {
    /// Whether the block was counted.
    type Taken = bool;

    #[inline(always)]
    fn allocated(&self, address: usize, size: usize) {
        if self.insert(address) {
            self.state.tally.allocated(size);
            self.grow(size as i64);
        }
    }

    fn freed(&self, address: usize, size: usize) {
        if self.take((address, size)) {
            self.shrink(size as i64);
            self.state.tally.freed(size);
        } else {
            self.state.events.unknown_free();
        }
    }

    #[inline(always)]
    fn take(&self, (address, _): (usize, usize)) -> bool {
        match self.noted(address) {
            Noted::Nothing => true,
            Noted::At(place) => counted::forget(place),
            Noted::Elsewhere => take_slow(self.state, address),
        }
    }

    #[cold]
    fn put_back(&self, address: usize, was_counted: bool) {
        if was_counted {
            TABLES.counted.put_back(address);
        } else {
            exclude(address);
        }
    }

    /// NOTE: one change for the heap.
    #[inline(always)]
    fn reallocated(
        &self,
        was_counted: bool,
        (_, old_size): (usize, usize),
        (address, size): (usize, usize),
    ) {
        if was_counted && self.insert(address) {
            let grown = size as i64 - old_size as i64;
            if grown < 0 {
                self.shrink(-grown);
            }
            self.state.tally.reallocated(old_size, size);
            if grown >= 0 {
                self.grow(grown);
            }
        } else {
            self.reallocated_in_part(was_counted, old_size, (address, size));
        }
    }
}

// PERF: these functions take the state and not the counter. So the counter needs no stack slot, and
// a free can end in a tail call to the inner allocator.

#[inline(never)]
fn insert_slowly(state: &ThreadState, address: usize) -> bool {
    if state.gap().holds(address) {
        // A previous block here, freed without a record, may have been excluded.
        forget_excluded(state, address);
        return true;
    }
    state.keep_around(address);
    match TABLES.counted.insert(address) {
        Ok(false) => true,
        Ok(true) => {
            state.events.lost_block();
            true
        }
        Err(error) => {
            state.events.not_inserted(error);
            false
        }
    }
}

/// Removes the exclusion mark of a block in the thread's gap, and returns whether it had one.
fn forget_excluded(state: &ThreadState, address: usize) -> bool {
    let was_excluded = TABLES.counted.forget_excluded_in_gap(address);
    if !TABLES.counted.has_excluded() {
        state.open_gap();
    }
    was_excluded
}

#[inline(never)]
fn take_slow(state: &ThreadState, address: usize) -> bool {
    if state.gap().holds(address) {
        return !forget_excluded(state, address);
    }
    state.keep_around(address);
    TABLES.counted.remove(address)
}

/// Where the mark of a counted block is.
enum Noted<'a> {
    /// No mark is needed: the block is in a gap, and no block there is excluded.
    Nothing,
    /// In a byte table.
    At(&'a AtomicU8),
    /// Unknown: a lookup is needed.
    Elsewhere,
}

impl ThreadState {
    /// Saves the tally's values at the peak, if there was a peak, and with several threads folds
    /// it.
    #[cold]
    pub(crate) fn look_after_tally(&self) {
        self.tally.save_if_old(TABLES.epoch());
        if !self.account.is_alone() {
            self.fold_tally();
        }
    }
}

/// Excludes a block that would count without a mark: its thread had no guard, or was muted.
#[cold]
#[inline(never)]
pub(crate) fn exclude(address: usize) {
    if control::is_on() && control::only_counts() {
        let gaps = TABLES.threads.iter().map(|state| &state.open_gap);
        open_gap::exclude(|| TABLES.counted.exclude(address), gaps);
    }
}
