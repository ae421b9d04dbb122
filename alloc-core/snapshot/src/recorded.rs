//! [`Recorded`]: the interface from the recording side to the reading side, in plain numbers and
//! addresses.
//!
//! alloc-core fills it from its tables, and a [`Snapshot`](crate::Snapshot) is made from it.
//! Neither side depends on anything else of the other.

use std::ops::Range;
use std::sync::Arc;

use crate::freed_by::FreedBy;
use crate::lifetimes::Lifetimes;
use crate::sampling::Interval;
use crate::{Bytes, Counters, Health, Pinned, Residence, Slack, TracedMemory};

/// The content of the tables at one moment.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Return addresses of all callsites, one stack after another, innermost frame first.
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
    /// Where the resident memory goes, if that was asked for.
    pub residence: Option<Residence>,
}

/// One callsite: its stack, as a range of [`Recorded::addresses`], and its counters.
#[derive(Clone, Debug, Default)]
pub struct RecordedCallsite {
    /// The callsite's stack, in [`Recorded::addresses`].
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
    /// How long its blocks lived, if the session recorded lifetimes.
    pub lifetimes: Option<Arc<Lifetimes>>,
    /// Who freed its blocks, if the session counted that.
    pub freed_by: Option<Arc<[FreedBy]>>,
    /// How many more bytes its blocks have than were asked for, if the session measured it.
    pub slack: Option<Slack>,
    /// What its live blocks keep resident besides themselves, if that was asked for.
    pub pinned: Option<Pinned>,
}

/// How a captured stack ended at its outer end.
///
/// Zero is a valid value, as in untouched memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StackEnd {
    /// The walk reached the bottom of the stack.
    #[default]
    Complete = 0,
    /// The stack was deeper than the limit; outer frames are missing.
    Truncated,
    /// The stack walk failed; outer frames are missing.
    Broken,
    /// No stack: the callsite table was full, and this entry represents the remaining callsites.
    Overflow,
    /// No stack: stacks are not captured, and this entry represents the whole heap.
    Uncaptured,
}
