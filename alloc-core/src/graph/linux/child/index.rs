//! [`Index`]: finds the block that an address is in.

use super::blocks::Blocks;
use super::mappings::slice;
use crate::system::arena::Zeroed;
use crate::tables::blocks::Granule;

/// Finds the block that an address is in, the inside of a block included.
///
/// # Implementation
///
/// A cell for each 64 granules of the heap has a bit for each granule in which a block starts, and
/// the number of blocks before the cell. So a lookup counts the bits up to that of the address, and
/// compares with one block, or two where a granule has two possible starts. Cells are in chunks of
/// 128 KiB of address space, as those of the page map. A chunk inside of a large block has no bits,
/// and the number of that block.
pub(super) struct Index<'a> {
    blocks: &'a Blocks,
    chunks: &'static [u32],
    cells: &'static [Cell],
    granule_bits: u32,
    /// Below the first block, and at the end of the last.
    low: usize,
    high: usize,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    starts: u64,
    before: u32,
}

// SAFETY: integers, for which zero is a valid value.
unsafe impl Zeroed for Cell {}
// SAFETY: an integer.
unsafe impl Zeroed for u32 {}
// SAFETY: an integer.
unsafe impl Zeroed for usize {}

const CHUNK_BITS: u32 = 17;
const CELL_BITS: u32 = 6;

/// Where an address is: the number of its block, and the distance from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) block: usize,
    pub(super) offset: usize,
}

impl<'a> Index<'a> {
    /// Builds the index. `None` if there is no memory.
    pub(super) fn of(blocks: &'a Blocks, granule: Granule) -> Option<Index<'a>> {
        let granule_bits = granule.bits();
        let cells_in_chunk = 1_usize << (CHUNK_BITS - CELL_BITS - granule_bits);
        let len = blocks.len();
        let (low, high) = match len {
            0 => (0, 0),
            _ => (blocks.start(0), blocks.end(len - 1)),
        };
        let first_chunk = low >> CHUNK_BITS;
        // NOTE: the first and the last heap may be 2^47 bytes apart: 4 GiB of addresses, of which
        // few pages are touched.
        let chunks = slice::<u32>((high >> CHUNK_BITS) - first_chunk + 1)?;
        let mut used = 0;
        let mut last = usize::MAX;
        for at in 0..len {
            let from = blocks.start(at) >> CHUNK_BITS;
            let to = (blocks.end(at).max(blocks.start(at) + 1) - 1) >> CHUNK_BITS;
            let fresh = if last == from { from + 1 } else { from };
            used += (to + 1).saturating_sub(fresh);
            last = to;
        }
        let cells = slice::<Cell>(used * cells_in_chunk)?;

        let mut next_chunk = 0;
        let mut last = usize::MAX;
        for at in 0..len {
            let start = blocks.start(at);
            let from = start >> CHUNK_BITS;
            let to = (blocks.end(at).max(start + 1) - 1) >> CHUNK_BITS;
            for chunk in from..=to {
                if last != usize::MAX && chunk <= last {
                    continue;
                }
                // Blocks before this chunk: in all but the first, this one too.
                let before = at as u32 + u32::from(chunk != from);
                let own = &mut cells[next_chunk * cells_in_chunk..][..cells_in_chunk];
                own.iter_mut().for_each(|cell| cell.before = before);
                next_chunk += 1;
                chunks[chunk - first_chunk] = next_chunk as u32;
                last = chunk;
            }
            let chunk = chunks[from - first_chunk] as usize - 1;
            let in_chunk = start & ((1 << CHUNK_BITS) - 1);
            let cell = in_chunk >> (CELL_BITS + granule_bits);
            let bit = start >> granule_bits & ((1 << CELL_BITS) - 1);
            cells[chunk * cells_in_chunk + cell].starts |= 1 << bit;
        }
        for own in cells.chunks_exact_mut(cells_in_chunk) {
            let mut before = own[0].before;
            for cell in own {
                cell.before = before;
                before += cell.starts.count_ones();
            }
        }
        Some(Index {
            blocks,
            chunks,
            cells,
            granule_bits,
            low,
            high,
        })
    }

    pub(super) fn blocks(&self) -> &'a Blocks {
        self.blocks
    }

    /// The block that an address is in.
    #[inline(always)]
    pub(super) fn find(&self, address: usize) -> Option<Place> {
        // PERF: most words are no addresses of the heap.
        if address.wrapping_sub(self.low) >= self.high - self.low {
            return None;
        }
        self.find_in_range(address)
    }

    #[inline(never)]
    fn find_in_range(&self, address: usize) -> Option<Place> {
        let chunk = self.chunks[(address >> CHUNK_BITS) - (self.low >> CHUNK_BITS)];
        let chunk = chunk.checked_sub(1)? as usize;
        let in_chunk = address & ((1 << CHUNK_BITS) - 1);
        let cells_bits = CHUNK_BITS - CELL_BITS - self.granule_bits;
        let cell = chunk << cells_bits | in_chunk >> (CELL_BITS + self.granule_bits);
        let cell = self.cells[cell];
        let bit = (address >> self.granule_bits) as u32 % u64::BITS;
        let up_to = cell.starts & u64::MAX >> (u64::BITS - 1 - bit);
        let mut block = (cell.before + up_to.count_ones()).checked_sub(1)? as usize;
        if self.blocks.start(block) > address {
            // It starts in the other half of the granule.
            block = block.checked_sub(1)?;
        }
        let is_inside = address < self.blocks.end(block);
        is_inside.then(|| Place {
            block,
            offset: address - self.blocks.start(block),
        })
    }
}
