//! Answers as tables: roots, what is retained, leaks, counts, and what changed.

use alloc_core_snapshot::{Bytes, Escaped, GroupBy};

use super::{Look, health, others, phrases, row, share};
use crate::graph::{Change, Graph, Spare};
use crate::show::table::{Cell, DIM, Row};
use crate::show::text::{self, grouped, plural};

fn rank(at: usize) -> Cell {
    Cell::styled(DIM, grouped(at as u64 + 1))
}

/// `1 tree`, `2 trees`.
pub(super) fn tree_count(n: u64) -> String {
    plural(n, "tree")
}

/// The type and the line of blocks.
fn maker(type_name: Option<&str>, place: &str) -> String {
    format!("{} ({place})", Escaped(type_name.unwrap_or("<unknown>")))
}

pub(super) fn roots_table(graph: &Graph, look: &Look) -> String {
    let (whole, roots) = (graph.bytes(), graph.roots());
    // Most words on stacks point to what others hold.
    let holding = roots.partition_point(|it| it.retained > Bytes::ZERO);
    let (shown, rest) = roots.split_at(look.rows.min(holding));
    let cells = |first, retained: Bytes, blocks| {
        vec![
            first,
            Cell::size(retained),
            share(retained, whole),
            Cell::new(grouped(blocks)),
        ]
    };
    let rows = shown.iter().enumerate().map(|(at, it)| {
        let mut name = phrases::of_root(it.class, &it.name).to_owned();
        if let Some(block) = it.through.map(|it| graph.block(it)) {
            name.push_str(" -> ");
            name.push_str(&maker(block.type_name, block.place));
        }
        row(cells(rank(at), it.retained, it.blocks), name)
    });
    let mut rows: Vec<Row> = rows.collect();
    let nothing = || Cell::new("");
    if !rest.is_empty() {
        let retained = rest.iter().map(|it| it.retained).sum();
        let blocks = rest.iter().map(|it| it.blocks).sum();
        let name = format!("other ({})", plural(rest.len() as u64, "root"));
        rows.push(others(cells(nothing(), retained, blocks), name));
    }
    let shared = graph.shared();
    if shared.blocks > 0 {
        let name = phrases::SEVERAL_ROOTS.to_owned();
        rows.push(others(cells(nothing(), shared.bytes, shared.blocks), name));
    }
    let name = "total".to_owned();
    let blocks = graph.blocks().len() as u64;
    rows.push(others(cells(nothing(), whole, blocks), name));
    let heads = ["#", "retained", "share", "blocks"];
    look.table("What would be free without each root", &heads, "root", rows)
}

pub(super) fn roots(graph: &Graph, look: &Look) -> String {
    roots_table(graph, look) + &look.notes(&health::notes(graph))
}

pub(super) fn retained(graph: &Graph, by: GroupBy, look: &Look) -> String {
    let (whole, rows) = (graph.bytes(), graph.by(by));
    let (shown, rest) = rows.split_at(look.rows.min(rows.len()));
    let table = shown.iter().enumerate().map(|(at, it)| {
        let cells = vec![
            rank(at),
            Cell::size(it.retained),
            share(it.retained, whole),
            Cell::size(it.bytes),
            Cell::new(grouped(it.blocks)),
        ];
        row(cells, it.key.to_string())
    });
    let mut table: Vec<Row> = table.collect();
    if !rest.is_empty() {
        let bytes = rest.iter().map(|it| it.bytes).sum();
        let blocks = rest.iter().map(|it| it.blocks).sum();
        let cells = vec![
            Cell::new(""),
            Cell::new(""),
            Cell::new(""),
            Cell::size(bytes),
            Cell::new(grouped(blocks)),
        ];
        table.push(others(
            cells,
            format!("other ({})", grouped(rest.len() as u64)),
        ));
    }
    let heading = format!("What would be free without the blocks of each {by}, of {whole}");
    let heads = ["#", "retained", "share", "own size", "blocks"];
    look.table(&heading, &heads, &by.to_string(), table) + &look.notes(&health::notes(graph))
}

pub(super) fn leaks(graph: &Graph, look: &Look) -> String {
    let leaks = graph.leaks();
    if leaks.is_empty() {
        return "No leak: something reaches every block\n".to_owned()
            + &look.notes(&health::notes(graph));
    }
    let retained: Bytes = leaks.iter().map(|it| it.retained).sum();
    let trees: u64 = leaks.iter().map(|it| it.heads).sum();
    let heading = format!("{retained} in {} are reached by nothing", tree_count(trees));
    let rows = leaks.iter().take(look.rows).enumerate().map(|(at, it)| {
        let cells = vec![
            rank(at),
            Cell::size(it.retained),
            Cell::new(grouped(it.heads)),
            Cell::new(it.certainty),
            Cell::new(if it.is_cycle { "cycle" } else { "" }),
            Cell::new(format!("{:#x}", graph.block(it.example).address)),
        ];
        row(cells, maker(it.type_name.as_deref(), &it.place))
    });
    let mut rows: Vec<Row> = rows.collect();
    if leaks.len() > look.rows {
        let rest = &leaks[look.rows..];
        let cells = vec![
            Cell::new(""),
            Cell::size(rest.iter().map(|it| it.retained).sum()),
            Cell::new(grouped(rest.iter().map(|it| it.heads).sum())),
            Cell::new(""),
            Cell::new(""),
            Cell::new(""),
        ];
        rows.push(others(
            cells,
            format!("other ({})", plural(rest.len() as u64, "line")),
        ));
    }
    let heads = ["#", "size", "trees", "how sure", "", "the largest"];
    look.table(&heading, &heads, "the head of each tree", rows) + &look.notes(&health::notes(graph))
}

pub(super) fn spare(graph: &Graph, look: &Look) -> String {
    let found = graph.spare();
    if found.is_empty() {
        let text = match health::knows_types(graph) {
            true => "No vector whose length is known holds more than it uses\n",
            false => "Not known: no type is\n",
        };
        return text.to_owned() + &look.notes(&health::notes(graph));
    }
    let sum = |rows: &[Spare], of: fn(&Spare) -> Bytes| rows.iter().map(of).sum::<Bytes>();
    let (spare, held) = (sum(&found, |it| it.spare), sum(&found, |it| it.held));
    let cells = |spare: Bytes, held: Bytes, blocks: u64| {
        vec![
            Cell::size(spare),
            Cell::size(held),
            share(spare, held),
            Cell::new(grouped(blocks)),
        ]
    };
    let rows = found.iter().take(look.rows).enumerate().map(|(at, it)| {
        let mut all = vec![rank(at)];
        all.extend(cells(it.spare, it.held, it.blocks));
        let address = graph.block(it.example).address;
        all.push(Cell::new(format!("{address:#x}")));
        row(all, maker(Some(&it.type_name), &it.place))
    });
    let mut rows: Vec<Row> = rows.collect();
    if found.len() > look.rows {
        let rest = &found[look.rows..];
        let blocks = rest.iter().map(|it| it.blocks).sum();
        let mut all = vec![Cell::new("")];
        all.extend(cells(
            sum(rest, |it| it.spare),
            sum(rest, |it| it.held),
            blocks,
        ));
        all.push(Cell::new(""));
        let lines = plural(rest.len() as u64, "line");
        rows.push(others(all, format!("other ({lines})")));
    }
    let heading = format!("{spare} of {held} in vectors and strings are not used");
    let heads = ["#", "spare", "held", "share", "blocks", "for example"];
    look.table(&heading, &heads, "type", rows) + &look.notes(&health::notes(graph))
}

pub(super) fn counts(graph: &Graph, look: &Look) -> String {
    let findings = graph.counts();
    if findings.is_empty() {
        let text = match health::knows_types(graph) {
            true => "The references found explain the counts of every Rc and Arc\n",
            false => "Not known: no type is\n",
        };
        return text.to_owned() + &look.notes(&health::notes(graph));
    }
    let rows = findings.iter().take(look.rows).enumerate();
    let rows = rows.map(|(at, it)| {
        let counts = it.counts;
        let cells = vec![
            rank(at),
            Cell::size(it.retained),
            Cell::new(grouped(it.blocks)),
            Cell::new(grouped(counts.strong)),
            Cell::new(grouped(counts.weak)),
            Cell::new(grouped(counts.found)),
            Cell::new(phrases::of_counts(it)),
            Cell::new(format!("{:#x}", graph.block(it.example).address)),
        ];
        row(cells, maker(it.type_name.as_deref(), &it.place))
    });
    let heading = "Rc and Arc whose counts the references found do not explain";
    let heads = [
        "#",
        "retained",
        "blocks",
        "strong",
        "weak",
        "found",
        "what",
        "for example",
    ];
    look.table(heading, &heads, "type", rows.collect()) + &look.notes(&health::notes(graph))
}

pub(super) fn diff(graph: &Graph, old: &Graph, look: &Look) -> String {
    let diff = graph.diff(old);
    let (before, after) = (old.bytes(), graph.bytes());
    let blocks = plural(graph.blocks().len() as u64, "block");
    if diff.roots.is_empty() && diff.blocks.is_empty() {
        return format!("nothing changed: {after} in {blocks}");
    }
    let table = |what: &str, place: &str, changes: &[Change]| {
        let rows = changes.iter().take(look.rows).enumerate().map(|(at, it)| {
            let blocks = it.new.blocks.wrapping_sub(it.old.blocks) as i64;
            let cells = vec![
                rank(at),
                Cell::size_change(it.bytes()),
                Cell::size(it.new.bytes),
                Cell::new(grouped(it.new.blocks)),
                Cell::change(blocks),
                Cell::new(it.word()),
            ];
            let mut name = text::name(&it.name);
            if let Some(root) = &it.root {
                name += &format!(", held by {root}");
            }
            row(cells, name)
        });
        let heads = ["#", "change", "size", "blocks", "change", ""];
        match changes.is_empty() {
            true => format!("{what} did not change\n"),
            false => look.table(
                &format!("{what} that changed"),
                &heads,
                place,
                rows.collect(),
            ),
        }
    };
    format!(
        "{before} became {after} in {blocks}\n\n{}\n{}",
        table("Roots", "root", &diff.roots),
        table("Blocks", "type and line", &diff.blocks),
    )
}
