//! Who freed whose memory, as JSON.

use std::path::Path;

use alloc_core_snapshot::{Amount, Freer, FreesRow, GroupBy, Snapshot};
use anyhow::Result;
use serde::Serialize;

use super::json::{Source, to_text};
use super::json_rows::Key;
use crate::conditions::Conditions;
use crate::view::{Charging, Filters};

/// What the report is made of.
pub(crate) struct Report<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) file: &'a Path,
    pub(crate) by: GroupBy,
    pub(crate) freer: Freer,
    /// The number of rows to show.
    pub(crate) rows: usize,
    pub(crate) charging: &'a Charging,
    pub(crate) filters: &'a Filters,
    pub(crate) notes: Vec<String>,
}

pub(crate) fn json(report: Report<'_>) -> Result<String> {
    let frees = report.snapshot.frees(report.by, report.freer);
    let (shown, others) = frees.rows.split_at(report.rows.min(frees.rows.len()));
    let named = |row: &FreesRow| {
        let parts = frees.freers.iter().zip(&row.by);
        let parts = parts.filter(|(_, it)| **it != Amount::default());
        parts
            .map(|(name, it)| Part {
                name: name.to_string(),
                sum: Freed::of(*it),
            })
            .collect()
    };
    let texts = |all: &[Conditions]| all.iter().map(|it| it.text.clone()).collect();
    let sum = |rows: &[FreesRow]| {
        let mut sum = Amount::default();
        rows.iter().for_each(|it| sum += it.freed);
        Sum {
            rows: rows.len(),
            sum: Freed::of(sum),
        }
    };
    to_text(&Json {
        report: "frees",
        by: report.by.to_string(),
        freed_by: report.freer.to_string(),
        charge: report.charging.to().to_string(),
        skip: report.charging.skip.clone(),
        include: texts(&report.filters.include),
        exclude: texts(&report.filters.exclude),
        all_frames: report.filters.all_frames,
        snapshot: Source::of(report.snapshot, report.file),
        rows: {
            let rows = shown.iter().zip(1..);
            let rows = rows.map(|(row, rank)| Row {
                rank,
                key: Key::of(&row.key, report.snapshot),
                sum: Freed::of(row.freed),
                freed_by: named(row),
            });
            rows.collect()
        },
        other: sum(others),
        total: sum(&frees.rows),
        notes: report.notes,
    })
}

#[derive(Serialize)]
struct Json {
    report: &'static str,
    by: String,
    freed_by: String,
    charge: String,
    skip: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    all_frames: bool,
    snapshot: Source,
    rows: Vec<Row>,
    other: Sum,
    total: Sum,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    rank: u64,
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    sum: Freed,
    /// Those that freed something, the one that freed most of all rows first.
    freed_by: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    name: String,
    #[serde(flatten)]
    sum: Freed,
}

#[derive(Serialize)]
struct Freed {
    bytes: u64,
    blocks: u64,
}

impl Freed {
    fn of(amount: Amount) -> Freed {
        Freed {
            bytes: amount.bytes.get(),
            blocks: amount.blocks,
        }
    }
}

#[derive(Serialize)]
struct Sum {
    rows: usize,
    #[serde(flatten)]
    sum: Freed,
}
