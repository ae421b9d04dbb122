//! [`Blocks`]: all live blocks, in order of their addresses.

use super::mappings::{Mappings, slice};
use crate::record::session::TABLES;
use crate::record::settings;
use crate::tables::block::Block;
use crate::tables::blocks::{CompanionWord, Granule};
use crate::tables::origin::Origin;

/// All live blocks, in order of their addresses.
pub(super) struct Blocks {
    starts: &'static [usize],
    words: &'static [u32],
    /// The times and the exact sizes, in a session that keeps them.
    origins: &'static [Option<Origin>],
}

impl Blocks {
    /// Collects the blocks. `None` if there is no memory.
    ///
    /// Blocks that are in no mapping are left out: a block in a page that a clone does not get.
    pub(super) fn collect(mappings: &Mappings, granule: Granule) -> Option<Blocks> {
        debug_assert!(granule <= Granule::WITH_STARTS);
        let mut count = 0;
        TABLES.blocks.for_each(|_, _| count += 1);
        let starts = slice::<usize>(count)?;
        let words = slice::<u32>(count)?;
        let origins = match settings::keeps_origins() {
            true => slice::<Option<Origin>>(count)?,
            false => &mut [],
        };
        let mut len = 0;
        let mut mapped = 0..0;
        TABLES.blocks.for_each_place(|address, block, kept| {
            let start = block.start(address);
            if !mapped.contains(&start) {
                mapped = mappings.at(start).map_or(0..0, |it| it.start..it.end);
            }
            if mapped.contains(&start)
                && let (Some(place), Some(word)) = (starts.get_mut(len), words.get_mut(len))
            {
                (*place, *word) = (start, block.word());
                if let Some(origin) = origins.get_mut(len) {
                    *origin = kept.companion().and_then(CompanionWord::read);
                }
                len += 1;
            }
        });
        Some(Blocks {
            starts: &starts[..len],
            words: &words[..len],
            origins,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    pub(super) fn start(&self, at: usize) -> usize {
        self.starts[at]
    }

    pub(super) fn block(&self, at: usize) -> Option<Block> {
        Block::from_word(self.words[at])
    }

    /// The smallest and the largest size that the block can have.
    #[inline(always)]
    pub(super) fn sizes(&self, at: usize) -> (usize, usize) {
        let exact = self.origin(at).and_then(Origin::size);
        let by_code = || self.block(at).map_or((0, 0), Block::sizes);
        exact.map_or_else(by_code, |size| (size, size))
    }

    /// The smallest size that the block can have.
    pub(super) fn least_size(&self, at: usize) -> usize {
        self.sizes(at).0
    }

    /// When the block was allocated, and its exact size, if the session keeps them.
    #[inline(always)]
    pub(super) fn origin(&self, at: usize) -> Option<Origin> {
        self.origins.get(at).copied().flatten()
    }

    /// The address that the block ends at, at most: within its size, and before the next block.
    #[inline(always)]
    pub(super) fn end(&self, at: usize) -> usize {
        let most = self.sizes(at).1;
        let end = self.starts[at].saturating_add(most);
        self.starts.get(at + 1).map_or(end, |next| end.min(*next))
    }

    /// The number of the first block that starts at an address or after it.
    pub(super) fn first_from(&self, address: usize) -> usize {
        self.starts.partition_point(|start| *start < address)
    }
}
