//! [`Reference`]: a pointer, and what is at its two ends.

use alloc_core_snapshot::Bytes;

use crate::graph::evidence::{Rank, RootClass, RootWord};
use crate::graph::{BlockId, Graph, NONE};

/// A pointer to a block.
///
/// ```
/// use alloc_report::graph::{Graph, Holder, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let table = graph.blocks().next().unwrap();
/// let first = &graph.referents(table)[0];
/// assert_eq!((&first.holder, first.at, first.offset), (&Holder::Block(table), 8, 0));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reference {
    /// What has the pointer.
    pub holder: Holder,
    /// Where the pointer is: in a block, the bytes from its start; elsewhere the address.
    pub at: u64,
    /// The block that it points to.
    pub target: BlockId,
    /// The fields of the holder that lead to the pointer, as the program writes them: `[3].name`. Empty
    /// where debug information does not describe the holder's type, as with `debug = 1`.
    pub field: String,
    /// The trait, if the pointer is a trait object whose vtable debug information describes.
    pub as_trait: Option<String>,
    /// The bytes from the target's start.
    pub offset: u64,
    /// Whether the word may hold a pointer, and points where owners point.
    pub is_strong: bool,
}

/// What has a pointer.
///
/// ```
/// use alloc_report::graph::{Holder, RootClass};
///
/// let root = Holder::Root { name: "static app::CACHE".to_owned(), class: RootClass::Static };
/// assert!(!matches!(root, Holder::Block(_)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A block.
    Block(BlockId),
    /// A root.
    Root {
        /// Its name.
        name: String,
        /// What kind of root it is.
        class: RootClass,
    },
}

/// The references to each block: those of blocks as compressed sparse rows, and those of roots.
pub(in crate::graph) struct Referrers {
    first: Vec<u32>,
    /// Blocks, and the places of their references.
    from: Vec<(u32, u32)>,
    /// The roots, sorted by target.
    roots: Vec<u32>,
}

impl Graph {
    pub(in crate::graph) fn referrers_of_all(&self) -> &Referrers {
        self.referrers.get_or_init(|| {
            let nodes = &self.data.nodes;
            let mut first = vec![0_u32; nodes.len() + 1];
            for target in &nodes.to {
                first[*target as usize + 1] += 1;
            }
            for at in 0..nodes.len() {
                first[at + 1] += first[at];
            }
            let mut free = first.clone();
            let mut from = vec![(0, 0); nodes.to.len()];
            for block in 0..nodes.len() as u32 {
                for edge in nodes.edges(block) {
                    let free = &mut free[nodes.to[edge] as usize];
                    from[*free as usize] = (block, edge as u32);
                    *free += 1;
                }
            }
            let mut roots: Vec<u32> = (0..self.data.roots.len() as u32).collect();
            roots.sort_by_key(|it| self.data.roots[*it as usize].target);
            Referrers { first, from, roots }
        })
    }

    /// The references to a block: the blocks they are in, and their places.
    pub(in crate::graph) fn edges_to(&self, block: u32) -> &[(u32, u32)] {
        let all = self.referrers_of_all();
        let range = all.first[block as usize]..all.first[block as usize + 1];
        &all.from[range.start as usize..range.end as usize]
    }

    /// The roots that point to a block.
    pub(in crate::graph) fn roots_to(&self, block: u32) -> &[u32] {
        let roots = &self.referrers_of_all().roots;
        let target = |it: &u32| self.data.roots[*it as usize].target;
        let start = roots.partition_point(|it| target(it) < block);
        let end = roots.partition_point(|it| target(it) <= block);
        &roots[start..end]
    }

    pub(in crate::graph) fn reference_of(&self, from: u32, edge: u32) -> Reference {
        let (nodes, edge) = (&self.data.nodes, edge as usize);
        Reference {
            holder: Holder::Block(BlockId(from)),
            at: u64::from(nodes.word[edge]) * 8,
            field: self.field_of_block(from, u64::from(nodes.word[edge]) * 8, nodes.to[edge]),
            as_trait: self.vtable_of(edge as u32).map(|it| it.as_trait.clone()),
            target: BlockId(nodes.to[edge]),
            offset: nodes.offset[edge].into(),
            is_strong: self.evidence().references.is_strong(edge),
        }
    }

    pub(in crate::graph) fn reference_of_root(&self, root: u32) -> Reference {
        let row = &self.data.roots[root as usize];
        let groups = &self.tree().groups;
        let group = &groups.list[groups.of[root as usize] as usize];
        Reference {
            holder: Holder::Root {
                name: group.name.clone(),
                class: group.class,
            },
            at: row.place,
            field: self.field_of_root(row),
            as_trait: None,
            target: BlockId(row.target),
            offset: row.offset.into(),
            is_strong: self.evidence().root_words[root as usize] == RootWord::Strong,
        }
    }

    /// What points to a block: roots first, then blocks in order of address.
    ///
    /// All words that look like pointers are listed, good evidence or not.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, Holder, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let mut blocks = graph.blocks();
    /// let (table, node) = (blocks.next().unwrap(), blocks.next().unwrap());
    /// assert!(matches!(graph.referrers(table)[0].holder, Holder::Root { .. }));
    /// assert_eq!(graph.referrers(node)[0].holder, Holder::Block(table));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn referrers(&self, block: BlockId) -> Vec<Reference> {
        let roots = self.roots_to(block.0).iter();
        let blocks = self.edges_to(block.0).iter();
        roots
            .map(|it| self.reference_of_root(*it))
            .chain(blocks.map(|(from, edge)| self.reference_of(*from, *edge)))
            .collect()
    }

    /// What a block points to, in the order of its words.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let table = graph.blocks().next().unwrap();
    /// assert_eq!(graph.referents(table).len(), 2);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn referents(&self, block: BlockId) -> Vec<Reference> {
        let edges = self.data.nodes.edges(block.0);
        edges
            .map(|edge| self.reference_of(block.0, edge as u32))
            .collect()
    }

    /// The size of a block and of all that it leads to, each block once, whoever else holds it.
    ///
    /// References that may be left behind count only to blocks that nothing better reaches.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let table = graph.blocks().next().unwrap();
    /// assert_eq!(graph.deep_size(table), 84 + 2 * 64 + 2 * 100);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn deep_size(&self, block: BlockId) -> Bytes {
        let (nodes, evidence) = (&self.data.nodes, self.evidence());
        let mut seen = vec![false; nodes.len()];
        seen[block.0 as usize] = true;
        let mut open = vec![block.0];
        let mut sum = 0;
        while let Some(at) = open.pop() {
            sum += nodes.sizes[at as usize];
            for edge in nodes.edges(at) {
                let target = nodes.to[edge];
                let counts = match evidence.ranks[target as usize] {
                    it if it.is_strong() => evidence.references.is_strong(edge),
                    Rank::NOTHING => evidence.references.is_content(edge),
                    _ => true,
                };
                if counts && !std::mem::replace(&mut seen[target as usize], true) {
                    open.push(target);
                }
            }
        }
        Bytes::new(sum)
    }

    /// The dominator of a node, without the one above all.
    pub(in crate::graph) fn dominator_of(&self, node: u32) -> Option<u32> {
        let tree = self.tree();
        let above = *tree.dominator.get(node as usize)?;
        (above != NONE && above != tree.top() && above != node).then_some(above)
    }
}
