//! A call stack into a buffer.
//!
//! One interface over two ways. On x86-64 Linux [`unwind`] walks the stack itself, by frame
//! pointers where they are proven and by the program's own unwind tables elsewhere, without a lock
//! or a system call. Everywhere else [`fallback`] asks the `backtrace` crate.

use crate::callsites::Stack;

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod frame_pointers;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod objects;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod rules;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod tables;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod unwind;
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
use unwind as imp;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
mod fallback;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
use fallback as imp;

/// The most frames that a walk can keep.
pub(crate) const MAX_FRAMES: usize = 1024;

/// Room for a stack, in memory that is the thread's own.
pub(crate) type Buffer = [usize; MAX_FRAMES];

/// The addresses between which a thread's stack lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StackBounds {
    pub(crate) low: usize,
    pub(crate) high: usize,
}

/// How stacks are captured in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CaptureMethod {
    /// By frame pointers where the program's code is proven to keep them, by unwind tables where
    /// it is not.
    FramePointers,
    /// By the program's unwind tables.
    UnwindTables,
    /// By the `backtrace` crate: correct and slow.
    Backtrace,
}

/// Gets ready to capture; called off the hot path, before the first capture. Idempotent.
pub(crate) fn prepare() -> CaptureMethod {
    imp::prepare()
}

/// Captures the caller's stack: return addresses, innermost first, `limit` of them at most.
///
/// It neither allocates nor locks. What it cannot follow makes a short stack, marked.
#[inline(always)]
pub(crate) fn capture<'b>(buffer: &'b mut Buffer, limit: usize, bounds: StackBounds) -> Stack<'b> {
    imp::capture(buffer, limit, bounds)
}

/// The stack bounds of the calling thread.
pub(crate) fn stack_bounds() -> StackBounds {
    imp::stack_bounds()
}

/// The physical memory that capturing takes up.
pub(crate) fn resident() -> usize {
    imp::resident()
}

/// Hashes a stack while it is walked.
///
/// A sum of multiplications that do not depend on each other, so that they overlap with the walk's
/// own loads: each address, mixed with its place, is multiplied to 128 bits and folded, as in
/// wyhash. The sum is multiplied and folded once more.
#[derive(Clone, Copy)]
pub(crate) struct StackHash {
    sum: u64,
    place: u64,
}

impl StackHash {
    pub(crate) const START: StackHash = StackHash {
        sum: 0,
        place: 0xA076_1D64_78BD_642F,
    };

    #[inline(always)]
    pub(crate) fn push(&mut self, address: usize) {
        let mixed = fold(address as u64 ^ self.place, 0xE703_7ED1_A0B4_28DB);
        self.sum = self.sum.wrapping_add(mixed);
        self.place = self.place.wrapping_add(0x8EBC_6AF0_9C88_C6E3);
    }

    /// The hash; never zero in its upper bits, so that no tag made of them is.
    #[inline(always)]
    pub(crate) fn finish(self) -> u64 {
        fold(self.sum ^ self.place, 0x5899_65CC_7537_4CC3) | 1 << 63
    }
}

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a whole stack.
#[cfg(any(test, not(all(target_os = "linux", target_arch = "x86_64", not(miri)))))]
pub(crate) fn hash_of(addresses: &[usize]) -> u64 {
    let mut hash = StackHash::START;
    addresses.iter().for_each(|&address| hash.push(address));
    hash.finish()
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
