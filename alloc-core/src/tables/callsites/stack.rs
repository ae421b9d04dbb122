//! [`Stack`]: a call stack as captured, before it has an id.

use super::CallsiteId;
use crate::snapshot::recorded::StackEnd;
use crate::tables::stack_hash::hash_of;

/// A stack as captured: return addresses, innermost first, with their hash.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'a> {
    pub(crate) addresses: &'a [usize],
    /// The rest of them, where a callsite has them.
    pub(crate) outer: Option<Outer>,
    pub(crate) end: StackEnd,
    pub(crate) hash: u64,
    /// If it passes through libraries that may be unloaded, a number that tells which those are,
    /// whatever comes to their addresses later: see [`then`](crate::capture::then). Zero for most.
    pub(crate) era: u16,
}

/// Addresses in the stack of a callsite: `len` of them, outwards of the `skip` innermost.
#[derive(Clone, Copy)]
pub(crate) struct Outer {
    pub(crate) callsite: CallsiteId,
    pub(crate) skip: usize,
    pub(crate) len: usize,
}

impl Stack<'_> {
    /// No stack: what walks it is gone.
    pub(crate) fn unknown() -> Stack<'static> {
        Stack::empty(StackEnd::Broken)
    }

    /// No stack: none are captured.
    pub(crate) fn uncaptured() -> Stack<'static> {
        Stack::empty(StackEnd::Uncaptured)
    }

    fn empty(end: StackEnd) -> Stack<'static> {
        Stack {
            addresses: &[],
            outer: None,
            end,
            hash: hash_of(&[]),
            era: 0,
        }
    }
}

/// What the interner asks of the last walk of a stack.
pub(crate) trait LastStack {
    /// The hash of the innermost addresses, if there are more than so many.
    fn hash_of_innermost(&self, addresses: usize) -> Option<u64>;

    /// The stack, cut to so many addresses.
    fn innermost(&mut self, addresses: usize) -> Stack<'_>;

    /// The stack, without the outer addresses that the last new stack has.
    fn new_stack(&mut self) -> Stack<'_>;

    /// Says that the last [new stack](Self::new_stack) is that of `callsite`.
    fn set_callsite(&mut self, callsite: CallsiteId);
}
