//! [`Spare`]: vectors that hold more than they use.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use alloc_core_snapshot::Bytes;

use crate::Advise;
use crate::advise::Collections;
use crate::graph::evidence::used_bytes;
use crate::graph::{BlockId, Graph};

/// The vectors and strings of one callsite, which hold more than they use.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let spare = &graph.spare()[0];
/// assert_eq!(spare.type_name, "Vec<Rc<Child>>");
/// // Room for four, one of which is in use.
/// assert_eq!((spare.blocks, spare.held.get(), spare.spare.get()), (1, 32, 24));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Spare {
    /// The type of the vectors.
    pub type_name: String,
    /// The line that allocated them.
    pub place: String,
    /// How many there are of which the length is known.
    pub blocks: u64,
    /// The bytes that they hold: their capacities.
    pub held: Bytes,
    /// The bytes beyond their lengths, which `shrink_to_fit` would give back.
    pub spare: Bytes,
    /// The vector with the most of them.
    pub example: BlockId,
}

impl Graph {
    /// Vectors and strings that hold more than they use, by callsite, those with the most spare
    /// bytes first.
    ///
    /// A length is known if a pointer to the vector has a capacity and a length next to it. Of
    /// several the longest counts: if an older one was left behind, more is spare than this says,
    /// and never less. The length of a vector with a capacity of one is not known.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let spare: u64 = graph.spare().iter().map(|it| it.spare.get()).sum();
    /// assert_eq!(spare, 24);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn spare(&self) -> Vec<Spare> {
        let nodes = &self.data.nodes;
        let mut found: BTreeMap<u32, (Spare, u64)> = BTreeMap::new();
        // NOTE: in order, so that the example does not depend on a hash.
        let used = used_bytes(&self.data, self.names());
        let used: BTreeMap<u32, u64> = used.into_iter().collect();
        for (block, used) in used {
            if self.is_ignored(block) {
                continue;
            }
            let size = nodes.sizes[block as usize];
            let spare = size.saturating_sub(used);
            let callsite = nodes.callsites[block as usize];
            let (row, most) = found.entry(callsite).or_insert_with(|| {
                let first = self.block(BlockId(block));
                let row = Spare {
                    type_name: first.type_or_unknown().to_owned(),
                    place: first.place.to_owned(),
                    blocks: 0,
                    held: Bytes::ZERO,
                    spare: Bytes::ZERO,
                    example: BlockId(block),
                };
                (row, 0)
            });
            row.blocks += 1;
            row.held += Bytes::new(size);
            row.spare += Bytes::new(spare);
            if spare > *most {
                (row.example, *most) = (BlockId(block), spare);
            }
        }
        let found = found.into_values().map(|(row, _)| row);
        let mut found: Vec<Spare> = found.filter(|it| it.spare > Bytes::ZERO).collect();
        found.sort_by_key(|it| (Reverse(it.spare), it.example));
        found
    }
}

impl Advise<'_> {
    /// Also advises on collections that hold three times what they use, or more, in a heap graph of the
    /// same process. Charge its blocks to the same frames as the snapshot's: see [`Graph::charge`].
    ///
    /// ```
    /// use alloc_report::AdviceKind;
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let advice = alloc_report::advise(graph.snapshot()).all().graph(&graph).list();
    /// let advice = advice.iter().find(|it| it.kind == AdviceKind::Shrink).unwrap();
    /// assert_eq!(advice.peak, 24);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn graph(self, graph: &Graph) -> Self {
        let collections = graph.spare().into_iter().map(|it| Collections {
            place: it.place,
            type_name: it.type_name,
            count: it.blocks,
            held: it.held,
            used: it.held - it.spare,
        });
        self.collections(collections.collect())
    }
}
