//! [`Moment`]: what growth needs of one snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use alloc_core_snapshot::{
    Bytes, Counters, Filter, GroupBy, GroupKey, Grouping, Metric, Snapshot, Statistic,
};

use super::order::chosen;

/// What [`suspects_at`](crate::suspects_at) needs of a snapshot: the numbers of each group, and the
/// time.
///
/// It takes a small part of the memory of the snapshot, whose stacks it does not keep, so that many
/// can be compared. A clone is cheap.
///
/// ```
/// use alloc_core::{Amount, Counters, GroupBy, Snapshot, Trace, Traceback};
/// use alloc_report::Moment;
///
/// let snapshot = |blocks| {
///     let held = Amount::new(blocks * 500, blocks);
///     let counters = Counters { current: held, total: held, ..Counters::default() };
///     Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![]), counters)], 32)
/// };
/// let moments = [1, 2].map(|it| Moment::of(&snapshot(it), GroupBy::Line));
/// let newest = snapshot(3);
/// let moments = [&moments[..], &[Moment::of(&newest, GroupBy::Line)]].concat();
/// let suspects = alloc_report::suspects_at(moments, &newest).list();
/// assert_eq!(suspects[0].growth, 1_000);
/// ```
#[derive(Clone, Debug)]
pub struct Moment(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    by: GroupBy,
    /// The snapshot without its traces.
    about: Snapshot,
    heap: Bytes,
    allocations: Option<u64>,
    levels: HashMap<GroupKey, Level>,
}

/// The live bytes of each part of a group.
pub(super) type Shares = HashMap<GroupKey, u64>;

/// What a group held in one snapshot. A group that is not there held nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    /// The live bytes.
    pub(super) bytes: u64,
    pub(super) counters: Counters,
    /// The variance of the live bytes, if the snapshot is a sample.
    pub(super) variance: f64,
    /// The age of the oldest live block, if lifetimes were recorded.
    pub(super) oldest: Option<Duration>,
    /// The live bytes of each thread, if threads were recorded.
    pub(super) threads: Shares,
    /// The live bytes of each label, if there are labels.
    pub(super) labels: Shares,
}

impl Moment {
    /// Groups a snapshot, charged as it is, by a key.
    ///
    /// ```
    /// use alloc_core::{GroupBy, Snapshot};
    /// use alloc_report::Moment;
    ///
    /// let moment = Moment::of(&Snapshot::from_traces(vec![], 32), GroupBy::File);
    /// assert_eq!(moment.by(), GroupBy::File);
    /// ```
    pub fn of(snapshot: &Snapshot, by: GroupBy) -> Moment {
        alloc_core_snapshot::seam::untraced(|| {
            Moment(Arc::new(Parts {
                by,
                about: snapshot.filter_traces(&[Filter::exclude("*")]),
                heap: snapshot.traced_memory().current,
                allocations: allocations(snapshot),
                levels: levels(snapshot, by),
            }))
        })
    }

    /// The key of its groups.
    ///
    /// ```
    /// # use alloc_core::{GroupBy, Snapshot};
    /// # use alloc_report::Moment;
    /// let snapshot = Snapshot::from_traces(vec![], 32);
    /// assert_eq!(Moment::of(&snapshot, GroupBy::Type).by(), GroupBy::Type);
    /// ```
    pub fn by(&self) -> GroupBy {
        self.0.by
    }

    /// The number of the moment that is compared last: the latest, but not one of the program's end
    /// if two others remain. It is `None` without moments.
    ///
    /// ```
    /// # use alloc_core::{GroupBy, Snapshot};
    /// # use alloc_report::Moment;
    /// let moment = Moment::of(&Snapshot::from_traces(vec![], 32), GroupBy::Line);
    /// // Their times are not known, so their order is the given one.
    /// assert_eq!(Moment::newest(&[moment.clone(), moment]), Some(1));
    /// assert_eq!(Moment::newest(&[]), None);
    /// ```
    pub fn newest(moments: &[Moment]) -> Option<usize> {
        let about: Vec<&Snapshot> = moments.iter().map(Moment::about).collect();
        chosen(&about).0.pop()
    }

    /// The snapshot without its traces: its time and its process.
    pub(crate) fn about(&self) -> &Snapshot {
        &self.0.about
    }

    /// The live bytes of the heap.
    pub(crate) fn heap(&self) -> Bytes {
        self.0.heap
    }

    /// The allocations of the program until now, if they are known.
    pub(super) fn allocations(&self) -> Option<u64> {
        self.0.allocations
    }

    /// The groups, also those that hold nothing now and once did.
    pub(super) fn levels(&self) -> &HashMap<GroupKey, Level> {
        &self.0.levels
    }
}

/// The allocations of a program until a snapshot.
fn allocations(snapshot: &Snapshot) -> Option<u64> {
    let traces = snapshot.traces().iter();
    let blocks = traces.map(|it| it.counters.total.blocks);
    let sum = blocks.fold(0, u64::saturating_add);
    (snapshot.knows(Metric::Total) && snapshot.knows_blocks()).then_some(sum)
}

/// The groups of a snapshot, also those that hold nothing now and once did.
fn levels(snapshot: &Snapshot, by: GroupBy) -> HashMap<GroupKey, Level> {
    let level = |it: Statistic| {
        let level = Level {
            bytes: it.counters.current.bytes.get(),
            counters: it.counters,
            oldest: it.lifetimes.and_then(|it| it.live.oldest()),
            ..Level::default()
        };
        (it.key, level)
    };
    let ever = snapshot.statistics(Grouping::by(by).with_metric(Metric::Total));
    let mut levels: HashMap<GroupKey, Level> = ever.into_iter().map(level).collect();

    for it in snapshot.statistics(by) {
        let error = it.error.unwrap_or_default().get() as f64;
        // NOTE: a file of another tool may know what is live and not what was allocated.
        let (key, level) = level(it);
        levels.entry(key).or_insert(level).variance = error * error;
    }
    let traces = || snapshot.traces().iter();
    if by != GroupBy::Thread && traces().any(|it| it.thread.is_some()) {
        add_shares(snapshot, (by, GroupBy::Thread), &mut levels, |it| {
            &mut it.threads
        });
    }
    if by != GroupBy::Label && traces().any(|it| it.label.is_some()) {
        add_shares(snapshot, (by, GroupBy::Label), &mut levels, |it| {
            &mut it.labels
        });
    }
    levels
}

fn add_shares(
    snapshot: &Snapshot,
    (by, part): (GroupBy, GroupBy),
    levels: &mut HashMap<GroupKey, Level>,
    shares: impl Fn(&mut Level) -> &mut Shares,
) {
    for it in snapshot.statistics(Grouping::by(by).then(part)) {
        if let Some(level) = levels.get_mut(&it.key) {
            let parts = it.parts.into_iter();
            *shares(level) = parts.map(|it| (it.key, it.size.get())).collect();
        }
    }
}
