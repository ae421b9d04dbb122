//! [`Duplicate`]: equal contents that are held more than once.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use alloc_core_snapshot::Bytes;

use crate::graph::{BlockId, Graph};

/// The least size of blocks that are compared: smaller ones are equal by chance.
const LEAST: u64 = 16;

/// Blocks with equal contents.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let twice = &graph.duplicates()[0];
/// assert_eq!((twice.count, twice.size.get(), twice.wasted.get()), (2, 100, 100));
/// assert_eq!(twice.makers, [("String".to_owned(), "src/cache.rs:53".to_owned(), 2)]);
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Duplicate {
    /// How many blocks there are.
    pub count: u64,
    /// The size of each.
    pub size: Bytes,
    /// What one copy in place of all would save.
    pub wasted: Bytes,
    /// Types and lines of the blocks, and how many of them each made, the most first.
    pub makers: Vec<(String, String, u64)>,
    /// One of the blocks.
    pub example: BlockId,
}

impl Graph {
    /// Blocks of equal contents, those that waste the most first. It is empty if the file has no
    /// hashes ([`Facts::has_hashes`](crate::graph::Facts::has_hashes)).
    ///
    /// Blocks of less than 16 bytes are left out. Two blocks that refer to each other's equals are
    /// not equal: pointers are contents.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let mut graph = builder::sample();
    /// graph.hash(4, 98);
    /// assert!(Graph::read(&graph.file())?.duplicates().is_empty());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn duplicates(&self) -> Vec<Duplicate> {
        let nodes = &self.data.nodes;
        let hashed = nodes.hashes.iter().zip(0_u32..);
        let large = hashed.filter_map(|(hash, block)| {
            let size = nodes.sizes[block as usize];
            // NOTE: rounded sizes were spread, so that equal blocks may differ by some bytes.
            let key = if self.data.facts.exact_sizes { size } else { 0 };
            Some(((*hash)?, key, block)).filter(|_| size >= LEAST)
        });
        // PERF: sorted, a million blocks take a fifth of what a hash table takes.
        let mut large: Vec<(u64, u64, u32)> = large.collect();
        large.sort_unstable();
        let equal = large.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
        let mut duplicates: Vec<Duplicate> = equal
            .filter(|it| it.len() > 1)
            .map(|it| {
                let blocks: Vec<u32> = it.iter().map(|it| it.2).collect();
                self.duplicate(&blocks)
            })
            .collect();
        duplicates.sort_by_key(|it| (Reverse(it.wasted), it.example));
        duplicates
    }

    fn duplicate(&self, blocks: &[u32]) -> Duplicate {
        let nodes = &self.data.nodes;
        let mut makers: BTreeMap<(String, String), u64> = BTreeMap::new();
        for block in blocks {
            let block = self.block(BlockId(*block));
            let key = (block.type_or_unknown().to_owned(), block.place.to_owned());
            *makers.entry(key).or_default() += 1;
        }
        let makers = makers.into_iter();
        let mut makers: Vec<_> = makers.map(|((name, place), n)| (name, place, n)).collect();
        makers.sort_by_key(|it| Reverse(it.2));
        let sizes = blocks.iter().map(|it| nodes.sizes[*it as usize]);
        let sum: u64 = sizes.clone().sum();
        let size = sizes.max().unwrap_or(0);
        Duplicate {
            count: blocks.len() as u64,
            size: Bytes::new(size),
            wasted: Bytes::new(sum - size.min(sum)),
            makers,
            example: BlockId(blocks[0]),
        }
    }
}
