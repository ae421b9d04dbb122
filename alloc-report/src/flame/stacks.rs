//! [`Stacks`]: the functions of all stacks as a tree, with what each allocated.

use std::collections::HashMap;

use alloc_core_snapshot::{Amount, Frame, Metric, Origin, Snapshot, Traceback};

use crate::names;
use crate::show::{stack, text};

/// A function that others called.
pub(super) struct Node {
    /// The name as a person would write it.
    pub(super) name: String,
    /// The whole name and the file, in lines of their own.
    pub(super) whole: String,
    pub(super) origin: Origin,
    pub(super) now: Amount,
    pub(super) before: Amount,
    /// What the width is drawn of: the bytes now, or in a comparison those that changed.
    pub(super) width: u64,
    pub(super) children: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    New,
    Old,
}

/// Collects stacks.
pub(super) struct Stacks {
    is_inverted: bool,
    nodes: Vec<Node>,
    /// The nodes by their parent, name and file.
    known: HashMap<(usize, String), usize>,
    /// What each callsite holds now and held before, by the node at its end.
    is_compared: bool,
    ends: HashMap<(usize, u64), [u64; 2]>,
}

impl Stacks {
    pub(super) fn new(is_inverted: bool) -> Stacks {
        let root = Node {
            name: "all".to_owned(),
            whole: "all".to_owned(),
            origin: Origin::Unknown,
            now: Amount::default(),
            before: Amount::default(),
            width: 0,
            children: Vec::new(),
        };
        Stacks {
            is_inverted,
            nodes: vec![root],
            known: HashMap::new(),
            is_compared: false,
            ends: HashMap::new(),
        }
    }

    pub(super) fn add(&mut self, snapshot: &Snapshot, metric: Metric, side: Side) {
        self.is_compared |= side == Side::Old;
        for trace in snapshot.traces() {
            let amount = trace.counters.amount(metric);
            if amount == Amount::default() {
                continue;
            }
            let charged = snapshot.charged_frame(&trace.traceback);
            let frames = relevant(&trace.traceback, charged);
            let mut at = 0;
            self.count(at, amount, side);
            let mut step = |stacks: &mut Stacks, frame: &Frame| {
                at = stacks.child(at, frame);
                stacks.count(at, amount, side);
            };
            let cut = stack::cut(&trace.traceback);
            match self.is_inverted {
                true => frames.iter().chain(cut).for_each(|it| step(self, it)),
                false => cut
                    .into_iter()
                    .chain(frames.iter().rev())
                    .for_each(|it| step(self, it)),
            }
            let charged = u64::from(charged.line());
            self.ends.entry((at, charged)).or_default()[usize::from(side == Side::Old)] +=
                amount.bytes.get();
        }
    }

    /// The nodes, the root first. Children are sorted by width.
    pub(super) fn into_tree(mut self) -> Vec<Node> {
        for ((end, _), [now, before]) in std::mem::take(&mut self.ends) {
            let width = match self.is_compared {
                true => now.abs_diff(before),
                false => now,
            };
            self.nodes[end].width += width;
        }
        // NOTE: a child comes after its parent.
        for at in (0..self.nodes.len()).rev() {
            let below: u64 = self.nodes[at]
                .children
                .iter()
                .map(|&child| self.nodes[child].width)
                .sum();
            self.nodes[at].width += below;
        }
        for at in 0..self.nodes.len() {
            let mut children = std::mem::take(&mut self.nodes[at].children);
            children.retain(|&child| self.nodes[child].width > 0);
            children.sort_by_key(|&child| (std::cmp::Reverse(self.nodes[child].width), child));
            self.nodes[at].children = children;
        }
        self.nodes
    }

    fn count(&mut self, at: usize, amount: Amount, side: Side) {
        match side {
            Side::New => self.nodes[at].now += amount,
            Side::Old => self.nodes[at].before += amount,
        }
    }

    fn child(&mut self, parent: usize, frame: &Frame) -> usize {
        let function = frame
            .function()
            .map_or_else(|| frame.to_string(), str::to_owned);
        let file = frame.file().map(ToString::to_string).unwrap_or_default();
        let whole = match file.is_empty() {
            true => text::name(&function),
            false => format!("{}\n{file}", text::name(&function)),
        };
        let next = self.nodes.len();
        let at = *self.known.entry((parent, whole.clone())).or_insert(next);
        if at == next {
            self.nodes[parent].children.push(next);
            self.nodes.push(Node {
                name: text::name(&names::short(&function)),
                whole,
                origin: frame.origin(),
                now: Amount::default(),
                before: Amount::default(),
                width: 0,
                children: Vec::new(),
            });
        }
        at
    }
}

/// The frames from the charged one outwards, without those of the standard library around `main`.
fn relevant<'a>(traceback: &'a Traceback, charged: &'a Frame) -> &'a [Frame] {
    let Some(start) = traceback.iter().position(|it| it == charged) else {
        return std::slice::from_ref(charged);
    };
    let is_std = |it: &Frame| matches!(it.origin(), Origin::Std | Origin::Tracer);
    let end = traceback
        .iter()
        .rposition(|it| !is_std(it))
        .map_or(traceback.len(), |at| at + 1);
    &traceback[start..end.max(start + 1)]
}
