//! [`Cycle`]: counted references that keep each other alive.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::fmt;

use alloc_core_snapshot::{Bytes, Escaped};

use super::Certainty;
use super::leaks::Members;
use crate::graph::components::Components;
use crate::graph::evidence::Rank;
use crate::graph::{BlockId, Graph, NONE};
use crate::names::without_paths;

/// Cycles of `Rc` or `Arc` of one shape.
///
/// It prints as a person draws it, with types without the paths of their modules:
///
/// ```
/// use alloc_report::graph::{Certainty, Graph, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let cycle = &graph.cycles()[0];
/// assert_eq!(cycle.to_string(), "Rc<Parent> -> Vec<Rc<Child>> -> Rc<Child> -> Rc<Parent>");
/// assert_eq!(cycle.certainty, Certainty::Certain);
/// assert_eq!((cycle.count, cycle.retained.get()), (1, 48 + 32 + 40));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cycle {
    /// The blocks of one such cycle, each of which refers to the next, and the last to the first.
    pub blocks: Vec<BlockId>,
    /// The types of the blocks; `<unknown>` for those that are not known.
    pub types: Vec<String>,
    /// The lines that allocated the blocks.
    pub places: Vec<String>,
    /// How many cycles of this shape there are.
    pub count: u64,
    /// The bytes of all of them, and of all that only they lead to.
    pub retained: Bytes,
    /// How sure it is.
    pub certainty: Certainty,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in self.types.iter().chain(self.types.first()).enumerate() {
            let (at, name) = (name.0, without_paths(name.1));
            let arrow = if at > 0 { " -> " } else { "" };
            write!(f, "{arrow}{}", Escaped(&name))?;
        }
        Ok(())
    }
}

impl Graph {
    /// Cycles of `Rc` and `Arc` that no root reaches, by shape, the most bytes first.
    ///
    /// A cycle is [certain](Certainty::Certain) if the references within what nothing reaches
    /// explain all of its counts. One that unknown memory refers to is listed only if its own
    /// references explain its counts. A cycle that any root reaches is none: its counts alone
    /// say nothing.
    ///
    /// ```
    /// use alloc_report::graph::{Certainty, Graph, builder};
    ///
    /// let mut graph = builder::sample();
    /// // Somebody else counts, and is not seen.
    /// graph.counts(8, 2, 1);
    /// assert_eq!(Graph::read(&graph.file())?.cycles()[0].certainty, Certainty::Likely);
    /// // A static holds it.
    /// graph.in_static(0x2000, 8);
    /// assert!(Graph::read(&graph.file())?.cycles().is_empty());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn cycles(&self) -> Vec<Cycle> {
        let tree = self.tree();
        let mut cycles: HashMap<(Vec<u32>, Certainty), Cycle> = HashMap::new();
        let unreached = self.members();
        for component in 0..tree.unreached.number {
            let members = unreached.of(component);
            let certainty = || match self.is_explained(members) {
                true => Some(Certainty::Certain),
                false => Some(Certainty::Likely),
            };
            self.add_cycle(&mut cycles, members, certainty);
        }
        let (nodes, evidence) = (&self.data.nodes, self.evidence());
        let by_unknown = Components::of(
            &nodes.first,
            &nodes.to,
            |block| evidence.ranks[block as usize] == Rank::UNKNOWN,
            |edge| evidence.references.is_strong(edge as usize),
        );
        let of_unknown = Members::of_components(&by_unknown.of, by_unknown.number, NONE);
        for component in 0..by_unknown.number {
            let members = of_unknown.of(component);
            let certainty = || {
                let explains = self.explains_itself(members);
                explains.then_some(Certainty::OnlyUnknownMemory)
            };
            self.add_cycle(&mut cycles, members, certainty);
        }
        let mut cycles: Vec<Cycle> = cycles.into_values().collect();
        cycles.sort_by(|a, b| {
            let key = |it: &Cycle| (it.certainty, Reverse(it.retained));
            key(a).cmp(&key(b)).then_with(|| a.blocks.cmp(&b.blocks))
        });
        cycles
    }

    /// Adds the cycle of a component, if it has one of counted references.
    fn add_cycle(
        &self,
        cycles: &mut HashMap<(Vec<u32>, Certainty), Cycle>,
        members: &[u32],
        certainty: impl FnOnce() -> Option<Certainty>,
    ) {
        if members.iter().any(|it| self.is_ignored(*it)) {
            return;
        }
        let first = members.iter().find(|it| self.counted(**it).is_some());
        let Some(blocks) = first.and_then(|it| self.shortest_cycle(*it, members)) else {
            return;
        };
        let Some(certainty) = certainty() else { return };
        let blocks = self.turned(blocks);
        let callsite = |it: &u32| self.data.nodes.callsites[*it as usize];
        let shape: Vec<u32> = blocks.iter().map(callsite).collect();
        let names = &self.names().callsites;
        let cycle = cycles.entry((shape.clone(), certainty)).or_insert_with(|| {
            let named = |it: &u32| &names[*it as usize];
            let type_name = |it| {
                named(it)
                    .type_name
                    .as_deref()
                    .unwrap_or("<unknown>")
                    .to_owned()
            };
            Cycle {
                blocks: blocks.iter().map(|it| BlockId(*it)).collect(),
                types: shape.iter().map(type_name).collect(),
                places: shape.iter().map(|it| named(it).place.clone()).collect(),
                count: 0,
                retained: Bytes::ZERO,
                certainty,
            }
        });
        cycle.count += 1;
        cycle.retained += self.retained_by_component(members);
    }

    /// The shortest way from a block back to it through its component.
    fn shortest_cycle(&self, start: u32, members: &[u32]) -> Option<Vec<u32>> {
        let nodes = &self.data.nodes;
        let mut before: HashMap<u32, u32> = HashMap::new();
        let mut queue = VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for edge in nodes.edges(at) {
                let next = nodes.to[edge];
                if !self.evidence().references.is_strong(edge) {
                    continue;
                }
                if next == start {
                    let mut cycle = vec![at];
                    while let Some(earlier) = before.get(&cycle[cycle.len() - 1]) {
                        cycle.push(*earlier);
                    }
                    cycle.reverse();
                    return Some(cycle);
                }
                if members.binary_search(&next).is_ok() && !before.contains_key(&next) {
                    before.insert(next, at);
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// Turns a cycle so that it starts with a counted block, always the same one of each shape.
    fn turned(&self, mut cycle: Vec<u32>) -> Vec<u32> {
        let key = |at: &usize| {
            let block = cycle[*at];
            let callsite = self.data.nodes.callsites[block as usize];
            (self.counted(block).is_none(), callsite, block)
        };
        let start = (0..cycle.len()).min_by_key(key).unwrap_or(0);
        cycle.rotate_left(start);
        cycle
    }

    /// Whether the references found from what nothing reaches explain all counts of these blocks,
    /// which nothing reaches either, and of all blocks there that lead to them.
    ///
    /// This is trial deletion, as CPython's collector does it: without the references among
    /// themselves, nobody would count them.
    pub(in crate::graph) fn is_explained(&self, members: &[u32]) -> bool {
        let held = self.held_by_unseen();
        members.iter().all(|it| !held[*it as usize])
    }

    /// Blocks that nothing reaches, but that somebody counts who is not seen, and all that they
    /// lead to.
    fn held_by_unseen(&self) -> &[bool] {
        self.held_by_unseen.get_or_init(|| {
            let (nodes, evidence) = (&self.data.nodes, self.evidence());
            let is_unreached = |block: u32| evidence.ranks[block as usize] == Rank::NOTHING;
            let mut held = vec![false; nodes.len()];
            let mut open: Vec<u32> = (0..nodes.len() as u32)
                .filter(|it| is_unreached(*it) && self.lacks_references(*it, is_unreached))
                .collect();
            for block in &open {
                held[*block as usize] = true;
            }
            while let Some(block) = open.pop() {
                for edge in nodes.edges(block) {
                    let target = nodes.to[edge];
                    let leads = evidence.references.is_content(edge) && is_unreached(target);
                    if leads && !std::mem::replace(&mut held[target as usize], true) {
                        open.push(target);
                    }
                }
            }
            held
        })
    }

    /// Whether the references among these blocks explain all of their counts.
    fn explains_itself(&self, members: &[u32]) -> bool {
        let inside = |it: u32| members.binary_search(&it).is_ok();
        members.iter().all(|it| !self.lacks_references(*it, inside))
    }

    /// Whether a block counts more references than come from these blocks.
    fn lacks_references(&self, block: u32, from: impl Fn(u32) -> bool) -> bool {
        let Some((strong, weak)) = self.counted(block) else {
            return false;
        };
        let nodes = &self.data.nodes;
        let found = self.edges_to(block).iter().filter(|(it, edge)| {
            let edge = *edge as usize;
            from(*it) && nodes.offset[edge] == 0 && self.evidence().references.is_content(edge)
        });
        (found.count() as u64) < strong + weak
    }
}
