//! [`Branch`]: the largest stacks of a tree.

use std::cmp::Reverse;

use alloc_core_snapshot::{Amount, Frame, GroupBy, Metric, Snapshot};

use super::Frames;
use super::tree::{Node, StackTree, Sums, Value};

/// A step of the stacks that hold the most memory, with what it called.
///
/// Its texts are safe to print.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Branch {
    /// The name of the function as a person would write it; the place if it is unknown; `all` at the
    /// root. Consecutive frames of libraries are one step with their names.
    pub name: String,
    /// The file and line; empty if unknown.
    pub place: String,
    /// The frame, unless the step is the root or several frames.
    pub frame: Option<Frame>,
    /// The amount of all stacks that pass through here.
    pub inclusive: Amount,
    /// The amount of the stacks that end here.
    pub own: Amount,
    /// What it called, the largest first.
    pub parts: Vec<Branch>,
    /// The amount of the smaller stacks that are not among the parts.
    pub omitted: Amount,
    /// How many smaller stacks those are.
    pub omitted_stacks: usize,
}

impl Branch {
    /// What the step calls, if it does nothing but that.
    pub(super) fn only_call(&self) -> Option<&Branch> {
        match self.parts.as_slice() {
            [only] if only.inclusive == self.inclusive => Some(only),
            _ => None,
        }
    }
}

/// The tree of the `n` stacks that have the most bytes of a metric.
pub(super) fn of(snapshot: &Snapshot, metric: Metric, frames: Frames, n: usize) -> Branch {
    let tree = StackTree::of(&[snapshot], GroupBy::Line, frames);
    let amounts = snapshot.traces().iter();
    let sums = tree.sums(amounts.map(|it| it.counters.amount(metric).into()));
    let mut ends: Vec<Node> = tree.nodes().collect();
    ends.retain(|it| sums.own[*it as usize] != Value::default());
    // NOTE: a stable sort, so that equal stacks keep their order.
    ends.sort_by_key(|it| Reverse(sums.own[*it as usize].bytes));
    let mut is_kept = vec![false; tree.nodes().len()];
    let mut stacks = vec![0_usize; is_kept.len()];
    for (at, &end) in ends.iter().enumerate() {
        stacks[end as usize] = 1;
        let mut node = end;
        while at < n && node > 0 && !is_kept[node as usize] {
            is_kept[node as usize] = true;
            node = tree.parent(node);
        }
    }
    for node in tree.nodes().rev().filter(|it| *it > 0) {
        stacks[tree.parent(node) as usize] += stacks[node as usize];
    }
    Cut {
        tree: &tree,
        sums: &sums,
        is_kept,
        stacks,
    }
    .branch(0)
}

struct Cut<'a> {
    tree: &'a StackTree,
    sums: &'a Sums,
    is_kept: Vec<bool>,
    /// How many stacks with an amount pass through each node.
    stacks: Vec<usize>,
}

impl Cut<'_> {
    fn branch(&self, node: Node) -> Branch {
        let children = self.tree.children(node).iter().copied();
        let (mut kept, omitted): (Vec<Node>, Vec<Node>) =
            children.partition(|it| self.is_kept[*it as usize]);
        kept.sort_by_key(|it| Reverse(self.sums.inclusive[*it as usize].bytes));
        let mut rest = Amount::default();
        for it in &omitted {
            rest += amount(self.sums.inclusive[*it as usize]);
        }
        let entry = self.tree.entry(node);
        let (name, place) = match entry {
            None => ("all".to_owned(), String::new()),
            Some(entry) => entry.title(),
        };
        Branch {
            name,
            place,
            frame: entry.and_then(|it| it.frame.clone()),
            inclusive: amount(self.sums.inclusive[node as usize]),
            own: amount(self.sums.own[node as usize]),
            parts: kept.into_iter().map(|it| self.branch(it)).collect(),
            omitted: rest,
            omitted_stacks: omitted.iter().map(|it| self.stacks[*it as usize]).sum(),
        }
    }
}

fn amount(value: Value) -> Amount {
    Amount::new(value.bytes as u64, value.blocks as u64)
}
