//! Answers about a graph as JSON.

use std::path::Path;

use alloc_core_snapshot::Amount;
use alloc_report::Graph;
use alloc_report::graph::{BlockId, Change, Holder, Reference, Show};
use anyhow::Result;
use serde_json::{Value, json};

use crate::formats::json::to_text;

/// One answer. Lists have at most `rows` items, and `total` says how many there are.
pub(super) fn answer(graph: &Graph, file: &Path, show: &Show, rows: usize) -> Result<String> {
    let (report, content) = match show {
        Show::Roots => ("graph-roots", list(roots(graph), rows)),
        Show::Retained(by) => {
            let retained = graph.by(*by).into_iter().map(|it| {
                json!({
                    "key": it.key.to_string(),
                    "retained_bytes": it.retained.get(),
                    "bytes": it.bytes.get(),
                    "blocks": it.blocks,
                })
            });
            let mut content = list(retained.collect(), rows);
            content["by"] = json!(by.to_string());
            ("graph-retained", content)
        }
        Show::Leaks => ("graph-leaks", list(leaks(graph), rows)),
        Show::Cycles => ("graph-cycles", list(cycles(graph), rows)),
        Show::Duplicates => ("graph-duplicates", list(duplicates(graph), rows)),
        Show::Spare => ("graph-spare", list(spare(graph), rows)),
        Show::Counts => ("graph-counts", list(counts(graph), rows)),
        Show::Why(selected) => {
            let all = selected.blocks.iter();
            let all: Vec<Value> = all.map(|it| block(graph, *it)).collect();
            let mut content = list(all, rows);
            content["why"] = why(graph, selected.blocks[0]);
            ("graph-why", content)
        }
        Show::Referrers(of) => {
            let found = graph.referrers(*of);
            ("graph-referrers", references(graph, *of, &found, rows))
        }
        Show::Referents(of) => {
            let found = graph.referents(*of);
            ("graph-referents", references(graph, *of, &found, rows))
        }
        _ => ("graph", summary(graph, rows)),
    };
    let mut whole = json!({
        "report": report,
        "file": file.to_string_lossy(),
        "graph": about(graph),
    });
    if let (Value::Object(whole), Value::Object(content)) = (&mut whole, content) {
        whole.extend(content);
    }
    to_text(&whole)
}

/// What changed between two graphs.
pub(super) fn diff(
    (new, new_file): (&Graph, &Path),
    (old, old_file): (&Graph, &Path),
    rows: usize,
) -> Result<String> {
    let diff = new.diff(old);
    let changes = |changes: &[Change]| {
        let change = |it: &Change| {
            json!({
                "name": it.name,
                "what": it.word(),
                "bytes": it.new.bytes.get(),
                "bytes_diff": it.bytes(),
                "blocks": it.new.blocks,
                "old_blocks": it.old.blocks,
                "held_by": it.root,
            })
        };
        list(changes.iter().map(change).collect(), rows)
    };
    to_text(&json!({
        "report": "graph-diff",
        "old_file": old_file.to_string_lossy(),
        "new_file": new_file.to_string_lossy(),
        "old": about(old),
        "new": about(new),
        "roots": changes(&diff.roots),
        "blocks": changes(&diff.blocks),
    }))
}

/// The first items of a list, and how many there are.
fn list(items: Vec<Value>, rows: usize) -> Value {
    let total = items.len();
    let shown: Vec<Value> = items.into_iter().take(rows).collect();
    json!({ "rows": shown, "total": total })
}

fn about(graph: &Graph) -> Value {
    let facts = graph.facts();
    let taken_at = facts.taken_at.duration_since(std::time::UNIX_EPOCH);
    json!({
        "program": graph.snapshot().program(),
        "process_id": facts.process_id,
        "taken_at": taken_at.map_or(0.0, |it| it.as_secs_f64()),
        "bytes": graph.bytes().get(),
        "blocks": graph.blocks().len(),
        "references": graph.references(),
        "exact_sizes": facts.exact_sizes,
        "pause_seconds": facts.pause.as_secs_f64(),
        "child_cpu_seconds": facts.child_cpu.as_secs_f64(),
        "threads_stopped": facts.threads_stopped,
        "threads_missed": facts.threads_missed,
        "without_stop": facts.without_stop,
        "unread_bytes": facts.unread.get(),
        "cut_blocks": facts.cut_blocks,
        "lost_blocks": facts.lost_blocks,
        "session_bytes": facts.live.bytes.get(),
        "session_blocks": facts.live.blocks,
    })
}

fn summary(graph: &Graph, rows: usize) -> Value {
    let amount = |it: Amount| json!({ "bytes": it.bytes.get(), "blocks": it.blocks });
    let reach = graph.by_reach().into_iter().map(|(reach, class, it)| {
        json!({
            "reach": reach.to_string(),
            "class": class.map(|it| it.to_string()),
            "bytes": it.bytes.get(),
            "blocks": it.blocks,
        })
    });
    json!({
        "roots": list(roots(graph), rows),
        "several_roots": amount(graph.shared()),
        "reached_by": reach.collect::<Vec<Value>>(),
        "leaks": list(leaks(graph), rows),
        "cycles": list(cycles(graph), rows),
        "counts": list(counts(graph), rows),
        "duplicates": list(duplicates(graph), rows),
    })
}

fn roots(graph: &Graph) -> Vec<Value> {
    let roots = graph.roots().into_iter();
    let root = roots.map(|it| {
        json!({
            "name": it.name,
            "class": it.class.to_string(),
            "retained_bytes": it.retained.get(),
            "blocks": it.blocks,
            "references": it.references,
            "through": it.through.map(|it| block(graph, it)),
        })
    });
    root.collect()
}

fn leaks(graph: &Graph) -> Vec<Value> {
    let leaks = graph.leaks().into_iter();
    let leak = leaks.map(|it| {
        json!({
            "type": it.type_name,
            "place": it.place,
            "trees": it.heads,
            "retained_bytes": it.retained.get(),
            "cycle": it.is_cycle,
            "certainty": it.certainty.to_string(),
            "example": block(graph, it.example),
        })
    });
    leak.collect()
}

fn cycles(graph: &Graph) -> Vec<Value> {
    let cycles = graph.cycles().into_iter();
    let cycle = cycles.map(|it| {
        let blocks = it.blocks.iter().map(|it| block(graph, *it));
        json!({
            "shape": it.to_string(),
            "count": it.count,
            "retained_bytes": it.retained.get(),
            "certainty": it.certainty.to_string(),
            "blocks": blocks.collect::<Vec<Value>>(),
        })
    });
    cycle.collect()
}

fn spare(graph: &Graph) -> Vec<Value> {
    let spare = graph.spare().into_iter().map(|it| {
        json!({
            "type": it.type_name,
            "place": it.place,
            "blocks": it.blocks,
            "held_bytes": it.held.get(),
            "spare_bytes": it.spare.get(),
            "example": block(graph, it.example),
        })
    });
    spare.collect()
}

fn duplicates(graph: &Graph) -> Vec<Value> {
    let duplicates = graph.duplicates().into_iter();
    let duplicate = duplicates.map(|it| {
        let makers = it
            .makers
            .iter()
            .map(|(name, place, blocks)| json!({ "type": name, "place": place, "blocks": blocks }));
        json!({
            "count": it.count,
            "size": it.size.get(),
            "wasted_bytes": it.wasted.get(),
            "makers": makers.collect::<Vec<Value>>(),
            "example": block(graph, it.example),
        })
    });
    duplicate.collect()
}

fn counts(graph: &Graph) -> Vec<Value> {
    let findings = graph.counts().into_iter();
    let finding = findings.map(|it| {
        json!({
            "what": it.kind.to_string(),
            "type": it.type_name,
            "place": it.place,
            "blocks": it.blocks,
            "missing": it.missing,
            "retained_bytes": it.retained.get(),
            "example": block(graph, it.example),
            "example_strong": it.counts.strong,
            "example_weak": it.counts.weak,
            "example_found": it.counts.found,
        })
    });
    finding.collect()
}

fn block(graph: &Graph, id: BlockId) -> Value {
    let block = graph.block(id);
    json!({
        "address": format!("{:#x}", block.address),
        "size": block.size.get(),
        "type": block.type_name,
        "place": block.place,
        "age_seconds": block.age.map(|it| it.as_secs_f64()),
        "reach": block.reach.to_string(),
        "retained_bytes": graph.retained(id).get(),
        "held_by": graph.root_of(id),
    })
}

fn holder(graph: &Graph, holder: &Holder) -> Value {
    match holder {
        Holder::Block(id) => json!({ "block": block(graph, *id) }),
        Holder::Root { name, class } => json!({ "root": name, "class": class.to_string() }),
    }
}

fn reference(graph: &Graph, it: &Reference) -> Value {
    json!({
        "from": holder(graph, &it.holder),
        "at": it.at,
        "field": it.field,
        "trait": it.as_trait,
        "to": block(graph, it.target),
        "offset": it.offset,
        "strong": it.is_strong,
    })
}

fn references(graph: &Graph, of: BlockId, found: &[Reference], rows: usize) -> Value {
    let all = found.iter().map(|it| reference(graph, it));
    let mut content = list(all.collect(), rows);
    content["block"] = block(graph, of);
    content
}

fn why(graph: &Graph, id: BlockId) -> Value {
    let why = graph.why(id);
    let chain = why.chain.iter().map(|it| {
        let mut link = holder(graph, &it.holder);
        link["retained_bytes"] = json!(it.retained.get());
        link
    });
    let paths = why.paths.iter().map(|path| {
        let steps = path.steps.iter().map(|it| reference(graph, it));
        json!({
            "root": path.root,
            "class": path.class.to_string(),
            "strong": path.is_strong(),
            "steps": steps.collect::<Vec<Value>>(),
        })
    });
    let counts = graph.counts_of(id);
    let counts =
        counts.map(|it| json!({ "strong": it.strong, "weak": it.weak, "found": it.found }));
    json!({
        "block": block(graph, id),
        "deep_bytes": graph.deep_size(id).get(),
        "counts": counts,
        "chain": chain.collect::<Vec<Value>>(),
        "paths": paths.collect::<Vec<Value>>(),
    })
}
