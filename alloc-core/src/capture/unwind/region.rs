//! [`Region`]: the stack that a walk is on, if that is not the thread's own.

use super::RULES;
use super::checks::{Check, read_stack};
use super::previous_stack::{Found, Origin};
use super::registers::Registers;
use super::rules::{Kept, Packed, Rule};
use super::step::{KEPT_WAY, Stop, step_by};
use crate::capture::bounds::StackBounds;

/// The smallest page: all of it is readable, or none.
const PAGE: usize = 4096;

/// The memory that a walk may read: from the stack pointer up to `high`.
///
/// # Stacks that are not the thread's own
///
/// They belong to coroutines, to signal handlers, and to recursion on segmented stacks. They come
/// and go, and their size is unknown. So a walk reads the page of the stack pointer, which is in
/// use, and asks the system for each further page [whether it can be read](is_readable), each time:
/// a query takes some 70 ns, and most walks need one or two. Nothing is cached, so no stack is
/// mistaken for an earlier one.
///
/// # From one stack to the next
///
/// A function that switches stacks keeps the old stack pointer in rbp, and its unwind table says
/// so. So if a rule counts from an rbp outside this stack, that rbp is inside the next one.
pub(super) struct Region {
    high: usize,
    own: StackBounds,
    /// Whether the walk was on the thread's own stack only.
    is_own: bool,
    questions_left: u32,
}

impl Region {
    /// The stack that contains this stack pointer.
    pub(super) fn around(sp: usize, own: StackBounds) -> Region {
        let is_own = own.hold(sp);
        Region {
            high: if is_own { own.high } else { end_of_page(sp) },
            own,
            is_own,
            questions_left: 0,
        }
    }

    /// Whether the walk was on the thread's own stack only.
    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Takes one step. If the walk goes on to another stack, `frame` gets the start of that stack.
    pub(super) fn step(&mut self, rule: Packed, frame: &mut Registers) -> Result<Found, Stop> {
        /// Enough for a frame of 4 MiB. Bounds the queries for a rule that leads nowhere.
        const MOST_QUESTIONS: u32 = 1024;
        self.questions_left = MOST_QUESTIONS;
        loop {
            match step_by(rule, *frame, self.high) {
                Err(stop @ (Stop::Lost | Stop::Beyond)) => {
                    if let Rule::Kept(kept) = RULES.whole(rule) {
                        return self.step_to_kept(kept, *frame).ok_or(stop);
                    }
                    if !self.go_on(rule, frame, stop) {
                        return Err(stop);
                    }
                }
                found => return found,
            }
        }
    }

    /// Whether more memory is readable: here, or on the next stack.
    #[cold]
    fn go_on(&mut self, rule: Packed, frame: &mut Registers, stop: Stop) -> bool {
        if !(frame.sp..self.high).contains(&frame.bp) && RULES.goes_by_rbp(rule) {
            let next = frame.bp;
            frame.sp = next;
            return self.go_to(next);
        }
        let can_grow = stop == Stop::Beyond && self.high != self.own.high;
        if can_grow && self.can_read(self.high) {
            self.high += PAGE;
            return true;
        }
        false
    }

    /// The step of a frame that keeps its CFA, on another stack.
    fn step_to_kept(&mut self, kept: Kept, frame: Registers) -> Option<Found> {
        let Registers { sp, bp, .. } = frame;
        let place = kept.place(bp);
        let is_here = (sp..self.high).contains(&place) || self.can_read(place);
        if !place.is_multiple_of(8) || !is_here {
            return None;
        }
        // SAFETY: the address is aligned, and in this stack or else readable.
        let cfa = kept.cfa(unsafe { read_stack(place) });
        let pc_at = cfa.wrapping_add_signed(kept.pc_at.into());
        let saved_at = kept.bp_saved_at(bp, cfa);
        let is_right = cfa.is_multiple_of(8) && pc_at < cfa && saved_at < cfa;
        if !is_right || !self.go_to(pc_at.min(saved_at)) || cfa > self.high {
            return None;
        }
        let can_read = (pc_at.min(saved_at)..self.high).contains(&saved_at);
        if !can_read || !pc_at.is_multiple_of(8) || !saved_at.is_multiple_of(8) {
            return None;
        }
        // SAFETY: the address is aligned, and between the entry of the next stack and its end.
        let bp = unsafe { Check::of(saved_at) };
        // SAFETY: the address is aligned, and between the entry of the next stack and its end.
        let word = unsafe { read_stack(pc_at) };
        // NOTE: the caller's stack pointer is the CFA, which follows from this address.
        let pc = Check {
            address: cfa - 8,
            word,
        };
        let from = Origin { bp, way: KEPT_WAY };
        (word != 0).then_some(Found { pc, from })
    }

    /// Goes on at an address of another stack.
    fn go_to(&mut self, next: usize) -> bool {
        if !next.is_multiple_of(8) || next < PAGE {
            return false;
        }
        if self.own.hold(next) {
            self.high = self.own.high;
        } else if self.can_read(next) {
            self.high = end_of_page(next);
        } else {
            return false;
        }
        self.is_own = false;
        true
    }

    fn can_read(&mut self, address: usize) -> bool {
        let may_ask = self.questions_left > 0;
        self.questions_left = self.questions_left.saturating_sub(1);
        may_ask && is_readable(address)
    }
}

fn end_of_page(address: usize) -> usize {
    (address | (PAGE - 1)) + 1
}

/// Whether the word at an aligned address can be read, without reading it here.
///
/// The system reads a signal set from the address before it rejects the invalid operation, so the
/// call has no other effect. Abseil's stack walker does the same, in `AddressIsReadable`.
pub(super) fn is_readable(address: usize) -> bool {
    const NOTHING_TO_DO: libc::c_int = !0;
    let error = crate::system::hooks::errno();
    let set = std::ptr::without_provenance::<libc::c_void>(address);
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the system checks the address. No signal set is changed, since the first argument is
    // an invalid operation.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, NOTHING_TO_DO, set, none, 8) };
    let is_readable = crate::system::hooks::errno() == libc::EINVAL;
    // An allocator must leave `errno` unchanged.
    crate::system::hooks::set_errno(error);
    is_readable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::arena;

    #[test]
    fn what_is_mapped_for_reading_can_be_read_and_nothing_else() {
        let pages = arena::reserve(3 * PAGE).unwrap();
        let at = |page: usize| pages.as_ptr().addr() + page * PAGE;
        assert!((0..3).all(|page| is_readable(at(page)) && is_readable(at(page) + PAGE - 8)));
        let second = pages.as_ptr().wrapping_add(PAGE);
        // SAFETY: the page is ours, and nothing reads it.
        let failed = unsafe { libc::mprotect(second.cast(), PAGE, libc::PROT_NONE) };
        assert_eq!(failed, 0);
        assert!(is_readable(at(0)) && !is_readable(at(1)) && is_readable(at(2)));
        // SAFETY: the pages were reserved above, and are not used after.
        unsafe { arena::release(pages, 3 * PAGE) };
        assert!(!is_readable(at(0)) && !is_readable(0) && !is_readable(1 << 50));
    }
}
