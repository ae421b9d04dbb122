//! [`Usage`]: the numbers that a scope counted.

use std::fmt;

use crate::{Amount, Bytes};

/// What a scope allocated and freed, in exact numbers.
///
/// A block belongs to the scope that allocated it, wherever and whenever it is freed. So a free on
/// another thread is counted, and the free of an older block never makes a number negative: such
/// blocks are counted separately.
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
    /// Everything allocated; a reallocation counts as one allocation of the new size.
    pub allocated: Amount,
    /// The part of `allocated` that was freed, or reallocated.
    pub freed: Amount,
    /// The part of `allocated` that is live.
    pub current: Amount,
    /// The highest value of `current`: bytes and blocks, each at its own moment.
    ///
    /// Exact if the scope's threads run one at a time. If several run at once, it is off by at most
    /// the blocks that they are in the middle of allocating or freeing, one for each thread.
    pub peak: Amount,
    /// Number of reallocations among the allocations.
    pub reallocations: u64,
    /// Blocks from before the scope, or from outside it, that were freed or reallocated in it.
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

/// Formats bytes with a unit, followed by the exact number where the unit rounds.
pub(crate) fn in_full(bytes: Bytes) -> String {
    let short = bytes.to_string();
    match short.strip_suffix(" B") {
        Some(_) => short,
        None => format!("{short} ({} B)", bytes.get()),
    }
}
