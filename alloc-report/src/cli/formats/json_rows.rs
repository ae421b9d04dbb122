//! Rows of the JSON reports, and their sums.

use alloc_core_snapshot::{Amount, Frame, GroupKey, Grouping, Metric, Snapshot, Statistic};
use alloc_report::StatisticDiff;
use serde::Serialize;

use super::{average, copied, name_of};
use crate::view::View;

/// Makes the rows of a [`Top`].
pub(super) struct TopRows<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) view: &'a View,
    pub(super) by: &'a Grouping,
    pub(super) total: u64,
}

impl TopRows<'_> {
    /// The first rows with their parts, and the sum of the other rows.
    pub(super) fn of(&self, statistics: &[Statistic]) -> (Vec<TopRow>, Sum) {
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
            copied_bytes: copied(statistic, self.snapshot),
            within: (!statistic.parts.is_empty()).then(|| {
                let (rows, other) = self.of(&statistic.parts);
                Within { rows, other }
            }),
        }
    }
}

/// The first rows with their parts, and the sum of the other rows.
///
/// Amounts are unknown, and only changes known, if the file holds a difference.
pub(super) fn diff_rows(
    diffs: &[StatisticDiff],
    new: &Snapshot,
    view: &View,
    by: &Grouping,
) -> (Vec<DiffRow>, DiffSum) {
    let has_amounts = !new.is_difference();
    let knows_blocks = new.knows_blocks();
    let (shown, others) = diffs.split_at(view.rows.min(diffs.len()));
    let rows = shown.iter().zip(1..).map(|(diff, rank)| DiffRow {
        rank,
        key: Key::of(&diff.key, new),
        bytes: has_amounts.then(|| diff.size.get()),
        bytes_diff: diff.size_diff.get(),
        blocks: (has_amounts && knows_blocks).then_some(diff.count),
        blocks_diff: knows_blocks.then_some(diff.count_diff),
        average_bytes: average(diff.size.get(), diff.count).filter(|_| has_amounts && knows_blocks),
        within: (!diff.parts.is_empty()).then(|| {
            let (rows, other) = diff_rows(&diff.parts, new, view, by);
            Within { rows, other }
        }),
    });
    (rows.collect(), DiffSum::of(others, new, by))
}

/// The rows within a row.
#[derive(Serialize)]
struct Within<R, S> {
    rows: Vec<R>,
    other: S,
}

#[derive(Serialize)]
pub(super) struct TopRow {
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
    copied_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<Within<TopRow, Sum>>,
}

#[derive(Serialize)]
pub(super) struct DiffRow {
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
pub(crate) struct Key {
    key: String,
    #[serde(flatten)]
    place: Location,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<Vec<StackFrame>>,
}

impl Key {
    pub(crate) fn of(key: &GroupKey, snapshot: &Snapshot) -> Key {
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
pub(super) struct Blocks {
    pub(super) bytes: u64,
    pub(super) blocks: Option<u64>,
}

/// The sum of some rows. It is unknown if a callsite may be in several rows.
#[derive(Serialize)]
pub(super) struct Sum {
    pub(super) rows: usize,
    pub(super) bytes: Option<u64>,
    pub(super) blocks: Option<u64>,
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
pub(super) struct DiffSum {
    pub(super) rows: usize,
    pub(super) bytes: Option<u64>,
    pub(super) bytes_diff: Option<i64>,
    pub(super) blocks: Option<u64>,
    pub(super) blocks_diff: Option<i64>,
}

impl DiffSum {
    fn of(diffs: &[StatisticDiff], new: &Snapshot, by: &Grouping) -> DiffSum {
        let has_amounts = !new.is_difference();
        let knows_blocks = new.knows_blocks();
        let add_up = !by.is_cumulative();
        DiffSum {
            rows: diffs.len(),
            bytes: (add_up && has_amounts).then(|| diffs.iter().map(|it| it.size.get()).sum()),
            bytes_diff: add_up.then(|| diffs.iter().map(|it| it.size_diff.get()).sum()),
            blocks: (add_up && has_amounts && knows_blocks)
                .then(|| diffs.iter().map(|it| it.count).sum()),
            blocks_diff: (add_up && knows_blocks)
                .then(|| diffs.iter().map(|it| it.count_diff).sum()),
        }
    }
}

/// A line or column number; 0 means unknown.
fn known(number: u32) -> Option<u32> {
    (number != 0).then_some(number)
}
