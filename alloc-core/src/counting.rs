//! The hot steps of a session that counts every block and captures no stacks.
//!
//! There is no callsite and no epoch, and as long as blocks lie in a [gap](crate::gaps) no index. In instructions,
//! as callgrind counts them, a pair of an allocation and a free takes some 130: 6 each in the compiler's shims, 20
//! and 18 to see what to do and for the guard, 9 each for the gap, 28 and 9 for tally and account; the rest saves
//! registers and calls the inner allocator.

use crate::sync::{AtomicU8, Ordering::Relaxed};
use crate::thread::ThreadState;
use crate::tracer::{self, AtOnce, Follow, Right, TABLES};
use crate::{control, counted};

/// The right to count one event, as a [`Recorder`](crate::tracer::Recorder) is to record one.
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
    /// For a thread that has begun a record, and joined the phase of a session that only counts.
    #[inline(always)]
    pub(crate) fn with(state: &'static ThreadState) -> Counter {
        Counter { state }
    }

    /// Counts a reallocation, where the new block or the old one does not count.
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
            // There was no room for the new one.
            self.shrink(old_size as i64);
            tally.freed(old_size);
        } else if self.insert(address) {
            tally.allocated(size);
            tally.add_reallocation();
            self.grow(size as i64);
        }
    }

    /// Where it is noted that a block is counted.
    #[inline(always)]
    fn noted(&self, address: usize) -> Noted<'_> {
        if self.state.gap().holds(address) && !TABLES.counted.has_left_out() {
            return Noted::Nothing;
        }
        // SAFETY: a record is under way, and as long as the counter lives.
        match unsafe { self.state.outside_place(address) } {
            Some(place) => Noted::At(place),
            None => Noted::Elsewhere,
        }
    }

    /// Notes a block, and returns whether it counts.
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

    #[inline(always)]
    fn grow(&self, bytes: i64) {
        if self.state.account.grow(bytes, &TABLES.heap) {
            self.state.look_after_tally();
        }
    }

    #[inline(always)]
    fn shrink(&self, bytes: i64) {
        let account = &self.state.account;
        if account.shrink(bytes, &TABLES.heap, &TABLES.epoch) {
            self.state.look_after_tally();
        }
    }
}

impl AtOnce for Counter {
    #[inline(always)]
    fn enter_at_once() -> Option<Counter> {
        tracer::enter_if(ThreadState::counts_at).map(Counter::with)
    }

    fn of(right: Right) -> Option<Counter> {
        match right {
            Right::Count(counter) => Some(counter),
            Right::Record(_) | Right::Sample(_) => None,
        }
    }

    #[inline(always)]
    fn freed_at_once(&self, address: usize, size: usize) -> bool {
        let noted = self.noted(address);
        let is_counted = match noted {
            Noted::Nothing => true,
            Noted::At(place) => counted::is_noted(place),
            Noted::Elsewhere => false,
        };
        if !is_counted || !self.state.account.shrink_at_once(size as i64) {
            return false;
        }
        if let Noted::At(place) = noted {
            counted::forget(place);
        }
        self.state.tally.freed(size);
        true
    }
}

impl Follow for Counter {
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
            Noted::Elsewhere => take_slowly(self.state, address),
        }
    }

    #[cold]
    fn put_back(&self, address: usize, was_counted: bool) {
        TABLES.counted.put_back(address, was_counted);
    }

    /// NOTE: for the heap it is one change.
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

// PERF: these take the state and not the counter, which so needs no place on the stack, and a free can end in a
// jump to the inner allocator.

#[inline(never)]
fn insert_slowly(state: &ThreadState, address: usize) -> bool {
    if state.gap().holds(address) {
        // One that was freed unseen may have been left out.
        TABLES.counted.forget_left_out_in_gap(address);
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

#[inline(never)]
fn take_slowly(state: &ThreadState, address: usize) -> bool {
    if state.gap().holds(address) {
        return !TABLES.counted.forget_left_out_in_gap(address);
    }
    state.keep_around(address);
    TABLES.counted.remove(address)
}

/// Where it is noted that a block is counted.
enum Noted<'a> {
    /// It need not be: it lies in a gap, and no block there is left out.
    Nothing,
    /// In a table.
    At(&'a AtomicU8),
    /// It must be found out.
    Elsewhere,
}

impl ThreadState {
    /// Saves what the tally held at the peak, if there was one, and folds it where there are others.
    #[cold]
    pub(crate) fn look_after_tally(&self) {
        self.tally.save_if_old(TABLES.epoch.load(Relaxed));
        if !self.account.is_alone() {
            self.fold_tally();
        }
    }
}

/// Notes that a block is not counted, where one that is not noted would be: whoever allocated it had no right to
/// count it, or did not want it to be.
#[cold]
#[inline(never)]
pub(crate) fn leave_out(address: usize) {
    if control::is_on() && control::only_counts() {
        TABLES.counted.leave_out(address);
    }
}
