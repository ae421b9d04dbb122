//! [`Branches`]: the rows of the tree.

use std::collections::HashSet;

use alloc_core_snapshot::GroupBy;

use super::data::{Data, Shown};
use super::row::{Fold, Order, Row};
use crate::stacks::{Frames, Node, StackTree, Sums, Value};

/// The tree of the stacks, with the values of a metric.
#[derive(Debug)]
pub(super) struct Branches {
    tree: StackTree,
    sums: Sums,
    recent: Option<Sums>,
}

/// At first, branches with at least this part of the whole are open.
const WORTH_OPENING: f64 = 0.1;
/// And this many branches at most.
const MOST_OPEN: usize = 40;

impl Branches {
    pub(super) fn of(data: &Data, by: GroupBy, frames: Frames, shown: Shown) -> Branches {
        let tree = StackTree::of(&data.snapshots(), by, frames);
        Branches {
            sums: tree.sums(data.values(shown).into_iter()),
            recent: data.recent().map(|it| tree.sums(it.into_iter())),
            tree,
        }
    }

    /// Shows another metric of the same snapshots.
    pub(super) fn show(&mut self, data: &Data, shown: Shown) {
        self.sums = self.tree.sums(data.values(shown).into_iter());
    }

    /// The rows that are visible, the root first.
    pub(super) fn rows(&self, open: &HashSet<u64>, order: Order) -> Vec<Row> {
        self.visible(|id| open.contains(&id), order)
    }

    /// All rows, as if all branches were open.
    pub(super) fn all(&self, order: Order) -> Vec<Row> {
        self.visible(|_| true, order)
    }

    fn visible(&self, is_open: impl Fn(u64) -> bool, order: Order) -> Vec<Row> {
        let mut rows = Vec::new();
        // NOTE: a list of what is still to do, not a recursion: a stack may have a thousand frames.
        let mut rest = vec![(0, self.row(0, Vec::new()))];
        while let Some((node, mut row)) = rest.pop() {
            let mut children = self.children(node, &row.guides);
            row.fold = match (children.is_empty(), node == 0 || is_open(row.id)) {
                (true, _) => Fold::Leaf,
                (false, true) => Fold::Open,
                (false, false) => Fold::Closed,
            };
            if row.fold == Fold::Open {
                children.sort_by(|(_, a), (_, b)| order.compare(a, b));
                let last = children.len() - 1;
                for (at, (_, child)) in children.iter_mut().enumerate() {
                    child.guides.push(at < last);
                }
                rest.extend(children.into_iter().rev());
            }
            rows.push(row);
        }
        rows
    }

    fn children(&self, node: Node, guides: &[bool]) -> Vec<(Node, Row)> {
        let shown = |it: &&Node| self.value(**it) != Value::default();
        let children = self.tree.children(node).iter().filter(shown);
        let row = |it: &Node| (*it, self.row(*it, guides.to_vec()));
        children.map(row).collect()
    }

    fn value(&self, node: Node) -> Value {
        self.sums.inclusive[node as usize]
    }

    fn row(&self, node: Node, guides: Vec<bool>) -> Row {
        let entry = self.tree.entry(node);
        let (name, place) = match entry {
            None => ("all".to_owned(), String::new()),
            Some(entry) => entry.title(),
        };
        let value = self.value(node);
        let recent = self.recent.as_ref().map(|it| it.inclusive[node as usize]);
        Row {
            id: self.tree.id(node),
            depth: guides.len() + usize::from(node > 0),
            guides,
            fold: Fold::Leaf,
            name,
            place,
            whole: entry.map_or_else(|| "all stacks".to_owned(), |it| it.whole.clone()),
            frame: entry.and_then(|it| it.frame.clone()),
            is_mine: entry.is_none_or(|it| it.is_mine),
            value,
            own: self.sums.own[node as usize],
            share: share(value.bytes, self.value(0).bytes),
            recent: recent.unwrap_or_default(),
        }
    }

    /// The branches to open at first: the large ones.
    pub(super) fn large(&self) -> HashSet<u64> {
        let whole = self.value(0).bytes;
        let is_large = |it: &Node| share(self.value(*it).bytes, whole) >= WORTH_OPENING;
        let large = self.tree.nodes().skip(1).filter(is_large);
        large.take(MOST_OPEN).map(|it| self.tree.id(it)).collect()
    }

    /// The ids of a branch's largest callee, and its largest, and so on to the end.
    pub(super) fn largest_path(&self, id: u64) -> Vec<u64> {
        let mut path = Vec::new();
        let Some(mut node) = self.tree.nodes().find(|it| self.tree.id(*it) == id) else {
            return path;
        };
        loop {
            path.push(self.tree.id(node));
            let children = self.tree.children(node).iter().copied();
            match children.max_by_key(|it| self.value(*it).bytes) {
                Some(largest) => node = largest,
                None => return path,
            }
        }
    }
}

/// The part of a whole, from 0 to 1.
pub(super) fn share(part: i64, whole: i64) -> f64 {
    match whole {
        0 => 0.0,
        whole => (part as f64 / whole as f64).clamp(0.0, 1.0),
    }
}
