//! The reports as JSON.

use std::path::Path;
use std::time::UNIX_EPOCH;

use alloc_core_snapshot::{Grouping, Health, Metric, Snapshot};
use alloc_report::BytesDiff;
use anyhow::Result;
use serde::Serialize;

use super::json_rows::{DiffRow, DiffSum, Sum, TopRow, TopRows, diff_rows};
use super::{diffs, statistics, total};
use crate::conditions::Conditions;
use crate::view::View;

pub(crate) fn top(snapshot: &Snapshot, file: &Path, view: &View, by: &Grouping) -> Result<String> {
    let statistics = statistics(snapshot, view, by);
    let total = total(snapshot, by);
    let rows = TopRows {
        snapshot,
        view,
        by,
        total: total.bytes.get(),
    };
    let (shown, other) = rows.of(&statistics);
    to_text(&Top {
        report: "top",
        choices: Choices::of(view, by),
        snapshot: Source::of(snapshot, file),
        rows: shown,
        other,
        total: Sum {
            rows: statistics.len(),
            bytes: Some(total.bytes.get()).filter(|_| snapshot.knows(by.metric())),
            blocks: Some(total.blocks)
                .filter(|_| snapshot.knows(by.metric()) && snapshot.knows_blocks()),
        },
        notes: {
            let table = alloc_report::top(snapshot, view.rows).by(by.clone());
            if view.full { table.full() } else { table }.notes()
        },
    })
}

pub(crate) fn diff(
    (new, new_file): (&Snapshot, &Path),
    (old, old_file): (&Snapshot, &Path),
    view: &View,
    by: &Grouping,
) -> Result<String> {
    let diffs = diffs(new, old, view, by);
    let (now, then) = (total(new, by), total(old, by));
    let has_amounts = !new.is_difference();
    let (shown, other) = diff_rows(&diffs, new, view, by);
    to_text(&Diff {
        report: "diff",
        choices: Choices::of(view, by),
        old: Source::of(old, old_file),
        new: Source::of(new, new_file),
        rows: shown,
        other,
        total: DiffSum {
            rows: diffs.len(),
            bytes: has_amounts.then(|| now.bytes.get()),
            bytes_diff: Some(BytesDiff::between(now.bytes, then.bytes).get()),
            blocks: (has_amounts && new.knows_blocks()).then_some(now.blocks),
            blocks_diff: new
                .knows_blocks()
                .then_some(now.blocks as i64 - then.blocks as i64),
        },
        notes: {
            let table = alloc_report::diff(new, old, view.rows).by(by.clone());
            if view.full { table.full() } else { table }.notes()
        },
    })
}

#[derive(Serialize)]
struct Top {
    report: &'static str,
    #[serde(flatten)]
    choices: Choices,
    snapshot: Source,
    rows: Vec<TopRow>,
    other: Sum,
    total: Sum,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Diff {
    report: &'static str,
    #[serde(flatten)]
    choices: Choices,
    old: Source,
    new: Source,
    rows: Vec<DiffRow>,
    other: DiffSum,
    total: DiffSum,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Choices {
    by: String,
    cumulative: bool,
    metric: String,
    order: String,
    charge: String,
    skip: Vec<String>,
    full: bool,
    include: Vec<String>,
    exclude: Vec<String>,
    all_frames: bool,
}

impl Choices {
    fn of(view: &View, by: &Grouping) -> Choices {
        let texts = |all: &[Conditions]| all.iter().map(|it| it.text.clone()).collect();
        Choices {
            by: by.to_string(),
            cumulative: by.is_cumulative(),
            metric: by.metric().to_string(),
            order: by.order().to_string(),
            charge: view.charging.to().to_string(),
            skip: view.charging.skip.clone(),
            full: view.full,
            include: texts(&view.filters.include),
            exclude: texts(&view.filters.exclude),
            all_frames: view.filters.all_frames,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Source {
    file: String,
    program: Option<String>,
    command_line: Vec<String>,
    process_id: Option<u32>,
    taken_at: Option<f64>,
    at_exit: bool,
    traceback_limit: u16,
    current_bytes: Option<u64>,
    peak_bytes: Option<u64>,
    peak_error_bytes: u64,
    health: HealthCounts,
}

impl Source {
    pub(crate) fn of(snapshot: &Snapshot, file: &Path) -> Source {
        let memory = snapshot.traced_memory();
        let program = snapshot.program();
        let is_known = snapshot.knows(Metric::Current) && !snapshot.is_difference();
        Source {
            file: file.to_string_lossy().into_owned(),
            program: (!program.is_empty()).then(|| program.to_owned()),
            command_line: snapshot.command_line().to_vec(),
            process_id: Some(snapshot.process_id()).filter(|&id| id != 0),
            taken_at: snapshot
                .taken_at()
                .duration_since(UNIX_EPOCH)
                .ok()
                .filter(|since| !since.is_zero())
                .map(|since| since.as_secs_f64()),
            at_exit: snapshot.is_at_exit(),
            traceback_limit: snapshot.traceback_limit(),
            current_bytes: is_known.then(|| memory.current.get()),
            peak_bytes: is_known.then(|| memory.peak.get()),
            peak_error_bytes: memory.peak_error.get(),
            health: snapshot.health().into(),
        }
    }
}

#[derive(Serialize)]
struct HealthCounts {
    truncated_stacks: u64,
    broken_stacks: u64,
    overflowed: u64,
    skipped: u64,
    unknown_frees: u64,
    lost_blocks: u64,
}

impl From<Health> for HealthCounts {
    fn from(health: Health) -> HealthCounts {
        HealthCounts {
            truncated_stacks: health.truncated_stacks,
            broken_stacks: health.broken_stacks,
            overflowed: health.overflowed,
            skipped: health.skipped,
            unknown_frees: health.unknown_frees,
            lost_blocks: health.lost_blocks,
        }
    }
}

/// ASCII-only JSON: a program reads the same text, and a terminal gets no control characters.
pub(crate) fn to_text(report: &impl Serialize) -> Result<String> {
    Ok(ascii(&serde_json::to_string_pretty(report)?))
}

/// JSON with escapes for everything that is not printable ASCII.
pub(crate) fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
        } else {
            // Such characters occur only within strings.
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text.push('\n');
    text
}
