//! [`Recorded`]: what the recording side hands to the reading side, plain numbers and addresses.
//!
//! alloc-core fills it from its tables; a [`Snapshot`](crate::Snapshot) is made of it. Neither side
//! knows more of the other than this file.

use std::ops::Range;
use std::sync::Arc;

use crate::sampling::Interval;
use crate::{Bytes, Counters, Health, TracedMemory};

/// Everything the tables held at one moment.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Return addresses of all callsites, one stack after the other, innermost frame first.
    pub addresses: Vec<usize>,
    /// One entry for each callsite that allocated since tracing began.
    pub callsites: Vec<RecordedCallsite>,
    /// The whole heap's current and peak.
    pub heap: TracedMemory,
    /// The number of frames a traceback keeps.
    pub traceback_limit: u16,
    /// What was cut, skipped or ignored.
    pub health: Health,
    /// The interval, if this is a sample.
    pub sampling: Option<Interval>,
}

/// One callsite: its stack, as a range of [`Recorded::addresses`], and its counters.
#[derive(Clone, Debug, Default)]
pub struct RecordedCallsite {
    /// Its stack, in [`Recorded::addresses`].
    pub stack: Range<usize>,
    /// How the stack ended.
    pub stack_end: StackEnd,
    /// What was allocated there.
    pub counters: Counters,
    /// The domain of the memory; 0 is the Rust heap.
    pub domain: u32,
    /// The name of the thread, if the session distinguishes threads.
    pub thread: Option<Arc<str>>,
    /// The path of the label that the thread was in, if it was in one.
    pub label: Option<Arc<str>>,
    /// The size of the largest blocks of its size class, if blocks were classed by their own size.
    pub size_class: Option<Bytes>,
}

/// How a captured stack ended at its outer end.
///
/// Zero is a value, as in memory that was never written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StackEnd {
    /// The walk reached the bottom of the stack.
    #[default]
    Complete = 0,
    /// The stack was deeper than what is kept; outer frames are missing.
    Truncated,
    /// The walk met something that it could not follow; outer frames are missing.
    Broken,
    /// No stack at all: the callsite table was full, and this is the entry that stands for the
    /// rest.
    Overflow,
    /// No stack at all: none are captured, and this is the entry that stands for the whole heap.
    Uncaptured,
}
