//! [`Fold`]: who retains what, small enough for a page.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::graph::evidence::GroupId;
use crate::graph::tree::Tree;
use crate::graph::{Graph, NONE};

/// How many nodes a page has at most, besides those for the rest.
const MOST: usize = 20_000;

/// How deep the tree is at most. Lists that alternate between two types would be as deep as long.
const DEEPEST: u16 = 100;

/// What the blocks of a node have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// All blocks.
    All,
    /// Those that only one root holds.
    Root(GroupId),
    /// Those that no single root holds.
    SeveralRoots,
    /// Those of one maker: a type and a line.
    Maker(u32),
    /// Those of all other makers, with all that they retain.
    Rest,
}

/// The dominator tree, in which blocks of one maker below one node are one node.
///
/// A node retains its own blocks, and what the nodes below it retain, so sizes add up exactly. What
/// a block retains that is of its own maker, such as the rest of a list, is in the same node. Each
/// root is right below the top, whatever function called which, and has what [`Graph::roots`] says
/// that it retains.
///
/// A tree of many nodes is cut to those that retain the most. The others below one node become one:
/// [`Key::Rest`].
#[derive(Debug)]
pub(super) struct Fold {
    /// The node above each, which comes before it; that of the first is itself.
    pub(super) parent: Vec<u32>,
    pub(super) key: Vec<Key>,
    /// The sizes of a node's own blocks.
    pub(super) bytes: Vec<u64>,
    pub(super) blocks: Vec<u64>,
    depth: Vec<u16>,
    known: HashMap<(u32, Key), u32>,
}

impl Fold {
    /// `maker_of`: the maker of each callsite's blocks.
    pub(super) fn of(graph: &Graph, maker_of: &[u32]) -> Fold {
        Fold::whole(graph, maker_of).cut(MOST)
    }

    fn new() -> Fold {
        Fold {
            parent: vec![0],
            key: vec![Key::All],
            bytes: vec![0],
            blocks: vec![0],
            depth: vec![0],
            known: HashMap::new(),
        }
    }

    fn whole(graph: &Graph, maker_of: &[u32]) -> Fold {
        let (tree, nodes) = (graph.tree(), &graph.data.nodes);
        let mut fold = Fold::new();
        // The place of each node of the tree.
        let mut places = vec![NONE; tree.top() as usize + 1];
        places[tree.top() as usize] = 0;
        let mut path = Vec::new();
        for block in 0..tree.blocks {
            let mut at = block;
            while places[at as usize] == NONE {
                path.push(at);
                at = holder(tree, at);
            }
            while let Some(node) = path.pop() {
                let above = holder(tree, node);
                let place = places[above as usize];
                places[node as usize] = match tree.group_of(node) {
                    Some(group) => fold.child(place, Key::Root(group)),
                    None => {
                        let callsite = nodes.callsites[node as usize];
                        let place = match above == tree.top() {
                            true => fold.child(place, Key::SeveralRoots),
                            false => place,
                        };
                        fold.child(place, Key::Maker(maker_of[callsite as usize]))
                    }
                };
            }
            let size = nodes.sizes[block as usize];
            fold.add(places[block as usize], size, 1);
        }
        fold
    }

    /// The `most` nodes that retain the most.
    fn cut(self, most: usize) -> Fold {
        let mut retained = self.bytes.clone();
        for node in (1..retained.len()).rev() {
            retained[self.parent[node] as usize] += retained[node];
        }
        // NOTE: a node comes after the one above it, which retains no less.
        let mut order: Vec<u32> = (0..retained.len() as u32).collect();
        order.sort_by_key(|it| (Reverse(retained[*it as usize]), *it));
        let mut is_kept = vec![false; retained.len()];
        for node in order.iter().take(most) {
            is_kept[*node as usize] = true;
        }
        let mut fold = Fold::new();
        let mut places = vec![0; retained.len()];
        for node in 1..retained.len() {
            let above = places[self.parent[node] as usize];
            let key = if is_kept[node] {
                self.key[node]
            } else {
                Key::Rest
            };
            places[node] = fold.child(above, key);
            fold.add(places[node], self.bytes[node], self.blocks[node]);
        }
        fold
    }

    /// The node of a key below another, added if it is new.
    fn child(&mut self, above: u32, key: Key) -> u32 {
        let (of_above, depth) = (self.key[above as usize], self.depth[above as usize]);
        if of_above == key || of_above == Key::Rest {
            return above;
        }
        let key = if depth == DEEPEST { Key::Rest } else { key };
        let next = self.key.len() as u32;
        let node = *self.known.entry((above, key)).or_insert(next);
        if node == next {
            self.parent.push(above);
            self.key.push(key);
            self.bytes.push(0);
            self.blocks.push(0);
            self.depth.push(depth + 1);
        }
        node
    }

    fn add(&mut self, node: u32, bytes: u64, blocks: u64) {
        self.bytes[node as usize] += bytes;
        self.blocks[node as usize] += blocks;
    }
}

/// What holds a node: a block, a root, or the top.
fn holder(tree: &Tree, node: u32) -> u32 {
    match tree.dominator[node as usize] {
        above if above != NONE && node < tree.blocks => above,
        _ => tree.top(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::builder::Builder;
    use crate::graph::random::Random;

    /// What each node retains, and how many blocks that is.
    fn sums(fold: &Fold) -> Vec<(u64, u64)> {
        let own = fold.bytes.iter().zip(&fold.blocks);
        let mut sums: Vec<(u64, u64)> = own.map(|(bytes, blocks)| (*bytes, *blocks)).collect();
        for node in (1..sums.len()).rev() {
            let (bytes, blocks) = sums[node];
            let above = &mut sums[fold.parent[node] as usize];
            *above = (above.0 + bytes, above.1 + blocks);
        }
        sums
    }

    /// Random blocks of four makers, and roots of each kind.
    fn random(random: &mut Random) -> Graph {
        let mut builder = Builder::default();
        let types = ["Vec<u8>", "Box<Node>", "Rc<Node>", "Vec<Box<Node>>"];
        let callsites = types.map(|it| builder.callsite(it, "app::f", "src/a.rs", 1));
        let thread = builder.thread("main", &[(1, 0x100), (2, 0x100)]);
        let blocks = 2 + random.below(40);
        for _ in 0..blocks {
            builder.block(callsites[random.below(4) as usize], 8 + random.below(100));
        }
        for _ in 0..random.below(3 * blocks) {
            let (from, to) = (random.below(blocks) as u32, random.below(blocks) as u32);
            builder.edge(from, random.below(4), to);
        }
        for _ in 0..random.below(8) {
            let (kind, to) = (1 + random.below(6), random.below(blocks) as u32);
            let place = builder.stack(thread) + 8 * random.below(60);
            builder.root(kind as u8, 0, place, to);
        }
        Graph::read(&builder.file()).expect("a graph")
    }

    fn makers(graph: &Graph) -> Vec<u32> {
        (0..graph.data.callsites.len() as u32).collect()
    }

    /// The roots retain what the roots of the graph do, whatever is cut.
    #[test]
    fn sizes_add_up_to_those_of_the_roots() {
        let mut numbers = Random(7);
        for _ in 0..200 {
            let graph = random(&mut numbers);
            for most in [1, 3, 8, MOST] {
                let fold = Fold::whole(&graph, &makers(&graph)).cut(most);
                let sums = sums(&fold);
                let blocks = graph.blocks().len() as u64;
                assert_eq!(sums[0], (graph.bytes().get(), blocks));
                let rest = fold.key.iter().filter(|it| **it == Key::Rest).count();
                assert!(fold.key.len() - rest <= most);
                if most < MOST {
                    continue;
                }
                let mut found: Vec<(u64, u64)> = Vec::new();
                let mut of_several = (0, 0);
                for node in (1..sums.len()).filter(|it| fold.parent[*it] == 0) {
                    match fold.key[node] {
                        Key::Root(_) => found.push(sums[node]),
                        Key::SeveralRoots => of_several = sums[node],
                        other => panic!("{other:?} below the top"),
                    }
                }
                let roots = graph.roots();
                let roots = roots.iter().map(|it| (it.retained.get(), it.blocks));
                let mut roots: Vec<(u64, u64)> = roots.filter(|it| it.1 > 0).collect();
                found.sort_unstable();
                roots.sort_unstable();
                assert_eq!(found, roots);
                let shared = graph.shared();
                assert_eq!(of_several, (shared.bytes.get(), shared.blocks));
            }
        }
    }

    /// A list of a million blocks is one node, and one of two types that alternate is cut.
    #[test]
    fn long_lists_are_folded() {
        for (types, nodes) in [(1, 3), (2, 2 + usize::from(DEEPEST))] {
            let mut builder = Builder::default();
            let callsites: Vec<u64> = (0..types)
                .map(|it| builder.callsite("Box<Node>", "app::f", "src/a.rs", it))
                .collect();
            let mut last = builder.block(callsites[0], 16);
            builder.in_static(0x10, last);
            for at in 1..5_000 {
                let next = builder.block(callsites[at % callsites.len()], 16);
                builder.edge(last, 0, next);
                last = next;
            }
            let graph = Graph::read(&builder.file()).expect("a graph");
            let fold = Fold::of(&graph, &makers(&graph));
            assert_eq!(fold.key.len(), nodes);
            assert_eq!(sums(&fold)[0], (16 * 5_000, 5_000));
        }
    }
}
