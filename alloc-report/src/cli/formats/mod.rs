//! The reports as JSON and CSV, for programs.
//!
//! A filtered snapshot and the options go in; text comes out. `formats.md`, a part of the library's
//! documentation, describes the keys and columns. Nothing here is cut, coloured or read from disk.

use alloc_core_snapshot::{Amount, GroupKey, Grouping, Snapshot, Statistic};
use alloc_report::{CompareTo as _, StatisticDiff};

use crate::view::View;

pub(crate) mod csv;
pub(crate) mod frees;
pub(crate) mod generations;
pub(crate) mod json;
pub(crate) mod json_rows;
pub(crate) mod lifetimes;
pub(crate) mod report;
pub(crate) mod resident;
pub(crate) mod slack;
pub(crate) mod suspects;
pub(crate) mod temporary;
pub(crate) mod tree;

/// The groups to show.
fn statistics(snapshot: &Snapshot, view: &View, by: &Grouping) -> Vec<Statistic> {
    fn hide(statistics: &mut Vec<Statistic>) {
        statistics.retain(|it| !it.is_plumbing);
        statistics.iter_mut().for_each(|it| hide(&mut it.parts));
    }
    let mut statistics = snapshot.statistics(by.clone());
    if !view.full {
        hide(&mut statistics);
    }
    statistics
}

/// The groups of a comparison to show.
fn diffs(new: &Snapshot, old: &Snapshot, view: &View, by: &Grouping) -> Vec<StatisticDiff> {
    fn hide(diffs: &mut Vec<StatisticDiff>) {
        diffs.retain(|it| !it.is_plumbing);
        diffs.iter_mut().for_each(|it| hide(&mut it.parts));
    }
    let mut diffs = new.compare_to(old, by.clone());
    if !view.full {
        hide(&mut diffs);
    }
    diffs
}

/// The sum over all callsites.
fn total(snapshot: &Snapshot, by: &Grouping) -> Amount {
    let mut total = Amount::default();
    for trace in snapshot.traces() {
        total += trace.counters.amount(by.metric());
    }
    total
}

/// The key as the table shows it.
fn name_of(key: &GroupKey, snapshot: &Snapshot) -> String {
    match key.charged_in(snapshot) {
        Some(frame) => frame.to_string(),
        None => key.to_string(),
    }
}

/// The mean size of a block, rounded to whole bytes; `None` without blocks.
fn average(bytes: u64, blocks: u64) -> Option<u64> {
    (blocks > 0).then(|| (bytes as f64 / blocks as f64).round_ties_even() as u64)
}

/// The bytes that reallocations copied, if the file contains them.
fn copied(statistic: &Statistic, snapshot: &Snapshot) -> Option<u64> {
    let known = snapshot.knows_copied();
    known.then(|| statistic.counters.copied.get())
}
