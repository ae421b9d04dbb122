//! Answers of several lines each: cycles and duplicates.

use alloc_core_snapshot::{Bytes, Escaped};

use super::{Look, health, phrases};
use crate::graph::Graph;
use crate::show::table::{BOLD, DIM, Paint};
use crate::show::text::{grouped, plural};

pub(super) fn cycles(graph: &Graph, look: &Look) -> String {
    let (cycles, paint) = (graph.cycles(), Paint(look.colour));
    let mut out = String::new();
    if cycles.is_empty() && !health::knows_types(graph) {
        out.push_str("Not known: no type is\n");
    } else if cycles.is_empty() {
        out.push_str("No cycle: roots reach every Rc and Arc that refers to itself\n");
    } else {
        let retained: Bytes = cycles.iter().map(|it| it.retained).sum();
        let number = cycles.iter().map(|it| it.count).sum();
        let keep = if number == 1 { "keeps" } else { "keep" };
        let heading = format!("{} {keep} {retained} alive", plural(number, "cycle"));
        out.push_str(&paint.text(BOLD, &heading));
        out.push('\n');
    }
    for cycle in cycles.iter().take(look.rows) {
        let times = match cycle.count {
            1 => String::new(),
            n => format!("{} times, ", grouped(n)),
        };
        let certainty = phrases::of_cycle(cycle.certainty);
        out.push_str(&format!("\n{}\n", paint.text(BOLD, &cycle.to_string())));
        out.push_str(&format!("  {times}{}, {certainty}\n", cycle.retained));
        for ((block, name), place) in cycle.blocks.iter().zip(&cycle.types).zip(&cycle.places) {
            let block = graph.block(*block);
            let line = format!("{:#x}  {} ({place})", block.address, Escaped(name));
            out.push_str(&format!("  {}\n", paint.text(DIM, &line)));
        }
    }
    if cycles.len() > look.rows {
        let rest = (cycles.len() - look.rows) as u64;
        out.push_str(&format!("\n… and {} of other shapes\n", grouped(rest)));
    }
    let notes = look.notes(&health::notes(graph));
    if !notes.is_empty() {
        out.push('\n');
    }
    out + &notes
}

pub(super) fn duplicates(graph: &Graph, look: &Look) -> String {
    const MAKERS: usize = 3;
    let duplicates = graph.duplicates();
    let has_hashes = graph.facts().has_hashes || !graph.data.nodes.hashes.is_empty();
    if !has_hashes {
        return "Not known: contents were not hashed (GraphOptions::hashes)\n".to_owned();
    }
    let wasted: Bytes = duplicates.iter().map(|it| it.wasted).sum();
    let paint = Paint(look.colour);
    let heading = match duplicates.is_empty() {
        true => "No contents are held twice".to_owned(),
        false => format!("{wasted} would be saved if equal contents were held once"),
    };
    let mut out = paint.text(BOLD, &heading);
    out.push('\n');
    for it in duplicates.iter().take(look.rows) {
        let address = graph.block(it.example).address;
        out.push_str(&format!(
            "\n{} wasted: {} times {}, such as {address:#x}\n",
            it.wasted,
            grouped(it.count),
            it.size
        ));
        for (name, place, number) in it.makers.iter().take(MAKERS) {
            let line = format!("{:>6}  {} ({place})", grouped(*number), Escaped(name));
            out.push_str(&paint.text(DIM, &line));
            out.push('\n');
        }
        if it.makers.len() > MAKERS {
            let rest = plural((it.makers.len() - MAKERS) as u64, "other line");
            out.push_str(&paint.text(DIM, &format!("        and {rest}\n")));
        }
    }
    out
}
