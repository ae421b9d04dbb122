//! [`top`]: the table of what holds the memory.

use std::cmp::Reverse;
use std::fmt;

use alloc_core_snapshot::{Amount, Bytes, GroupKey, Snapshot, SortBy, Statistic};
use anstyle::Style;

use super::builder::{builder, example, look};
use super::notes;
use super::table::{BOLD, Cell, DIM, PLAIN, Row, Table};
use super::text;
use super::view::{Group, View, process};

/// Makes a table of the `n` lines of a snapshot that hold the most memory.
///
/// The table ends with the sum of the other lines and the total. It quotes a line of source if the
/// source file can be read. Notes say which numbers are inexact or incomplete. The methods of
/// [`Top`] change the content and the format.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, GroupBy, Metric, Snapshot, Trace, Traceback};
///
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let total = Amount::new(1_000_000, 1_000);
/// let counters = Counters { total, ..Counters::default() };
/// let traces = vec![Trace::new(Traceback::new(vec![frame]), counters)];
/// let snapshot = Snapshot::from_traces(traces, 32);
///
/// let table = alloc_report::top(&snapshot, 10).by(GroupBy::Function).metric(Metric::Total);
/// assert_eq!(
///     table.to_string(),
///     "\
/// 977 KiB in 1,000 blocks ever allocated, by function; now 0 B
///
/// ##       size   share  count  average  function
/// 1  976.6 KiB  100.0%  1,000  1,000 B  demo::fill
///    976.6 KiB  100.0%  1,000  1,000 B  total"
/// );
/// ```
pub fn top(snapshot: &Snapshot, n: usize) -> Top<'_> {
    Top {
        snapshot,
        view: View::new(n),
    }
}

/// A table of what holds the memory, made by [`top`].
///
/// It prints without a final newline.
///
/// ```
/// use alloc_core::Snapshot;
///
/// let empty = Snapshot::from_traces(vec![], 32);
/// let table = alloc_report::top(&empty, 10).width(80);
/// assert_eq!(table.to_string(), "0 B in 0 live blocks, by line; at the peak 0 B");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct Top<'a> {
    snapshot: &'a Snapshot,
    view: View,
}

builder!(Top, "alloc_report::top(&new, 10)");

impl Top<'_> {
    /// The notes below the table: which numbers are inexact or incomplete, one sentence each.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, Metric, Snapshot, Trace, Traceback};
    ///
    /// let counters = Counters { peak: Amount::new(64, 1), ..Counters::default() };
    /// let traces = vec![Trace::new(Traceback::new(vec![]), counters)];
    /// let snapshot = Snapshot::from_traces(traces, 32);
    ///
    /// let notes = alloc_report::top(&snapshot, 10).metric(Metric::Peak).notes();
    /// assert_eq!(
    ///     notes,
    ///     ["each row peaked at its own moment: the sum may exceed the heap's peak, 0 B"]
    /// );
    /// ```
    pub fn notes(&self) -> Vec<String> {
        alloc_core_snapshot::seam::untraced(|| {
            let statistics = self.snapshot.statistics(self.view.grouping());
            self.notes_on(&statistics)
        })
    }

    fn notes_on(&self, statistics: &[Statistic]) -> Vec<String> {
        let mut notes = notes::of(self.snapshot, &self.view);
        let hidden = statistics.iter().filter(|it| it.is_plumbing).count();
        notes.extend(notes::hidden(hidden, &self.view));
        notes
    }

    fn heading(&self, total: Amount) -> String {
        let mut heading = format!(
            "{} in {}{}, {}",
            self.view.known(self.snapshot, total.bytes),
            self.view.blocks(self.snapshot, total.blocks),
            self.view.what(),
            self.view.grouped(self.snapshot),
        );
        if let Some((moment, bytes)) = self.view.moment(self.snapshot) {
            heading.push_str(&format!("; {moment} {bytes}"));
        }
        heading
    }

    fn table(&self, statistics: &[Statistic], total: Amount) -> Table {
        let mut rows = Vec::new();
        self.add_rows(statistics, 0, total, &mut rows);
        rows.push(self.summary("total".to_owned(), 0, total, total, BOLD));
        Table {
            heads: vec!["#", "size", "share", "count", "average"],
            place: self.view.nouns(),
            rows,
        }
    }

    /// The rows to show, sorted: see [`View::merged`].
    fn merged(&self, groups: &[Statistic]) -> Vec<(Statistic, usize)> {
        let mut merged = self.view.merged(groups, self.snapshot);
        if merged.iter().any(|(_, others)| *others > 0) {
            let average = |it: &Statistic| it.size.get() as f64 / it.count.max(1) as f64;
            match self.view.by.order() {
                SortBy::Blocks => merged.sort_by_key(|(it, _)| Reverse(it.count)),
                SortBy::Average => {
                    merged.sort_by(|(a, _), (b, _)| average(b).total_cmp(&average(a)));
                }
                _ => merged.sort_by_key(|(it, _)| Reverse(it.size)),
            }
        }
        merged
    }

    /// Adds the largest groups, each followed by its parts, and a row with the sum of the others.
    fn add_rows(&self, groups: &[Statistic], level: usize, total: Amount, rows: &mut Vec<Row>) {
        let groups = self.merged(groups);
        let groups: Vec<&(Statistic, usize)> = groups.iter().collect();
        let (shown, others) = groups.split_at(self.view.rows_at(level).min(groups.len()));
        let keys = shown.iter().map(|(it, _)| &it.key);
        let places = self.view.places(keys, self.snapshot);
        for (((statistic, duplicates), (place, source)), rank) in
            shown.iter().zip(places).zip(1u64..)
        {
            let rank = (level == 0).then(|| text::grouped(rank));
            rows.push(Row {
                style: self.view.style(&statistic.parts),
                cells: self.cells(rank.unwrap_or_default(), amount_of(statistic), total),
                level,
                place,
                source,
                details: self
                    .view
                    .details(&statistic.key, *duplicates, level, self.snapshot),
            });
            self.add_rows(&statistic.parts, level + 1, total, rows);
        }
        if !others.is_empty() {
            let n = text::plural(others.len() as u64, self.view.noun(level));
            let mut row = self.summary(format!("other ({n})"), level, sum(others), total, PLAIN);
            if self.view.by.is_cumulative() {
                // Cumulative rows overlap, so their sum is meaningless.
                row.cells.fill(Cell::new(""));
            }
            rows.push(row);
        }
    }

    fn summary(
        &self,
        name: String,
        level: usize,
        amount: Amount,
        total: Amount,
        style: Style,
    ) -> Row {
        Row {
            style,
            cells: self.cells(String::new(), amount, total),
            level,
            place: name,
            source: None,
            details: Vec::new(),
        }
    }

    fn cells(&self, rank: String, amount: Amount, total: Amount) -> Vec<Cell> {
        let (count, average) = match self.snapshot.knows_blocks() {
            true => (
                Cell::new(text::grouped(amount.blocks)),
                Cell::average(amount.bytes, amount.blocks),
            ),
            false => (Cell::unknown(), Cell::unknown()),
        };
        vec![
            Cell::styled(DIM, rank),
            Cell::size(amount.bytes),
            Cell::new(share(amount.bytes, total.bytes)),
            count,
            average,
        ]
    }
}

impl fmt::Display for Top<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let statistics = self.snapshot.statistics(self.view.grouping());
            let total = self.view.total(self.snapshot);
            let table = (!statistics.is_empty()).then(|| self.table(&statistics, total));
            let process = process(self.snapshot).into_iter().collect();
            let notes = self.notes_on(&statistics);
            self.view.page(process, &self.heading(total), table, &notes)
        });
        f.write_str(&page)
    }
}

pub(crate) fn share(part: Bytes, whole: Bytes) -> String {
    if whole == 0 {
        return String::new();
    }
    let percent = part.get() as f64 * 100.0 / whole.get() as f64;
    if part > Bytes::ZERO && percent < 0.1 {
        "<0.1%".to_owned()
    } else if part < whole && percent > 99.9 {
        ">99.9%".to_owned()
    } else {
        format!("{percent:.1}%")
    }
}

fn amount_of(statistic: &Statistic) -> Amount {
    Amount::new(statistic.size.get(), statistic.count)
}

fn sum(statistics: &[&(Statistic, usize)]) -> Amount {
    let mut sum = Amount::default();
    for (statistic, _) in statistics {
        sum += amount_of(statistic);
    }
    sum
}

impl Group for Statistic {
    fn key(&self) -> &GroupKey {
        &self.key
    }

    fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    fn is_plumbing(&self) -> bool {
        self.is_plumbing
    }

    fn add(&mut self, other: &Statistic) {
        self.size += other.size;
        self.count += other.count;
    }
}
