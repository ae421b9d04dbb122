//! [`suspects`]: the table of what grew at every step.

use std::fmt;

use alloc_core_snapshot::{Bytes, GroupBy, Snapshot, Statistic};

use super::builder::{example, look};
use super::notes;
use super::view::View;
use crate::growth::{Growth, Moment, Order, Suspect};

mod page;

/// The default number of rows.
const ROWS: usize = 10;

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
///   ([`Snapshot::sampled_every`]), in which growth shows if each step has some ten sampled blocks
///   of it. A table or buffer that grows by half or more in each of three steps is excepted from
///   the first.
/// - It keeps its pace. In the last step it grew at half of the mean pace of the earlier steps or
///   faster, where a pace is the growth for each allocation of the whole program, so that idle time
///   does not count. A cache that reached its limit does not keep its pace. With two snapshots this
///   is unknown, and a note says so.
///
/// Lines are charged as the newest snapshot is. [`Snapshot::charge_to`] with
/// [`ChargeTo::Workspace`](alloc_core_snapshot::ChargeTo::Workspace) names your own lines, and not
/// those of libraries.
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
/// 1 line grew in each of 2 steps, by 977 KiB
/// The heap grew by 977 KiB to 1465 KiB
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
    Suspects::of(Source::Snapshots(snapshots, GroupBy::Line), GroupBy::Line)
}

/// Makes the table of [`suspects()`] for moments, which take less memory than their snapshots.
///
/// `newest` is the snapshot of the last of them. Their key is the table's.
///
/// ```
/// use alloc_core::{GroupBy, Snapshot};
/// use alloc_report::Moment;
///
/// let newest = Snapshot::from_traces(vec![], 32);
/// let moment = Moment::of(&newest, GroupBy::Function);
/// let table = alloc_report::suspects_at(vec![moment.clone(), moment], &newest);
/// assert!(table.to_string().starts_with("No function grew"));
/// ```
pub fn suspects_at(moments: Vec<Moment>, newest: &Snapshot) -> Suspects<'_> {
    let by = moments.last().map_or_else(GroupBy::default, Moment::by);
    Suspects::of(Source::Moments(moments, newest), by)
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
    source: Source<'a>,
    by: GroupBy,
    limit: Option<Bytes>,
    view: View,
}

#[derive(Clone, Debug)]
enum Source<'a> {
    /// Snapshots, and the key to group them by.
    Snapshots(&'a [Snapshot], GroupBy),
    /// Moments, and the snapshot of the last.
    Moments(Vec<Moment>, &'a Snapshot),
}

look!(Suspects, "alloc_report::suspects(&snapshots)");

impl<'a> Suspects<'a> {
    fn of(source: Source<'a>, by: GroupBy) -> Suspects<'a> {
        let mut view = View::new(ROWS);
        view.by = by.into();
        Suspects {
            source,
            by,
            limit: None,
            view,
        }
    }

    /// Groups by files, functions, tracebacks and so on; lines are the default.
    ///
    /// Moments keep the key that they were made with.
    ///
    #[doc = example!(
        "alloc_report::suspects(&snapshots)",
        "assert!(table.by(GroupBy::Function).to_string().contains(\"demo::fill\"));"
    )]
    pub fn by(mut self, by: GroupBy) -> Suspects<'a> {
        if let Source::Snapshots(_, of) = &mut self.source {
            (*of, self.by) = (by, by);
            self.view.by = by.into();
        }
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
        match &self.source {
            Source::Snapshots(snapshots, by) => Order::of_snapshots(snapshots, *by),
            Source::Moments(moments, newest) => Order::of(moments.clone(), Some(newest)),
        }
    }

    fn growth(&self, order: &Order<'_>) -> Growth {
        Growth::of(order, self.by)
    }

    /// Seconds until the heap reaches the limit, at the rate of these suspects.
    fn until_limit(&self, order: &Order<'_>, suspects: &[Suspect]) -> Option<f64> {
        let limit = self.limit?;
        let heap = order.moments.last()?.heap();
        let rate: f64 = suspects.iter().filter_map(|it| it.rate).sum();
        let free = limit.saturating_sub(heap).get() as f64;
        (rate > 0.0).then(|| free / rate)
    }

    fn notes_on(&self, order: &Order<'_>, growth: &Growth) -> Vec<String> {
        let mut notes = Vec::new();
        if let (Some(held), Some(newest)) = (&growth.held, order.newest) {
            notes.push(self.held_words(held, newest));
        }
        notes.extend(notes::of_steps(order, &self.view));
        notes
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
