//! [`tree`]: the labels of a snapshot within each other.

use std::fmt;

use alloc_core_snapshot::{Amount, Escaped, GroupBy, LabelStatistic, Snapshot};

use super::notes;
use super::table::{BOLD, Cell, DIM, PLAIN, Row, Table};
use super::text;
use super::top::share;
use super::view::{View, process};

/// Makes a table of the labels of a snapshot, each with those within it below it: at most `n`
/// outermost labels, and half as many within each.
///
/// A label has its own bytes, and those that it holds with the labels within it. The outermost
/// labels and what was allocated in none add up to the total.
///
/// ```
/// use alloc_core::{Amount, Counters, Snapshot, Trace, Traceback};
///
/// let trace = |label, bytes| {
///     let counters = Counters { current: Amount::new(bytes, 1), ..Counters::default() };
///     Trace::new(Traceback::new(vec![]), counters).with_label(label)
/// };
/// let traces = vec![trace("request > decode", 600), trace("request", 300), trace("upload", 100)];
/// let snapshot = Snapshot::from_traces(traces, 32);
/// assert_eq!(
///     alloc_report::tree(&snapshot, 10).to_string(),
///     "\
/// 1000 B in 3 live blocks, by label; at the peak 1000 B
///
/// ##     size   share    own  count  label
/// 1    900 B   90.0%  300 B      2  request
///      600 B   60.0%  600 B      1    decode
/// 2    100 B   10.0%  100 B      1  upload
///    1,000 B  100.0%             3  total"
/// );
/// ```
pub fn tree(snapshot: &Snapshot, n: usize) -> Tree<'_> {
    let mut view = View::new(n);
    view.by = GroupBy::Label.into();
    Tree { snapshot, view }
}

/// A table of labels within each other, made by [`tree`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct Tree<'a> {
    snapshot: &'a Snapshot,
    view: View,
}

impl Tree<'_> {
    /// Shows another metric than what is live.
    ///
    /// ```
    /// use alloc_core::{Metric, Snapshot};
    ///
    /// let empty = Snapshot::from_traces(vec![], 32);
    /// let tree = alloc_report::tree(&empty, 10).metric(Metric::Total);
    /// assert_eq!(tree.to_string(), "0 B in 0 blocks ever allocated, by label; now 0 B");
    /// ```
    pub fn metric(mut self, metric: alloc_core_snapshot::Metric) -> Self {
        self.view.metric = Some(metric);
        self
    }

    /// Turns ANSI colours on or off; off is the default.
    pub fn colour(mut self, colour: bool) -> Self {
        self.view.colour = colour;
        self
    }

    /// Fits the table into `width` columns, as [`Top::width`](crate::Top::width) does.
    pub fn width(mut self, width: usize) -> Self {
        self.view.width = width;
        self
    }

    fn amount(&self, counters: alloc_core_snapshot::Counters) -> Amount {
        counters.amount(self.view.metric())
    }

    /// Adds the largest labels, each followed by those within it, and a row with the sum of the
    /// others.
    fn add_rows(
        &self,
        labels: &[LabelStatistic],
        level: usize,
        total: Amount,
        rows: &mut Vec<Row>,
    ) {
        let is_shown = |it: &&LabelStatistic| self.amount(it.inclusive) != Amount::default();
        let labels: Vec<&LabelStatistic> = labels.iter().filter(is_shown).collect();
        let (shown, others) = labels.split_at(self.view.rows_at(level).min(labels.len()));
        for (label, rank) in shown.iter().zip(1_u64..) {
            let rank = match level {
                0 => text::grouped(rank),
                _ => String::new(),
            };
            let own = Cell::size(self.amount(label.own).bytes);
            let name = match label.name.as_str() {
                "" => "<empty>".to_owned(),
                name => Escaped(name).to_string(),
            };
            rows.push(Row {
                style: match label.parts.is_empty() {
                    true => PLAIN,
                    false => BOLD,
                },
                cells: self.cells(rank, self.amount(label.inclusive), own, total),
                level,
                place: name,
                source: None,
                details: Vec::new(),
            });
            self.add_rows(&label.parts, level + 1, total, rows);
        }
        if !others.is_empty() {
            let mut sum = Amount::default();
            others
                .iter()
                .for_each(|it| sum += self.amount(it.inclusive));
            let name = format!("other ({})", text::plural(others.len() as u64, "label"));
            rows.push(self.summary(name, level, sum, total));
        }
    }

    fn summary(&self, name: String, level: usize, amount: Amount, total: Amount) -> Row {
        Row {
            style: match level {
                0 => BOLD,
                _ => PLAIN,
            },
            cells: self.cells(String::new(), amount, Cell::new(""), total),
            level,
            place: name,
            source: None,
            details: Vec::new(),
        }
    }

    fn cells(&self, rank: String, amount: Amount, own: Cell, total: Amount) -> Vec<Cell> {
        vec![
            Cell::styled(DIM, rank),
            Cell::size(amount.bytes),
            Cell::new(share(amount.bytes, total.bytes)),
            own,
            match self.snapshot.knows_blocks() {
                true => Cell::new(text::grouped(amount.blocks)),
                false => Cell::unknown(),
            },
        ]
    }
}

impl fmt::Display for Tree<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let (snapshot, view) = (self.snapshot, &self.view);
            let total = view.total(snapshot);
            let mut rows = Vec::new();
            self.add_rows(&snapshot.labels(view.metric()), 0, total, &mut rows);
            let table = (!rows.is_empty()).then(|| {
                rows.push(self.summary("total".to_owned(), 0, total, total));
                Table {
                    heads: vec!["#", "size", "share", "own", "count"],
                    place: "label".to_owned(),
                    rows,
                }
            });
            let mut heading = format!(
                "{} in {}{}, by label",
                view.known(snapshot, total.bytes),
                view.blocks(snapshot, total.blocks),
                view.what(),
            );
            if let Some((moment, bytes)) = view.moment(snapshot) {
                heading += &format!("; {moment} {bytes}");
            }
            let process = process(snapshot).into_iter().collect();
            view.page(process, &heading, table, &notes::of(snapshot, view))
        });
        f.write_str(&page)
    }
}
