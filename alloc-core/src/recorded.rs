//! What the recording side hands to the reading side: plain, owned numbers and addresses.
//!
//! The recording side (`tracer`, `thread`, `callsites`, `counters`, `blocks`, `capture`) fills a
//! [`Recorded`]; the reading side (`snapshot`, `symbols`, `statistics`, `file`) makes a
//! [`Snapshot`](crate::Snapshot) of it. Neither side knows more of the other than this file.

use std::ops::Range;

use crate::{Counters, Health, TracedMemory};

/// Everything the tables held at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// Return addresses of all callsites, one stack after the other, innermost frame first.
    pub(crate) addresses: Vec<usize>,
    /// One entry for each callsite that allocated since tracing began.
    pub(crate) callsites: Vec<RecordedCallsite>,
    /// The whole heap's current and peak.
    pub(crate) heap: TracedMemory,
    /// The number of frames a traceback keeps.
    pub(crate) traceback_limit: u16,
    /// What was cut, skipped or ignored.
    pub(crate) health: Health,
}

/// One callsite: its stack, as a range of [`Recorded::addresses`], and its counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordedCallsite {
    pub(crate) stack: Range<usize>,
    pub(crate) stack_end: StackEnd,
    pub(crate) counters: Counters,
}

/// How a captured stack ended at its outer end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum StackEnd {
    /// The walk reached the bottom of the stack.
    #[default]
    Complete,
    /// The stack was deeper than what is kept; outer frames are missing.
    Truncated,
    /// The walk met something that it could not follow; outer frames are missing.
    Broken,
    /// No stack at all: the callsite table was full, and this is the entry that stands for the rest.
    Overflow,
}
