//! Captures a call stack into a buffer.
//!
//! In: the calling thread's registers and stack. Out: return addresses, or a callsite that is known
//! already. Never: an allocation.
//!
//! One interface, [`Walker`], has two implementations. On x86-64 Linux [`unwind`] walks the stack
//! by rules from the program's own unwind tables, which prove where a frame pointer may be trusted,
//! without a lock or a system call. On all other platforms `frame_pointers` follows frame pointers,
//! if the program keeps them. If not, `fallback` uses the `backtrace` crate.
//!
//! # Where a stack differs from the truth
//!
//! The truth is the result of the platform's own unwinder. `tests/stacks.rs` compares each kind of
//! stack with it, address by address. These are the differences; all but the last two are marked:
//!
//! - *The function that a signal interrupted is shown as if it had made a call*: by the address one
//!   past its instruction, so that one less is inside it. With frame pointers that function's
//!   caller may be missing or be there twice.
//! - *A stack that is not the thread's own* belongs to a coroutine, a segmented stack, or a
//!   handler's alternate stack. It is walked as far as memory can be read, and on to the stack that
//!   its unwind tables lead to.
//! - *Code without unwind tables ends a stack*, as broken: code made at run time, assembly without
//!   annotations. With frame pointers it may hide its caller instead.
//! - *A stack deeper than the limit is cut* at its outer end.
//! - *A tail call leaves no trace* if the compiler made it a jump. The truth lacks it as well.
//! - *The bottom's return address of zero* is never part of a stack; the platform's unwinder may
//!   show it.

mod bounds;
pub(crate) mod modules;
mod stacks;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod unwind;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
use unwind as imp;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
pub(crate) use unwind::AllRegisters;

// Compiled for tests on x86-64 Linux, too.
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
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
pub(crate) use frame_pointers::without_signature;

pub(crate) use crate::tables::stack_hash::hash_of;
pub(crate) use bounds::StackBounds;
pub(crate) use imp::Walker;

use crate::tables::callsites::{CallsiteId, LastStack, Stack};

/// The most frames that a walk can keep.
pub(crate) const MAX_FRAMES: usize = 1024;

/// Frames captured beyond those that are kept: the standard library's between the allocator and the
/// user's line, and the tracer's own.
pub(crate) const LIBRARY_FRAMES: usize = 14;

/// The result of a walk.
///
/// PERF: a struct and not an enum, so that it is returned in registers.
#[derive(Clone, Copy)]
pub(crate) struct Captured {
    /// The callsite of this stack, if it is known.
    pub(crate) known: Option<CallsiteId>,
    /// Otherwise the stack's hash.
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

/// The stack bounds of the calling thread, from the C library. Called once for each thread.
///
/// For the first thread the C library reads a list of all mappings, which takes more stack than a
/// record may.
pub(crate) fn stack_bounds() -> StackBounds {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    return unwind::spare_stack::run(bounds::stack_bounds);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
    bounds::stack_bounds()
}

/// Passes the frames of a stack from these registers on to `each`, from the innermost: an address
/// of the code, and the end of its frame. Ends when `each` returns `false`.
///
/// The stack is in use and stands still.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
pub(crate) fn unwind_from(
    registers: &AllRegisters,
    low: usize,
    high: usize,
    each: impl FnMut(usize, usize) -> bool,
) {
    unwind::unwind_from(registers, StackBounds { low, high }, each);
}

/// Room for one stack, in the thread's own memory.
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
    /// By frame pointers. On x86-64 Linux they are followed only where the program's unwind tables
    /// say that the code keeps them, which is nearly everywhere. Other code is walked by the
    /// tables. A function whose frames provably all have one size is walked by that size.
    FramePointers,
    /// By the program's unwind tables; the program was compiled without frame pointers.
    UnwindTables,
    /// By the `backtrace` crate: correct and slow.
    Backtrace,
}

/// Prepares capturing. Called off the hot path, before the first capture. Idempotent.
pub(crate) fn prepare() -> CaptureMethod {
    imp::prepare()
}

/// Prepares capturing of the user's line only, and the lookup of whether a function is the user's.
/// Called off the hot path.
pub(crate) fn prepare_for_line() {
    imp::prepare_for_line();
}

/// After a fork, in the child: frees what other threads held of the walker's shared memory.
pub(crate) fn after_fork_in_child() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    unwind::spare_stack::free_all();
}

/// Whether a stack is surely one of an allocation by `print!` itself.
pub(crate) fn is_of_printing(addresses: &[usize]) -> bool {
    imp::is_of_printing(addresses)
}

/// Whether the program surely consists of tests for the standard library's harness.
pub(crate) fn is_for_the_test_harness() -> bool {
    imp::is_for_the_test_harness()
}

/// PERF: both walkers also have these as inherent methods, which a record calls without a trait.
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

/// The address by which readers find the code that was at a return address in an
/// [era](crate::tables::callsites::Stack::era). An unloaded library has a separate address range.
/// NOTE: as of the last [look].
pub(crate) fn then(address: usize, era: u16) -> usize {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    return unwind::libraries::then(address, era);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
    {
        let _ = era;
        address
    }
}

/// Records which libraries are unloaded. It takes the loader's lock, so the caller keeps forks away
/// and is not in a record.
pub(crate) fn look() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    unwind::libraries::look();
}

/// Passes the libraries that are unloaded, as of the last [look], at the addresses that
/// [`then`] returns.
pub(crate) fn for_each_gone(each: &mut dyn FnMut(crate::capture::modules::Listed<'_>)) {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    unwind::libraries::for_each_gone(each);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
    let _ = each;
}

/// Physical memory of capturing, in bytes.
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
