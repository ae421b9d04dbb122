//! [`suspects`]: the table of what grew at every step.

use std::fmt;

use alloc_core_snapshot::{Bytes, ChargeTo, GroupBy, GroupKey, Metric, Snapshot, Statistic};

use super::builder::{example, look};
use super::notes;
use super::table::{BOLD, Cell, DIM, PLAIN, Row, Table};
use super::text::{self, plural};
use super::view::{View, process};
use super::words::{self, words};
use crate::growth::{Growth, Order, Suspect};

/// The default number of rows.
const ROWS: usize = 10;

/// The indentation of the sentence below a row.
const INDENT: &str = "       ";

/// Makes a table of the lines whose live bytes grew at every step from one snapshot to the next.
///
/// The snapshots are of one process, at moments when it does the same work, such as once a minute
/// or after each thousand requests. Three or more are needed to tell growth from a cache that fills
/// up. They may be in any order if their times are known.
///
/// # What is named
///
/// A line is named if all of this is so:
///
/// - It holds more bytes in each snapshot than in the one before.
/// - It holds more than ever. Its own peak grew too, by half of its growth or more, so a load that
///   comes and goes is not named. A line that once held more is named when it exceeds that.
/// - The growth exceeds three standard errors: of blocks that come and go at random, and of a sample
///   ([`Snapshot::sampled_every`]). A table or buffer that grows by half or more in each of three
///   steps is excepted from the first.
/// - It keeps its pace. In the last step it grew at half of the mean pace of the earlier steps or
///   faster, where a pace is the growth for each allocation of the whole program, so that idle time
///   does not count. A cache that reached its limit does not keep its pace. With two snapshots this
///   is unknown, and a note says so.
///
/// Lines are charged as the newest snapshot is. [`Snapshot::charge_to`] with
/// [`ChargeTo::Workspace`] names your own lines, and not those of libraries.
///
/// A large value that is merely held does not grow. If a line holds half of the heap or more, and a
/// MiB or more, and neither allocated nor freed a block after the first snapshot, a note names it.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let snapshot = |blocks| {
///     let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
///     let held = Amount::new(blocks * 500, blocks);
///     let counters = Counters { current: held, peak: held, total: held, ..Counters::default() };
///     Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![frame]), counters)], 32)
/// };
/// let snapshots = [snapshot(1_000), snapshot(2_000), snapshot(3_000)];
/// assert_eq!(
///     alloc_report::suspects(&snapshots).to_string(),
///     "\
/// 1 line grew in each of 2 steps, by 977 KiB; the heap grew by 977 KiB to 1465 KiB
///
/// ##     growth   count         size  line
/// 1  976.6 KiB  +2,000  1,464.8 KiB  src/cache.rs:41
///        It grew in each of 2 steps, by 488 KiB a step; nothing that it allocated was freed.
///
///    976.6 KiB  +2,000  1,464.8 KiB  total
///
/// note: the times of the snapshots are unknown: they are compared in the given order"
/// );
/// ```
pub fn suspects(snapshots: &[Snapshot]) -> Suspects<'_> {
    Suspects {
        snapshots,
        by: GroupBy::Line,
        limit: None,
        view: View::new(ROWS),
    }
}

/// A table of what grew at every step, made by [`suspects()`].
///
/// It prints without a final newline.
///
/// ```
/// use alloc_core::Snapshot;
///
/// let snapshots = [Snapshot::from_traces(vec![], 32), Snapshot::from_traces(vec![], 32)];
/// let text = alloc_report::suspects(&snapshots).to_string();
/// assert!(text.starts_with("No line grew from the first snapshot to the second"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct Suspects<'a> {
    snapshots: &'a [Snapshot],
    by: GroupBy,
    limit: Option<Bytes>,
    view: View,
}

look!(Suspects, "alloc_report::suspects(&snapshots)");

impl<'a> Suspects<'a> {
    /// Groups by files, functions, tracebacks and so on; lines are the default.
    ///
    #[doc = example!(
        "alloc_report::suspects(&snapshots)",
        "assert!(table.by(GroupBy::Function).to_string().contains(\"demo::fill\"));"
    )]
    pub fn by(mut self, by: GroupBy) -> Suspects<'a> {
        self.by = by;
        self.view.by = by.into();
        self
    }

    /// Shows at most `n` rows; 10 is the default.
    ///
    #[doc = example!(
        "alloc_report::suspects(&snapshots)",
        "assert!(table.rows(0).to_string().contains(\"other (1 line)\"));"
    )]
    pub fn rows(mut self, n: usize) -> Suspects<'a> {
        self.view.rows = n;
        self
    }

    /// Shows when the heap reaches `limit`, if it goes on growing at this rate.
    ///
    /// A process holds more than its traced heap, so it reaches the limit earlier.
    ///
    /// ```
    /// # use alloc_core::{Bytes, Snapshot};
    /// # let snapshots = [Snapshot::from_traces(vec![], 32), Snapshot::from_traces(vec![], 32)];
    /// let table = alloc_report::suspects(&snapshots).limit_memory(Bytes::mib(512));
    /// // Nothing grows.
    /// assert_eq!(table.seconds_to_limit(), None);
    /// ```
    pub fn limit_memory(mut self, limit: impl Into<Bytes>) -> Suspects<'a> {
        self.limit = Some(limit.into());
        self
    }

    /// The suspects, the largest growth first.
    ///
    /// ```
    /// # use alloc_core::Snapshot;
    /// let one = [Snapshot::from_traces(vec![], 32)];
    /// assert!(alloc_report::suspects(&one).list().is_empty());
    /// ```
    pub fn list(&self) -> Vec<Suspect> {
        alloc_core_snapshot::seam::untraced(|| self.growth(&self.order()).suspects)
    }

    /// The group that holds half of the heap or more, and a MiB or more, from the first snapshot to
    /// the last, and in that time neither allocated nor freed a block.
    ///
    /// ```
    /// use alloc_core::{Amount, Bytes, Counters, Snapshot, Trace, Traceback};
    ///
    /// let held = Amount::new(5 << 20, 1);
    /// let counters = Counters { current: held, total: held, ..Counters::default() };
    /// let traces = vec![Trace::new(Traceback::new(vec![]), counters)];
    /// let snapshot = Snapshot::from_traces(traces, 1);
    /// let held = alloc_report::suspects(&[snapshot.clone(), snapshot]).held();
    /// assert_eq!(held.map(|it| it.size), Some(Bytes::mib(5)));
    /// ```
    pub fn held(&self) -> Option<Statistic> {
        alloc_core_snapshot::seam::untraced(|| self.growth(&self.order()).held)
    }

    /// Seconds from the newest snapshot until the heap reaches the limit, if all suspects go on
    /// growing at their mean rate.
    ///
    /// It is `None` without a limit, without suspects, or if the times of the snapshots are unknown
    /// or equal. It is 0 if the heap is past the limit.
    ///
    /// ```
    /// # use alloc_core::Snapshot;
    /// let one = [Snapshot::from_traces(vec![], 32)];
    /// assert_eq!(alloc_report::suspects(&one).seconds_to_limit(), None);
    /// ```
    pub fn seconds_to_limit(&self) -> Option<f64> {
        alloc_core_snapshot::seam::untraced(|| {
            let order = self.order();
            self.until_limit(&order, &self.growth(&order).suspects)
        })
    }

    /// The notes below the table: which numbers are inexact or incomplete, and what is held without
    /// growing, one sentence each.
    ///
    /// ```
    /// # use alloc_core::Snapshot;
    /// let one = [Snapshot::from_traces(vec![], 32)];
    /// assert_eq!(
    ///     alloc_report::suspects(&one).notes(),
    ///     ["growth shows between snapshots: expected two or more, found 1"]
    /// );
    /// ```
    pub fn notes(&self) -> Vec<String> {
        alloc_core_snapshot::seam::untraced(|| {
            let order = self.order();
            self.notes_on(&order, &self.growth(&order))
        })
    }

    fn order(&self) -> Order<'a> {
        Order::of(self.snapshots)
    }

    fn growth(&self, order: &Order<'_>) -> Growth {
        Growth::of(order, self.by)
    }

    /// Seconds until the heap reaches the limit, at the rate of these suspects.
    fn until_limit(&self, order: &Order<'_>, suspects: &[Suspect]) -> Option<f64> {
        let limit = self.limit?;
        let heap = order.snapshots.last()?.traced_memory().current;
        let rate: f64 = suspects.iter().filter_map(|it| it.rate).sum();
        let free = limit.saturating_sub(heap).get() as f64;
        (rate > 0.0).then(|| free / rate)
    }

    fn notes_on(&self, order: &Order<'_>, growth: &Growth) -> Vec<String> {
        let mut notes = Vec::new();
        let newest = order.snapshots.last();
        if let (Some(held), Some(newest)) = (&growth.held, newest) {
            notes.push(self.held_words(held, newest));
        }
        notes.extend(notes::of_steps(order, &self.view));
        notes
    }

    fn held_words(&self, held: &Statistic, newest: &Snapshot) -> String {
        let heap = newest.traced_memory().current.get().max(1);
        format!(
            "{} held {} in {} from the first snapshot to the last, {:.0} % of the heap, and \
             allocated and freed nothing in that time",
            self.place(&held.key, newest),
            held.size,
            plural(held.count, "block"),
            held.size.get() as f64 * 100.0 / heap as f64,
        )
    }

    fn place(&self, key: &GroupKey, snapshot: &Snapshot) -> String {
        match key.charged_in(snapshot) {
            Some(frame) => text::place(frame),
            None => key.to_string(),
        }
    }

    fn processes(&self, order: &Order<'_>) -> Vec<String> {
        let [first, .., last] = &order.snapshots[..] else {
            return order
                .snapshots
                .iter()
                .filter_map(|it| process(it))
                .collect();
        };
        let side = |name, snapshot| process(snapshot).map(|it| format!("{name}: {it}"));
        let sides = [side("last", last), side("first", first)];
        sides.into_iter().flatten().collect()
    }

    fn heading(&self, order: &Order<'_>, suspects: &[Suspect]) -> String {
        let steps = match order.steps() as u64 {
            0 | 1 => "from the first snapshot to the second".to_owned(),
            n => format!("in each of {n} steps"),
        };
        let noun = self.view.noun(0);
        let of = match order.snapshots.last() {
            Some(newest) if is_of_workspace(newest, self.by) => " of the workspace",
            _ => "",
        };
        let mut heading = match suspects.len() as u64 {
            0 => format!("No {noun}{of} grew {steps}"),
            n => {
                let growth: Bytes = suspects.iter().map(|it| it.growth).sum();
                format!("{}{of} grew {steps}, by {growth}", plural(n, noun))
            }
        };
        if let [first, .., last] = &order.snapshots[..]
            && order.snapshots.iter().all(|it| it.knows(Metric::Current))
        {
            let [then, now] = [first, last].map(|it| it.traced_memory().current);
            heading += &match now.cmp(&then) {
                std::cmp::Ordering::Greater => {
                    format!("; the heap grew by {} to {now}", now.saturating_sub(then))
                }
                std::cmp::Ordering::Less => {
                    format!("; the heap shrank by {} to {now}", then.saturating_sub(now))
                }
                std::cmp::Ordering::Equal => format!("; the heap stayed at {now}"),
            };
        }
        if let (Some(limit), Some(seconds)) = (self.limit, self.until_limit(order, suspects)) {
            heading += &match seconds {
                0.0 => format!("\nThe heap is at the limit of {limit} already"),
                _ => format!(
                    "\nAt this rate the heap reaches the limit of {limit} in {}",
                    words::duration(seconds)
                ),
            };
        }
        heading
    }

    fn table(&self, order: &Order<'_>, suspects: &[Suspect]) -> Option<Table> {
        let newest = order.snapshots.last().filter(|_| !suspects.is_empty())?;
        let has_rates = order.duration().is_some();
        let knows_blocks = order.snapshots.iter().all(|it| it.knows_blocks());
        let mut heads = vec!["#", "growth", "count", "size"];
        if has_rates {
            heads.extend(["a second", "an hour"]);
        }
        if has_rates && self.limit.is_some() {
            heads.push("to the limit");
        }
        let cells = |rank: String, of: &[Suspect]| {
            let growth: Bytes = of.iter().map(|it| it.growth).sum();
            let size: Bytes = of.iter().map(|it| it.size).sum();
            let count = of.iter().map(|it| it.count_diff).sum();
            let rate: f64 = of.iter().filter_map(|it| it.rate).sum();
            let mut cells = vec![
                Cell::styled(DIM, rank),
                Cell::size(growth),
                match knows_blocks {
                    true => Cell::change(count),
                    false => Cell::unknown(),
                },
                Cell::size(size),
            ];
            if has_rates {
                cells.push(Cell::size(words::size(rate)));
                cells.push(Cell::size(words::size(rate * 3600.0)));
            }
            if has_rates && self.limit.is_some() {
                let seconds = self.until_limit(order, of);
                cells.push(Cell::new(match seconds {
                    None => String::new(),
                    Some(0.0) => "reached".to_owned(),
                    Some(seconds) => words::duration(seconds),
                }));
            }
            cells
        };
        let (shown, others) = suspects.split_at(self.view.rows.min(suspects.len()));
        let places = self.view.places(shown.iter().map(|it| &it.key), newest);
        let rows = shown.iter().zip(places).zip(1_u64..);
        let mut rows: Vec<Row> = rows
            .map(|((suspect, (place, source)), rank)| Row {
                style: PLAIN,
                cells: cells(text::grouped(rank), std::slice::from_ref(suspect)),
                level: 0,
                place,
                source,
                details: self.details(suspect, newest),
            })
            .collect();
        let mut summary = |name: String, of: &[Suspect], style| {
            rows.push(Row {
                style,
                cells: cells(String::new(), of),
                level: 0,
                place: name,
                source: None,
                details: Vec::new(),
            });
        };
        if !others.is_empty() {
            let n = plural(others.len() as u64, self.view.noun(0));
            summary(format!("other ({n})"), others, PLAIN);
        }
        summary("total".to_owned(), suspects, BOLD);
        Some(Table {
            heads,
            place: self.view.nouns(),
            rows,
        })
    }

    /// The sentence below a row, and the stack if the rows are stacks.
    fn details(&self, suspect: &Suspect, newest: &Snapshot) -> Vec<String> {
        let sentence = format!("It {}.", words(suspect));
        let room = self.view.width.saturating_sub(INDENT.len());
        let lines = words::lines(&sentence, room).into_iter();
        let mut lines: Vec<String> = lines.map(|it| format!("{INDENT}{it}")).collect();
        lines.extend(self.view.details(&suspect.key, 0, 0, newest));
        lines
    }
}

impl fmt::Display for Suspects<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let order = self.order();
            let growth = self.growth(&order);
            let heading = self.heading(&order, &growth.suspects);
            let table = self.table(&order, &growth.suspects);
            let notes = self.notes_on(&order, &growth);
            self.view
                .page(self.processes(&order), &heading, table, &notes)
        });
        f.write_str(&page)
    }
}

/// Whether the groups of a key are of the workspace only.
fn is_of_workspace(snapshot: &Snapshot, by: GroupBy) -> bool {
    let is_charged = matches!(
        by,
        GroupBy::Line | GroupBy::File | GroupBy::Function | GroupBy::Module | GroupBy::Crate
    );
    is_charged && snapshot.charged_to() == ChargeTo::Workspace
}
