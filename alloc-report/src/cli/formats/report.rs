//! [`Report`]: a report of one snapshot as JSON, with what it was asked for.

use std::path::Path;

use alloc_core_snapshot::{GroupBy, GroupKey, Snapshot};
use anyhow::Result;
use serde::Serialize;

use super::json::{Source, to_text};
use super::json_rows::Key;
use crate::conditions::Conditions;
use crate::view::{Charging, Filters};

/// What a report is made of.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) file: &'a Path,
    pub(crate) by: GroupBy,
    /// The number of rows to show.
    pub(crate) rows: usize,
    pub(crate) charging: &'a Charging,
    pub(crate) filters: &'a Filters,
}

/// A report: what it was asked for, its rows, and their sums. `E` is what else it was asked for.
#[derive(Serialize)]
struct Report<E, R, S> {
    report: &'static str,
    by: String,
    charge: String,
    skip: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    all_frames: bool,
    snapshot: Source,
    #[serde(flatten)]
    extra: E,
    rows: Vec<Row<R>>,
    other: Sum<S>,
    total: Sum<S>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Row<R> {
    rank: u64,
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    content: R,
}

#[derive(Serialize)]
struct Sum<S> {
    rows: usize,
    #[serde(flatten)]
    sum: S,
}

/// Nothing besides what all reports are asked for.
#[derive(Serialize)]
pub(super) struct NothingElse {}

/// The groups of a report, and what it says of them.
pub(super) struct Groups<'a, G, R, S> {
    pub(super) all: &'a [G],
    pub(super) key: fn(&G) -> &GroupKey,
    pub(super) row: R,
    pub(super) sum: S,
}

/// Makes the text of a report.
pub(super) fn to_report<E, G, R, S>(
    report: &'static str,
    question: &Question<'_>,
    extra: E,
    groups: Groups<'_, G, impl Fn(&G) -> R, impl Fn(&[G]) -> S>,
    notes: Vec<String>,
) -> Result<String>
where
    E: Serialize,
    R: Serialize,
    S: Serialize,
{
    let texts = |all: &[Conditions]| all.iter().map(|it| it.text.clone()).collect();
    let (shown, others) = groups.all.split_at(question.rows.min(groups.all.len()));
    let rows = shown.iter().zip(1..).map(|(group, rank)| Row {
        rank,
        key: Key::of((groups.key)(group), question.snapshot),
        content: (groups.row)(group),
    });
    let sum = |groups_of: &[G]| Sum {
        rows: groups_of.len(),
        sum: (groups.sum)(groups_of),
    };
    to_text(&Report {
        report,
        by: question.by.to_string(),
        charge: question.charging.to().to_string(),
        skip: question.charging.skip.clone(),
        include: texts(&question.filters.include),
        exclude: texts(&question.filters.exclude),
        all_frames: question.filters.all_frames,
        snapshot: Source::of(question.snapshot, question.file),
        extra,
        rows: rows.collect(),
        other: sum(others),
        total: sum(groups.all),
        notes,
    })
}
