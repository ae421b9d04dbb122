//! [`Leak`]: what nothing reaches.

use std::cmp::Reverse;
use std::collections::HashMap;

use alloc_core_snapshot::Bytes;
#[cfg(feature = "process")]
use alloc_core_snapshot::Trace;

use super::Certainty;
#[cfg(feature = "process")]
use crate::graph::file::RootKind;
use crate::graph::{BlockId, Graph};

/// Blocks of one callsite that nothing reaches, each the head of a leaked tree.
///
/// ```
/// use alloc_report::graph::{Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let leaks = graph.leaks();
/// let forgotten = leaks.iter().find(|it| !it.is_cycle).unwrap();
/// assert_eq!(forgotten.type_name.as_deref(), Some("Box<Config>"));
/// // The box, and the string that it holds.
/// assert_eq!((forgotten.heads, forgotten.retained.get()), (1, 40 + 30));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Leak {
    /// The type of the heads, if it is known.
    pub type_name: Option<String>,
    /// The line that allocated them.
    pub place: String,
    /// How many trees there are.
    pub heads: u64,
    /// The bytes of the trees: the heads, and all that only they lead to.
    pub retained: Bytes,
    /// The head that retains the most.
    pub example: BlockId,
    /// Whether the heads refer to themselves, directly or through others: see
    /// [`Graph::cycles`].
    pub is_cycle: bool,
    /// How sure it is.
    pub certainty: Certainty,
}

impl Graph {
    /// What nothing reaches, by callsite, the most bytes first.
    ///
    /// Only heads are listed: blocks to which no other unreached block refers, or one of each
    /// cycle. What only unknown memory reaches is no leak.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let retained: u64 = graph.leaks().iter().map(|it| it.retained.get()).sum();
    /// assert_eq!(retained, 40 + 30 + 48 + 32 + 40);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn leaks(&self) -> Vec<Leak> {
        let tree = self.tree();
        let members = self.members();
        let mut leaks: HashMap<(u32, bool, Certainty), Leak> = HashMap::new();
        for &first in tree.heads.iter().filter(|it| !self.is_ignored(**it)) {
            let component = tree.unreached.of[first as usize];
            let of_it = members.of(component);
            // A cycle is named by its `Rc` or `Arc`, if it has one.
            let counted = of_it.iter().find(|it| self.counted(**it).is_some());
            let head = *counted.unwrap_or(&first);
            let is_cycle = of_it.len() > 1 || self.refers_to_itself(head);
            let certainty = match is_cycle && counted.is_some() && self.is_explained(of_it) {
                true => Certainty::Certain,
                false => Certainty::Likely,
            };
            let retained = self.retained_by_component(of_it);
            let callsite = self.data.nodes.callsites[head as usize];
            let leak = leaks
                .entry((callsite, is_cycle, certainty))
                .or_insert_with(|| Leak {
                    type_name: self.type_of(callsite).map(|it| it.to_string()),
                    place: self.names().callsites[callsite as usize].place.clone(),
                    heads: 0,
                    retained: Bytes::ZERO,
                    example: BlockId(head),
                    is_cycle,
                    certainty,
                });
            leak.heads += 1;
            leak.retained += retained;
            if self.retained(BlockId(head)) > self.retained(leak.example) {
                leak.example = BlockId(head);
            }
        }
        let mut leaks: Vec<Leak> = leaks.into_values().collect();
        leaks.sort_by_key(|it| (Reverse(it.retained), it.example));
        leaks
    }

    /// Says nothing of blocks but those of some traces that were not known before: neither of
    /// leaks, nor of cycles and counts.
    #[cfg(feature = "process")]
    pub(in crate::graph) fn ignore_but(
        &mut self,
        of: impl Fn(&Trace) -> bool,
        is_known: impl Fn(&Graph, BlockId) -> bool,
    ) {
        let traces = self.snapshot.traces();
        let callsites = self.data.callsites.iter();
        let of: Vec<bool> = callsites
            .map(|it| {
                it.trace
                    .and_then(|it| traces.get(it as usize))
                    .is_some_and(&of)
            })
            .collect();
        let is_ignored = |block: BlockId| {
            let callsite = self.data.nodes.callsites[block.0 as usize];
            !of[callsite as usize] || is_known(self, block)
        };
        self.ignored = self.blocks().map(is_ignored).collect();
    }

    /// A block's address, inverted so that it does not look like a reference, and the number of its
    /// callsite in the session. Needs no names.
    #[cfg(feature = "process")]
    pub(in crate::graph) fn identity(&self, block: BlockId) -> (u64, u64) {
        let nodes = &self.data.nodes;
        let callsite = nodes.callsites[block.0 as usize];
        (
            !nodes.starts[block.0 as usize],
            self.data.callsites[callsite as usize].id,
        )
    }

    /// Leaves out the references from memory that nobody describes.
    #[cfg(feature = "process")]
    pub(in crate::graph) fn leave_out_unknown_memory(&mut self) {
        self.data.roots.retain(|it| it.kind != RootKind::Unknown);
    }

    /// Overwrites all addresses: in memory that is freed they would look like references.
    #[cfg(feature = "process")]
    pub(in crate::graph) fn overwrite(mut self) {
        self.data.nodes.starts.fill(0);
        self.data.roots.iter_mut().for_each(|it| it.place = 0);
        std::hint::black_box(&self);
    }

    pub(in crate::graph) fn is_ignored(&self, block: u32) -> bool {
        self.ignored.get(block as usize).is_some_and(|it| *it)
    }

    pub(in crate::graph) fn refers_to_itself(&self, block: u32) -> bool {
        let mut edges = self.data.nodes.edges(block);
        edges.any(|edge| {
            self.data.nodes.to[edge] == block && self.evidence().references.is_content(edge)
        })
    }

    /// What the blocks of a component retain together: their sizes, and all that only they lead to.
    pub(in crate::graph) fn retained_by_component(&self, members: &[u32]) -> Bytes {
        let tree = self.tree();
        let outermost = members.iter().filter(|it| {
            let above = tree.dominator[**it as usize];
            members.binary_search(&above).is_err()
        });
        outermost.map(|it| self.retained(BlockId(*it))).sum()
    }
}

/// The blocks of each component of what nothing reaches, in ascending order.
pub(in crate::graph) struct Members {
    first: Vec<u32>,
    blocks: Vec<u32>,
}

impl Members {
    pub(in crate::graph) fn of(&self, component: u32) -> &[u32] {
        let at = component as usize;
        &self.blocks[self.first[at] as usize..self.first[at + 1] as usize]
    }

    pub(in crate::graph) fn of_components(of: &[u32], number: u32, none: u32) -> Members {
        let mut first = vec![0_u32; number as usize + 1];
        for component in of.iter().filter(|it| **it != none) {
            first[*component as usize + 1] += 1;
        }
        for at in 0..number as usize {
            first[at + 1] += first[at];
        }
        let mut free = first.clone();
        let mut blocks = vec![0; first[number as usize] as usize];
        for (block, component) in of.iter().enumerate().filter(|(_, it)| **it != none) {
            let free = &mut free[*component as usize];
            blocks[*free as usize] = block as u32;
            *free += 1;
        }
        Members { first, blocks }
    }
}

impl Graph {
    pub(in crate::graph) fn members(&self) -> Members {
        let unreached = &self.tree().unreached;
        Members::of_components(&unreached.of, unreached.number, crate::graph::NONE)
    }
}
