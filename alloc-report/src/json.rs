//! The reports as JSON. Their keys are described in the documentation of the library.

use std::path::Path;
use std::time::UNIX_EPOCH;

use alloc_core::{Amount, ChargeTo, Frame, GroupKey, Health, Snapshot, Statistic};
use alloc_report::{CompareTo as _, StatisticDiff};
use anyhow::Result;
use serde::Serialize;

use crate::arguments::View;

pub(crate) fn top(snapshot: &Snapshot, file: &Path, view: &View) -> Result<String> {
    let statistics = snapshot.statistics_by(view.by(), view.metric());
    let (shown, others) = statistics.split_at(view.rows.min(statistics.len()));
    let total = Sum::of_statistics(&statistics);
    let rows = shown.iter().zip(1..).map(|(statistic, rank)| TopRow {
        rank,
        key: Key::of(&statistic.key, view.charge()),
        bytes: statistic.size.get(),
        blocks: statistic.count,
        average_bytes: average(statistic.size.get(), statistic.count),
        share: (total.bytes > 0).then(|| statistic.size.get() as f64 / total.bytes as f64),
        current: statistic.counters.current.into(),
        peak: statistic.counters.peak.into(),
        at_peak: statistic.counters.at_peak.into(),
        total: statistic.counters.total.into(),
        reallocations: statistic.counters.reallocations,
    });
    to_text(&Top {
        report: "top",
        choices: Choices::of(view),
        snapshot: Source::of(snapshot, file),
        rows: rows.collect(),
        other: Sum::of_statistics(others),
        total,
        notes: alloc_report::top(snapshot, view.rows)
            .by(view.by())
            .metric(view.metric())
            .notes(),
    })
}

pub(crate) fn diff(
    (new, new_file): (&Snapshot, &Path),
    (old, old_file): (&Snapshot, &Path),
    view: &View,
) -> Result<String> {
    let diffs = new.compare_to_by(old, view.by(), view.metric());
    let (shown, others) = diffs.split_at(view.rows.min(diffs.len()));
    let rows = shown.iter().zip(1..).map(|(diff, rank)| DiffRow {
        rank,
        key: Key::of(&diff.key, view.charge()),
        bytes: diff.size.get(),
        bytes_diff: diff.size_diff.get(),
        blocks: diff.count,
        blocks_diff: diff.count_diff,
        average_bytes: average(diff.size.get(), diff.count),
    });
    to_text(&Diff {
        report: "diff",
        choices: Choices::of(view),
        old: Source::of(old, old_file),
        new: Source::of(new, new_file),
        rows: rows.collect(),
        other: DiffSum::of(others),
        total: DiffSum::of(&diffs),
        notes: alloc_report::diff(new, old, view.rows)
            .by(view.by())
            .metric(view.metric())
            .notes(),
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
    metric: String,
    charge: String,
}

impl Choices {
    fn of(view: &View) -> Choices {
        Choices {
            by: view.by().to_string(),
            metric: view.metric().to_string(),
            charge: view.charge().to_string(),
        }
    }
}

#[derive(Serialize)]
struct Source {
    file: String,
    program: Option<String>,
    command_line: Vec<String>,
    process_id: Option<u32>,
    taken_at: Option<f64>,
    traceback_limit: u16,
    current_bytes: u64,
    peak_bytes: u64,
    peak_error_bytes: u64,
    health: HealthCounts,
}

impl Source {
    fn of(snapshot: &Snapshot, file: &Path) -> Source {
        let memory = snapshot.traced_memory();
        let program = snapshot.program();
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
            traceback_limit: snapshot.traceback_limit(),
            current_bytes: memory.current.get(),
            peak_bytes: memory.peak.get(),
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

#[derive(Serialize)]
struct TopRow {
    rank: u64,
    #[serde(flatten)]
    key: Key,
    bytes: u64,
    blocks: u64,
    average_bytes: Option<u64>,
    share: Option<f64>,
    current: Blocks,
    peak: Blocks,
    at_peak: Blocks,
    total: Blocks,
    reallocations: u64,
}

#[derive(Serialize)]
struct DiffRow {
    rank: u64,
    #[serde(flatten)]
    key: Key,
    bytes: u64,
    bytes_diff: i64,
    blocks: u64,
    blocks_diff: i64,
    average_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Key {
    #[serde(flatten)]
    place: Location,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<Vec<StackFrame>>,
}

impl Key {
    fn of(key: &GroupKey, charge: ChargeTo) -> Key {
        let frames = match key {
            GroupKey::Traceback(traceback) => Some(traceback.iter().map(StackFrame::of).collect()),
            _ => None,
        };
        Key {
            place: Location::of(key.charged(charge)),
            frames,
        }
    }
}

#[derive(Serialize)]
struct StackFrame {
    #[serde(flatten)]
    place: Location,
    column: Option<u32>,
}

impl StackFrame {
    fn of(frame: &Frame) -> StackFrame {
        StackFrame {
            place: Location::of(frame),
            column: known(frame.column()),
        }
    }
}

#[derive(Serialize)]
struct Location {
    function: Option<String>,
    file: Option<String>,
    path: Option<String>,
    line: Option<u32>,
}

impl Location {
    fn of(frame: &Frame) -> Location {
        Location {
            function: frame.function().map(str::to_owned),
            file: frame.file().map(|file| file.short().to_owned()),
            path: frame.file().map(|file| file.full().to_owned()),
            line: known(frame.line()),
        }
    }
}

#[derive(Serialize)]
struct Blocks {
    bytes: u64,
    blocks: u64,
}

impl From<Amount> for Blocks {
    fn from(amount: Amount) -> Blocks {
        Blocks {
            bytes: amount.bytes.get(),
            blocks: amount.blocks,
        }
    }
}

#[derive(Serialize)]
struct Sum {
    rows: usize,
    bytes: u64,
    blocks: u64,
}

impl Sum {
    fn of_statistics(statistics: &[Statistic]) -> Sum {
        Sum {
            rows: statistics.len(),
            bytes: statistics
                .iter()
                .map(|statistic| statistic.size.get())
                .sum(),
            blocks: statistics.iter().map(|statistic| statistic.count).sum(),
        }
    }
}

#[derive(Serialize)]
struct DiffSum {
    rows: usize,
    bytes: u64,
    bytes_diff: i64,
    blocks: u64,
    blocks_diff: i64,
}

impl DiffSum {
    fn of(diffs: &[StatisticDiff]) -> DiffSum {
        DiffSum {
            rows: diffs.len(),
            bytes: diffs.iter().map(|diff| diff.size.get()).sum(),
            bytes_diff: diffs.iter().map(|diff| diff.size_diff.get()).sum(),
            blocks: diffs.iter().map(|diff| diff.count).sum(),
            blocks_diff: diffs.iter().map(|diff| diff.count_diff).sum(),
        }
    }
}

fn average(bytes: u64, blocks: u64) -> Option<u64> {
    (blocks > 0).then(|| (bytes as f64 / blocks as f64).round_ties_even() as u64)
}

/// Lines and columns count from 1; 0 is an unknown one.
fn known(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}

/// JSON in ASCII: a reader sees the same text, and a terminal nothing that acts on it.
fn to_text(report: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string_pretty(report)?;
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
        } else {
            // Such characters stand only within strings.
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text.push('\n');
    Ok(text)
}
