//! [`Report`]: what grew at every step, for programs, and its JSON.

use alloc_core_snapshot::{Amount, Bytes, GroupBy, Metric, Snapshot};
use alloc_report::{Suspect, Suspects};
use anyhow::Result;
use serde::Serialize;

use super::json::{Source, to_text};
use super::json_rows::{Blocks, Key};
use crate::conditions::Conditions;
use crate::view::{Charging, Filters};

/// The suspects, and what they were found in.
pub(crate) struct Report<'a> {
    pub(crate) sources: Vec<Source>,
    /// The snapshot that was taken last.
    pub(crate) newest: &'a Snapshot,
    pub(crate) by: GroupBy,
    pub(crate) charging: &'a Charging,
    pub(crate) filters: &'a Filters,
    /// The number of suspects to show.
    pub(crate) rows: usize,
    pub(crate) limit: Option<Bytes>,
    pub(crate) list: Vec<Suspect>,
    pub(crate) table: &'a Suspects<'a>,
}

impl Report<'_> {
    /// Seconds until the heap reaches the limit at a rate in bytes a second.
    pub(super) fn seconds_to_limit(&self, rate: Option<f64>) -> Option<f64> {
        let heap = self.newest.traced_memory().current;
        let free = self.limit?.saturating_sub(heap).get() as f64;
        rate.filter(|it| *it > 0.0).map(|it| free / it)
    }
}

pub(crate) fn json(report: Report<'_>) -> Result<String> {
    let (list, newest) = (&report.list, report.newest);
    let (shown, others) = list.split_at(report.rows.min(list.len()));
    let texts = |all: &[Conditions]| all.iter().map(|it| it.text.clone()).collect();
    to_text(&Json {
        report: "suspects",
        by: report.by.to_string(),
        charge: report.charging.to().to_string(),
        skip: report.charging.skip.clone(),
        include: texts(&report.filters.include),
        exclude: texts(&report.filters.exclude),
        all_frames: report.filters.all_frames,
        limit_bytes: report.limit.map(Bytes::get),
        seconds_to_limit: report.table.seconds_to_limit(),
        rows: {
            let rows = shown.iter().zip(1..);
            rows.map(|(it, rank)| Row::of(it, rank, &report)).collect()
        },
        other: Sum::of(others, newest),
        total: Sum::of(list, newest),
        held: report.table.held().map(|it| Held {
            key: Key::of(&it.key, newest),
            bytes: it.size.get(),
            blocks: newest.knows_blocks().then_some(it.count),
        }),
        notes: report.table.notes(),
        snapshots: report.sources,
    })
}

#[derive(Serialize)]
struct Json {
    report: &'static str,
    by: String,
    charge: String,
    skip: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    all_frames: bool,
    snapshots: Vec<Source>,
    limit_bytes: Option<u64>,
    seconds_to_limit: Option<f64>,
    rows: Vec<Row>,
    other: Sum,
    total: Sum,
    held: Option<Held>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    rank: u64,
    #[serde(flatten)]
    key: Key,
    bytes: u64,
    bytes_diff: u64,
    blocks: Option<u64>,
    blocks_diff: Option<i64>,
    steps: Vec<u64>,
    bytes_per_second: Option<f64>,
    bytes_per_hour: Option<f64>,
    seconds_to_limit: Option<f64>,
    allocated: Option<Blocks>,
    freed: Option<Blocks>,
    thread: Option<String>,
    label: Option<String>,
    sentence: String,
}

impl Row {
    fn of(it: &Suspect, rank: u64, report: &Report<'_>) -> Row {
        let newest = report.newest;
        let knows_blocks = newest.knows_blocks();
        let amount = |it: Amount| {
            newest.knows(Metric::Total).then(|| Blocks {
                bytes: it.bytes.get(),
                blocks: knows_blocks.then_some(it.blocks),
            })
        };
        Row {
            rank,
            key: Key::of(&it.key, newest),
            bytes: it.size.get(),
            bytes_diff: it.growth.get(),
            blocks: knows_blocks.then_some(it.count),
            blocks_diff: knows_blocks.then_some(it.count_diff),
            steps: it.steps.iter().map(|it| it.get()).collect(),
            bytes_per_second: it.rate,
            bytes_per_hour: it.rate_per_hour(),
            seconds_to_limit: report.seconds_to_limit(it.rate),
            allocated: amount(it.allocated),
            freed: amount(it.freed),
            thread: it.thread.clone(),
            label: it.label.clone(),
            sentence: it.to_string(),
        }
    }
}

/// The group that is held without growing.
#[derive(Serialize)]
struct Held {
    #[serde(flatten)]
    key: Key,
    bytes: u64,
    blocks: Option<u64>,
}

/// The sum of some rows.
#[derive(Serialize)]
struct Sum {
    rows: usize,
    bytes: u64,
    bytes_diff: u64,
    blocks_diff: Option<i64>,
}

impl Sum {
    fn of(rows: &[Suspect], newest: &Snapshot) -> Sum {
        let sum = |part: fn(&Suspect) -> Bytes| rows.iter().map(part).sum::<Bytes>().get();
        let blocks = rows.iter().map(|it| it.count_diff);
        Sum {
            rows: rows.len(),
            bytes: sum(|it| it.size),
            bytes_diff: sum(|it| it.growth),
            blocks_diff: newest
                .knows_blocks()
                .then(|| blocks.fold(0, i64::saturating_add)),
        }
    }
}
