//! [`Stack`]: a call stack as captured, before it has an id.

use super::CallsiteId;
use crate::capture::hash_of;
use crate::snapshot::recorded::StackEnd;

/// A stack as captured: return addresses, innermost first, with their hash.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'a> {
    pub(crate) addresses: &'a [usize],
    /// The rest of them, where a callsite has them.
    pub(crate) outer: Option<Outer>,
    pub(crate) end: StackEnd,
    pub(crate) hash: u64,
    /// If it passes through libraries that may be unloaded, a number that tells which those are, whatever comes to their
    /// addresses later: see [`capture::then`]. Zero for most.
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
