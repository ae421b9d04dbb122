//! [`Root`]: what holds memory from outside the heap.

use std::cmp::Reverse;

use alloc_core_snapshot::{Amount, Bytes};

use crate::graph::evidence::{Rank, Reach, RootClass};
use crate::graph::{BlockId, Graph, NONE};

/// What holds memory from outside the heap: a static, a function on the stacks of a thread.
///
/// ```
/// use alloc_report::graph::{Graph, RootClass, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let cache = graph.roots().into_iter().find(|it| it.class == RootClass::Static).unwrap();
/// // The table, two nodes and two strings.
/// assert_eq!((cache.retained.get(), cache.blocks), (84 + 2 * 64 + 2 * 100, 5));
/// assert_eq!(cache.through, graph.blocks().next());
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Root {
    /// Its name: `static app::CACHE`, `the stack of main in app::run`.
    pub name: String,
    /// What kind of root it is.
    pub class: RootClass,
    /// The bytes that only it holds: what would be free without it.
    pub retained: Bytes,
    /// The blocks that only it holds.
    pub blocks: u64,
    /// How many pointers it has into the heap.
    pub references: u64,
    /// The block through which it holds at least four fifths of what it retains, the furthest from
    /// it: of a runtime that holds a task that holds a cache, the table of the cache.
    pub through: Option<BlockId>,
}

impl Graph {
    /// What holds memory from outside the heap, by what only it holds, the most first.
    ///
    /// What several roots hold is in none of them: see [`shared`](Self::shared). The group of what
    /// nothing reaches is the last kind: [`RootClass::Nothing`].
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let retained: u64 = graph.roots().iter().map(|it| it.retained.get()).sum();
    /// assert_eq!(graph.bytes(), retained + graph.shared().bytes.get());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn roots(&self) -> Vec<Root> {
        let tree = self.tree();
        let mut references = vec![0_u64; tree.groups.list.len()];
        for group in &tree.groups.of {
            references[*group as usize] += 1;
        }
        let mut blocks = vec![0_u64; tree.groups.list.len()];
        for holder in tree.holder.iter().filter(|it| **it != NONE) {
            blocks[*holder as usize] += 1;
        }
        let throughs = self.throughs();
        let groups = tree.groups.list.iter().enumerate();
        let mut roots: Vec<Root> = groups
            .map(|(at, group)| Root {
                name: group.name.clone(),
                class: group.class,
                retained: Bytes::new(tree.retained_by(at as u32)),
                blocks: blocks[at],
                references: references[at],
                through: throughs[at],
            })
            .filter(|it| it.blocks > 0 || it.references > 0)
            .collect();
        roots.sort_by(|a, b| {
            let key = |it: &Root| (Reverse(it.retained), it.class);
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        });
        roots
    }

    /// What more than one root holds, so that it would stay without any one of them.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let mut two = builder::sample();
    /// two.in_static(0x2000, 0);
    /// let graph = Graph::read(&two.file())?;
    /// assert_eq!(graph.shared().blocks, 5);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn shared(&self) -> Amount {
        let holders = self.tree().holder.iter().zip(&self.data.nodes.sizes);
        let shared = holders.filter(|(holder, _)| **holder == NONE);
        let sizes = shared.map(|(_, size)| *size);
        let (bytes, blocks) = sizes.fold((0, 0), |(bytes, blocks), it| (bytes + it, blocks + 1));
        Amount::new(bytes, blocks)
    }

    /// The blocks of each way to be reached, and, for those that roots reach, of each class of
    /// roots.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, Reach, RootClass, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let of_stacks = &graph.by_reach()[1];
    /// assert_eq!((of_stacks.0, of_stacks.1), (Reach::Strongly, Some(RootClass::Stack)));
    /// assert_eq!(of_stacks.2.bytes, 800);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn by_reach(&self) -> Vec<(Reach, Option<RootClass>, Amount)> {
        let strong = RootClass::DESCRIBED.map(|it| (Rank::of(it), Reach::Strongly, Some(it)));
        let others = [
            (Rank::WEAK, Reach::Weakly, None),
            (Rank::UNKNOWN, Reach::OnlyByUnknownMemory, None),
            (Rank::NOTHING, Reach::ByNothing, None),
        ];
        let ranks = || self.evidence().ranks.iter().zip(&self.data.nodes.sizes);
        let amount = |rank: Rank| {
            let sizes = ranks()
                .filter(|(it, _)| **it == rank)
                .map(|(_, size)| *size);
            let (bytes, blocks) = sizes.fold((0, 0), |(sum, n), it| (sum + it, n + 1));
            Amount::new(bytes, blocks)
        };
        strong
            .into_iter()
            .chain(others)
            .map(|(rank, reach, class)| (reach, class, amount(rank)))
            .filter(|(_, _, amount)| amount.blocks > 0)
            .collect()
    }

    /// The name of the root below which a block is; `None` if several roots hold it.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let first = graph.blocks().next().unwrap();
    /// assert_eq!(graph.root_of(first), Some("static program+0x1000"));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn root_of(&self, block: BlockId) -> Option<&str> {
        let tree = self.tree();
        let group = tree
            .groups
            .list
            .get(tree.holder[block.0 as usize] as usize)?;
        Some(&group.name)
    }

    /// What would be free without a block: its size, and the sizes of all that only it leads to.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let node = graph.blocks().nth(1).unwrap();
    /// assert_eq!(graph.retained(node), 64 + 100);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn retained(&self, block: BlockId) -> Bytes {
        Bytes::new(self.tree().retained[block.0 as usize])
    }
}
