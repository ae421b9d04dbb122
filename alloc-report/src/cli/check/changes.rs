//! [`Changes`]: the groups that changed a metric.

use alloc_core_snapshot::{GroupBy, Snapshot};
use alloc_report::{CompareTo as _, StatisticDiff};
use serde::Serialize;

use super::compared::Compared;
use super::gauge::Gauge;

/// The groups that changed a metric.
pub(super) struct Changes {
    pub(super) gauge: Gauge,
    pub(super) noun: String,
    pub(super) rows: Vec<Change>,
}

#[derive(Serialize)]
pub(super) struct Change {
    /// The change in bytes, or in blocks if the metric counts blocks.
    pub(super) change: i64,
    pub(super) new: u64,
    pub(super) name: String,
}

impl Changes {
    /// The `most` groups that grew most, then the `most` groups that shrank most.
    ///
    /// It is empty if the metric did not change.
    pub(super) fn of(
        compared: &Compared,
        old: &Snapshot,
        new: &Snapshot,
        by: GroupBy,
        most: usize,
    ) -> Changes {
        let (gauge, noun) = (compared.gauge, by.to_string());
        if compared.old == compared.new {
            let rows = Vec::new();
            return Changes { gauge, noun, rows };
        }
        let mut diffs = new.compare_to_by(old, by, gauge.metric());
        diffs.retain(|diff| gauge.change(diff) != 0);
        diffs.sort_by_key(|diff| std::cmp::Reverse(gauge.change(diff)));
        let last = diffs.len().saturating_sub(1);
        // The first groups grew most, and the last groups shrank most.
        let is_shown = |at: usize, diff: &StatisticDiff| match gauge.change(diff) {
            ..=0 => last - at < most,
            _ => at < most,
        };
        let shown = diffs
            .iter()
            .enumerate()
            .filter(|(at, diff)| is_shown(*at, diff));
        let rows = shown.map(|(_, diff)| Change {
            change: gauge.change(diff),
            new: match gauge.counts_blocks() {
                true => diff.count,
                false => diff.size.get(),
            },
            name: diff.key.to_string(),
        });
        let rows = rows.collect();
        Changes { gauge, noun, rows }
    }
}
