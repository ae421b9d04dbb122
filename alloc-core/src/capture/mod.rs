//! A call stack into a buffer.
//!
//! One interface, [`Walker`], over two ways. On x86-64 Linux [`unwind`] walks the stack itself by
//! rules from the program's own unwind tables, which prove where a frame pointer may be trusted,
//! without a lock or a system call. Everywhere else `frame_pointers` follows frame pointers, if the
//! program is found to keep them, and else `fallback` asks the `backtrace` crate.
//!
//! # Where a stack differs from the truth
//!
//! The truth is what the platform's own unwinder says, and `tests/stacks.rs` holds each kind of
//! stack against it, address by address. What differs is this, and all of it is marked but the last
//! two:
//!
//! - *What a signal interrupted is shown as if it had called*: by the address one past its
//!   instruction, so that one less is
//!   in it. With frame pointers that function's caller may be missing or be there twice.
//! - *A stack that is not the thread's own* is that of a coroutine, a segment of a growing one, or
//!   the alternate stack of a
//!   handler. It is walked as far as memory can be read, and on to the stack that its unwind tables lead to.
//! - *Code without unwind tables ends it*, as broken: code made at run time, assembly that says
//!   nothing.
//!   With frame pointers it may hide its caller instead.
//! - *A stack deeper than the limit is cut* at its outer end.
//! - *A jump leaves no trace*: a call in tail position that the compiler made a jump. The truth has
//!   it not
//!   either.
//! - *The bottom's return address of zero* is never part of a stack; the platform's unwinder may
//!   show it.

mod bounds;
pub(crate) mod modules;
mod stacks;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod unwind;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
use unwind as imp;

// Tested on x86-64 Linux too.
#[cfg(any(test, not(all(target_os = "linux", target_arch = "x86_64")), miri))]
mod fallback;
#[cfg(any(test, not(all(target_os = "linux", target_arch = "x86_64")), miri))]
#[cfg_attr(
    test,
    allow(dead_code, reason = "records do not call it where it is only tested")
)]
mod frame_pointers;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
use frame_pointers as imp;

pub(crate) use crate::tables::stack_hash::hash_of;
pub(crate) use bounds::StackBounds;
pub(crate) use imp::Walker;

use crate::tables::callsites::{CallsiteId, LastStack, Stack};

/// The most frames that a walk can keep.
pub(crate) const MAX_FRAMES: usize = 1024;

/// Frames captured beyond those that are kept: the standard library's between the allocator and
/// the user's line, and the tracer's own.
pub(crate) const LIBRARY_FRAMES: usize = 14;

/// What a walk comes to.
///
/// PERF: not an enum, whose two kinds of numbers would not be returned in registers.
#[derive(Clone, Copy)]
pub(crate) struct Captured {
    /// The callsite whose stack it is, if that is known.
    pub(crate) known: Option<CallsiteId>,
    /// Else the stack's hash.
    pub(crate) hash: u64,
}

impl Captured {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    fn known(callsite: CallsiteId) -> Captured {
        Captured {
            known: Some(callsite),
            hash: 0,
        }
    }

    fn hashed(hash: u64) -> Captured {
        Captured { known: None, hash }
    }
}

/// The stack bounds of the calling thread, from the C library: once for each thread.
///
/// For the first thread the C library reads a list of all that is mapped, which takes more stack
/// than a record may.
pub(crate) fn stack_bounds() -> StackBounds {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    return unwind::spare_stack::run(bounds::stack_bounds);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
    bounds::stack_bounds()
}

/// Room for a stack, in memory that is the thread's own.
type Buffer = [usize; MAX_FRAMES];

/// How stacks are captured in this process.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// use alloc_core::CaptureMethod;
///
/// alloc_core::start()?;
/// let method = alloc_core::capture_method();
/// # #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
/// assert!(method.is_some_and(|it| it != CaptureMethod::Backtrace));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureMethod {
    /// By frame pointers. On x86-64 Linux only where the program's unwind tables say that the code
    /// keeps them, which is nearly everywhere, and by the tables elsewhere; where the frames of
    /// such a function are surely all of one size, by that.
    FramePointers,
    /// By the program's unwind tables, since it was compiled without frame pointers.
    UnwindTables,
    /// By the `backtrace` crate: correct and slow.
    Backtrace,
}

/// Gets ready to capture; called off the hot path, before the first capture. Idempotent.
pub(crate) fn prepare() -> CaptureMethod {
    imp::prepare()
}

/// Gets ready to capture no more than the user's line, and to tell whose a function is; called off
/// the hot path.
pub(crate) fn prepare_for_line() {
    imp::prepare_for_line();
}

/// After a fork, in the child: what other threads had of the walker's is free.
pub(crate) fn after_fork_in_child() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    unwind::spare_stack::free_all();
}

/// Whether a stack is that of what `print!` does for itself, where that is sure.
pub(crate) fn is_of_printing(addresses: &[usize]) -> bool {
    imp::is_of_printing(addresses)
}

/// Whether the program is made of tests for the standard library's harness, where that is sure.
pub(crate) fn is_for_the_test_harness() -> bool {
    imp::is_for_the_test_harness()
}

/// PERF: both walkers have these as methods of their own, which a record calls without a trait.
impl LastStack for Walker {
    fn hash_of_innermost(&self, addresses: usize) -> Option<u64> {
        Walker::hash_of_innermost(self, addresses)
    }

    fn innermost(&mut self, addresses: usize) -> Stack<'_> {
        Walker::innermost(self, addresses)
    }

    fn new_stack(&mut self) -> Stack<'_> {
        Walker::new_stack(self)
    }

    fn set_callsite(&mut self, callsite: CallsiteId) {
        Walker::set_callsite(self, callsite);
    }
}

/// The address by which readers find the code that lay at a return address in an
/// [era](crate::tables::callsites::Stack::era): that of a library that is gone has one of its own.
/// NOTE: as of the last [look](look).
pub(crate) fn then(address: usize, era: u16) -> usize {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    return unwind::libraries::then(address, era);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
    {
        let _ = era;
        address
    }
}

/// Takes note of which libraries are gone. It enters the loader, so the caller keeps forks away,
/// and is not in a record.
pub(crate) fn look() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    unwind::libraries::look();
}

/// Hands over the libraries that are gone, as of the last [look](look), at the addresses that
/// [`then`] tells.
pub(crate) fn for_each_gone(each: &mut dyn FnMut(crate::capture::modules::Listed<'_>)) {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    unwind::libraries::for_each_gone(each);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
    let _ = each;
}

/// The physical memory that capturing takes up.
pub(crate) fn resident() -> usize {
    imp::resident()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hashes_of_like_stacks_differ() {
        let mut seen = HashSet::new();
        let mut stacks = 0;
        for first in 0..64_usize {
            for second in 0..64_usize {
                for swap in [false, true] {
                    let (a, b) = (0x5555_5555_0000 + first, 0x5555_5556_0000 + second * 16);
                    let stack = if swap { [b, a, 0x7000] } else { [a, b, 0x7000] };
                    seen.insert(hash_of(&stack) >> 24);
                    seen.insert(hash_of(&stack[..2]) >> 24);
                    stacks += 2;
                }
            }
        }
        assert_eq!(seen.len(), stacks);
    }
}
