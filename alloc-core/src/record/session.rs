//! [`TABLES`]: all tables of a recording session.

use super::settings::only_counts;
use super::thread::{Events, Threads};
use crate::system::sync::{AtomicU64, Ordering::Relaxed};
use crate::tables::block::Block;
use crate::tables::blocks::{InsertError, PageMap};
use crate::tables::callsites::{CallsiteId, Callsites};
use crate::tables::counted::Counted;
use crate::tables::counters::Heap;
use crate::tables::frees::Frees;
use crate::tables::lifetimes::{Clock, Lifetimes};
use crate::tables::sampling::{Interval, SampleFilter};
use crate::tables::usable::UsableSizes;

/// All tables of a recording session.
pub(crate) struct Tables {
    pub(crate) blocks: PageMap,
    /// The blocks of a session that only counts.
    pub(crate) counted: Counted,
    pub(crate) callsites: Callsites,
    /// The lifetimes of blocks that were freed, and the ages of those that live, in a session that
    /// records lifetimes. The last are computed when the tables are read, and so are the lifetimes
    /// that threads hold back.
    pub(crate) lifetimes: Lifetimes,
    pub(crate) held_back: Lifetimes,
    pub(crate) ages: Lifetimes,
    pub(crate) clock: Clock,
    /// Who freed the blocks of each callsite, in a session that counts that.
    pub(crate) frees: Frees,
    /// The usable sizes of blocks, in a session that measures them.
    pub(crate) usable: UsableSizes,
    pub(crate) heap: Heap,
    pub(crate) threads: Threads,
    /// The events of threads that have ended.
    pub(crate) events: Events,
    /// Moves when the heap first shrinks after a peak; see [`counters`](crate::tables::counters).
    pub(crate) epoch: AtomicU64,
}

pub(crate) static TABLES: Tables = Tables {
    blocks: PageMap::new(),
    counted: Counted::new(),
    callsites: Callsites::new(),
    lifetimes: Lifetimes::new(),
    held_back: Lifetimes::new(),
    ages: Lifetimes::new(),
    clock: Clock::new(),
    frees: Frees::new(),
    usable: UsableSizes::new(),
    heap: Heap::new(),
    threads: Threads::new(),
    events: Events::new(),
    epoch: AtomicU64::new(1),
};

/// Filter of the addresses in the live-block index, in a sampled session.
///
/// NOTE: not part of [`TABLES`]: it is all zero at first, and so takes no room in the executable.
pub(crate) static SAMPLE_FILTER: SampleFilter = SampleFilter::new();

impl Tables {
    #[inline(always)]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// The callsite of a live block, if it is known. `None` in a session that only counts.
    pub(crate) fn callsite_of(&self, address: usize) -> Option<CallsiteId> {
        self.blocks.get(address).map(Block::callsite)
    }

    /// Slow path: removes the record of a block that is about to be freed.
    pub(super) fn remove(&self, address: usize, sampling: Option<Interval>) -> Option<Block> {
        if only_counts() {
            let was_counted = self.counted.remove(address);
            return was_counted.then(|| Block::of_callsite(CallsiteId::HEAP));
        }
        let block = self.blocks.remove(address)?;
        if sampling.is_some() {
            SAMPLE_FILTER.take(address);
        }
        Some(block)
    }

    /// Slow path: records a block, perhaps the first of its chunk, and returns whether another was
    /// recorded there.
    pub(super) fn insert(
        &self,
        address: usize,
        block: Block,
        sampling: Option<Interval>,
    ) -> Result<bool, InsertError> {
        let before = self.blocks.insert_slow(address, block)?;
        if before.is_none() && sampling.is_some() {
            SAMPLE_FILTER.add(address);
        }
        Ok(before.is_some())
    }

    /// Puts back what [`remove`](Self::remove) removed, in the same session.
    pub(super) fn put_back(&self, address: usize, block: Block, sampling: Option<Interval>) {
        // The slot exists, so neither kind of error can occur.
        if only_counts() {
            return self.counted.put_back(address);
        }
        let _ = self.insert(address, block, sampling);
    }
}
