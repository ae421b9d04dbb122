//! What is missing in a graph, in words.

use crate::graph::Graph;
use crate::show::text::{grouped, plural};

/// Whether the type of any block is known.
pub(in crate::graph) fn knows_types(graph: &Graph) -> bool {
    let mut callsites = graph.names().callsites.iter();
    graph.blocks().len() == 0 || callsites.any(|it| it.type_name.is_some())
}

/// Notes on what a reader must know to trust the answers.
pub(in crate::graph) fn notes(graph: &Graph) -> Vec<String> {
    let facts = graph.facts();
    let mut notes = Vec::new();
    if facts.without_stop {
        notes.push("the threads were not stopped: pointers in registers are missing".to_owned());
    }
    if facts.threads_missed > 0 {
        notes.push(format!(
            "{} did not stop in time: what {} in registers is missing",
            plural(facts.threads_missed, "thread"),
            if facts.threads_missed == 1 {
                "it had"
            } else {
                "they had"
            },
        ));
    }
    if facts.unread.get() > 0 {
        notes.push(format!(
            "{} could not be read: what only they refer to counts as unreached",
            facts.unread
        ));
    }
    if facts.lost_blocks > 0 {
        notes.push(format!(
            "{} were not recorded: what only they refer to may count as unreached",
            plural(facts.lost_blocks, "live block")
        ));
    }
    if facts.cut_blocks > 0 {
        let blocks = plural(facts.cut_blocks, "block");
        notes.push(format!("{blocks} ended beyond the memory that was there"));
    }
    let blocks = graph.blocks().len() as u64;
    if facts.live.blocks > 0 && facts.live.blocks != blocks {
        notes.push(format!(
            "the session had {} live blocks, the graph has {}",
            grouped(facts.live.blocks),
            grouped(blocks)
        ));
    }
    if !knows_types(graph) {
        notes.push(
            "no type is known, so counts of Rc and Arc and cycles are not either: build with \
             debug = 1"
                .to_owned(),
        );
    }
    notes.extend(
        graph
            .snapshot()
            .missing_debug_info()
            .map(|it| it.to_string()),
    );
    notes
}
