//! [`StackTree`]: the stacks of all callsites, merged where they begin alike.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::AddAssign;

use alloc_core_snapshot::{Amount, GroupBy, Snapshot};

use super::frames::{Entries, Entry, Frames};

/// The number of a node of a [`StackTree`]. The root is 0.
pub(crate) type Node = u32;

/// Bytes and blocks, or by how much they changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) bytes: i64,
    pub(crate) blocks: i64,
}

impl From<Amount> for Value {
    fn from(amount: Amount) -> Value {
        let signed = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        Value {
            bytes: signed(amount.bytes.get()),
            blocks: signed(amount.blocks),
        }
    }
}

impl AddAssign for Value {
    fn add_assign(&mut self, other: Value) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.blocks = self.blocks.saturating_add(other.blocks);
    }
}

/// The stacks of snapshots as one tree, callers above callees.
///
/// A node stands for a distinct beginning of a stack. A parent has a smaller number than its
/// children.
#[derive(Debug)]
pub(crate) struct StackTree {
    entries: Vec<Entry>,
    parents: Vec<Node>,
    /// The entry of each node; that of the root means nothing.
    entry_of: Vec<u32>,
    ids: Vec<u64>,
    children: Vec<Vec<Node>>,
    /// The node of each callsite, in the order of the snapshots and their traces.
    ends: Vec<Node>,
}

/// The values of all nodes of a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    /// Of the stacks that end at a node.
    pub(crate) own: Vec<Value>,
    /// Of the stacks that pass through a node or end there.
    pub(crate) inclusive: Vec<Value>,
}

impl StackTree {
    pub(crate) fn of(snapshots: &[&Snapshot], by: GroupBy, frames: Frames) -> StackTree {
        let mut entries = Entries::new(snapshots, by, frames);
        let mut tree = StackTree {
            entries: Vec::new(),
            parents: vec![0],
            entry_of: vec![0],
            ids: vec![0],
            children: vec![Vec::new()],
            ends: Vec::new(),
        };
        let mut known: HashMap<(Node, u32), Node> = HashMap::new();
        for snapshot in snapshots {
            for trace in snapshot.traces() {
                let steps = entries.of(snapshot, trace);
                let end = steps.into_iter().fold(0, |node, entry| {
                    *known
                        .entry((node, entry))
                        .or_insert_with(|| tree.push(node, entry))
                });
                tree.ends.push(end);
            }
        }
        tree.entries = entries.into_list();
        for node in 1..tree.parents.len() {
            let mut hasher = DefaultHasher::new();
            let entry = &tree.entries[tree.entry_of[node] as usize];
            (tree.ids[tree.parents[node] as usize], entry.id).hash(&mut hasher);
            tree.ids[node] = hasher.finish();
        }
        tree
    }

    fn push(&mut self, parent: Node, entry: u32) -> Node {
        let node = self.parents.len() as Node;
        self.parents.push(parent);
        self.entry_of.push(entry);
        self.ids.push(0);
        self.children.push(Vec::new());
        self.children[parent as usize].push(node);
        node
    }

    /// The sums of values, one for each callsite in the order of the snapshots and their traces.
    pub(crate) fn sums(&self, values: impl Iterator<Item = Value>) -> Sums {
        let mut own = vec![Value::default(); self.parents.len()];
        for (end, value) in self.ends.iter().zip(values) {
            own[*end as usize] += value;
        }
        let mut inclusive = own.clone();
        for node in (1..self.parents.len()).rev() {
            let value = inclusive[node];
            inclusive[self.parents[node] as usize] += value;
        }
        Sums { own, inclusive }
    }

    /// What a node stands for; `None` for the root.
    pub(crate) fn entry(&self, node: Node) -> Option<&Entry> {
        (node > 0).then(|| &self.entries[self.entry_of[node as usize] as usize])
    }

    /// A number that the node of an equal stack has in each tree.
    #[cfg(feature = "terminal")]
    pub(crate) fn id(&self, node: Node) -> u64 {
        self.ids[node as usize]
    }

    /// The root is its own parent.
    pub(crate) fn parent(&self, node: Node) -> Node {
        self.parents[node as usize]
    }

    pub(crate) fn children(&self, node: Node) -> &[Node] {
        &self.children[node as usize]
    }

    pub(crate) fn nodes(&self) -> std::ops::Range<Node> {
        0..self.parents.len() as Node
    }
}
