//! The reports as JSON. Their keys are described in the documentation of the library.

use std::path::Path;
use std::time::UNIX_EPOCH;

use alloc_core::{Amount, Frame, GroupKey, Grouping, Health, Metric, Snapshot, Statistic};
use alloc_report::{BytesDiff, CompareTo as _, StatisticDiff};
use anyhow::Result;
use serde::Serialize;

use crate::arguments::View;
use crate::conditions::Conditions;

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
    let levels = !new.is_difference();
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
            bytes: levels.then(|| now.bytes.get()),
            bytes_diff: Some(BytesDiff::between(now.bytes, then.bytes).get()),
            blocks: (levels && new.knows_blocks()).then_some(now.blocks),
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

/// The groups that are shown.
pub(crate) fn statistics(snapshot: &Snapshot, view: &View, by: &Grouping) -> Vec<Statistic> {
    fn leave_out(statistics: &mut Vec<Statistic>) {
        statistics.retain(|it| !it.is_plumbing);
        statistics
            .iter_mut()
            .for_each(|it| leave_out(&mut it.parts));
    }
    let mut statistics = snapshot.statistics(by.clone());
    if !view.full {
        leave_out(&mut statistics);
    }
    statistics
}

/// The same of a comparison.
pub(crate) fn diffs(
    new: &Snapshot,
    old: &Snapshot,
    view: &View,
    by: &Grouping,
) -> Vec<StatisticDiff> {
    fn leave_out(diffs: &mut Vec<StatisticDiff>) {
        diffs.retain(|it| !it.is_plumbing);
        diffs.iter_mut().for_each(|it| leave_out(&mut it.parts));
    }
    let mut diffs = new.compare_to(old, by.clone());
    if !view.full {
        leave_out(&mut diffs);
    }
    diffs
}

/// What all callsites hold together.
pub(crate) fn total(snapshot: &Snapshot, by: &Grouping) -> Amount {
    let mut total = Amount::default();
    for trace in snapshot.traces() {
        total += trace.counters.amount(by.metric());
    }
    total
}

/// Makes the rows of a [`Top`].
struct TopRows<'a> {
    snapshot: &'a Snapshot,
    view: &'a View,
    by: &'a Grouping,
    total: u64,
}

impl TopRows<'_> {
    /// The first rows, with those within them, and what the others sum up to.
    fn of(&self, statistics: &[Statistic]) -> (Vec<TopRow>, Sum) {
        let (shown, others) = statistics.split_at(self.view.rows.min(statistics.len()));
        let rows = shown.iter().zip(1..);
        let rows = rows.map(|(statistic, rank)| self.row(statistic, rank));
        (rows.collect(), Sum::of(others, self.by, self.snapshot))
    }

    fn row(&self, statistic: &Statistic, rank: u64) -> TopRow {
        let bytes = statistic.size.get();
        let knows_blocks = self.snapshot.knows_blocks();
        let blocks = |metric| {
            let Amount { bytes, blocks } = statistic.counters.amount(metric);
            self.snapshot.knows(metric).then(|| Blocks {
                bytes: bytes.get(),
                blocks: knows_blocks.then_some(blocks),
            })
        };
        TopRow {
            rank,
            key: Key::of(&statistic.key, self.snapshot),
            bytes,
            blocks: knows_blocks.then_some(statistic.count),
            average_bytes: average(bytes, statistic.count).filter(|_| knows_blocks),
            share: (self.total > 0).then(|| bytes as f64 / self.total as f64),
            current: blocks(Metric::Current),
            peak: blocks(Metric::Peak),
            at_peak: blocks(Metric::AtPeak),
            total: blocks(Metric::Total),
            freed: blocks(Metric::Freed),
            reallocations: statistic.counters.reallocations,
            within: (!statistic.parts.is_empty()).then(|| {
                let (rows, other) = self.of(&statistic.parts);
                Within { rows, other }
            }),
        }
    }
}

/// The first rows, and what the others sum up to; with how much there was, if that is known.
fn diff_rows(
    diffs: &[StatisticDiff],
    new: &Snapshot,
    view: &View,
    by: &Grouping,
) -> (Vec<DiffRow>, DiffSum) {
    let levels = !new.is_difference();
    let knows_blocks = new.knows_blocks();
    let (shown, others) = diffs.split_at(view.rows.min(diffs.len()));
    let rows = shown.iter().zip(1..).map(|(diff, rank)| DiffRow {
        rank,
        key: Key::of(&diff.key, new),
        bytes: levels.then(|| diff.size.get()),
        bytes_diff: diff.size_diff.get(),
        blocks: (levels && knows_blocks).then_some(diff.count),
        blocks_diff: knows_blocks.then_some(diff.count_diff),
        average_bytes: average(diff.size.get(), diff.count).filter(|_| levels && knows_blocks),
        within: (!diff.parts.is_empty()).then(|| {
            let (rows, other) = diff_rows(&diff.parts, new, view, by);
            Within { rows, other }
        }),
    });
    (rows.collect(), DiffSum::of(others, new, by))
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
            charge: view.charge().to_string(),
            skip: view.skip.clone(),
            full: view.full,
            include: texts(&view.include),
            exclude: texts(&view.exclude),
            all_frames: view.all_frames,
        }
    }
}

/// The rows within a row.
#[derive(Serialize)]
struct Within<R, S> {
    rows: Vec<R>,
    other: S,
}

#[derive(Serialize)]
struct Source {
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
    fn of(snapshot: &Snapshot, file: &Path) -> Source {
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

#[derive(Serialize)]
struct TopRow {
    rank: u64,
    #[serde(flatten)]
    key: Key,
    bytes: u64,
    blocks: Option<u64>,
    average_bytes: Option<u64>,
    share: Option<f64>,
    current: Option<Blocks>,
    peak: Option<Blocks>,
    at_peak: Option<Blocks>,
    total: Option<Blocks>,
    freed: Option<Blocks>,
    reallocations: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<Within<TopRow, Sum>>,
}

#[derive(Serialize)]
struct DiffRow {
    rank: u64,
    #[serde(flatten)]
    key: Key,
    bytes: Option<u64>,
    bytes_diff: i64,
    blocks: Option<u64>,
    blocks_diff: Option<i64>,
    average_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<Within<DiffRow, DiffSum>>,
}

#[derive(Serialize)]
struct Key {
    key: String,
    #[serde(flatten)]
    place: Location,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<Vec<StackFrame>>,
}

impl Key {
    fn of(key: &GroupKey, snapshot: &Snapshot) -> Key {
        let frames = match key {
            GroupKey::Traceback(traceback) => Some(traceback.iter().map(StackFrame::of).collect()),
            _ => None,
        };
        Key {
            key: name_of(key, snapshot),
            place: key
                .charged_in(snapshot)
                .map(Location::of)
                .unwrap_or_default(),
            frames,
        }
    }
}

/// What a table has in the place of the key.
pub(crate) fn name_of(key: &GroupKey, snapshot: &Snapshot) -> String {
    match key.charged_in(snapshot) {
        Some(frame) => frame.to_string(),
        None => key.to_string(),
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

#[derive(Default, Serialize)]
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
    blocks: Option<u64>,
}

/// What some rows sum up to; nothing where a callsite is in many of them.
#[derive(Serialize)]
struct Sum {
    rows: usize,
    bytes: Option<u64>,
    blocks: Option<u64>,
}

impl Sum {
    fn of(statistics: &[Statistic], by: &Grouping, snapshot: &Snapshot) -> Sum {
        let add_up = !by.is_cumulative() && snapshot.knows(by.metric());
        Sum {
            rows: statistics.len(),
            bytes: add_up.then(|| statistics.iter().map(|it| it.size.get()).sum()),
            blocks: (add_up && snapshot.knows_blocks())
                .then(|| statistics.iter().map(|it| it.count).sum()),
        }
    }
}

#[derive(Serialize)]
struct DiffSum {
    rows: usize,
    bytes: Option<u64>,
    bytes_diff: Option<i64>,
    blocks: Option<u64>,
    blocks_diff: Option<i64>,
}

impl DiffSum {
    fn of(diffs: &[StatisticDiff], new: &Snapshot, by: &Grouping) -> DiffSum {
        let levels = !new.is_difference();
        let knows_blocks = new.knows_blocks();
        let add_up = !by.is_cumulative();
        DiffSum {
            rows: diffs.len(),
            bytes: (add_up && levels).then(|| diffs.iter().map(|it| it.size.get()).sum()),
            bytes_diff: add_up.then(|| diffs.iter().map(|it| it.size_diff.get()).sum()),
            blocks: (add_up && levels && knows_blocks)
                .then(|| diffs.iter().map(|it| it.count).sum()),
            blocks_diff: (add_up && knows_blocks)
                .then(|| diffs.iter().map(|it| it.count_diff).sum()),
        }
    }
}

pub(crate) fn average(bytes: u64, blocks: u64) -> Option<u64> {
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
