//! Comparison of two snapshots: what grew, what shrank, and by how much.
//!
//! Two snapshots and a [`Grouping`] go in; a sorted list of [`StatisticDiff`] comes out. Nothing
//! here formats a table or reads a file.

use alloc_core_snapshot::{Grouping, Metric, Snapshot};

mod bytes_diff;
mod statistic_diff;
#[cfg(test)]
mod tests;

pub use bytes_diff::BytesDiff;
pub(crate) use bytes_diff::difference;
pub use statistic_diff::StatisticDiff;

/// Comparison of a snapshot with an older one.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, GroupBy, Snapshot, Trace, Traceback};
/// use alloc_report::CompareTo;
///
/// let snapshot = |bytes, blocks| {
///     let traceback = Traceback::new(vec![Frame::new(None, Some("a.rs"), 5, 0)]);
///     let current = Amount::new(bytes, blocks);
///     let counters = Counters { current, ..Counters::default() };
///     Snapshot::from_traces(vec![Trace::new(traceback, counters)], 1)
/// };
/// let diffs = snapshot(5002, 2).compare_to(&snapshot(2, 1), GroupBy::Line);
/// assert_eq!(
///     diffs[0].to_string(),
///     "a.rs:5: size=5002 B (+5000 B), count=2 (+1), average=2501 B",
/// );
/// ```
pub trait CompareTo {
    /// Compares the live memory of `self` with that of `old`; the largest change comes first.
    ///
    /// The order is that of Python's `tracemalloc`: descending by the absolute change in bytes,
    /// then by the bytes, the absolute change in blocks, the blocks, and the key. With
    /// [`SortBy::Blocks`](alloc_core_snapshot::SortBy::Blocks), blocks are compared before bytes;
    /// with [`SortBy::Average`](alloc_core_snapshot::SortBy::Average), the change of the average
    /// comes before everything else. A key that only `old` has is listed with a size of zero, and
    /// an unchanged key with a change of zero. A key without live blocks on either side is not
    /// listed.
    ///
    /// Both snapshots are charged as `self` is (see [`Snapshot::charge_like`]). A [`Grouping`]
    /// chooses another metric, another order, or groups within groups.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, Frame, GroupBy, Snapshot, Trace, Traceback};
    /// use alloc_report::CompareTo;
    ///
    /// let trace = |file, bytes| {
    ///     let traceback = Traceback::new(vec![Frame::new(None, Some(file), 5, 0)]);
    ///     let current = Amount::new(bytes, 1);
    ///     Trace::new(traceback, Counters { current, ..Counters::default() })
    /// };
    /// let old = Snapshot::from_traces(vec![trace("a.rs", 900), trace("b.rs", 900)], 1);
    /// let new = Snapshot::from_traces(vec![trace("a.rs", 901), trace("b.rs", 10)], 1);
    ///
    /// let diffs = new.compare_to(&old, GroupBy::File);
    /// assert_eq!(diffs[0].size_diff, -890);
    /// assert_eq!(diffs[1].size_diff, 1);
    /// ```
    fn compare_to(&self, old: &Snapshot, by: impl Into<Grouping>) -> Vec<StatisticDiff>;

    /// Compares another metric, such as everything ever allocated.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, GroupBy, Metric, Snapshot, Trace, Traceback};
    /// use alloc_report::CompareTo;
    ///
    /// let snapshot = |bytes| {
    ///     let counters = Counters { total: Amount::new(bytes, 1), ..Counters::default() };
    ///     Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![]), counters)], 1)
    /// };
    /// let (old, new) = (snapshot(100), snapshot(700));
    ///
    /// assert!(new.compare_to(&old, GroupBy::Line).is_empty());
    /// let diffs = new.compare_to_by(&old, GroupBy::Line, Metric::Total);
    /// assert_eq!(diffs[0].size_diff, 600);
    /// ```
    fn compare_to_by(
        &self,
        old: &Snapshot,
        by: impl Into<Grouping>,
        metric: Metric,
    ) -> Vec<StatisticDiff> {
        self.compare_to(old, by.into().with_metric(metric))
    }
}

impl CompareTo for Snapshot {
    fn compare_to(&self, old: &Snapshot, by: impl Into<Grouping>) -> Vec<StatisticDiff> {
        let grouping = by.into();
        let charged_alike;
        let are_alike =
            old.charged_to() == self.charged_to() && old.skipped_crates().eq(self.skipped_crates());
        let old = if are_alike {
            old
        } else {
            charged_alike = old.clone().charge_like(self);
            &charged_alike
        };
        let before = old.statistics(grouping.clone());
        let order = grouping.order();
        statistic_diff::differences(self.statistics(grouping), before, order)
    }
}
