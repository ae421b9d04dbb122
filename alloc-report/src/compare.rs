//! Two snapshots compared: what grew, what shrank, by how much.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::fmt;
use std::ops::{Add, Sub};

use alloc_core::{Bytes, GroupKey, Grouping, Metric, Snapshot, SortBy, Statistic};

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
    /// What is live in `self` against what was live in `old`, the largest change first.
    ///
    /// The order is that of Python's `tracemalloc`: descending by the size of the change in bytes,
    /// either way, then by the bytes, the change in blocks, the blocks, and the key. By blocks, the
    /// change in blocks and the blocks come before those in bytes; by average, the change of the
    /// average before all. A key that only `old` has is there with a size of zero; one that did not
    /// change is there with a change of zero; one without a live block on either side is not.
    ///
    /// Both snapshots are charged as `self` is (see [`Snapshot::charge_like`]). Another metric,
    /// another order, groups within groups: see [`Grouping`].
    fn compare_to(&self, old: &Snapshot, by: impl Into<Grouping>) -> Vec<StatisticDiff>;

    /// The same for another metric, such as what was ever allocated.
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
        differences(self.statistics(grouping), before, order)
    }
}

fn differences(now: Vec<Statistic>, before: Vec<Statistic>, order: SortBy) -> Vec<StatisticDiff> {
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

/// What a key holds in one of the snapshots.
struct Held {
    size: Bytes,
    count: u64,
    parts: Vec<Statistic>,
    is_plumbing: bool,
}

impl Default for Held {
    /// Of nothing, nobody is the one to show.
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

/// What one key holds in the newer of two snapshots, and how that differs from the older one.
///
/// It prints as `tracemalloc` prints it; the average is left out where there is no block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StatisticDiff {
    /// What the group has in common.
    pub key: GroupKey,
    /// The bytes in the newer snapshot.
    pub size: Bytes,
    /// The change in bytes since the older snapshot.
    pub size_diff: BytesDiff,
    /// The number of blocks in the newer snapshot.
    pub count: u64,
    /// The change in the number of blocks since the older snapshot.
    pub count_diff: i64,
    /// The groups within this one, if the [`Grouping`] has a further key.
    pub parts: Vec<StatisticDiff>,
    /// Whether the group does little but call the program or allocate for it, in both snapshots:
    /// see
    /// [`Statistic::is_plumbing`].
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

    /// The mean size of a block in the newer snapshot, in whole bytes; `None` without blocks.
    pub fn average(&self) -> Option<Bytes> {
        self.mean()
            .map(|mean| Bytes::new(mean.round_ties_even() as u64))
    }

    /// Whether neither the bytes nor the number of blocks changed.
    pub fn is_unchanged(&self) -> bool {
        self.size_diff.get() == 0 && self.count_diff == 0
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.size.get() as f64 / self.count as f64)
    }

    /// The change of the average since the older snapshot, either way; without blocks it is zero.
    fn change_of_average(&self) -> f64 {
        let mean = |size: f64, count: f64| if count > 0.0 { size / count } else { 0.0 };
        let (size, count) = (self.size.get() as f64, self.count as f64);
        let then = mean(
            size - self.size_diff.get() as f64,
            count - self.count_diff as f64,
        );
        (mean(size, count) - then).abs()
    }

    /// The order in a list: the largest change first.
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

/// A change in a number of bytes.
///
/// It prints as `tracemalloc` prints changes: always with a sign, in the units of [`Bytes`].
///
/// ```
/// use alloc_report::BytesDiff;
///
/// assert_eq!(BytesDiff::new(5000).to_string(), "+5000 B");
/// assert_eq!(BytesDiff::new(-12_345_678).to_string(), "-11.8 MiB");
/// assert_eq!(BytesDiff::new(0).to_string(), "+0 B");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BytesDiff(i64);

impl BytesDiff {
    /// A change by `n` bytes.
    pub const fn new(n: i64) -> BytesDiff {
        BytesDiff(n)
    }

    /// The change from `old` to `new`.
    ///
    /// A change of 8 EiB or more, which no heap makes, is cut to the nearest that fits.
    pub fn between(new: Bytes, old: Bytes) -> BytesDiff {
        BytesDiff(difference(new.get(), old.get()))
    }

    /// The number of bytes as a plain integer.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for BytesDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_size(self.0 as f64, true))
    }
}

impl Add for BytesDiff {
    type Output = BytesDiff;
    fn add(self, other: BytesDiff) -> BytesDiff {
        BytesDiff(self.0.saturating_add(other.0))
    }
}

impl Sub for BytesDiff {
    type Output = BytesDiff;
    fn sub(self, other: BytesDiff) -> BytesDiff {
        BytesDiff(self.0.saturating_sub(other.0))
    }
}

impl PartialEq<i64> for BytesDiff {
    fn eq(&self, other: &i64) -> bool {
        self.0 == *other
    }
}

impl PartialOrd<i64> for BytesDiff {
    fn partial_cmp(&self, other: &i64) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(other)
    }
}

/// `new - old`, cut to what an `i64` holds.
pub(crate) fn difference(new: u64, old: u64) -> i64 {
    let difference = i128::from(new) - i128::from(old);
    difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// CPython's `tracemalloc._format_size`.
///
/// [`Bytes`] prints whole numbers the same way; an average is not whole, and 10,239.95 bytes are
/// `10240 B`, where 10,240 would be `10.0 KiB`.
fn format_size(mut size: f64, signed: bool) -> String {
    let sign = if signed && size >= 0.0 { "+" } else { "" };
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        if unit != "B" && size.abs() < 100.0 {
            return format!("{sign}{size:.1} {unit}");
        }
        if size.abs() < 10.0 * 1024.0 || units.peek().is_none() {
            return format!("{sign}{size:.0} {unit}");
        }
        size /= 1024.0;
    }
    unreachable!("the last unit takes every size")
}

#[cfg(test)]
mod tests {
    use alloc_core::{Frame, GroupBy};

    use super::*;
    use crate::fixture::{S1, S2, snapshot};

    #[track_caller]
    fn check(by: GroupBy, expected: &[&str]) {
        let diffs = snapshot(S2).compare_to(&snapshot(S1), by);
        let text: Vec<String> = diffs.iter().map(StatisticDiff::to_string).collect();
        assert_eq!(text, expected);
    }

    #[test]
    fn by_line_as_cpython() {
        check(
            GroupBy::Line,
            &[
                "a.py:5: size=5002 B (+5000 B), count=2 (+1), average=2501 B",
                "c.py:578: size=400 B (+400 B), count=1 (+1), average=400 B",
                "b.py:1: size=0 B (-66 B), count=0 (-1)",
                "<unknown>: size=0 B (-7 B), count=0 (-1)",
                "a.py:2: size=30 B (+0 B), count=3 (+0), average=10 B",
            ],
        );
    }

    #[test]
    fn by_file_as_cpython() {
        let diffs = snapshot(S2).compare_to(&snapshot(S1), GroupBy::File);
        let rows: Vec<_> = diffs
            .iter()
            .map(|diff| {
                let file = diff.key.charged(Default::default()).and_then(Frame::file);
                let file = file.map_or("<unknown>", |file| file.short());
                (
                    file,
                    diff.size.get(),
                    diff.size_diff.get(),
                    diff.count,
                    diff.count_diff,
                )
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("a.py", 5032, 5000, 5, 1),
                ("c.py", 400, 400, 1, 1),
                ("b.py", 0, -66, 0, -1),
                ("<unknown>", 0, -7, 0, -1),
            ]
        );
    }

    #[test]
    fn by_traceback_as_cpython() {
        check(
            GroupBy::Traceback,
            &[
                "a.py:5: size=5002 B (+5000 B), count=2 (+1), average=2501 B",
                "c.py:578: size=400 B (+400 B), count=1 (+1), average=400 B",
                "b.py:1: size=0 B (-66 B), count=0 (-1)",
                "<unknown>: size=0 B (-7 B), count=0 (-1)",
                "a.py:2: size=30 B (+0 B), count=3 (+0), average=10 B",
            ],
        );
    }

    #[test]
    fn equal_changes_are_ordered_by_size_then_change_in_count_then_count_then_key() {
        // Each file beats those after it by what its name says, and would lose by what comes later.
        let old = snapshot(&[
            ("a size", 1, &[], 100, 9),
            ("b count diff", 1, &[], 10, 1),
            ("c count", 1, &[], 10, 8),
            ("e key", 1, &[], 10, 2),
            ("d key", 1, &[], 10, 2),
            ("f unchanged", 1, &[], 999, 9),
        ]);
        let new = snapshot(&[
            ("a size", 1, &[], 90, 9),
            ("b count diff", 1, &[], 20, 3),
            ("c count", 1, &[], 20, 9),
            ("e key", 1, &[], 20, 3),
            ("d key", 1, &[], 20, 3),
            ("f unchanged", 1, &[], 999, 9),
        ]);
        let diffs = new.compare_to(&old, GroupBy::File);
        let order: Vec<String> = diffs.iter().map(|diff| diff.key.to_string()).collect();
        let expected = [
            "a size",
            "b count diff",
            "c count",
            "e key",
            "d key",
            "f unchanged",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn other_orders_are_by_other_changes() {
        let old = snapshot(&[
            ("bytes", 1, &[], 10, 10),
            ("blocks", 1, &[], 99, 1),
            ("mean", 1, &[], 9, 9),
        ]);
        let new = snapshot(&[
            ("bytes", 1, &[], 90, 9),
            ("blocks", 1, &[], 99, 9),
            ("mean", 1, &[], 39, 1),
        ]);
        let order = |order| {
            let by = Grouping::by(GroupBy::File).sorted_by(order);
            let diffs = new.compare_to(&old, by).into_iter();
            diffs.map(|diff| diff.key.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(order(SortBy::Bytes), ["bytes", "mean", "blocks"]);
        // Eight blocks each: the one that holds more of them comes first.
        assert_eq!(order(SortBy::Blocks), ["blocks", "mean", "bytes"]);
        // By 88, by 38, by 9.
        assert_eq!(order(SortBy::Average), ["blocks", "mean", "bytes"]);
    }

    #[test]
    fn groups_within_groups_are_compared_key_by_key() {
        let by = [GroupBy::File, GroupBy::Line];
        let diffs = snapshot(S2).compare_to(&snapshot(S1), by);
        let mut lines = Vec::new();
        for diff in &diffs {
            lines.push(diff.to_string());
            lines.extend(diff.parts.iter().map(|part| format!("  {part}")));
        }
        assert_eq!(
            lines,
            [
                "a.py: size=5032 B (+5000 B), count=5 (+1), average=1006 B",
                "  a.py:5: size=5002 B (+5000 B), count=2 (+1), average=2501 B",
                "  a.py:2: size=30 B (+0 B), count=3 (+0), average=10 B",
                "c.py: size=400 B (+400 B), count=1 (+1), average=400 B",
                "  c.py:578: size=400 B (+400 B), count=1 (+1), average=400 B",
                "b.py: size=0 B (-66 B), count=0 (-1)",
                "  b.py:1: size=0 B (-66 B), count=0 (-1)",
                "<unknown>: size=0 B (-7 B), count=0 (-1)",
                "  <unknown>: size=0 B (-7 B), count=0 (-1)",
            ]
        );
    }

    #[test]
    fn a_key_without_blocks_on_either_side_is_left_out() {
        let old = snapshot(&[("freed.py", 1, &[], 0, 0), ("gone.py", 1, &[], 5, 1)]);
        let new = snapshot(&[("freed.py", 1, &[], 0, 0), ("gone.py", 1, &[], 0, 0)]);
        let diffs = new.compare_to(&old, GroupBy::Line);
        assert_eq!(diffs.len(), 1);
        assert_eq!(
            diffs[0].to_string(),
            "gone.py:1: size=0 B (-5 B), count=0 (-1)"
        );
    }

    /// The expected texts are what CPython 3.11 answers to `tracemalloc._format_size(n, True)`.
    #[test]
    fn changes_print_as_tracemalloc_prints_them() {
        for (bytes, text) in [
            (0, "+0 B"),
            (1, "+1 B"),
            (-1, "-1 B"),
            (-10_239, "-10239 B"),
            (10_240, "+10.0 KiB"),
            (-10_240, "-10.0 KiB"),
            (102_399, "+100.0 KiB"),
            (-102_400, "-100 KiB"),
            (102_912, "+100 KiB"),
            (103_936, "+102 KiB"),
            (10_485_759, "+10240 KiB"),
            (-12_345_678, "-11.8 MiB"),
            (-(1 << 40), "-1024 GiB"),
            (1 << 45, "+32.0 TiB"),
            (i64::MAX, "+8388608 TiB"),
            (i64::MIN, "-8388608 TiB"),
        ] {
            assert_eq!(BytesDiff::new(bytes).to_string(), text);
        }
    }

    /// The expected texts are what CPython 3.11 answers to `tracemalloc._format_size(a / b, False)`.
    #[test]
    fn averages_print_as_tracemalloc_prints_them() {
        for (size, count, text) in [
            (5, 2, "2 B"),
            (7, 2, "4 B"),
            (204_799, 20, "10240 B"),
            (12_345_678, 7, "1722 KiB"),
        ] {
            let new = snapshot(&[("a.py", 1, &[], size, count)]);
            let diff = &new.compare_to(&snapshot(&[]), GroupBy::Line)[0];
            let printed = diff.to_string();
            assert_eq!(printed.rsplit_once("average=").unwrap().1, text);
        }
    }

    #[test]
    fn a_change_too_large_for_its_type_is_cut() {
        let (none, all) = (Bytes::ZERO, Bytes::new(u64::MAX));
        assert_eq!(BytesDiff::between(all, none), i64::MAX);
        assert_eq!(BytesDiff::between(none, all), i64::MIN);
        assert_eq!(BytesDiff::between(all, Bytes::new(u64::MAX - 1)), 1);
    }
}
