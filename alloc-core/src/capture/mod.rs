//! A call stack into a buffer.
//!
//! One interface, [`Walker`], over two ways. On x86-64 Linux [`unwind`] walks the stack itself by rules
//! from the program's own unwind tables, which prove where a frame pointer may be trusted, without a
//! lock or a system call. Everywhere else `frame_pointers` follows frame pointers, if the program is
//! found to keep them, and else `fallback` asks the `backtrace` crate.
//!
//! # Where a stack differs from the truth
//!
//! The truth is what the platform's own unwinder says, and `tests/stacks.rs` holds each kind of stack
//! against it, address by address. What differs is this, and all of it is marked but the last two:
//!
//! - *What a signal interrupted is shown as if it had called*: by the address one past its instruction, so that one less is
//!   in it. With frame pointers that function's caller may be missing or be there twice.
//! - *A stack that is not the thread's own* is that of a coroutine, a segment of a growing one, or the alternate stack of a
//!   handler. It is walked as far as memory can be read, and on to the stack that its unwind tables lead to.
//! - *Code without unwind tables ends it*, as broken: code made at run time, assembly that says nothing.
//!   With frame pointers it may hide its caller instead.
//! - *A stack deeper than the limit is cut* at its outer end.
//! - *A jump leaves no trace*: a call in tail position that the compiler made a jump. The truth has it not
//!   either.
//! - *The bottom's return address of zero* is never part of a stack; the platform's unwinder may show it.

mod bounds;
pub(crate) mod modules;
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

pub(crate) use bounds::StackBounds;
pub(crate) use imp::Walker;

use crate::tables::callsites::CallsiteId;

/// The most frames that a walk can keep.
pub(crate) const MAX_FRAMES: usize = 1024;

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
/// For the first thread the C library reads a list of all that is mapped, which takes more stack than a record may.
pub(crate) fn stack_bounds() -> StackBounds {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    return unwind::spare_stack::run(bounds::stack_bounds);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
    bounds::stack_bounds()
}

/// Room for a stack, in memory that is the thread's own.
type Buffer = [usize; MAX_FRAMES];

/// How stacks are captured in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureMethod {
    /// By frame pointers. On x86-64 Linux only where the program's unwind tables say that the code
    /// keeps them, which is nearly everywhere, and by the tables elsewhere; where the frames of such a function
    /// are surely all of one size, by that.
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

/// Gets ready to capture no more than the user's line, and to tell whose a function is; called off the hot
/// path.
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

/// The address by which readers find the code that lay at a return address in an [era](crate::tables::callsites::Stack::era): that
/// of a library that is gone has one of its own. NOTE: as of the last [look](look).
pub(crate) fn then(address: usize, era: u16) -> usize {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    return unwind::libraries::then(address, era);
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
    {
        let _ = era;
        address
    }
}

/// Takes note of which libraries are gone. NOTE: it enters the loader.
pub(crate) fn look() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    unwind::libraries::look();
}

/// Hands over the libraries that are gone, as of the last [look](look), at the addresses that [`then`] tells.
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

/// The hash of a stack: a polynomial over its addresses, the innermost having the lowest power.
///
/// Each address is mixed first, multiplied to 128 bits and folded as in wyhash, and so is the sum at
/// the end. In between a sum is multiplied by the base and added to: so the sum over a stack is
/// that over its outer part with a few steps more, and the sum over its innermost part is a difference
/// of two.
pub(crate) struct StackHash;

impl StackHash {
    const BASE: u64 = 0x8EBC_6AF0_9C88_C6E3;

    /// The sum over a stack whose innermost address is `address` and whose outer part sums up to
    /// `outer`.
    #[inline(always)]
    pub(crate) fn add(outer: u64, address: usize) -> u64 {
        let mixed = fold(
            address as u64 ^ 0xA076_1D64_78BD_642F,
            0xE703_7ED1_A0B4_28DB,
        );
        outer.wrapping_mul(StackHash::BASE).wrapping_add(mixed)
    }

    /// What a sum is worth that lies outside of `addresses` others.
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    pub(crate) fn power(addresses: usize) -> u64 {
        (0..addresses).fold(1, |power: u64, _| power.wrapping_mul(StackHash::BASE))
    }

    /// The hash of a stack with this sum; never zero in its upper bits, so that no tag made of them
    /// is.
    #[inline(always)]
    pub(crate) fn of_sum(sum: u64) -> u64 {
        fold(sum ^ 0x1D8E_4E27_C47D_124F, 0x5899_65CC_7537_4CC3) | 1 << 63
    }
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a whole stack.
pub(crate) fn hash_of(addresses: &[usize]) -> u64 {
    let sum = addresses
        .iter()
        .rev()
        .fold(0, |sum, &address| StackHash::add(sum, address));
    StackHash::of_sum(sum)
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
