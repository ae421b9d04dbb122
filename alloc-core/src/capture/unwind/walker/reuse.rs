//! What a walk reuses of the walk before it, and what it leaves for the next.

use super::Walker;
use crate::capture::unwind::checks::read_stack;
use crate::capture::unwind::previous_stack::{Flags, Found, KEPT, Start};
use crate::capture::unwind::registers::Registers;
use crate::capture::unwind::step::{Stop, outward};
use crate::snapshot::recorded::StackEnd;
use crate::tables::stack_hash::StackHash;

/// What a walk asks of kept links to reuse them.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    /// With fewer, new ones among them, a stack would show more than holds, or than is kept.
    pub(super) least: usize,
    /// From where on they must hold; none, if none is to be reused.
    pub(super) start: Start,
}

impl Walker {
    /// From where on kept links must hold.
    #[inline(always)]
    pub(super) fn start(&self) -> Start {
        if self.bottom_holds() {
            self.reach.start
        } else {
            Start::NONE
        }
    }

    /// Whether the zero that ends the stack lies where it did, if links are of the thread's own stack.
    #[inline(always)]
    fn bottom_holds(&self) -> bool {
        // SAFETY: of the thread's own stack, and outside of all links, so it is in use.
        self.bottom == 0 || self.reach.start.is_none() || unsafe { read_stack(self.bottom) } == 0
    }

    /// Whether the kept links outside of that at `at` hold, which was found again, as far as a stack with `new`
    /// more shows them, and reach as far. Those from `start` on do.
    ///
    /// # Safety
    ///
    /// Kept links are of this thread's stack and outside of a live frame.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn is_valid(&mut self, at: usize, new: usize, start: Start) -> bool {
        let found = self.new_frames.get(new);
        if !self.previous.was_found_like(at, &found) {
            // Another function inside of it led here.
            self.previous.put(at, &found);
        }
        let outer = (at + new).saturating_sub(self.limit);
        if outer == 0 && (self.end == StackEnd::Truncated || !self.bottom_holds()) {
            return false;
        }
        // With more links inside than a stack shows, there are none to verify.
        let (outermost, innermost) = (outer.min(at - 1), at - 1);
        // SAFETY: the caller's promise.
        if !unsafe {
            self.previous
                .are_valid_outside_of(start, outermost, innermost)
        } {
            return false;
        }
        // Where code may have come and gone, look closer.
        //
        // SAFETY: the caller's promise.
        !self.previous.reaches_unloadable(innermost) || unsafe { self.revalidate(at, outer) }
    }

    /// Whether the links from that at `at` to that at `outer`, which hold, are found by the same steps still.
    ///
    /// # Safety
    ///
    /// As [`is_valid`](Self::is_valid).
    unsafe fn revalidate(&self, at: usize, outer: usize) -> bool {
        let mut frame = self.previous.registers(at);
        for link in (outer + 1..at).rev() {
            if self.previous.way(link).has(Flags::UNLOADABLE) {
                let again = outward(frame, self.bounds.high);
                let is_it = |it: Found| {
                    self.previous.is(link, &it) && self.previous.was_found_like(link, &it)
                };
                if !again.is_ok_and(is_it) {
                    return false;
                }
            }
            let mut bp = frame.bp;
            if let Some(saved_at) = self.previous.saved_at(link) {
                // SAFETY: the caller's promise; it lies inside of the link's own place.
                bp = unsafe { read_stack(saved_at) };
            }
            frame = Registers {
                bp,
                ..self.previous.registers(link)
            };
        }
        true
    }

    /// Forgets what lies outside of the fresh links.
    #[inline(never)]
    pub(super) fn begin_new(&mut self, stop: Stop, own: bool, new: usize) -> u64 {
        let needs_bp;
        let is_unloadable;
        (self.end, self.bottom, needs_bp, is_unloadable) = match stop {
            Stop::Zero { address, way } => {
                let needs_bp = way.has(Flags::CFA_FROM_BP);
                (
                    StackEnd::Complete,
                    address,
                    needs_bp,
                    way.has(Flags::UNLOADABLE),
                )
            }
            Stop::NoCaller { is_unloadable } => (StackEnd::Complete, 0, false, is_unloadable),
            Stop::Lost | Stop::Beyond | Stop::NeedsAllRegisters => {
                (StackEnd::Broken, 0, true, true)
            }
            Stop::Limit => (StackEnd::Truncated, 0, true, false),
            Stop::Line => (StackEnd::Truncated, 0, false, false),
        };
        self.previous.begin(0, needs_bp);
        let hash = self.push(0, new);
        if !own || is_unloadable {
            self.reuse_nothing();
        }
        let shows_all = self.len > self.limit || stop == Stop::Line;
        self.is_whole = own && !is_unloadable && (shows_all || self.end == StackEnd::Complete);
        hash
    }

    /// Has the next walk start over.
    pub(super) fn reuse_nothing(&mut self) {
        self.reach = Reach {
            least: 0,
            start: Start::NONE,
        };
    }

    /// Puts the fresh links inside of that at `at`, and returns the hash.
    pub(super) fn push(&mut self, at: usize, new: usize) -> u64 {
        let at = self.make_way(at, new);
        self.previous.push(at, new, &self.new_frames);
        self.reach = Reach {
            least: 0,
            start: Start::OUTERMOST,
        };
        self.conclude(self.previous.sum(self.len))
    }

    /// The same, if they were found by plain rules and that link [stands alone](PreviousStack::needs_no_rbp).
    #[inline(always)]
    pub(super) fn push_sp_only(&mut self, at: usize, new: usize) -> u64 {
        let at = self.make_way(at, new);
        // SAFETY: there is room, now.
        let sum = unsafe { self.previous.push_sp_only(at, new, &self.new_frames) };
        self.conclude(sum)
    }

    /// Gets ready to put that many links inside of that at `at`, and returns where that is then.
    #[inline(always)]
    fn make_way(&mut self, mut at: usize, new: usize) -> usize {
        if at + new >= KEPT {
            at = self.make_room(at, new);
        }
        self.len = at + new;
        self.common = self.common.min(at);
        at
    }

    /// Takes note of what the next walk asks of the links, whose sum is this, and returns their hash.
    #[inline(always)]
    fn conclude(&mut self, sum: u64) -> u64 {
        // NOTE: as many as the limit may lie inside of links that were dropped, whose sum is in theirs.
        if self.len >= self.limit {
            // What a stack does not show need not hold. But a shorter one shows more of it, or more than is kept.
            self.reach = Reach {
                least: self.len,
                start: self.previous.start_inside_of(self.len - self.limit),
            };
            return self.hash();
        }
        StackHash::of_sum(sum)
    }

    /// Drops outer links that no stack shows any more. Returns where the innermost is then.
    #[cold]
    fn make_room(&mut self, at: usize, new: usize) -> usize {
        self.common = 0;
        let left = self.limit.saturating_sub(new).min(at);
        self.previous.drop_outer(at - left + 1, at);
        (self.end, self.bottom) = (StackEnd::Truncated, 0);
        left
    }
}
