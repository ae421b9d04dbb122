//! [`diff`]: what grew, and what shrank.

use std::fmt;

use alloc_core::{Bytes, Snapshot};

use crate::compare::{BytesDiff, CompareTo, StatisticDiff};
use crate::notes;
use crate::table::{BOLD, Cell, DIM, PLAIN, Place, Row, Table};
use crate::text;
use crate::view::{View, builder};

/// The `n` lines that changed most between two snapshots, as a table for people.
///
/// Largest change first, growth or not: see [`CompareTo::compare_to`]. Lines that did not change are
/// only counted, with the other lines at the end of the table. What is shown, and how, can be
/// changed: see [`Diff`].
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let snapshot = |bytes, blocks| {
///     let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
///     let current = Amount::new(bytes, blocks);
///     let counters = Counters { current, at_peak: current, ..Counters::default() };
///     Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![frame]), counters)], 32)
/// };
/// let (old, new) = (snapshot(1_000, 1), snapshot(200_000, 1_001));
/// assert_eq!(
///     alloc_report::diff(&new, &old, 10).to_string(),
///     "\
/// 195 KiB (+194 KiB) in 1,001 blocks (+1,000), by line; at the peak 195 KiB
///
/// ##     size    change  count  change  average  line
/// 1  195 KiB  +194 KiB  1,001  +1,000    200 B  src/cache.rs:41
///    195 KiB  +194 KiB  1,001  +1,000    200 B  total"
/// );
/// ```
pub fn diff<'a>(new: &'a Snapshot, old: &'a Snapshot, n: usize) -> Diff<'a> {
    Diff {
        new,
        old,
        view: View::new(n),
    }
}

/// A table of what changed between two snapshots, made by [`diff`].
///
/// It prints without an end of line after its last line.
#[derive(Clone, Copy, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct Diff<'a> {
    new: &'a Snapshot,
    old: &'a Snapshot,
    view: View,
}

builder!(Diff);

impl Diff<'_> {
    /// What is not exact or not complete about the numbers: a sentence each, as below the table.
    pub fn notes(&self) -> Vec<String> {
        notes::of_both(self.new, self.old, &self.view)
    }

    fn heading(&self, sum: &Sum) -> String {
        let mut heading = format!(
            "{} ({}) in {} ({}){}, {}",
            sum.size,
            sum.size_diff,
            text::plural(sum.count, "block"),
            text::grouped_change(sum.count_diff),
            self.view.what(),
            self.view.grouping(self.new),
        );
        if let Some((moment, bytes)) = self.view.moment(self.new) {
            heading.push_str(&format!("; {moment} {bytes}"));
        }
        heading
    }

    fn table(&self, diffs: &[StatisticDiff]) -> Table {
        let changed = diffs.iter().filter(|diff| !diff.is_unchanged());
        let shown: Vec<&StatisticDiff> = changed.take(self.view.rows).collect();
        let unchanged = diffs.iter().filter(|diff| diff.is_unchanged()).count() as u64;
        let total = Sum::of(diffs);
        let ranked = shown.iter().zip(1u64..).map(|(&diff, rank)| {
            let (place, source) = self.view.place(&diff.key, self.new.charged_to());
            Row {
                style: PLAIN,
                cells: Sum::of([diff]).cells(text::grouped(rank)),
                place,
                source,
                details: self.view.details(&diff.key, self.new),
            }
        });
        let summary = |name: String, sum: &Sum, style| Row {
            style,
            cells: sum.cells(String::new()),
            place: Place::Name(name),
            source: None,
            details: Vec::new(),
        };
        let mut rows: Vec<Row> = ranked.collect();
        let others = diffs.len() - shown.len();
        if others > 0 {
            let sum = total.without(&Sum::of(shown));
            let n = text::plural(others as u64, self.view.noun());
            let others = match unchanged {
                0 => n,
                all if all == others as u64 => format!("{n}, unchanged"),
                some => format!("{n}, {} unchanged", text::grouped(some)),
            };
            rows.push(summary(format!("other ({others})"), &sum, PLAIN));
        }
        rows.push(summary("total".to_owned(), &total, BOLD));
        Table {
            heads: vec!["#", "size", "change", "count", "change", "average"],
            place: self.view.noun(),
            rows,
        }
    }
}

impl fmt::Display for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report does not show up in the next one.
        let page = alloc_core::untraced(|| {
            let diffs = self
                .new
                .compare_to_by(self.old, self.view.by, self.view.metric);
            let table = (!diffs.is_empty()).then(|| self.table(&diffs));
            let heading = self.heading(&Sum::of(&diffs));
            self.view.page(&heading, table, &self.notes())
        });
        f.write_str(&page)
    }
}

/// What some rows hold and changed by, together.
#[derive(Default)]
struct Sum {
    size: Bytes,
    size_diff: BytesDiff,
    count: u64,
    count_diff: i64,
}

impl Sum {
    fn of<'a>(diffs: impl IntoIterator<Item = &'a StatisticDiff>) -> Sum {
        diffs.into_iter().fold(Sum::default(), |sum, diff| Sum {
            size: sum.size + diff.size,
            size_diff: sum.size_diff + diff.size_diff,
            count: sum.count + diff.count,
            count_diff: sum.count_diff.saturating_add(diff.count_diff),
        })
    }

    fn without(&self, part: &Sum) -> Sum {
        Sum {
            size: self.size - part.size,
            size_diff: self.size_diff - part.size_diff,
            count: self.count - part.count,
            count_diff: self.count_diff.saturating_sub(part.count_diff),
        }
    }

    fn cells(&self, rank: String) -> Vec<Cell> {
        vec![
            Cell::styled(DIM, rank),
            Cell::new(self.size),
            Cell::change(self.size_diff.get(), self.size_diff),
            Cell::new(text::grouped(self.count)),
            Cell::change(self.count_diff, text::grouped_change(self.count_diff)),
            Cell::new(text::average(self.size, self.count)),
        ]
    }
}
