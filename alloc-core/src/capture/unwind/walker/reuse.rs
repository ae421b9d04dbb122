//! What a walk reuses of the walk before it, and what it leaves for the next.

use super::Walker;
use crate::capture::unwind::checks::read_stack;
use crate::capture::unwind::previous_stack::{Flags, Found, KEPT, Start};
use crate::capture::unwind::registers::Registers;
use crate::capture::unwind::step::{Stop, outward};
use crate::snapshot::recorded::StackEnd;
use crate::tables::stack_hash::StackHash;

/// Which links a walk can reuse.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    /// The least length of a stack that reuses links: a shorter one would show links that are not
    /// verified, or not kept.
    pub(super) least: usize,
    /// From where on links must be valid; none if no link can be reused.
    pub(super) start: Start,
}

impl Walker {
    /// From where on links must be valid.
    #[inline(always)]
    pub(super) fn start(&self) -> Start {
        if self.bottom_holds() {
            self.reach.start
        } else {
            Start::NONE
        }
    }

    /// Whether the zero that ends the stack is unchanged, if links are of the thread's own stack.
    #[inline(always)]
    fn bottom_holds(&self) -> bool {
        // SAFETY: of the thread's own stack, and outside of all links, so it is in use.
        self.bottom == 0 || self.reach.start.is_none() || unsafe { read_stack(self.bottom) } == 0
    }

    /// Whether the links outside of the one at `at`, which the walk met, are valid as far as a
    /// stack with `new` more frames shows them. Those from `start` on are known to be.
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

    /// Repeats the steps from the link at `at` to the one at `outer` where code may have been
    /// unloaded. Returns whether they find the same links.
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
                // SAFETY: the caller's promise; it is inside of the link's own place.
                bp = unsafe { read_stack(saved_at) };
            }
            frame = Registers {
                bp,
                ..self.previous.registers(link)
            };
        }
        true
    }

    /// Replaces all links by the new frames, and returns the hash.
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

    /// Makes the next walk start over.
    pub(super) fn reuse_nothing(&mut self) {
        self.reach = Reach {
            least: 0,
            start: Start::NONE,
        };
    }

    /// Pushes the new frames inside of the link at `at`, and returns the hash.
    pub(super) fn push(&mut self, at: usize, new: usize) -> u64 {
        let at = self.make_way(at, new);
        self.previous.push(at, new, &self.new_frames);
        self.reach = Reach {
            least: 0,
            start: Start::OUTERMOST,
        };
        self.conclude(self.previous.sum(self.len))
    }

    /// Fast path of [`push`](Self::push): all were found by sp-only rules, and the link [needs no
    /// rbp](super::PreviousStack::needs_no_rbp).
    #[inline(always)]
    pub(super) fn push_sp_only(&mut self, at: usize, new: usize) -> u64 {
        let at = self.make_way(at, new);
        // SAFETY: there is room, now.
        let sum = unsafe { self.previous.push_sp_only(at, new, &self.new_frames) };
        self.conclude(sum)
    }

    /// Makes room for `new` links inside of the one at `at`, and returns its index after that.
    #[inline(always)]
    fn make_way(&mut self, mut at: usize, new: usize) -> usize {
        if at + new >= KEPT {
            at = self.make_room(at, new);
        }
        self.len = at + new;
        self.common = self.common.min(at);
        at
    }

    /// Sets what the next walk can reuse, and returns the hash of the links, which have this sum.
    #[inline(always)]
    fn conclude(&mut self, sum: u64) -> u64 {
        // NOTE: as many as the limit may lie inside of links that were dropped, whose sum is in
        // theirs.
        if self.len >= self.limit {
            // What a stack does not show need not hold. But a shorter one shows more of it, or more
            // than is kept.
            self.reach = Reach {
                least: self.len,
                start: self.previous.start_inside_of(self.len - self.limit),
            };
            return self.hash();
        }
        StackHash::of_sum(sum)
    }

    /// Drops outer links that no stack shows any more. Returns the new index of the innermost.
    #[cold]
    fn make_room(&mut self, at: usize, new: usize) -> usize {
        self.common = 0;
        let left = self.limit.saturating_sub(new).min(at);
        self.previous.drop_outer(at - left + 1, at);
        (self.end, self.bottom) = (StackEnd::Truncated, 0);
        left
    }
}
