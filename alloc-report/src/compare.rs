//! Two snapshots compared: what grew, what shrank, by how much.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::ops::{Add, Sub};

use alloc_core::{Bytes, GroupBy, GroupKey, Metric, Snapshot, Statistic};

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
    /// either way, then by the bytes, the change in blocks, the blocks, and the key. A key that only
    /// `old` has is there with a size of zero; one that did not change is there with a change of
    /// zero; one without a live block on either side is not.
    ///
    /// Both snapshots are charged as `self` is (see [`Snapshot::charge_to`]).
    fn compare_to(&self, old: &Snapshot, by: GroupBy) -> Vec<StatisticDiff> {
        self.compare_to_by(old, by, Metric::Current)
    }

    /// The same for another metric, such as what was ever allocated.
    fn compare_to_by(&self, old: &Snapshot, by: GroupBy, metric: Metric) -> Vec<StatisticDiff>;
}

impl CompareTo for Snapshot {
    fn compare_to_by(&self, old: &Snapshot, by: GroupBy, metric: Metric) -> Vec<StatisticDiff> {
        let charged_alike;
        let old = if old.charged_to() == self.charged_to() {
            old
        } else {
            charged_alike = old.clone().charge_to(self.charged_to());
            &charged_alike
        };
        let amounts = |snapshot: &Snapshot| {
            let statistics = snapshot.statistics_by(by, metric).into_iter();
            statistics.map(
                |Statistic {
                     key, size, count, ..
                 }| (key, (size, count)),
            )
        };
        let mut before: HashMap<GroupKey, (Bytes, u64)> = amounts(old).collect();
        let mut diffs: Vec<StatisticDiff> = amounts(self)
            .map(|(key, now)| {
                let then = before.remove(&key).unwrap_or_default();
                StatisticDiff::new(key, now, then)
            })
            .collect();
        let vanished = before.into_iter();
        diffs.extend(vanished.map(|(key, then)| StatisticDiff::new(key, Default::default(), then)));
        diffs.sort_by(|a, b| a.rank().cmp(&b.rank()));
        diffs
    }
}

/// What one key holds in the newer of two snapshots, and how that differs from the older one.
///
/// It prints as `tracemalloc` prints it; the average is left out where there is no block.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StatisticDiff {
    /// The line, file, function or traceback.
    pub key: GroupKey,
    /// The bytes in the newer snapshot.
    pub size: Bytes,
    /// The change in bytes since the older snapshot.
    pub size_diff: BytesDiff,
    /// The number of blocks in the newer snapshot.
    pub count: u64,
    /// The change in the number of blocks since the older snapshot.
    pub count_diff: i64,
}

impl StatisticDiff {
    fn new(key: GroupKey, now: (Bytes, u64), then: (Bytes, u64)) -> StatisticDiff {
        StatisticDiff {
            key,
            size: now.0,
            size_diff: BytesDiff::between(now.0, then.0),
            count: now.1,
            count_diff: difference(now.1, then.1),
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

    fn rank(&self) -> impl Ord + '_ {
        Reverse((
            self.size_diff.get().unsigned_abs(),
            self.size,
            self.count_diff.unsigned_abs(),
            self.count,
            &self.key,
        ))
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
                let file = diff.key.charged(Default::default()).file();
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
