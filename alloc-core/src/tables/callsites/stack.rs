//! [`Stack`]: a call stack as captured, before it has an id.

use super::CallsiteId;
use crate::snapshot::recorded::StackEnd;
use crate::tables::stack_hash::hash_of;

/// A stack as captured: return addresses, innermost first, with their hash.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'a> {
    pub(crate) addresses: &'a [usize],
    /// The outer addresses, if a callsite stores them.
    pub(crate) outer: Option<Outer>,
    pub(crate) end: StackEnd,
    pub(crate) hash: u64,
    /// For a stack through libraries that may be unloaded, a number that identifies those
    /// libraries, whatever is mapped at their addresses later: see [`then`](crate::capture::then).
    /// Zero for most.
    pub(crate) era: u16,
}

/// Addresses in the stack of a callsite: `len` of them, outward from the `skip` innermost.
#[derive(Clone, Copy)]
pub(crate) struct Outer {
    pub(crate) callsite: CallsiteId,
    pub(crate) skip: usize,
    pub(crate) len: usize,
}

impl Stack<'_> {
    /// An empty stack: the thread's walker is gone.
    pub(crate) fn unknown() -> Stack<'static> {
        Stack::empty(StackEnd::Broken)
    }

    /// An empty stack: the session captures none.
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

/// What the interner needs from the last walk of a stack.
pub(crate) trait LastStack {
    /// The hash of the innermost `addresses`; `None` if the stack has no more than that.
    fn hash_of_innermost(&self, addresses: usize) -> Option<u64>;

    /// The stack, cut to the innermost `addresses`.
    fn innermost(&mut self, addresses: usize) -> Stack<'_>;

    /// The stack, without the outer addresses that it shares with the previous new stack.
    fn new_stack(&mut self) -> Stack<'_>;

    /// Sets `callsite` as the callsite of the last [new stack](Self::new_stack).
    fn set_callsite(&mut self, callsite: CallsiteId);
}
