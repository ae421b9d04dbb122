//! [`Usage`]: what a scope counted.

use std::fmt;

use crate::Amount;

/// What a scope allocated and freed, in exact numbers.
///
/// A block belongs to the scope that allocated it, wherever and whenever it is freed. So a free on
/// another thread is counted, and one of a block from before never makes a number negative: such
/// blocks are counted apart.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let usage = alloc_core::measure(|| drop(vec![0_u8; 100])).usage;
/// assert_eq!(
///     usage.to_string(),
///     "allocated 100 B in 1 block, peak 100 B, live 0 B in 0 blocks"
/// );
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// All that was allocated; a reallocation counts as one allocation of the new size.
    pub allocated: Amount,
    /// What of it was freed, or reallocated.
    pub freed: Amount,
    /// What of it is live.
    pub current: Amount,
    /// The most of it that was live at one moment: bytes and blocks, each at its own.
    ///
    /// Exact where one thread of the scope runs at a time. Where several do, off by no more than
    /// the blocks that they are in the middle of allocating or freeing, one for each thread.
    pub peak: Amount,
    /// How many of the allocations were reallocations.
    pub reallocations: u64,
    /// Blocks from before the scope, or from outside of it, that were freed or reallocated in it.
    pub freed_before: Amount,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = |n: u64| match n {
            1 => "1 block".to_owned(),
            n => format!("{n} blocks"),
        };
        write!(
            f,
            "allocated {} in {}, peak {}, live {} in {}",
            self.allocated.bytes,
            blocks(self.allocated.blocks),
            self.peak.bytes,
            self.current.bytes,
            blocks(self.current.blocks),
        )
    }
}
