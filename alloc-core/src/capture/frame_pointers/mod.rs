//! [`Walker`]: the walk on all platforms but x86-64 Linux: by frame pointers if the program keeps
//! them.

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
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
pub(crate) use records::without_signature;
use records::{Records, Registers};

/// Whether the program keeps frame pointers; `false` until [`prepare`] has proved it.
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

/// Unknown on these platforms.
pub(super) fn is_for_the_test_harness() -> bool {
    false
}

pub(super) fn resident() -> usize {
    0
}

/// The walker of one thread, with the stack of its last walk.
///
/// # Implementation
///
/// Where code keeps frame pointers, each function saves its caller's next to its own return
/// address, and points to the pair. So a stack is a linked list of [`Records`], the same on aarch64
/// and on x86-64. Two things differ, by a line or two each: the registers a walk [starts
/// from](Registers::here), and the [signatures](without_signature) that aarch64 may put on return
/// addresses.
///
/// # Who keeps them
///
/// On macOS the calling convention requires them; on aarch64 Linux rustc keeps them since 1.90, and
/// earlier with an option. The tracer verifies it: when tracing starts, a function calls itself and
/// must [find each of the calls](finds_itself) by frame pointers. If it does not, or if the bounds
/// of a thread's stack are unknown, stacks come from the `backtrace` crate.
///
/// # Limits
///
/// Nothing proves that *all* code keeps them, as the unwind tables do on x86-64 Linux. A function
/// that does not and leaves the register alone, as a library in another language may, hides its
/// caller; one that uses the register for something else ends the stack. A function that a signal
/// interrupted has no saved return address: its caller may be missing, or be there twice.
pub(crate) struct Walker {
    buffer: Buffer,
    bounds: StackBounds,
    limit: usize,
    len: usize,
    end: StackEnd,
}

impl Walker {
    /// Prepares to walk the stack of another thread.
    pub(crate) fn begin(&mut self, bounds: StackBounds) {
        self.bounds = bounds;
        self.len = 0;
    }

    /// Limits a stack to `limit` frames from now on.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(MAX_FRAMES);
    }

    /// Walks the caller's stack and returns the hash of its innermost return addresses.
    #[inline(always)]
    pub(crate) fn capture(&mut self) -> Captured {
        Captured::hashed(if ARE_KEPT.load(Relaxed) {
            // NOTE: nothing may come between the two statements. A compiler may set the frame
            // pointer only just before the first call, and it must be this function's own here.
            let registers = Registers::here();
            self.follow(registers)
        } else {
            self.ask_backtrace()
        })
    }

    /// Like [`capture`](Self::capture): only the limit makes a walk for one line shorter.
    #[inline(always)]
    pub(crate) fn capture_line(&mut self) -> Captured {
        self.capture()
    }

    /// Walks the caller's stack and returns it.
    #[inline(never)]
    pub(crate) fn capture_now(&mut self, _line: bool) -> Stack<'_> {
        self.capture();
        self.stack()
    }

    /// NOTE: unknown on these platforms.
    pub(crate) fn context_of_signal(&mut self) -> Option<*const std::ffi::c_void> {
        None
    }

    /// Does nothing: this walker caches no stacks.
    pub(crate) fn forget(&mut self) {}

    /// Does nothing: this walker caches no stacks.
    pub(crate) fn remember(&mut self, _: CallsiteId) {}

    /// Does nothing: this walker caches no stacks to distinguish.
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

    /// The stack of the last walk, cut to the innermost `addresses`.
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

    /// The hash of the innermost `addresses` of the last stack; `None` if it has no more than that.
    pub(crate) fn hash_of_innermost(&self, addresses: usize) -> Option<u64> {
        (addresses < self.len).then(|| hash_of(&self.buffer[..addresses]))
    }

    /// The stack of the last walk: this walker does not share addresses between callsites.
    pub(crate) fn new_stack(&mut self) -> Stack<'_> {
        self.stack()
    }

    /// Does nothing: this walker does not share addresses between callsites.
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

    /// Appends an address at the outer end, if there is room.
    fn keep(&mut self, address: usize) -> bool {
        let has_room = self.len < self.limit;
        if has_room {
            self.buffer[self.len] = address;
            self.len += 1;
        }
        has_room
    }
}

/// Number of calls that must find each other.
const CALLS: usize = 4;

/// Whether the program's code keeps frame pointers.
///
/// All recursive calls of this function return to the same address. So the innermost call must find
/// that address once for each call but the outermost. Without frame pointers the register holds an
/// arbitrary value, or the record of a distant function of the standard library.
#[inline(never)]
fn finds_itself(bounds: StackBounds, calls: usize) -> bool {
    if calls > 0 {
        // NOTE: the use of the result prevents a tail call.
        return black_box(finds_itself(bounds, calls - 1));
    }
    // NOTE: nothing may come between the two statements, as `Walker::capture` explains.
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
