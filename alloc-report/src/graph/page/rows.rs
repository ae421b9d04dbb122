//! [`Table`]: the rows of the page's tables, by type, by line and by root.

use std::cmp::Reverse;
use std::collections::HashMap;

use alloc_core_snapshot::GroupBy;
use serde::Serialize;

use super::why::Whys;
use crate::graph::queries::group::GraphRow;
use crate::graph::show::phrases;
use crate::graph::{BlockId, Graph, RootClass};
use crate::page::{Name, Sources, Strings};

/// How many rows a table has at most.
const MOST_ROWS: usize = 2_000;

/// Of how many rows a page says why their largest block is alive: a question takes milliseconds.
const MOST_WHYS: usize = 100;

/// How many lines, types and roots are named for a row.
const MOST_PARTS: usize = 6;

#[derive(Serialize)]
pub(super) struct Table {
    rows: Vec<Row>,
    /// How many rows are left out, which retain less.
    left_out: usize,
}

#[derive(Default, Serialize)]
struct Row {
    name: Name,
    retained: u64,
    /// The sizes of its own blocks; `None` for a root, which has none.
    bytes: Option<u64>,
    blocks: u64,
    /// The lines that made blocks of a type, or the types of a line.
    made: Parts,
    held: Parts,
    root: Option<RootRow>,
    /// The line of source, or the empty string.
    source: Name,
    /// The number of the answer for the block that retains the most.
    why: Option<usize>,
}

/// What the row of a root stands for.
#[derive(Clone, Copy, Serialize)]
enum RootRow {
    One,
    Several,
    Nothing,
}

/// The largest parts of a row, and how many others there are.
#[derive(Default, Serialize)]
struct Parts {
    /// Names and bytes.
    largest: Vec<(Name, u64)>,
    others: usize,
}

/// Rows by a key, and the row of each callsite.
pub(super) struct Grouped {
    rows: Vec<GraphRow>,
    pub(super) of: Vec<u32>,
}

impl Grouped {
    pub(super) fn by(graph: &Graph, key: GroupBy) -> Grouped {
        let (rows, of) = graph.rows_by(key);
        Grouped { rows, of }
    }

    pub(super) fn name(&self, row: u32) -> String {
        let row = self.rows.get(row as usize);
        row.map_or_else(String::new, |it| it.key.to_string())
    }

    /// The row of a callsite, if the table has it.
    pub(super) fn shown(&self, row: u32) -> Option<u32> {
        Some(row).filter(|it| (*it as usize) < self.rows.len().min(MOST_ROWS))
    }

    /// The table. `others`: the other key, by which the parts of a row are named.
    pub(super) fn table(
        &self,
        graph: &Graph,
        others: &Grouped,
        strings: &mut Strings<'_>,
        whys: &mut Whys,
    ) -> Table {
        let (tree, nodes) = (graph.tree(), &graph.data.nodes);
        let mut made = Sums::default();
        let mut held = Sums::default();
        let mut largest: Vec<Option<u32>> = vec![None; self.rows.len()];
        for block in 0..tree.blocks {
            let callsite = nodes.callsites[block as usize] as usize;
            let Some(row) = self.shown(self.of[callsite]) else {
                continue;
            };
            let size = nodes.sizes[block as usize];
            made.add(row, others.of[callsite], size);
            held.add(row, tree.holder[block as usize], size);
            let retained = |block: u32| tree.retained[block as usize];
            let largest = &mut largest[row as usize];
            if largest.is_none_or(|it| retained(block) > retained(it)) {
                *largest = Some(block);
            }
        }
        let (mut made, mut held) = (made.by_row(), held.by_row());
        let shown = self.rows.iter().take(MOST_ROWS).enumerate();
        let rows = shown.map(|(at, it)| {
            let made = made.remove(&(at as u32)).unwrap_or_default();
            let held = held.remove(&(at as u32)).unwrap_or_default();
            let block = largest[at].filter(|_| at < MOST_WHYS).map(BlockId);
            Row {
                name: strings.add(it.key.to_string()),
                retained: it.retained.get(),
                bytes: Some(it.bytes.get()),
                blocks: it.blocks,
                made: Parts::of(made, |key| strings.add(others.name(key))),
                held: Parts::of(held, |key| strings.add(holder_name(graph, key).to_owned())),
                why: block.map(|it| whys.add(graph, it, strings)),
                ..Row::default()
            }
        });
        Table {
            rows: rows.collect(),
            left_out: self.rows.len().saturating_sub(MOST_ROWS),
        }
    }
}

impl Table {
    /// Quotes the lines of source of a table by line.
    pub(super) fn add_sources(&mut self, graph: &Graph, of: &Grouped, strings: &mut Strings<'_>) {
        let mut sources = Sources::default();
        for (callsite, row) in (0..).zip(&of.of) {
            let Some(row) = self.rows.get_mut(*row as usize) else {
                continue;
            };
            if row.source != 0 {
                continue;
            }
            let frame = graph.charged_frame(callsite);
            let text = frame.and_then(|it| sources.line(it.file()?, it.line()));
            row.source = strings.add(text.unwrap_or_default());
        }
    }

    /// The roots that hold something alone, and what several hold together.
    pub(super) fn of_roots(graph: &Graph, strings: &mut Strings<'_>) -> Table {
        let mut rows: Vec<Row> = Vec::new();
        let mut add = |root, name: &str, retained, blocks| {
            rows.push(Row {
                root: Some(root),
                name: strings.add(name.to_owned()),
                retained,
                blocks,
                ..Row::default()
            });
        };
        let mut roots = graph.roots();
        roots.retain(|it| it.blocks > 0);
        for root in roots.iter().take(MOST_ROWS) {
            let row = match root.class {
                RootClass::Nothing => RootRow::Nothing,
                _ => RootRow::One,
            };
            let name = phrases::of_root(root.class, &root.name);
            add(row, name, root.retained.get(), root.blocks);
        }
        let shared = graph.shared();
        if shared.blocks > 0 {
            let (name, row) = (phrases::SEVERAL_ROOTS, RootRow::Several);
            add(row, name, shared.bytes.get(), shared.blocks);
        }
        rows.sort_by_key(|it| Reverse(it.retained));
        Table {
            rows,
            left_out: roots.len().saturating_sub(MOST_ROWS),
        }
    }

    /// The row of each name.
    pub(super) fn by_name(&self) -> HashMap<Name, u32> {
        let rows = self.rows.iter().zip(0..);
        rows.map(|(it, at)| (it.name, at)).collect()
    }
}

/// The name of what holds blocks: a root, or several.
fn holder_name(graph: &Graph, group: u32) -> &str {
    match graph.tree().groups.list.get(group as usize) {
        Some(group) => phrases::of_root(group.class, &group.name),
        None => phrases::SEVERAL_ROOTS,
    }
}

/// Bytes by a row and a key.
#[derive(Default)]
struct Sums(HashMap<(u32, u32), u64>);

impl Sums {
    fn add(&mut self, row: u32, key: u32, bytes: u64) {
        *self.0.entry((row, key)).or_default() += bytes;
    }

    /// Bytes and keys of each row.
    fn by_row(self) -> HashMap<u32, Vec<(u64, u32)>> {
        let mut by_row: HashMap<u32, Vec<(u64, u32)>> = HashMap::new();
        for ((row, key), bytes) in self.0 {
            by_row.entry(row).or_default().push((bytes, key));
        }
        by_row
    }
}

impl Parts {
    fn of(mut sums: Vec<(u64, u32)>, mut name: impl FnMut(u32) -> Name) -> Parts {
        sums.sort_by_key(|(bytes, key)| (Reverse(*bytes), *key));
        let largest = sums.iter().take(MOST_PARTS);
        Parts {
            largest: largest.map(|(bytes, key)| (name(*key), *bytes)).collect(),
            others: sums.len().saturating_sub(MOST_PARTS),
        }
    }
}
