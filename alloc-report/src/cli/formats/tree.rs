//! The tree of stacks as JSON.

use std::path::Path;

use alloc_core_snapshot::{Amount, Metric, Snapshot};
use alloc_report::{Branch, Stacks};
use anyhow::Result;
use serde::Serialize;

use super::json::{Source, to_text};

/// The rows of a tree in the order of the text, as a list: readers of JSON refuse to nest deep.
pub(crate) fn json(
    snapshot: &Snapshot,
    file: &Path,
    metric: Metric,
    tree: &Stacks<'_>,
) -> Result<String> {
    let root = tree.tree();
    let mut rows = Vec::new();
    add(&root, None, 0, root.inclusive.bytes.get(), &mut rows);
    to_text(&Tree {
        report: "tree",
        by: "stack",
        metric: metric.to_string(),
        snapshot: Source::of(snapshot, file),
        rows,
        notes: tree.notes(),
    })
}

#[derive(Serialize)]
struct Tree {
    report: &'static str,
    by: &'static str,
    metric: String,
    snapshot: Source,
    rows: Vec<Row>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    parent: Option<usize>,
    depth: usize,
    name: String,
    function: Option<String>,
    file: Option<String>,
    path: Option<String>,
    line: Option<u32>,
    bytes: u64,
    blocks: u64,
    share: Option<f64>,
    own_bytes: u64,
    own_blocks: u64,
    omitted: Omitted,
}

#[derive(Serialize)]
struct Omitted {
    stacks: usize,
    bytes: u64,
    blocks: u64,
}

fn add(branch: &Branch, parent: Option<usize>, depth: usize, whole: u64, rows: &mut Vec<Row>) {
    let at = rows.len();
    let Amount { bytes, blocks } = branch.inclusive;
    let frame = branch.frame.as_ref();
    let file = frame.and_then(|it| it.file());
    rows.push(Row {
        parent,
        depth,
        name: branch.name.clone(),
        function: frame.and_then(|it| it.function()).map(str::to_owned),
        file: file.map(|it| it.short().to_owned()),
        path: file.map(|it| it.full().to_owned()),
        line: frame.map(|it| it.line()).filter(|it| *it > 0),
        bytes: bytes.get(),
        blocks,
        share: (whole > 0).then(|| bytes.get() as f64 / whole as f64),
        own_bytes: branch.own.bytes.get(),
        own_blocks: branch.own.blocks,
        omitted: Omitted {
            stacks: branch.omitted_stacks,
            bytes: branch.omitted.bytes.get(),
            blocks: branch.omitted.blocks,
        },
    });
    for part in &branch.parts {
        add(part, Some(at), depth + 1, whole, rows);
    }
}
