//! [`StatisticDiff`]: one group in two snapshots.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::fmt;

use alloc_core_snapshot::{Bytes, GroupKey, SortBy, Statistic};

use super::bytes_diff::{BytesDiff, difference, format_size};

/// One group of the newer snapshot, with its change since the older one.
///
/// It prints as in Python's `tracemalloc`. The average is omitted if there are no blocks.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, GroupBy, Snapshot, Trace, Traceback};
/// use alloc_report::CompareTo;
///
/// let frame = Frame::new(None, Some("a.rs"), 5, 0);
/// let current = Amount::new(64, 1);
/// let counters = Counters { current, ..Counters::default() };
/// let new = Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![frame]), counters)], 1);
/// let old = Snapshot::from_traces(vec![], 1);
///
/// let grown = &new.compare_to(&old, GroupBy::Line)[0];
/// assert_eq!(grown.to_string(), "a.rs:5: size=64 B (+64 B), count=1 (+1), average=64 B");
/// let freed = &old.compare_to(&new, GroupBy::Line)[0];
/// assert_eq!(freed.to_string(), "a.rs:5: size=0 B (-64 B), count=0 (-1)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StatisticDiff {
    /// The key that the group's callsites share.
    pub key: GroupKey,
    /// The bytes in the newer snapshot.
    pub size: Bytes,
    /// The change in bytes since the older snapshot.
    pub size_diff: BytesDiff,
    /// The number of blocks in the newer snapshot.
    pub count: u64,
    /// The change in the number of blocks since the older snapshot.
    pub count_diff: i64,
    /// The groups within this one, if the [`Grouping`](alloc_core_snapshot::Grouping) has a further
    /// key.
    pub parts: Vec<StatisticDiff>,
    /// Whether the group is plumbing in both snapshots: see [`Statistic::is_plumbing`].
    pub is_plumbing: bool,
}

impl StatisticDiff {
    fn new(key: GroupKey, now: Held, then: Held, order: SortBy) -> StatisticDiff {
        StatisticDiff {
            key,
            size: now.size,
            size_diff: BytesDiff::between(now.size, then.size),
            count: now.count,
            count_diff: difference(now.count, then.count),
            parts: differences(now.parts, then.parts, order),
            is_plumbing: now.is_plumbing && then.is_plumbing,
        }
    }

    /// The mean size of a block in the newer snapshot, rounded to whole bytes.
    ///
    /// It is `None` if there are no blocks.
    ///
    /// ```
    /// # use alloc_core::{Amount, Bytes, Counters, GroupBy, Snapshot, Trace, Traceback};
    /// # use alloc_report::CompareTo;
    /// # let snapshot = |bytes, blocks| {
    /// #     let current = Amount::new(bytes, blocks);
    /// #     let counters = Counters { current, ..Counters::default() };
    /// #     Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![]), counters)], 1)
    /// # };
    /// let (old, new) = (snapshot(10, 1), snapshot(90, 3));
    /// let diffs = new.compare_to(&old, GroupBy::Line);
    /// assert_eq!(diffs[0].average(), Some(Bytes::new(30)));
    /// ```
    pub fn average(&self) -> Option<Bytes> {
        self.mean()
            .map(|mean| Bytes::new(mean.round_ties_even() as u64))
    }

    /// Whether neither the bytes nor the number of blocks changed.
    ///
    /// ```
    /// # use alloc_core::{Amount, Counters, GroupBy, Snapshot, Trace, Traceback};
    /// # use alloc_report::CompareTo;
    /// # let snapshot = |bytes, blocks| {
    /// #     let current = Amount::new(bytes, blocks);
    /// #     let counters = Counters { current, ..Counters::default() };
    /// #     Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![]), counters)], 1)
    /// # };
    /// let (one, two) = (snapshot(10, 1), snapshot(10, 2));
    /// assert!(one.compare_to(&one, GroupBy::Line)[0].is_unchanged());
    /// assert!(!two.compare_to(&one, GroupBy::Line)[0].is_unchanged());
    /// ```
    pub fn is_unchanged(&self) -> bool {
        self.size_diff.get() == 0 && self.count_diff == 0
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.size.get() as f64 / self.count as f64)
    }

    /// The absolute change of the average. A side without blocks has an average of zero.
    fn change_of_average(&self) -> f64 {
        let mean = |size: f64, count: f64| if count > 0.0 { size / count } else { 0.0 };
        let (size, count) = (self.size.get() as f64, self.count as f64);
        let then = mean(
            size - self.size_diff.get() as f64,
            count - self.count_diff as f64,
        );
        (mean(size, count) - then).abs()
    }

    /// The order of a list: the largest change first.
    pub(crate) fn compare(&self, other: &StatisticDiff, by: SortBy) -> Ordering {
        let largest_first = |it: &StatisticDiff| {
            let bytes = (it.size_diff.get().unsigned_abs(), it.size.get());
            let blocks = (it.count_diff.unsigned_abs(), it.count);
            match by {
                SortBy::Blocks => Reverse((blocks, bytes)),
                _ => Reverse((bytes, blocks)),
            }
        };
        let first = match by {
            SortBy::Average => other
                .change_of_average()
                .total_cmp(&self.change_of_average()),
            _ => Ordering::Equal,
        };
        first
            .then_with(|| largest_first(self).cmp(&largest_first(other)))
            .then_with(|| other.key.cmp(&self.key))
    }
}

impl fmt::Display for StatisticDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StatisticDiff {
            key,
            size,
            size_diff,
            count,
            count_diff,
            parts: _,
            is_plumbing: _,
        } = self;
        write!(
            f,
            "{key}: size={size} ({size_diff}), count={count} ({count_diff:+})"
        )?;
        match self.mean() {
            Some(mean) => write!(f, ", average={}", format_size(mean, false)),
            None => Ok(()),
        }
    }
}

/// Compares two lists of groups by key; the largest change comes first.
pub(super) fn differences(
    now: Vec<Statistic>,
    before: Vec<Statistic>,
    order: SortBy,
) -> Vec<StatisticDiff> {
    let mut before: HashMap<GroupKey, Held> = before
        .into_iter()
        .map(|statistic| (statistic.key.clone(), Held::of(statistic)))
        .collect();
    let mut diffs: Vec<StatisticDiff> = now
        .into_iter()
        .map(|statistic| {
            let then = before.remove(&statistic.key).unwrap_or_default();
            StatisticDiff::new(statistic.key.clone(), Held::of(statistic), then, order)
        })
        .collect();
    let vanished = before.into_iter();
    diffs.extend(vanished.map(|(key, then)| StatisticDiff::new(key, Held::default(), then, order)));
    diffs.sort_unstable_by(|a, b| a.compare(b, order));
    diffs
}

/// The numbers of one key in one snapshot.
struct Held {
    size: Bytes,
    count: u64,
    parts: Vec<Statistic>,
    is_plumbing: bool,
}

impl Default for Held {
    /// A missing group is plumbing, so that the side that has the group decides.
    fn default() -> Held {
        Held {
            size: Bytes::ZERO,
            count: 0,
            parts: Vec::new(),
            is_plumbing: true,
        }
    }
}

impl Held {
    fn of(statistic: Statistic) -> Held {
        Held {
            size: statistic.size,
            count: statistic.count,
            parts: statistic.parts,
            is_plumbing: statistic.is_plumbing,
        }
    }
}
