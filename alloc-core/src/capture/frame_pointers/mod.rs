//! [`Walker`]: the walk on all platforms but x86-64 Linux: by frame pointers where they are kept.

mod records;
#[cfg(test)]
mod tests;

use std::hint::black_box;

use super::{
    Buffer, CaptureMethod, Captured, MAX_FRAMES, StackBounds, fallback, hash_of, stack_bounds,
};
use crate::snapshot::recorded::StackEnd;
use crate::system::sync::{AtomicBool, Ordering::Relaxed};
use crate::tables::callsites::{CallsiteId, Stack};
use records::{Records, Registers};

/// Whether the program keeps frame pointers; not before [`prepare`] proved it.
static ARE_KEPT: AtomicBool = AtomicBool::new(false);

pub(super) fn prepare() -> CaptureMethod {
    let are_kept = finds_itself(stack_bounds(), CALLS);
    ARE_KEPT.store(are_kept, Relaxed);
    if are_kept {
        CaptureMethod::FramePointers
    } else {
        CaptureMethod::Backtrace
    }
}

pub(super) fn prepare_for_line() {}

/// NOTE: the program's symbols are read on x86-64 Linux only.
pub(super) fn is_of_printing(_: &[usize]) -> bool {
    false
}

/// Here nothing tells.
pub(super) fn is_for_the_test_harness() -> bool {
    false
}

pub(super) fn resident() -> usize {
    0
}

/// The stack of a thread's last walk.
///
/// # Implementation
///
/// Where code keeps frame pointers, each function saves its caller's beside its own return address,
/// and points to the pair: so a stack is a list of [`Records`], the same on aarch64 and on x86-64.
/// Two things differ, both in a line or two: which registers a walk [starts from](Registers::here),
/// and that aarch64 may [sign](without_signature) return addresses.
///
/// # Who keeps them
///
/// macOS does by its rules for calls; on aarch64 Linux rustc does since 1.90, and before if it is
/// told to. Nothing is taken for granted: when tracing starts, a function calls itself and must
/// [find each of the calls](finds_itself) by frame pointers. Else, and where the bounds of a
/// thread's stack cannot be asked for, stacks come from the `backtrace` crate.
///
/// # What it cannot see
///
/// Nothing proves that *all* code keeps them, as the unwind tables do on x86-64 Linux. A function
/// that does not and leaves the register alone, as a library in another language may, hides its
/// caller; one that uses the register for something else ends the stack. Of a function that a
/// signal interrupted, nobody saved a return address: its caller may be missing, or be there twice.
pub(crate) struct Walker {
    buffer: Buffer,
    bounds: StackBounds,
    limit: usize,
    len: usize,
    end: StackEnd,
}

impl Walker {
    /// Gets ready to walk the stack of another thread.
    pub(crate) fn begin(&mut self, bounds: StackBounds) {
        self.bounds = bounds;
        self.len = 0;
    }

    /// Shows `limit` frames of a stack from now on.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MAX_FRAMES);
    }

    /// Walks the caller's stack: the hash of its innermost return addresses.
    #[inline(always)]
    pub(crate) fn capture(&mut self) -> Captured {
        Captured::hashed(if ARE_KEPT.load(Relaxed) {
            // NOTE: nothing may come between the two, so that the frame pointer is already the
            // caller's own: a compiler may put that off until shortly before the first call.
            let registers = Registers::here();
            self.follow(registers)
        } else {
            self.ask_backtrace()
        })
    }

    /// The same: only the limit makes a walk for one line shorter.
    #[inline(always)]
    pub(crate) fn capture_line(&mut self) -> Captured {
        self.capture()
    }

    /// The stack itself.
    #[inline(never)]
    pub(crate) fn capture_now(&mut self, _line: bool) -> Stack<'_> {
        self.capture();
        self.stack()
    }

    /// NOTE: not known here.
    pub(crate) fn context_of_signal(&mut self) -> Option<*const std::ffi::c_void> {
        None
    }

    /// Nothing is remembered.
    pub(crate) fn forget(&mut self) {}

    /// As above.
    pub(crate) fn remember(&mut self, _: CallsiteId) {}

    /// Nothing is remembered, so nothing is distinguished.
    pub(crate) fn set_tag(&mut self, _: u64) {}

    /// The stack of the last walk.
    pub(crate) fn stack(&mut self) -> Stack<'_> {
        let addresses = &self.buffer[..self.len];
        Stack {
            addresses,
            outer: None,
            end: self.end,
            hash: hash_of(addresses),
            era: 0,
        }
    }

    /// The same, cut to so many addresses.
    pub(crate) fn innermost(&mut self, addresses: usize) -> Stack<'_> {
        match self.hash_of_innermost(addresses) {
            Some(hash) => Stack {
                addresses: &self.buffer[..addresses],
                outer: None,
                end: StackEnd::Truncated,
                hash,
                era: 0,
            },
            None => self.stack(),
        }
    }

    /// The hash of the innermost addresses of the last stack, if there are more than so many.
    pub(crate) fn hash_of_innermost(&self, addresses: usize) -> Option<u64> {
        (addresses < self.len).then(|| hash_of(&self.buffer[..addresses]))
    }

    /// The same as [`stack`](Self::stack): nothing is known of other callsites.
    pub(crate) fn new_stack(&mut self) -> Stack<'_> {
        self.stack()
    }

    /// As above.
    pub(crate) fn set_callsite(&mut self, _: CallsiteId) {}

    #[inline(never)]
    fn follow(&mut self, registers: Registers) -> u64 {
        let mut records = Records::new(registers, self.bounds);
        self.len = 0;
        self.end = loop {
            match records.next() {
                Some(address) if self.keep(address) => {}
                Some(_) => break StackEnd::Truncated,
                None => break records.end,
            }
        };
        self.stack().hash
    }

    #[inline(never)]
    fn ask_backtrace(&mut self) -> u64 {
        let local = black_box(0_u8);
        self.len = 0;
        self.end = StackEnd::Complete;
        fallback::walk(&raw const local, |address| {
            let is_kept = self.keep(address);
            if !is_kept {
                self.end = StackEnd::Truncated;
            }
            is_kept
        });
        self.stack().hash
    }

    /// Puts an address at the outer end, if there is room.
    fn keep(&mut self, address: usize) -> bool {
        let has_room = self.len < self.limit;
        if has_room {
            self.buffer[self.len] = address;
            self.len += 1;
        }
        has_room
    }
}

/// How many calls must find themselves.
const CALLS: usize = 4;

/// Whether the program's code keeps frame pointers.
///
/// A call from a call of this function returns to always the same address. So the innermost must
/// find that address once for each call but the outermost. Without frame pointers the register
/// holds anything, or the record of a function of the standard library far outside.
#[inline(never)]
fn finds_itself(bounds: StackBounds, calls: usize) -> bool {
    if calls > 0 {
        // NOTE: what is done with the result keeps the call from becoming a jump.
        return black_box(finds_itself(bounds, calls - 1));
    }
    // NOTE: as in `Walker::capture`, nothing may come between.
    let registers = Registers::here();
    black_box(are_calls(registers, bounds))
}

#[inline(never)]
fn are_calls(registers: Registers, bounds: StackBounds) -> bool {
    let mut records = Records::new(registers, bounds);
    let innermost = records.next();
    let same = 1 + records.take_while(|&it| Some(it) == innermost).count();
    bounds.hold(registers.sp) && same == CALLS
}
