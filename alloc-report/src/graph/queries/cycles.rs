//! [`Cycle`]: counted references that keep each other alive.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::fmt;

use alloc_core_snapshot::{Bytes, Escaped};

use super::Certainty;
use super::leaks::Members;
use crate::graph::components::Components;
use crate::graph::evidence::{Rank, RootClass};
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
    /// Cycles of `Rc` and `Arc` that nobody else owns, by shape, the most bytes first.
    ///
    /// A cycle is [certain](Certainty::Certain) if its own references explain all of its counts,
    /// and it is in no static and no thread-local. This is how CPython's collector decides. Stacks,
    /// registers and freed memory keep words that calls left behind; a word there that is no owner,
    /// since no count stands for it, changes nothing.
    ///
    /// ```
    /// use alloc_report::graph::{Certainty, Graph, builder};
    ///
    /// let mut graph = builder::sample();
    /// // A word that was left on a stack is not counted.
    /// graph.root(3, 0, graph.stack(0) + 0x108, 8);
    /// assert_eq!(Graph::read(&graph.file())?.cycles()[0].certainty, Certainty::Certain);
    /// // Somebody else counts, and is not seen.
    /// let mut graph = builder::sample();
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
                true => Certainty::Certain,
                false => Certainty::Likely,
            };
            self.add_cycle(&mut cycles, members, certainty);
        }
        let (nodes, evidence) = (&self.data.nodes, self.evidence());
        let held = self.held_by_others();
        let rank = |block: u32| evidence.ranks[block as usize];
        let reached = Components::of(
            &nodes.first,
            &nodes.to,
            |block| rank(block) != Rank::NOTHING && !held[block as usize],
            |edge| evidence.references.is_strong(edge as usize),
        );
        let of_reached = Members::of_components(&reached.of, reached.number, NONE);
        for component in 0..reached.number {
            let members = of_reached.of(component);
            let certainty = || match members.iter().all(|it| self.has_owner(*it)) {
                true => Certainty::Certain,
                false => Certainty::OnlyUnknownMemory,
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
        certainty: impl FnOnce() -> Certainty,
    ) {
        if members.iter().any(|it| self.is_ignored(*it)) {
            return;
        }
        let first = members.iter().find(|it| self.counted(**it).is_some());
        let Some(blocks) = first.and_then(|it| self.shortest_cycle(*it, members)) else {
            return;
        };
        let certainty = certainty();
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

    /// Whether nobody holds these blocks but themselves, and others that nobody holds.
    pub(in crate::graph) fn is_explained(&self, members: &[u32]) -> bool {
        let held = self.held_by_others();
        members.iter().all(|it| !held[*it as usize])
    }

    /// Blocks that an owner leads to who is not among them, such as a variable, or a count that no
    /// reference explains.
    ///
    /// This is trial deletion, as CPython's collector does it: without the references among
    /// themselves, nobody would count the others.
    fn held_by_others(&self) -> &[bool] {
        self.held_by_others.get_or_init(|| {
            let (nodes, evidence) = (&self.data.nodes, self.evidence());
            let rank = |block: u32| evidence.ranks[block as usize];
            let is_open = |block: u32| rank(block) > Rank::of(RootClass::ThreadLocal);
            // One reference too many makes it unknown which of them was left behind.
            let is_held = |block: u32| match self.counted(block) {
                Some((strong, weak)) if rank(block) < Rank::UNKNOWN => {
                    self.references_to(block) != strong + weak
                }
                Some((strong, weak)) => self.references_to(block) < strong + weak,
                // A root may own it, unless something else does, or the root is not known.
                None => rank(block) < Rank::UNKNOWN && !self.has_owner(block),
            };
            let mut held = vec![false; nodes.len()];
            let mut open = Vec::new();
            for block in 0..nodes.len() as u32 {
                held[block as usize] = !is_open(block) || is_held(block);
                if held[block as usize] {
                    open.push(block);
                }
            }
            while let Some(block) = open.pop() {
                for edge in nodes.edges(block) {
                    let target = nodes.to[edge];
                    let leads = evidence.references.is_content(edge);
                    if leads && !std::mem::replace(&mut held[target as usize], true) {
                        open.push(target);
                    }
                }
            }
            held
        })
    }

    /// Whether a block is an `Rc` or `Arc`, or something refers to it that looks like its owner.
    fn has_owner(&self, block: u32) -> bool {
        let references = &self.evidence().references;
        let mut edges = self.edges_to(block).iter();
        self.counted(block).is_some() || edges.any(|(_, edge)| references.is_owner(*edge as usize))
    }

    /// How many references from blocks an `Rc` or `Arc` may count.
    fn references_to(&self, block: u32) -> u64 {
        let edges = self.edges_to(block).iter();
        let found = edges.filter(|(_, edge)| {
            let edge = *edge as usize;
            let is_start = self.data.nodes.offset[edge] == 0;
            is_start && self.evidence().references.is_content(edge)
        });
        found.count() as u64
    }
}
