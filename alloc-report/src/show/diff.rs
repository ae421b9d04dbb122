//! [`diff`]: the table of what grew and what shrank.

use std::fmt;

use alloc_core_snapshot::{Amount, Bytes, GroupKey, Snapshot};
use anstyle::Style;

use super::builder::{builder, example, look};
use super::notes;
use super::table::{BOLD, Cell, DIM, PLAIN, Row, Table};
use super::text;
use super::view::{Group, View, process};
use crate::compare::{BytesDiff, CompareTo, StatisticDiff, difference};

/// Makes a table of the `n` lines that changed most between two snapshots.
///
/// The largest change comes first, growth or not: see [`CompareTo::compare_to`]. Unchanged lines
/// are counted in the row "other". The methods of [`Diff`] change the content and the format. For
/// the two sides of a [difference](Snapshot::read_difference), the table has only the changes.
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
/// 195 KiB (+194 KiB) in 1,001 live blocks (+1,000), by line; at the peak 195 KiB
///
/// ##       size      change  count  change  average  line
/// 1  195.3 KiB  +194.3 KiB  1,001  +1,000    200 B  src/cache.rs:41
///    195.3 KiB  +194.3 KiB  1,001  +1,000    200 B  total"
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
/// It prints without a final newline.
///
/// ```
/// use alloc_core::Snapshot;
///
/// let empty = Snapshot::from_traces(vec![], 32);
/// let table = alloc_report::diff(&empty, &empty, 10).width(80);
/// assert_eq!(
///     table.to_string(),
///     "0 B (+0 B) in 0 live blocks (+0), by line; at the peak 0 B"
/// );
/// ```
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct Diff<'a> {
    new: &'a Snapshot,
    old: &'a Snapshot,
    view: View,
}

builder!(Diff, "alloc_report::diff(&new, &old, 10)");

impl Diff<'_> {
    /// The notes below the table: which numbers are inexact or incomplete, one sentence each.
    ///
    /// ```
    /// use alloc_core::Snapshot;
    ///
    /// let empty = Snapshot::from_traces(vec![], 32);
    /// assert!(alloc_report::diff(&empty, &empty, 10).notes().is_empty());
    /// ```
    pub fn notes(&self) -> Vec<String> {
        alloc_core_snapshot::seam::untraced(|| {
            let diffs = self.new.compare_to(self.old, self.view.grouping());
            self.notes_on(&diffs)
        })
    }

    fn notes_on(&self, diffs: &[StatisticDiff]) -> Vec<String> {
        let mut notes = notes::of_both(self.new, self.old, &self.view);
        let hidden = diffs.iter().filter(|it| it.is_plumbing).count();
        notes.extend(notes::hidden(hidden, &self.view));
        notes
    }

    fn processes(&self) -> Vec<String> {
        if self.new.is_difference() {
            return process(self.new).into_iter().collect();
        }
        let side = |name, snapshot| process(snapshot).map(|it| format!("{name}: {it}"));
        let sides = [side("new", self.new), side("old", self.old)];
        sides.into_iter().flatten().collect()
    }

    fn heading(&self, sum: &Sum) -> String {
        if self.new.is_difference() {
            return format!(
                "{} in {} {}s{}, {}",
                sum.size_diff,
                text::grouped_change(sum.count_diff),
                self.view.block(),
                self.view.what(),
                self.view.grouped(self.new),
            );
        }
        let mut heading = format!(
            "{} ({}) in {} ({}){}, {}",
            self.view.known(self.new, sum.size),
            self.view.known(self.new, sum.size_diff),
            self.view.blocks(self.new, sum.count),
            match self.new.knows_blocks() && self.old.knows_blocks() {
                true => text::grouped_change(sum.count_diff),
                false => "?".to_owned(),
            },
            self.view.what(),
            self.view.grouped(self.new),
        );
        if let Some((moment, bytes)) = self.view.moment(self.new) {
            heading.push_str(&format!("; {moment} {bytes}"));
        }
        heading
    }

    fn table(&self, diffs: &[StatisticDiff], total: &Sum) -> Table {
        let mut rows = Vec::new();
        self.add_rows(diffs, 0, &mut rows);
        rows.push(self.summary("total".to_owned(), 0, total, BOLD));
        Table {
            heads: match self.new.is_difference() {
                true => vec!["#", "change", "count"],
                false => vec!["#", "size", "change", "count", "change", "average"],
            },
            place: self.view.nouns(),
            rows,
        }
    }

    /// Adds the groups that changed most, each followed by its parts, and a row with the sum of the
    /// others.
    fn add_rows(&self, diffs: &[StatisticDiff], level: usize, rows: &mut Vec<Row>) {
        let merged = self.merged(diffs);
        let (unchanged, changed): (Vec<_>, Vec<_>) =
            merged.iter().partition(|(diff, _)| is_unchanged(diff));
        let (shown, others) = changed.split_at(self.view.rows_at(level).min(changed.len()));
        let places = self
            .view
            .places(shown.iter().map(|(it, _)| &it.key), self.new);
        for (((diff, duplicates), (place, source)), rank) in shown.iter().zip(places).zip(1u64..) {
            let rank = (level == 0).then(|| text::grouped(rank));
            rows.push(Row {
                style: if diff.parts.is_empty() { PLAIN } else { BOLD },
                cells: self.cells(&Sum::of([diff]), rank.unwrap_or_default()),
                level,
                place,
                source,
                details: self.view.details(&diff.key, *duplicates, level, self.new),
            });
            self.add_rows(&diff.parts, level + 1, rows);
        }
        let n = (others.len() + unchanged.len()) as u64;
        if n > 0 {
            let number = text::plural(n, self.view.noun(level));
            let number = match unchanged.len() as u64 {
                0 => number,
                all if all == n => format!("{number}, unchanged"),
                some => format!("{number}, {} unchanged", text::grouped(some)),
            };
            let sum = Sum::of(others.iter().chain(&unchanged).map(|(diff, _)| diff));
            let mut row = self.summary(format!("other ({number})"), level, &sum, PLAIN);
            if self.view.by.is_cumulative() {
                // Cumulative rows overlap, so their sum is meaningless.
                row.cells.fill(Cell::new(""));
            }
            rows.push(row);
        }
    }

    /// The rows to show, sorted: see [`View::merged`].
    fn merged(&self, diffs: &[StatisticDiff]) -> Vec<(StatisticDiff, usize)> {
        let mut merged = self.view.merged(diffs, self.new);
        if merged.iter().any(|(_, others)| *others > 0) {
            let order = self.view.by.order();
            merged.sort_by(|(a, _), (b, _)| a.compare(b, order));
        }
        merged
    }

    fn summary(&self, name: String, level: usize, sum: &Sum, style: Style) -> Row {
        Row {
            style,
            cells: self.cells(sum, String::new()),
            level,
            place: name,
            source: None,
            details: Vec::new(),
        }
    }

    fn cells(&self, sum: &Sum, rank: String) -> Vec<Cell> {
        let rank = Cell::styled(DIM, rank);
        let size_change = Cell::size_change(sum.size_diff.get());
        let knows_blocks = self.new.knows_blocks() && self.old.knows_blocks();
        let if_known = |cell| if knows_blocks { cell } else { Cell::unknown() };
        let count_change = if_known(Cell::change(sum.count_diff));
        if self.new.is_difference() {
            return vec![rank, size_change, count_change];
        }
        vec![
            rank,
            Cell::size(sum.size),
            size_change,
            if_known(Cell::new(text::grouped(sum.count))),
            count_change,
            if_known(Cell::average(sum.size, sum.count)),
        ]
    }
}

impl fmt::Display for Diff<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let diffs = self.new.compare_to(self.old, self.view.grouping());
            let total = Sum::between(self.view.total(self.new), self.view.total(self.old));
            let table = (!diffs.is_empty()).then(|| self.table(&diffs, &total));
            let notes = self.notes_on(&diffs);
            self.view
                .page(self.processes(), &self.heading(&total), table, &notes)
        });
        f.write_str(&page)
    }
}

/// Whether neither the group nor any of its parts changed.
fn is_unchanged(diff: &StatisticDiff) -> bool {
    diff.is_unchanged() && diff.parts.iter().all(is_unchanged)
}

/// The sum of some rows and of their changes.
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

    fn between(new: Amount, old: Amount) -> Sum {
        Sum {
            size: new.bytes,
            size_diff: BytesDiff::between(new.bytes, old.bytes),
            count: new.blocks,
            count_diff: difference(new.blocks, old.blocks),
        }
    }
}

impl Group for StatisticDiff {
    fn key(&self) -> &GroupKey {
        &self.key
    }

    fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    fn is_plumbing(&self) -> bool {
        self.is_plumbing
    }

    fn add(&mut self, other: &StatisticDiff) {
        self.size += other.size;
        self.size_diff = self.size_diff + other.size_diff;
        self.count += other.count;
        self.count_diff = self.count_diff.saturating_add(other.count_diff);
    }
}
