//! What the interner asks of the last walk: its stack, parts of it, and their hashes.

use super::Walker;
use crate::capture::unwind::{libraries, objects};
use crate::snapshot::recorded::StackEnd;
use crate::tables::callsites::{CallsiteId, Outer, Stack};
use crate::tables::stack_hash::{StackHash, hash_of};

/// A stack that became a callsite.
#[derive(Clone, Copy)]
pub(super) struct NewStack {
    /// Its callsite, or zero.
    pub(super) callsite: u32,
    /// The link outside of all that it shows, and how many links it has.
    outermost: usize,
    len: usize,
}

impl Walker {
    /// The stack of the last walk.
    pub(crate) fn stack(&mut self) -> Stack<'_> {
        if self.light_len > 0 {
            return self.light_stack(self.light_len);
        }
        self.stack_inside_of(self.outermost(), None)
    }

    /// The innermost `len` addresses of the last walk, a light one.
    fn light_stack(&self, len: usize) -> Stack<'_> {
        let addresses = &self.light[..len];
        let (end, hash) = if len < self.light_len {
            (StackEnd::Truncated, hash_of(addresses))
        } else {
            (self.end, self.light_hash)
        };
        Stack {
            addresses,
            outer: None,
            end,
            hash,
            era: 0,
        }
    }

    /// The stack of the last walk, cut to its innermost `addresses`.
    pub(crate) fn innermost(&mut self, addresses: usize) -> Stack<'_> {
        if self.light_len > 0 {
            return self.light_stack(addresses.min(self.light_len));
        }
        match self.hash_of_innermost(addresses) {
            Some(hash) => Stack {
                end: StackEnd::Truncated,
                hash,
                ..self.stack_inside_of(self.len - addresses, None)
            },
            None => self.stack(),
        }
    }

    /// The stack of the last walk, without the outer addresses that it shares with the last new
    /// stack.
    pub(crate) fn new_stack(&mut self) -> Stack<'_> {
        if self.light_len > 0 {
            return self.stack();
        }
        let (outermost, last) = (self.outermost(), self.last_new_stack);
        match CallsiteId::from_word(last.callsite) {
            Some(callsite) if last.outermost <= outermost && outermost < self.common => {
                let outer = Outer {
                    callsite,
                    skip: last.len - self.common,
                    len: self.common - outermost,
                };
                self.stack_inside_of(self.common, Some(outer))
            }
            _ => self.stack(),
        }
    }

    /// The stack of the links inside of the one at `at`, with `outer` outside of them.
    fn stack_inside_of(&mut self, at: usize, outer: Option<Outer>) -> Stack<'_> {
        let inner = self.previous.pcs(at, self.len);
        for (address, pc) in self.buffer.iter_mut().zip(inner.iter().rev()) {
            *address = pc.word;
        }
        Stack {
            addresses: &self.buffer[..inner.len()],
            outer,
            end: if self.outermost() > 0 {
                StackEnd::Truncated
            } else {
                self.end
            },
            hash: self.hash() ^ self.salt_of_libraries(),
            era: self.era(),
        }
    }

    /// The era of the last stack.
    fn era(&self) -> u16 {
        if !self.previous.reaches_unloadable(self.len) {
            return 0;
        }
        let pcs = self.previous.pcs(self.outermost(), self.len);
        libraries::era_of(pcs.iter().map(|pc| pc.word - 1))
    }

    /// Distinguishes stacks with equal addresses in libraries that were mapped there one after the
    /// other: a hash of the fingerprints of unloadable libraries on the last stack. Zero where
    /// there is none.
    #[inline(never)]
    pub(super) fn salt_of_libraries(&self) -> u64 {
        if !self.previous.reaches_unloadable(self.len) {
            return 0;
        }
        let pcs = self.previous.pcs(self.outermost(), self.len);
        objects::salt(pcs.iter().map(|pc| pc.word - 1))
    }

    /// Says that the last [new stack](Self::new_stack) is the stack of `callsite`.
    pub(crate) fn set_callsite(&mut self, callsite: CallsiteId) {
        if self.light_len > 0 {
            return;
        }
        self.last_new_stack = NewStack {
            callsite: callsite.get(),
            outermost: self.outermost(),
            len: self.len,
        };
        self.common = self.len;
    }

    #[inline(always)]
    pub(super) fn hash(&self) -> u64 {
        // With fewer links than the limit there is nothing outside, and its sum is zero.
        self.hash_inside_of(self.outermost(), self.power)
    }

    /// The hash of the links inside of the one at `outer`; `power` is the base to the power of
    /// their number.
    #[inline(always)]
    fn hash_inside_of(&self, outer: usize, power: u64) -> u64 {
        let beyond = self.previous.sum(outer).wrapping_mul(power);
        StackHash::of_sum(self.previous.sum(self.len).wrapping_sub(beyond))
    }

    /// The hash of the innermost addresses of the last stack, if there are more than so many.
    pub(crate) fn hash_of_innermost(&self, addresses: usize) -> Option<u64> {
        if self.light_len > 0 {
            return (addresses < self.light_len).then(|| hash_of(&self.light[..addresses]));
        }
        let outer = self.len.checked_sub(addresses)?;
        (outer > self.outermost()).then(|| {
            self.hash_inside_of(outer, StackHash::power(addresses)) ^ self.salt_of_libraries()
        })
    }
}
