//! [`Statistic`]: a snapshot's counters, grouped by a key.
//!
//! In: the traces of a snapshot, and a [`Grouping`]. Out: groups, the largest first. It never
//! changes the snapshot.

pub(crate) mod filter;
mod frees;
mod group;
pub(crate) mod grouping;
mod key;
mod labels;
pub(crate) mod pattern;

use std::cmp::{Ordering, Reverse};
use std::fmt;

use crate::snapshot::{Snapshot, Trace};
use crate::stack::package::Crates;
use crate::statistics::grouping::{GroupBy, Grouping, Metric, SortBy};
use crate::{Amount, Bytes, Counters, Lifetimes, Pinned, Slack, process};

pub use frees::{Freer, Frees, FreesRow};
use group::{Member, Of, Sum, is_library, start_of_callers};
pub use key::GroupKey;
pub use labels::LabelStatistic;

/// The counters of a group of callsites.
///
/// It prints as in `tracemalloc`:
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, GroupBy, Snapshot, Trace, Traceback};
///
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let current = Amount::new(12_966_980, 99_746);
/// let trace = Trace::new(
///     Traceback::new(vec![frame]),
///     Counters { current, ..Counters::default() },
/// );
/// let statistics = Snapshot::from_traces(vec![trace], 32).statistics(GroupBy::Line);
/// assert_eq!(
///     statistics[0].to_string(),
///     "src/cache.rs:41: size=12.4 MiB, count=99746, average=130 B"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Statistic {
    /// What the group has in common.
    pub key: GroupKey,
    /// The bytes of the grouping's metric.
    pub size: Bytes,
    /// The blocks of the grouping's metric.
    pub count: u64,
    /// All counters of the group, summed.
    pub counters: Counters,
    /// The standard error of `size`, if the snapshot is a sample (`Config::sample_every`): the true
    /// value is within one standard error in two of three cases, and within two in nineteen of
    /// twenty. It assumes that all blocks of a callsite have one size.
    pub error: Option<Bytes>,
    /// The groups within this one, if the [`Grouping`] has a further key.
    pub parts: Vec<Statistic>,
    /// How long the blocks of the group lived, if the session recorded lifetimes
    /// (`Config::lifetimes`).
    pub lifetimes: Option<Lifetimes>,
    /// How many more bytes the blocks of the group have than were asked for, if the session
    /// measured it (`Config::slack`).
    pub slack: Option<Slack>,
    /// What the live blocks keep resident besides themselves, if the snapshot was asked for it.
    pub pinned: Option<Pinned>,
    /// Whether the group consists of library functions that only call into the program, such as
    /// those that call `main` or poll futures, or that allocate for it, such as `Vec::push`. When
    /// [counted cumulatively](Grouping::cumulative), at least 99 % of its bytes are
    /// [charged](Snapshot::charged_frame) to a function that called them, or were allocated within
    /// a function of the workspace that they called. Tables omit such groups.
    pub is_plumbing: bool,
}

impl Statistic {
    fn new(key: GroupKey, sum: Sum, parts: Vec<Statistic>, of: &Of<'_>) -> Statistic {
        let amount = sum.counters.amount(of.grouping.metric());
        let error = Bytes::new(sum.variance.sqrt().round() as u64);
        Statistic {
            key,
            size: amount.bytes,
            count: amount.blocks,
            counters: sum.counters,
            error: of.snapshot.sampling().map(|_| error),
            parts,
            lifetimes: None,
            slack: None,
            pinned: None,
            is_plumbing: amount.bytes > 0
                && u128::from(sum.own) * 100 < u128::from(amount.bytes.get()),
        }
    }

    /// The order in a list, largest first.
    fn compare(&self, other: &Statistic, by: SortBy) -> Ordering {
        let largest_first = |it: &Statistic| match by {
            SortBy::Blocks => Reverse((it.count, it.size.get())),
            _ => Reverse((it.size.get(), it.count)),
        };
        let by_average = || {
            // Compares fractions exactly; no blocks sorts last.
            let [own, others] = [self, other].map(|it| (u128::from(it.size.get()), it.count));
            let product = |(size, _), (_, count)| -> u128 { size * u128::from(count) };
            let average = product(others, own).cmp(&product(own, others));
            (own.1 == 0).cmp(&(others.1 == 0)).then(average)
        };
        let first = match by {
            SortBy::Average => by_average(),
            _ => Ordering::Equal,
        };
        first
            .then_with(|| largest_first(self).cmp(&largest_first(other)))
            .then_with(|| other.key.cmp(&self.key))
    }
    /// The mean size of a block, rounded half to even; `None` if there are no blocks.
    ///
    /// ```
    /// use alloc_core::{Amount, Bytes, Counters, GroupBy, Snapshot, Trace, Traceback};
    ///
    /// let counters = Counters { current: Amount::new(7, 2), ..Counters::default() };
    /// let trace = Trace::new(Traceback::new(vec![]), counters);
    /// let statistics = Snapshot::from_traces(vec![trace], 32).statistics(GroupBy::Line);
    /// assert_eq!(statistics[0].average(), Some(Bytes::new(4)));
    /// ```
    pub fn average(&self) -> Option<Bytes> {
        let (size, count) = (self.size.get(), self.count);
        let whole = size.checked_div(count)?;
        let twice_rest = (size % count).saturating_mul(2);
        let up = twice_rest > count || twice_rest == count && whole % 2 == 1;
        Some(Bytes::new(whole + u64::from(up)))
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: size={}", self.key, self.size)?;
        if let Some(error) = self.error {
            write!(f, " ±{error}")?;
        }
        write!(f, ", count={}", self.count)?;
        match self.average() {
            Some(average) => write!(f, ", average={average}"),
            None => Ok(()),
        }
    }
}

impl Counters {
    /// The counters of a metric.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, Metric};
    ///
    /// let counters = Counters { peak: Amount::new(100, 2), ..Counters::default() };
    /// assert_eq!(counters.amount(Metric::Peak), Amount::new(100, 2));
    /// assert_eq!(counters.amount(Metric::Current), Amount::default());
    /// ```
    pub fn amount(&self, metric: Metric) -> Amount {
        match metric {
            Metric::Current => self.current,
            Metric::Peak => self.peak,
            Metric::AtPeak => self.at_peak,
            Metric::Total => self.total,
            Metric::Freed => self.freed(),
        }
    }
}

impl Snapshot {
    /// Groups what is live, the largest group first. Groups are sorted by size, count and key, all
    /// descending, as in `tracemalloc`.
    ///
    /// Groups with nothing live are omitted. See [`Grouping`] for other metrics and sort orders,
    /// nested groups, custom keys and cumulative counting.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, Frame, GroupBy, Snapshot, Trace, Traceback};
    ///
    /// let trace = |line, bytes| {
    ///     let frame = Frame::new(None, Some("src/cache.rs"), line, 9);
    ///     let current = Amount::new(bytes, 1);
    ///     Trace::new(Traceback::new(vec![frame]), Counters { current, ..Counters::default() })
    /// };
    /// let snapshot = Snapshot::from_traces(vec![trace(41, 100), trace(52, 400)], 32);
    /// let lines = snapshot.statistics(GroupBy::Line);
    /// assert_eq!(lines[0].key.to_string(), "src/cache.rs:52");
    /// assert_eq!(snapshot.statistics(GroupBy::File)[0].size, 500);
    /// ```
    pub fn statistics(&self, by: impl Into<Grouping>) -> Vec<Statistic> {
        let _muted = process::mute();
        let grouping = &by.into();
        let of = self.of(grouping);
        let traces = self.traces().iter().enumerate();
        if grouping.is_cumulative() {
            let members = traces.flat_map(|(number, trace)| {
                let callers = start_of_callers(&trace.traceback);
                let charged = self.charged_frame(&trace.traceback);
                let charged = trace.traceback.iter().position(|it| it == charged);
                let charged = charged.unwrap_or(0);
                let member = move |(at, frame)| Member {
                    number,
                    trace,
                    frame,
                    is_plumbing: (at < charged || at >= callers) && is_library(frame),
                };
                trace.traceback.iter().enumerate().map(member)
            });
            of.group(members, &grouping.keys)
        } else {
            let members = traces.map(|(number, trace)| Member {
                number,
                trace,
                frame: self.charged_frame(&trace.traceback),
                is_plumbing: false,
            });
            of.group(members, &grouping.keys)
        }
    }

    /// The key of each trace, in order.
    pub(crate) fn keys_of_traces(&self, by: GroupBy) -> Vec<GroupKey> {
        let grouping = &Grouping::from(by);
        let of = self.of(grouping);
        let key = |(number, trace): (usize, &Trace)| {
            let member = Member {
                number,
                trace,
                frame: self.charged_frame(&trace.traceback),
                is_plumbing: false,
            };
            of.key(&grouping.keys[0], member)
        };
        self.traces().iter().enumerate().map(key).collect()
    }

    fn of<'a>(&'a self, grouping: &'a Grouping) -> Of<'a> {
        let needs_crates = grouping
            .keys()
            .any(|key| matches!(key, Some(GroupBy::Crate | GroupBy::Module)));
        let frames = self.traces().iter().flat_map(|it| it.traceback.iter());
        let crates = match needs_crates {
            true => Crates::of(frames),
            false => Crates::default(),
        };
        Of {
            snapshot: self,
            grouping,
            crates,
        }
    }

    /// Groups by any metric, such as what was live at the peak.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, GroupBy, Metric, Snapshot, Trace, Traceback};
    ///
    /// // Nothing is live any more.
    /// let counters = Counters { at_peak: Amount::new(100, 2), ..Counters::default() };
    /// let trace = Trace::new(Traceback::new(vec![]), counters);
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// assert!(snapshot.statistics(GroupBy::Line).is_empty());
    /// assert_eq!(snapshot.statistics_by(GroupBy::Line, Metric::AtPeak)[0].count, 2);
    /// ```
    pub fn statistics_by(&self, by: impl Into<Grouping>, metric: Metric) -> Vec<Statistic> {
        self.statistics(by.into().with_metric(metric))
    }
}

#[cfg(test)]
mod tests;
