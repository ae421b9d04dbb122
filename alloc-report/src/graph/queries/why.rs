//! [`Why`]: why a block is alive.

use std::collections::VecDeque;

use alloc_core_snapshot::Bytes;

use super::neighbours::{Holder, Reference};
use crate::graph::evidence::{Reach, RootClass};
use crate::graph::tree::{counts, root_counts};
use crate::graph::{BlockId, Graph, NONE};

/// How many paths are listed at most, each from another root.
const MOST_PATHS: usize = 3;

/// Why a block is alive: what it would be free without, and the shortest paths to it.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let name = graph.blocks().nth(2).unwrap();
/// let why = graph.why(name);
/// // The static, the table, the node, the string.
/// assert_eq!(why.chain.len(), 4);
/// assert_eq!(why.paths[0].steps.len(), 3);
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Why {
    /// The block.
    pub block: BlockId,
    /// How the roots reach it.
    pub reach: Reach,
    /// What it would be free without, from the root down to the block itself. It starts with a
    /// block if several roots hold that one.
    pub chain: Vec<Link>,
    /// The shortest paths from roots, the best evidence first.
    pub paths: Vec<WhyPath>,
}

impl Why {
    /// The chain without the block itself, and without the root that stands for nothing.
    pub(in crate::graph) fn holders(&self) -> &[Link] {
        let above = &self.chain[..self.chain.len().saturating_sub(1)];
        match self.reach {
            Reach::ByNothing => above.get(1..).unwrap_or(above),
            _ => above,
        }
    }
}

/// One holder in a chain: without it, all that follow would be free.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let chain = graph.why(graph.blocks().nth(2).unwrap()).chain;
/// assert_eq!(chain[0].retained, graph.retained(graph.blocks().next().unwrap()));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Link {
    /// The root or the block.
    pub holder: Holder,
    /// What it retains.
    pub retained: Bytes,
    /// The pointer from the holder before it; `None` for the first, and if several paths lead
    /// here.
    pub by: Option<Reference>,
}

/// A path from a root to a block.
///
/// ```
/// use alloc_report::graph::{Graph, RootClass, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let why = graph.why(graph.blocks().nth(2).unwrap());
/// assert_eq!(why.paths[0].class, RootClass::Static);
/// assert!(why.paths[0].is_strong());
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WhyPath {
    /// The name of the root.
    pub root: String,
    /// What kind of root it is.
    pub class: RootClass,
    /// The pointers: the first is the root's, the last points to the block.
    pub steps: Vec<Reference>,
}

impl WhyPath {
    /// Whether every word on the path may hold a pointer, and points where owners point.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let table = graph.why(graph.blocks().next().unwrap());
    /// assert!(table.paths[0].is_strong());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn is_strong(&self) -> bool {
        self.steps.iter().all(|it| it.is_strong)
    }
}

impl Graph {
    /// Why a block is alive: the chain of what it would be free without, and the shortest paths to
    /// it, from different roots.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, Holder, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let why = graph.why(graph.blocks().next().unwrap());
    /// let Holder::Root { name, .. } = &why.chain[0].holder else { panic!("a root") };
    /// assert_eq!(name, "static program+0x1000");
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn why(&self, block: BlockId) -> Why {
        Why {
            block,
            reach: self.evidence().reach(block.0),
            chain: self.chain(block),
            paths: self.paths(block),
        }
    }

    fn chain(&self, block: BlockId) -> Vec<Link> {
        let tree = self.tree();
        let mut nodes = vec![block.0];
        while let Some(above) = self.dominator_of(nodes[nodes.len() - 1]) {
            nodes.push(above);
            if above >= tree.blocks {
                break;
            }
        }
        nodes.reverse();
        let mut chain: Vec<Link> = Vec::with_capacity(nodes.len());
        let mut before = None;
        for node in nodes {
            let group = tree.group_of(node).map(|it| &tree.groups.list[it as usize]);
            let holder = match group {
                Some(group) => Holder::Root {
                    name: group.name.clone(),
                    class: group.class,
                },
                None => Holder::Block(BlockId(node)),
            };
            let retained = match tree.group_of(node) {
                Some(group) => tree.retained_by(group),
                None => tree.retained[node as usize],
            };
            chain.push(Link {
                holder,
                retained: Bytes::new(retained),
                by: before.and_then(|it| self.pointer(it, node)),
            });
            before = Some(node);
        }
        chain
    }

    /// The best pointer from a node of the tree to a block.
    fn pointer(&self, from: u32, to: u32) -> Option<Reference> {
        let (tree, evidence) = (self.tree(), self.evidence());
        if let Some(group) = tree.group_of(from) {
            let class = tree.groups.list[group as usize].class;
            let mut roots = self.roots_to(to).iter().copied();
            let root = roots.find(|it| {
                tree.groups.of[*it as usize] == group
                    && root_counts(&self.data, evidence, class, *it as usize)
            });
            return root.map(|it| self.reference_of_root(it));
        }
        let edges = self.data.nodes.edges(from);
        let to_it = edges.filter(|it| self.data.nodes.to[*it] == to);
        let counting = to_it.filter(|it| counts(&self.data, evidence, from, *it));
        let best = counting.min_by_key(|it| !evidence.references.is_strong(*it));
        best.map(|it| self.reference_of(from, it as u32))
    }

    fn paths(&self, block: BlockId) -> Vec<WhyPath> {
        let (tree, evidence) = (self.tree(), self.evidence());
        // The reference that leads from each block that was met towards the block.
        let mut next = vec![(NONE, NONE); self.data.nodes.len()];
        let mut queue = VecDeque::from([block.0]);
        next[block.0 as usize] = (block.0, NONE);
        let mut paths: Vec<WhyPath> = Vec::new();
        let mut seen = Vec::new();
        while let Some(at) = queue.pop_front() {
            for &root in self.roots_to(at) {
                let group = tree.groups.of[root as usize];
                let class = tree.groups.list[group as usize].class;
                if seen.contains(&group) || !root_counts(&self.data, evidence, class, root as usize)
                {
                    continue;
                }
                seen.push(group);
                let mut steps = vec![self.reference_of_root(root)];
                let mut from = at;
                while from != block.0 {
                    let (to, edge) = next[from as usize];
                    steps.push(self.reference_of(from, edge));
                    from = to;
                }
                paths.push(WhyPath {
                    root: tree.groups.list[group as usize].name.clone(),
                    class,
                    steps,
                });
            }
            if paths.len() >= MOST_PATHS {
                break;
            }
            for &(from, edge) in self.edges_to(at) {
                let is_new = next[from as usize].0 == NONE;
                if is_new && counts(&self.data, evidence, from, edge as usize) {
                    next[from as usize] = (at, edge);
                    queue.push_back(from);
                }
            }
        }
        paths.truncate(MOST_PATHS);
        let holder = self.root_of(block);
        paths.sort_by_key(|it| {
            let is_holder = holder == Some(it.root.as_str());
            (!it.is_strong(), it.class, !is_holder, it.steps.len())
        });
        paths
    }
}
