//! Why a block is alive, and what is next to it, line by line.

use std::cmp::Reverse;
use std::collections::HashMap;

use alloc_core_snapshot::{Bytes, Escaped};

use super::{Look, phrases, row, share};
use crate::graph::{BlockId, Graph, Holder, Reach, Reference, Selected, Why, WhyPath};
use crate::show::table::{BOLD, Cell, DIM, Paint};
use crate::show::text::{grouped, plural};

pub(super) fn why(graph: &Graph, selected: &Selected, look: &Look) -> String {
    let Some(first) = selected.blocks.first() else {
        return String::new();
    };
    let mut out = String::new();
    if selected.blocks.len() > 1 {
        out.push_str(&holders(graph, &selected.blocks, look));
        out.push_str("\nThe one that retains the most:\n\n");
    }
    out + &of_one(graph, &graph.why(*first), look)
}

/// The roots that hold blocks.
fn holders(graph: &Graph, blocks: &[BlockId], look: &Look) -> String {
    let mut by_root: HashMap<&str, (u64, Bytes)> = HashMap::new();
    let mut whole = Bytes::ZERO;
    for block in blocks {
        let root = graph.root_of(*block).unwrap_or(phrases::SEVERAL_ROOTS);
        let size = graph.block(*block).size;
        let entry = by_root.entry(root).or_default();
        entry.0 += 1;
        entry.1 += size;
        whole += size;
    }
    let mut by_root: Vec<(&str, (u64, Bytes))> = by_root.into_iter().collect();
    by_root.sort_by_key(|(name, (blocks, bytes))| (Reverse((*bytes, *blocks)), *name));
    let rows = by_root
        .iter()
        .take(look.rows)
        .map(|(name, (blocks, bytes))| {
            let cells = vec![
                Cell::size(*bytes),
                share(*bytes, whole),
                Cell::new(grouped(*blocks)),
            ];
            row(cells, (*name).to_owned())
        });
    let heading = format!("{whole} in {}", plural(blocks.len() as u64, "block"));
    look.table(
        &heading,
        &["size", "share", "blocks"],
        "held by",
        rows.collect(),
    )
}

fn of_one(graph: &Graph, why: &Why, look: &Look) -> String {
    let paint = Paint(look.colour);
    let block = graph.block(why.block);
    let heading = format!("{block} at {:#x} is {}", block.address, why.reach);
    let mut out = paint.text(BOLD, &heading);
    out.push('\n');
    if let Some(age) = block.age {
        let age = crate::show::age(age);
        out.push_str(&format!("It is {age} old\n"));
    }
    if let Some(counts) = graph.counts_of(why.block) {
        out.push_str(&format!(
            "It counts {} strong and {} weak; {} found\n",
            grouped(counts.strong),
            grouped(counts.weak),
            match counts.found {
                1 => "1 reference was".to_owned(),
                n => format!("{} references were", grouped(n)),
            },
        ));
    }
    out.push_str(&format!(
        "It retains {}; all that it leads to has {}\n",
        graph.retained(why.block),
        graph.deep_size(why.block)
    ));
    let above = why.holders();
    out.push_str(match (above.is_empty(), why.reach) {
        (true, Reach::ByNothing) => "\nIt is the head of a leak, or a part of a cycle\n",
        (true, _) => "\nNo single root or block holds it: several do\n",
        (false, _) => "\nIt would be free without any one of\n",
    });
    for link in above {
        let name = match &link.holder {
            Holder::Root { name, .. } => name.clone(),
            Holder::Block(block) => graph.block(*block).to_string(),
        };
        let retained = paint.text(DIM, &format!("retains {}", link.retained));
        out.push_str(&format!("  {name}  {retained}\n"));
    }
    for path in &why.paths {
        out.push('\n');
        out.push_str(&of_path(graph, path, paint));
    }
    out
}

fn of_path(graph: &Graph, path: &WhyPath, paint: Paint) -> String {
    let sure = match path.is_strong() {
        true => "",
        false => " (words on it may be left behind)",
    };
    let mut out = format!("A shortest path{sure}\n  {}\n", path.root);
    for step in &path.steps {
        let place = match &step.holder {
            Holder::Root { .. } => format!("at {:#x}", step.at),
            Holder::Block(_) => format!("at +{}", step.at),
        };
        let into = match step.offset {
            0 => String::new(),
            n => format!(" to +{n}"),
        };
        let field = field(step);
        let field = match field.as_str() {
            "" => String::new(),
            field => format!("by {field} "),
        };
        let place = paint.text(DIM, &format!("{field}{place}{into}"));
        out.push_str(&format!("  -> {}  {place}\n", graph.block(step.target)));
    }
    out
}

/// The fields that lead to a pointer, and the trait of a trait object.
fn field(of: &Reference) -> String {
    let field = Escaped(&of.field);
    match &of.as_trait {
        Some(name) if of.field.is_empty() => format!("dyn {}", Escaped(name)),
        Some(name) => format!("{field} as dyn {}", Escaped(name)),
        None => field.to_string(),
    }
}

pub(super) fn referrers(graph: &Graph, block: BlockId, look: &Look) -> String {
    let found = graph.referrers(block);
    let of = graph.block(block);
    let heading = match found.len() {
        0 => format!("Nothing that was found points to {of} at {:#x}", of.address),
        n => format!(
            "{} to {of} at {:#x}",
            plural(n as u64, "reference"),
            of.address
        ),
    };
    list(graph, &heading, &found, look, |it| match &it.holder {
        Holder::Root { name, .. } => name.clone(),
        Holder::Block(block) => graph.block(*block).to_string(),
    })
}

pub(super) fn referents(graph: &Graph, block: BlockId, look: &Look) -> String {
    let found = graph.referents(block);
    let of = graph.block(block);
    let heading = match found.len() {
        0 => format!("{of} at {:#x} points to no block", of.address),
        n => format!(
            "{of} at {:#x} has {}",
            of.address,
            plural(n as u64, "reference")
        ),
    };
    list(graph, &heading, &found, look, |it| {
        graph.block(it.target).to_string()
    })
}

/// References as a table: where the word is, where it points, what is at the other end.
fn list(
    graph: &Graph,
    heading: &str,
    found: &[Reference],
    look: &Look,
    name: impl Fn(&Reference) -> String,
) -> String {
    if found.is_empty() {
        return format!("{heading}\n");
    }
    let has_fields = found.iter().any(|it| !field(it).is_empty());
    let rows = found.iter().take(look.rows).map(|it| {
        let (at, address) = match it.holder {
            Holder::Root { .. } => (format!("{:#x}", it.at), String::new()),
            Holder::Block(block) => (
                format!("+{}", it.at),
                format!("{:#x}", graph.block(block).address),
            ),
        };
        let sure = if it.is_strong {
            ""
        } else {
            "may be left behind"
        };
        let mut cells = vec![
            Cell::styled(DIM, address),
            Cell::new(at),
            Cell::new(format!("+{}", it.offset)),
            Cell::new(sure),
        ];
        if has_fields {
            cells.insert(2, Cell::new(field(it)));
        }
        row(cells, name(it))
    });
    let heads: &[&str] = match has_fields {
        true => &["in", "at", "field", "to", ""],
        false => &["in", "at", "to", ""],
    };
    let mut out = look.table(heading, heads, "block or root", rows.collect());
    if found.len() > look.rows {
        let rest = (found.len() - look.rows) as u64;
        out.push_str(&format!("… and {} more\n", grouped(rest)));
    }
    out
}
