//! [`Row`]: a line of the tree or the table.

use alloc_core_snapshot::Frame;

use crate::stacks::Value;

/// Whether a row has others below it, and whether they are visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    Open,
    Closed,
    Leaf,
}

/// A line of the tree or the table. Its texts are safe to print.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The same at each refresh.
    pub(super) id: u64,
    pub(super) depth: usize,
    /// For each level above, whether a further branch of it follows.
    pub(super) guides: Vec<bool>,
    pub(super) fold: Fold,
    pub(super) name: String,
    pub(super) place: String,
    /// The whole name.
    pub(super) whole: String,
    pub(super) frame: Option<Frame>,
    pub(super) is_mine: bool,
    pub(super) value: Value,
    pub(super) own: Value,
    /// The part of the sum that the value is, where all values are of one sign.
    pub(super) share: f64,
    /// By how much it grew since the last refresh.
    pub(super) recent: Value,
}

impl Row {
    /// The mean size of a block.
    pub(super) fn average(&self) -> f64 {
        match self.value.blocks {
            0 => 0.0,
            blocks => self.value.bytes as f64 / blocks as f64,
        }
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    Size,
    /// What a row allocated itself. In the tree only.
    Own,
    Blocks,
    /// The mean size of a block. In the table only.
    Average,
    Name,
}

impl Order {
    pub(super) fn name(self) -> &'static str {
        match self {
            Order::Size => "size",
            Order::Own => "own",
            Order::Blocks => "count",
            Order::Average => "average",
            Order::Name => "name",
        }
    }

    /// Compares two rows, the one to show first being less.
    pub(super) fn compare(self, a: &Row, b: &Row) -> std::cmp::Ordering {
        let first = match self {
            Order::Size => b.value.bytes.cmp(&a.value.bytes),
            Order::Own => b.own.bytes.cmp(&a.own.bytes),
            Order::Blocks => b.value.blocks.cmp(&a.value.blocks),
            Order::Average => b.average().total_cmp(&a.average()),
            Order::Name => std::cmp::Ordering::Equal,
        };
        first
            .then_with(|| a.name.cmp(&b.name))
            .then_with(|| a.place.cmp(&b.place))
            .then_with(|| a.id.cmp(&b.id))
    }
}
