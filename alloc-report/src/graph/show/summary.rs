//! The half screen that answers most questions.

use alloc_core_snapshot::{Bytes, Escaped};

use super::tables::{roots_table, tree_count};
use super::{Look, health, phrases, row, share};
use crate::graph::{Certainty, CountFinding, CountsKind, Cycle, Duplicate, Graph, Leak};
use crate::show::table::{BOLD, Cell, Paint};
use crate::show::text::{self, grouped, plural};

pub(super) fn summary(graph: &Graph, look: &Look) -> String {
    let mut out = crate::show::sentence(&heading(graph), look.width).join("\n");
    out.push_str("\n\n");
    out.push_str(&roots_table(graph, look));
    out.push('\n');
    out.push_str(&reach(graph, look));
    out.push('\n');
    let paint = Paint(look.colour);
    for (word, line) in [
        ("leaks:", leaks(&graph.leaks())),
        ("cycles:", cycles(graph, &graph.cycles())),
        ("counts:", counts(graph, &graph.counts())),
        ("duplicates:", duplicates(graph, &graph.duplicates())),
    ] {
        let lines = crate::show::sentence(&line, look.width.saturating_sub(12));
        for (at, line) in lines.iter().enumerate() {
            let word = if at == 0 { word } else { "" };
            out.push_str(&paint.text(BOLD, &format!("{word:12}")));
            out.push_str(line);
            out.push('\n');
        }
    }
    let notes = health::notes(graph);
    if !notes.is_empty() {
        out.push('\n');
        out.push_str(&look.notes(&notes));
    }
    out
}

/// What was read, and how it was taken.
fn heading(graph: &Graph) -> String {
    let facts = graph.facts();
    let program = graph.snapshot().program();
    let name = program.rsplit('/').next().filter(|it| !it.is_empty());
    let mut process = name.map_or_else(|| "a program".to_owned(), text::name);
    if facts.process_id > 0 {
        process += &format!(" (process {})", facts.process_id);
    }
    let threads = graph.threads().len() as u64;
    let mut text = format!(
        "{process}: {} in {}, {} between them, {}",
        graph.bytes(),
        plural(graph.blocks().len() as u64, "live block"),
        plural(graph.references() as u64, "reference"),
        plural(threads, "thread"),
    );
    if !facts.pause.is_zero() {
        let pause = crate::show::milliseconds(facts.pause);
        text += &format!("; the pause took {pause}");
    }
    text
}

fn reach(graph: &Graph, look: &Look) -> String {
    let whole = graph.bytes();
    let rows = graph.by_reach().into_iter().map(|(reach, class, amount)| {
        let name = phrases::reached_by(reach, class);
        let cells = vec![
            Cell::size(amount.bytes),
            share(amount.bytes, whole),
            Cell::new(grouped(amount.blocks)),
        ];
        row(cells, name.to_owned())
    });
    let heads = ["size", "share", "blocks"];
    let text = look.table("", &heads, "reached by", rows.collect());
    text.trim_start_matches('\n').to_owned()
}

/// Each answer in a sentence.
pub(in crate::graph) fn leaks(leaks: &[Leak]) -> String {
    let Some(first) = leaks.first() else {
        return "none: something reaches every block".to_owned();
    };
    let retained: Bytes = leaks.iter().map(|it| it.retained).sum();
    let trees: u64 = leaks.iter().map(|it| it.heads).sum();
    format!(
        "{retained} in {}, the most of {} ({}): {}",
        tree_count(trees),
        Escaped(first.type_name.as_deref().unwrap_or("<unknown>")),
        first.place,
        first.retained,
    )
}

pub(in crate::graph) fn cycles(graph: &Graph, cycles: &[Cycle]) -> String {
    if cycles.is_empty() && !health::knows_types(graph) {
        return "not known: no type is".to_owned();
    }
    let Some(first) = cycles.first() else {
        return "none of Rc or Arc".to_owned();
    };
    let retained: Bytes = cycles.iter().map(|it| it.retained).sum();
    let number: u64 = cycles.iter().map(|it| it.count).sum();
    let certain = cycles
        .iter()
        .filter(|it| it.certainty == Certainty::Certain);
    let certain: u64 = certain.map(|it| it.count).sum();
    format!(
        "{} of {retained}, {} for certain: {first}",
        plural(number, "cycle"),
        grouped(certain),
    )
}

pub(in crate::graph) fn counts(graph: &Graph, findings: &[CountFinding]) -> String {
    if !health::knows_types(graph) {
        return "not known: no type is".to_owned();
    }
    let of = |kind: CountsKind| {
        let blocks = findings.iter().filter(|it| it.kind == kind);
        blocks.map(|it| it.blocks).sum::<u64>()
    };
    let (forgotten, weak) = (of(CountsKind::ForgottenClone), of(CountsKind::OnlyWeakLeft));
    match (forgotten, weak) {
        (0, 0) => "the references found explain those of every Rc and Arc".to_owned(),
        _ => format!(
            "{} with more clones than references were found, {} that only Weak keeps",
            plural(forgotten, "block"),
            grouped(weak),
        ),
    }
}

pub(in crate::graph) fn duplicates(graph: &Graph, duplicates: &[Duplicate]) -> String {
    if !graph.facts().has_hashes && graph.data.nodes.hashes.is_empty() {
        return "not known: contents were not hashed".to_owned();
    }
    let wasted: Bytes = duplicates.iter().map(|it| it.wasted).sum();
    match duplicates.first() {
        None => "none".to_owned(),
        Some(first) => format!(
            "{wasted} in equal contents, {} of them in {} of {}",
            first.wasted,
            plural(first.count, "block"),
            first.size
        ),
    }
}
