//! [`Statistic`]: a snapshot's counters, grouped by a key.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use crate::frame::Frame;
use crate::snapshot::{Snapshot, Trace};
use crate::traceback::{ChargeTo, Traceback};
use crate::{Amount, Bytes, Counters};
use crate::{sampling, thread};

/// What the traces of a snapshot are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupBy {
    /// The line that the blocks are charged to.
    #[default]
    Line,
    /// The file of that line.
    File,
    /// The function of that line.
    ///
    /// With `debug = "line-tables-only"`, inlined functions have their bare names, without a module,
    /// so two of one name are one group; `debug = 1` keeps them apart.
    Function,
    /// The whole stack.
    Traceback,
    /// The whole stack without its recursion, as [`Traceback::folded`] has it: a parser that recurses
    /// over its data has stacks without number, and few of these.
    FoldedTraceback,
}

/// Which of a callsite's counters is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// What is live at the moment of the snapshot.
    #[default]
    Current,
    /// The most that was ever live at the callsite; in a group, the sum of these.
    Peak,
    /// What was live at the moment the whole heap was at its peak.
    AtPeak,
    /// What was ever allocated.
    Total,
}

/// What a group has in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GroupKey {
    /// Only as much of the frame as the grouping looks at: file and line, the file alone, or the
    /// function alone. Where a frame has no file, its function takes that place.
    Frame(Frame),
    /// The whole stack, or what is left of it when it is folded.
    Traceback(Traceback),
}

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
    /// The bytes of the metric that was asked for.
    pub size: Bytes,
    /// The blocks of the metric that was asked for.
    pub count: u64,
    /// All counters of the group, summed.
    pub counters: Counters,
    /// The standard error of `size`, if the snapshot is a [sample](crate::Config::sample_every): in
    /// two cases of three the truth is no further away, and in nineteen of twenty no further than
    /// twice that. It takes the blocks of a callsite to be of one size.
    pub error: Option<Bytes>,
}

impl Statistic {
    /// The mean size of a block, rounded half to even; nothing if there are no blocks.
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

impl GroupKey {
    fn of(frame: &Frame, by: GroupBy) -> GroupKey {
        let file = frame.file().cloned();
        let function = || frame.function().map(Into::into);
        GroupKey::Frame(match (by, file) {
            (GroupBy::Line, Some(file)) => Frame::of(None, Some(file), frame.line(), 0),
            (GroupBy::File, Some(file)) => Frame::of(None, Some(file), 0, 0),
            (GroupBy::Function, Some(file)) if frame.function().is_none() => {
                Frame::of(None, Some(file), frame.line(), 0)
            }
            _ => Frame::of(function(), None, 0, 0),
        })
    }

    /// The frame that stands for the group: of a whole stack, the one it is charged to.
    pub fn charged(&self, to: ChargeTo) -> &Frame {
        match self {
            GroupKey::Frame(frame) => frame,
            GroupKey::Traceback(traceback) => traceback.charged(to),
        }
    }
}

impl fmt::Display for GroupKey {
    /// The frame that stands for the group.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.charged(ChargeTo::Caller).fmt(f)
    }
}

impl Counters {
    /// The counters of a metric.
    pub fn amount(&self, metric: Metric) -> Amount {
        match metric {
            Metric::Current => self.current,
            Metric::Peak => self.peak,
            Metric::AtPeak => self.at_peak,
            Metric::Total => self.total,
        }
    }
}

impl Snapshot {
    /// What is live, grouped: the largest group first, as `tracemalloc` sorts them, by size, count
    /// and key, all descending.
    ///
    /// Groups of which nothing is live are left out.
    pub fn statistics(&self, by: GroupBy) -> Vec<Statistic> {
        self.statistics_by(by, Metric::Current)
    }

    /// The same for another metric: what was live at the peak, say.
    pub fn statistics_by(&self, by: GroupBy, metric: Metric) -> Vec<Statistic> {
        let _muted = thread::mute();
        let groups = match by {
            GroupBy::Traceback => self.sum_by_traceback(metric, Traceback::clone),
            GroupBy::FoldedTraceback => self.sum_by_traceback(metric, Traceback::folded),
            _ => self.sum_by_frame(by, metric),
        };
        let mut statistics: Vec<Statistic> = groups
            .into_iter()
            .map(|(key, sum)| {
                let amount = sum.counters.amount(metric);
                let error = || Bytes::new(sum.variance.sqrt().round() as u64);
                Statistic {
                    key,
                    size: amount.bytes,
                    count: amount.blocks,
                    counters: sum.counters,
                    error: self.sampling().map(|_| error()),
                }
            })
            .filter(|statistic| statistic.size > 0 || statistic.count > 0)
            .collect();
        statistics.sort_by(|a, b| {
            let order = |it: &Statistic| Reverse((it.size, it.count));
            order(a).cmp(&order(b)).then_with(|| b.key.cmp(&a.key))
        });
        statistics
    }

    fn sum_by_traceback(
        &self,
        metric: Metric,
        key: fn(&Traceback) -> Traceback,
    ) -> HashMap<GroupKey, Sum> {
        let mut groups: HashMap<GroupKey, Sum> = HashMap::new();
        for trace in self.traces() {
            let key = GroupKey::Traceback(key(&trace.traceback));
            groups.entry(key).or_default().add(self.part(trace, metric));
        }
        groups
    }

    /// Sums by the charged frame. Callsites that share that frame are summed first, so that its
    /// key is made once.
    fn sum_by_frame(&self, by: GroupBy, metric: Metric) -> HashMap<GroupKey, Sum> {
        let mut by_id: HashMap<usize, (&Frame, Sum)> = HashMap::new();
        for trace in self.traces() {
            let frame = trace.traceback.charged(self.charged_to());
            let group = by_id.entry(frame.id()).or_insert((frame, Sum::default()));
            group.1.add(self.part(trace, metric));
        }
        let mut groups: HashMap<GroupKey, Sum> = HashMap::new();
        for (frame, sum) in by_id.into_values() {
            groups.entry(GroupKey::of(frame, by)).or_default().add(sum);
        }
        groups
    }

    fn part(&self, trace: &Trace, metric: Metric) -> Sum {
        let amount = trace.counters.amount(metric);
        let variance = |interval| sampling::variance(interval, amount.bytes.get(), amount.blocks);
        Sum {
            counters: trace.counters,
            variance: self.sampling().map_or(0.0, variance),
        }
    }
}

/// The counters of some callsites, and the variance of a sample's estimate.
#[derive(Clone, Copy, Default)]
struct Sum {
    counters: Counters,
    variance: f64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.counters += other.counters;
        self.variance += other.variance;
    }
}

/// Implements the text form of an enum of names, both ways.
macro_rules! names {
    ($type:ident: $($variant:ident = $name:literal),+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($type::$variant => $name),+ })
            }
        }

        impl FromStr for $type {
            type Err = String;
            fn from_str(name: &str) -> Result<$type, String> {
                match name {
                    $($name => Ok($type::$variant),)+
                    _ => Err(format!("expected one of {}, found {name:?}", [$($name),+].join(", "))),
                }
            }
        }
    };
}

names!(
    GroupBy: Line = "line",
    File = "file",
    Function = "function",
    Traceback = "traceback",
    FoldedTraceback = "folded"
);
names!(Metric: Current = "current", Peak = "peak", AtPeak = "at-peak", Total = "total");

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(bytes: u64, blocks: u64, frames: &[(&str, u32)]) -> Trace {
        let frames = frames
            .iter()
            .map(|&(file, line)| Frame::new(None, Some(file).filter(|it| !it.is_empty()), line, 0));
        let counters = Counters {
            current: Amount::new(bytes, blocks),
            ..Counters::default()
        };
        Trace::new(Traceback::new(frames.collect()), counters)
    }

    /// The first of the two snapshots in CPython's own tests.
    fn cpython() -> Snapshot {
        let a2 = || trace(10, 1, &[("a.py", 2), ("b.py", 4)]);
        Snapshot::from_traces(
            vec![
                a2(),
                a2(),
                a2(),
                trace(2, 1, &[("a.py", 5), ("b.py", 4)]),
                trace(66, 1, &[("b.py", 1)]),
                trace(7, 1, &[("", 0)]),
            ],
            2,
        )
    }

    #[track_caller]
    fn check(by: GroupBy, expected: &[&str]) {
        let lines: Vec<_> = cpython()
            .statistics(by)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn by_line() {
        check(
            GroupBy::Line,
            &[
                "b.py:1: size=66 B, count=1, average=66 B",
                "a.py:2: size=30 B, count=3, average=10 B",
                "<unknown>: size=7 B, count=1, average=7 B",
                "a.py:5: size=2 B, count=1, average=2 B",
            ],
        );
    }

    #[test]
    fn by_file() {
        check(
            GroupBy::File,
            &[
                "b.py: size=66 B, count=1, average=66 B",
                "a.py: size=32 B, count=4, average=8 B",
                "<unknown>: size=7 B, count=1, average=7 B",
            ],
        );
    }

    #[test]
    fn by_traceback_equal_stacks_are_one_group() {
        let statistics = cpython().statistics(GroupBy::Traceback);
        let sizes: Vec<_> = statistics
            .iter()
            .map(|it| (it.size.get(), it.count))
            .collect();
        assert_eq!(sizes, [(66, 1), (30, 3), (7, 1), (2, 1)]);
    }

    #[test]
    fn equal_sizes_sort_by_count_and_then_by_key_all_descending() {
        let snapshot = Snapshot::from_traces(
            vec![
                trace(9, 1, &[("b.rs", 1)]),
                trace(9, 3, &[("a.rs", 1)]),
                trace(9, 1, &[("b.rs", 10)]),
                trace(0, 0, &[("gone.rs", 1)]),
            ],
            1,
        );
        let keys: Vec<_> = snapshot
            .statistics(GroupBy::Line)
            .iter()
            .map(|it| it.key.to_string())
            .collect();
        assert_eq!(keys, ["a.rs:1", "b.rs:10", "b.rs:1"]);
    }

    #[test]
    fn names_are_read_back() {
        for by in [
            GroupBy::Line,
            GroupBy::File,
            GroupBy::Function,
            GroupBy::Traceback,
            GroupBy::FoldedTraceback,
        ] {
            assert_eq!(by.to_string().parse(), Ok(by));
        }
        for metric in [Metric::Current, Metric::Peak, Metric::AtPeak, Metric::Total] {
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        assert_eq!(
            "lines".parse::<GroupBy>().unwrap_err(),
            "expected one of line, file, function, traceback, folded, found \"lines\""
        );
    }
}
