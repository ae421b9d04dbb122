//! [`Statistic`]: a snapshot's counters, grouped by a key.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::escape::Escaped;
use crate::frame::{Frame, Function};
use crate::grouping::{GroupBy, Grouping, Key, Metric, SortBy};
use crate::origin::Origin;
use crate::package::Crates;
use crate::snapshot::{Snapshot, Trace, class_of};
use crate::traceback::{ChargeTo, Traceback};
use crate::{Amount, Bytes, Counters};
use crate::{process, sampling};

/// What a group has in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GroupKey {
    /// Only as much of the frame as the grouping looks at: file and line, the file alone, or the
    /// function alone. Where a frame has no file, its function takes that place.
    Frame(Frame),
    /// The whole stack, or what is left of it when it is folded.
    Traceback(Traceback),
    /// A module, a crate, the name of a thread, or what a function of the caller's said.
    Name(Arc<str>),
    /// The mean size of a callsite's blocks is at most this power of two, and more than half of it.
    SizeClass(Bytes),
    /// The domain of the memory; 0 is the Rust heap.
    Domain(u32),
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
    /// The standard error of `size`, if the snapshot is a [sample](https://docs.rs/alloc-core/latest/alloc_core/struct.Config.html#method.sample_every): in
    /// two cases of three the truth is no further away, and in nineteen of twenty no further than
    /// twice that. It takes the blocks of a callsite to be of one size.
    pub error: Option<Bytes>,
    /// The groups within this one, if the [`Grouping`] has a further key.
    pub parts: Vec<Statistic>,
    /// Whether the group is of library functions that do little but call the program, as `main` is
    /// called and futures are polled, or allocate for it, as `Vec::push` does: when [counted
    /// cumulatively](Grouping::cumulative), 99 % of its bytes or more are
    /// [charged](Snapshot::charged_frame) to a function that called them, or were allocated within
    /// a function of the workspace that they called. Tables leave such groups out.
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
            is_plumbing: amount.bytes > 0
                && u128::from(sum.own) * 100 < u128::from(amount.bytes.get()),
        }
    }

    /// The order in a list: the largest first.
    fn compare(&self, other: &Statistic, by: SortBy) -> Ordering {
        let largest_first = |it: &Statistic| match by {
            SortBy::Blocks => Reverse((it.count, it.size.get())),
            _ => Reverse((it.size.get(), it.count)),
        };
        let by_average = || {
            // As fractions, exactly; without blocks, the least of all.
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
    /// As much of a frame as its group has in common.
    fn of_frame(frame: &Frame, by: GroupBy) -> GroupKey {
        let bare = |file, line| Frame::within(Function::new(None, Some(file)), line, 0);
        GroupKey::Frame(match (by, frame.file().cloned()) {
            (GroupBy::Line, Some(file)) => bare(file, frame.line()),
            (GroupBy::File, Some(file)) => bare(file, 0),
            (GroupBy::Function, Some(file)) if frame.name().is_none() => bare(file, frame.line()),
            _ => Frame::within(Function::new(frame.name().cloned(), None), 0, 0),
        })
    }

    fn of_size(trace: &Trace) -> GroupKey {
        let class = trace
            .size_class
            .unwrap_or_else(|| mean_class(&trace.counters));
        GroupKey::SizeClass(class)
    }

    /// The frame that stands for the group: of a whole stack, the one it is charged to. Nothing if
    /// the group is of no frame, but a crate, say.
    pub fn charged(&self, to: ChargeTo) -> Option<&Frame> {
        self.frame(|traceback| traceback.charged(to))
    }

    /// The same by the rule of a snapshot: see [`Snapshot::charged_frame`].
    pub fn charged_in<'a>(&'a self, snapshot: &Snapshot) -> Option<&'a Frame> {
        self.frame(|traceback| snapshot.charged_frame(traceback))
    }

    fn frame<'a>(&'a self, charged: impl FnOnce(&'a Traceback) -> &'a Frame) -> Option<&'a Frame> {
        match self {
            GroupKey::Frame(frame) => Some(frame),
            GroupKey::Traceback(traceback) => Some(charged(traceback)),
            GroupKey::Name(_) | GroupKey::SizeClass(_) | GroupKey::Domain(_) => None,
        }
    }
}

/// The size class of the mean size of a callsite's blocks.
fn mean_class(counters: &Counters) -> Bytes {
    // A profile from elsewhere may know only what is live.
    let known = [counters.total, counters.current, counters.peak];
    let Amount { bytes, blocks } = known
        .into_iter()
        .find(|amount| amount.blocks > 0)
        .unwrap_or_default();
    class_of(bytes.get().div_ceil(blocks.max(1)).into())
}

impl fmt::Display for GroupKey {
    /// The frame that stands for the group, or the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupKey::Frame(frame) => frame.fmt(f),
            GroupKey::Traceback(traceback) => traceback.charged(ChargeTo::Caller).fmt(f),
            GroupKey::Name(name) => Escaped(name).fmt(f),
            GroupKey::SizeClass(most) => write!(f, "up to {most}"),
            GroupKey::Domain(0) => f.write_str("the Rust heap"),
            GroupKey::Domain(domain) => write!(f, "domain {domain}"),
        }
    }
}

impl From<&str> for GroupKey {
    fn from(name: &str) -> GroupKey {
        GroupKey::Name(name.into())
    }
}

impl From<String> for GroupKey {
    fn from(name: String) -> GroupKey {
        GroupKey::Name(name.into())
    }
}

impl From<Frame> for GroupKey {
    fn from(frame: Frame) -> GroupKey {
        GroupKey::Frame(frame)
    }
}

impl From<Traceback> for GroupKey {
    fn from(traceback: Traceback) -> GroupKey {
        GroupKey::Traceback(traceback)
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
            Metric::Freed => self.freed(),
        }
    }
}

impl Snapshot {
    /// What is live, grouped: the largest group first, as `tracemalloc` sorts them, by size, count
    /// and key, all descending.
    ///
    /// Groups of which nothing is live are left out. Other metrics than what is live, other orders,
    /// groups within groups, keys of one's own and counting cumulatively: see [`Grouping`].
    pub fn statistics(&self, by: impl Into<Grouping>) -> Vec<Statistic> {
        let _muted = process::mute();
        let grouping = &by.into();
        let needs_crates = grouping
            .keys()
            .any(|key| matches!(key, Some(GroupBy::Crate | GroupBy::Module)));
        let frames = self.traces().iter().flat_map(|it| it.traceback.iter());
        let crates = match needs_crates {
            true => Crates::of(frames),
            false => Crates::default(),
        };
        let of = Of {
            snapshot: self,
            grouping,
            crates,
        };
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

    /// The same for another metric: what was live at the peak, say.
    pub fn statistics_by(&self, by: impl Into<Grouping>, metric: Metric) -> Vec<Statistic> {
        self.statistics(by.into().with_metric(metric))
    }
}

/// Where frames begin that called the program: outside the innermost frame of the workspace, or
/// where `main` and the closures of threads are called.
fn start_of_callers(traceback: &Traceback) -> usize {
    /// What std puts around these calls.
    const OUTERMOST: &str = "__rust_begin_short_backtrace";
    let is_outermost = |frame: &Frame| {
        let name = frame.function();
        name.is_some_and(|name| name.contains(OUTERMOST))
    };
    let is_own = |frame: &Frame| frame.origin() == Origin::Workspace;
    let position = traceback
        .iter()
        .position(|it| is_own(it) || is_outermost(it));
    position.unwrap_or(traceback.len())
}

fn is_library(frame: &Frame) -> bool {
    matches!(
        frame.origin(),
        Origin::Std | Origin::Tracer | Origin::Dependency
    )
}

/// What is grouped, and how.
struct Of<'a> {
    snapshot: &'a Snapshot,
    grouping: &'a Grouping,
    crates: Crates<'a>,
}

/// A trace as one of its frames sees it. Those of one trace follow each other.
#[derive(Clone, Copy)]
struct Member<'a> {
    number: usize,
    trace: &'a Trace,
    frame: &'a Frame,
    /// Whether it is a library's, and allocated for its caller, or called a function of the
    /// workspace that allocated.
    is_plumbing: bool,
}

/// A group while it grows.
struct Group<'a> {
    key: GroupKey,
    sum: Sum,
    /// The trace that was counted last.
    last: usize,
    /// The trace that was counted last as the group's own.
    last_own: usize,
    /// Kept if there is a further key.
    members: Vec<Member<'a>>,
}

impl<'a> Of<'a> {
    fn group(&self, members: impl Iterator<Item = Member<'a>>, keys: &[Key]) -> Vec<Statistic> {
        let Some((key, further)) = keys.split_first() else {
            return Vec::new();
        };
        let mut groups: Vec<Group<'a>> = Vec::new();
        let mut by_key: HashMap<GroupKey, usize> = HashMap::new();
        // A frame is part of many traces: its key is made once.
        let mut by_frame: HashMap<usize, usize> = HashMap::new();
        for member in members {
            let mut find = || {
                let key = self.key(key, member);
                *by_key.entry(key.clone()).or_insert_with(|| {
                    groups.push(Group {
                        key,
                        sum: Sum::default(),
                        last: usize::MAX,
                        last_own: usize::MAX,
                        members: Vec::new(),
                    });
                    groups.len() - 1
                })
            };
            let at = match key.is_of_frames() {
                true => *by_frame.entry(member.frame.id()).or_insert_with(find),
                false => find(),
            };
            let group = &mut groups[at];
            if group.last != member.number {
                group.last = member.number;
                group.sum.add(self.part(member.trace));
            }
            if !member.is_plumbing && group.last_own != member.number {
                group.last_own = member.number;
                group.sum.own += self.bytes(member.trace);
            }
            if !further.is_empty() {
                group.members.push(member);
            }
        }
        let mut statistics: Vec<Statistic> = groups
            .into_iter()
            .map(|group| {
                let parts = self.group(group.members.into_iter(), further);
                Statistic::new(group.key, group.sum, parts, self)
            })
            .filter(|statistic| statistic.size > 0 || statistic.count > 0)
            .collect();
        let order = self.grouping.order();
        statistics.sort_unstable_by(|a, b| a.compare(b, order));
        statistics
    }

    fn key(&self, key: &Key, Member { trace, frame, .. }: Member<'_>) -> GroupKey {
        let by = match key {
            Key::Own(key) => return key(trace),
            Key::By(by) => *by,
        };
        match by {
            GroupBy::Line | GroupBy::File | GroupBy::Function => GroupKey::of_frame(frame, by),
            GroupBy::Module => self.crates.module_of(frame).into(),
            GroupBy::Crate => self.crates.crate_of(frame).into(),
            GroupBy::Traceback => GroupKey::Traceback(trace.traceback.clone()),
            GroupBy::FoldedTraceback => GroupKey::Traceback(trace.traceback.folded()),
            GroupBy::SizeClass => GroupKey::of_size(trace),
            GroupBy::Type => trace.type_or_unknown().into(),
            GroupBy::Thread => trace.thread_name().into(),
            GroupBy::Domain => GroupKey::Domain(trace.domain),
        }
    }

    fn bytes(&self, trace: &Trace) -> u64 {
        let amount = trace.counters.amount(self.grouping.metric());
        amount.bytes.get()
    }

    fn part(&self, trace: &Trace) -> Sum {
        let amount = trace.counters.amount(self.grouping.metric());
        let variance = |interval| sampling::variance(interval, amount.bytes.get(), amount.blocks);
        Sum {
            counters: trace.counters,
            own: 0,
            variance: self.snapshot.sampling().map_or(0.0, variance),
        }
    }
}

/// The counters of some callsites, and the variance of a sample's estimate.
#[derive(Clone, Copy, Default)]
struct Sum {
    counters: Counters,
    /// The bytes of those in which the group is not plumbing.
    own: u64,
    variance: f64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.counters += other.counters;
        self.variance += other.variance;
    }
}

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

    fn at(function: &str, line: u32) -> Frame {
        Frame::new(Some(function), Some("/w/demo/src/a.rs"), line, 1)
    }

    fn stack(frames: Vec<Frame>, bytes: u64, blocks: u64) -> Trace {
        let amount = Amount::new(bytes, blocks);
        let counters = Counters {
            current: amount,
            total: Amount::new(2 * bytes, 3 * blocks),
            ..Counters::default()
        };
        Trace::new(Traceback::new(frames), counters)
    }

    #[track_caller]
    fn check_lines(snapshot: &Snapshot, by: impl Into<Grouping>, expected: &[&str]) {
        fn lines(statistics: &[Statistic], level: usize) -> Vec<String> {
            let of_one = |it: &Statistic| {
                let indent = "  ".repeat(level);
                let line = format!("{indent}{}: {}/{}", it.key, it.size.get(), it.count);
                [vec![line], lines(&it.parts, level + 1)].concat()
            };
            statistics.iter().flat_map(of_one).collect()
        }
        assert_eq!(lines(&snapshot.statistics(by), 0), expected);
    }

    /// A parser that recurses, and a cache.
    fn parser() -> Snapshot {
        let parse = |line| at("demo::parse::value", line);
        let main = at("demo::main", 3);
        Snapshot::from_traces(
            vec![
                stack(vec![parse(7), parse(9), parse(9), main.clone()], 100, 4),
                stack(vec![parse(7), main.clone()], 10, 1).with_thread("reader"),
                stack(vec![at("cache::fill", 41), parse(9), main], 50, 2).with_domain(3),
            ],
            8,
        )
    }

    #[test]
    fn counting_cumulatively_counts_a_trace_once_for_each_key() {
        let cumulative = |by| Grouping::by(by).cumulative().unwrap();
        let lines = [
            "/w/demo/src/a.rs:3: 160/7",
            "/w/demo/src/a.rs:9: 150/6",
            "/w/demo/src/a.rs:7: 110/5",
            "/w/demo/src/a.rs:41: 50/2",
        ];
        check_lines(&parser(), cumulative(GroupBy::Line), &lines);
        let functions = [
            "demo::parse::value: 160/7",
            "demo::main: 160/7",
            "cache::fill: 50/2",
        ];
        check_lines(&parser(), cumulative(GroupBy::Function), &functions);
        check_lines(
            &parser(),
            cumulative(GroupBy::File),
            &["/w/demo/src/a.rs: 160/7"],
        );
    }

    #[test]
    fn within_a_group_each_frame_is_followed_by_itself() {
        let by = Grouping::by(GroupBy::Module).cumulative().unwrap();
        check_lines(
            &parser(),
            by.then(GroupBy::Function),
            &[
                "demo::parse: 160/7",
                "  demo::parse::value: 160/7",
                "demo: 160/7",
                "  demo::main: 160/7",
                "cache: 50/2",
                "  cache::fill: 50/2",
            ],
        );
    }

    #[test]
    fn groups_within_groups_add_up() {
        check_lines(
            &parser(),
            [GroupBy::Crate, GroupBy::Thread, GroupBy::Line],
            &[
                "demo: 110/5",
                "  <thread not recorded>: 100/4",
                "    /w/demo/src/a.rs:7: 100/4",
                "  reader: 10/1",
                "    /w/demo/src/a.rs:7: 10/1",
                "cache: 50/2",
                "  <thread not recorded>: 50/2",
                "    /w/demo/src/a.rs:41: 50/2",
            ],
        );
        check_lines(
            &parser(),
            GroupBy::Domain,
            &["the Rust heap: 110/5", "domain 3: 50/2"],
        );
    }

    #[test]
    fn metrics_and_orders() {
        let snapshot = Snapshot::from_traces(
            vec![
                stack(vec![at("bytes", 1)], 1000, 10),
                stack(vec![at("blocks", 2)], 900, 90),
                stack(vec![at("average", 3)], 303, 3),
                stack(vec![at("same average", 4)], 404, 4),
            ],
            1,
        );
        let order = |metric, order| {
            let by = Grouping::by(GroupBy::Function)
                .with_metric(metric)
                .sorted_by(order);
            let statistics = snapshot.statistics(by).into_iter();
            statistics.map(|it| it.key.to_string()).collect::<Vec<_>>()
        };
        let by_bytes = ["bytes", "blocks", "same average", "average"];
        let by_blocks = ["blocks", "bytes", "same average", "average"];
        let by_average = ["same average", "average", "bytes", "blocks"];
        for metric in [Metric::Current, Metric::Total, Metric::Freed] {
            assert_eq!(order(metric, SortBy::Bytes), by_bytes);
            assert_eq!(order(metric, SortBy::Blocks), by_blocks);
            assert_eq!(order(metric, SortBy::Average), by_average);
        }
        let freed = Grouping::by(GroupBy::Function).with_metric(Metric::Freed);
        let largest = &snapshot.statistics(freed)[0];
        assert_eq!((largest.size.get(), largest.count), (1000, 20));
    }

    #[test]
    fn sizes_are_classed_by_the_mean_of_all_blocks_ever_allocated() {
        let sized = |line, bytes, blocks| stack(vec![at("f", line)], bytes, blocks);
        let snapshot = Snapshot::from_traces(
            // In total twice the bytes in thrice the blocks: means of 64, 64.67, 2 and 0.
            vec![
                sized(1, 96, 1),
                sized(2, 97, 1),
                sized(3, 9, 3),
                sized(4, 0, 1),
            ],
            1,
        );
        check_lines(
            &snapshot,
            GroupBy::SizeClass,
            &[
                "up to 128 B: 97/1",
                "up to 64 B: 96/1",
                "up to 2 B: 9/3",
                "up to 0 B: 0/1",
            ],
        );
    }

    #[test]
    fn a_key_of_one_s_own_groups_and_is_escaped() {
        let by_length = Grouping::by_key(|trace| trace.traceback.len().to_string());
        check_lines(
            &parser(),
            by_length.clone(),
            &["4: 100/4", "3: 50/2", "2: 10/1"],
        );
        let within = by_length.then_by_key(|_| "\u{1b}[31m");
        let part = &parser().statistics(within)[0].parts[0];
        assert_eq!(part.key.to_string(), "\\u{1b}[31m");
    }
}
