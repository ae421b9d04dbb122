//! [`Order`]: the snapshots to compare, in order of time.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use alloc_core_snapshot::{Metric, Snapshot};

/// The snapshots to compare, in order of time, charged as the newest is.
///
/// Without their times, which files of other tools may not contain, they keep the given order. A
/// snapshot that was written when the program ended is left out if two others remain: little is
/// live by then.
pub(crate) struct Order<'a> {
    pub(crate) snapshots: Vec<Cow<'a, Snapshot>>,
    /// Seconds from the first snapshot to each, if all times are known.
    pub(crate) seconds: Option<Vec<f64>>,
    /// The allocations of the whole program until each, if all are known.
    pub(crate) allocations: Option<Vec<u64>>,
    /// Whether they were given in another order.
    pub(crate) is_sorted: bool,
    /// Whether a snapshot of the program's end is left out.
    pub(crate) omits_exit: bool,
}

impl<'a> Order<'a> {
    pub(crate) fn of(given: &'a [Snapshot]) -> Order<'a> {
        let running = given.iter().filter(|it| !it.is_at_exit()).count();
        let omits_exit = running >= 2 && running < given.len();
        let mut snapshots: Vec<&Snapshot> = given
            .iter()
            .filter(|it| !omits_exit || !it.is_at_exit())
            .collect();
        // NOTE: an unknown time is 1970.
        let knows_times = snapshots.iter().all(|it| it.taken_at() > UNIX_EPOCH);
        let is_sorted = knows_times && !snapshots.is_sorted_by_key(|it| it.taken_at());
        if is_sorted {
            snapshots.sort_by_key(|it| it.taken_at());
        }
        let seconds = snapshots.first().filter(|_| knows_times).map(|first| {
            let since = |it: &&Snapshot| it.taken_at().duration_since(first.taken_at());
            let seconds = snapshots.iter().map(|it| since(it).unwrap_or_default());
            seconds.map(|it| it.as_secs_f64()).collect()
        });
        let newest = snapshots.last().copied();
        let charged = |it: &'a Snapshot| match newest {
            Some(newest) if !is_charged_alike(it, newest) => {
                Cow::Owned(it.clone().charge_like(newest))
            }
            _ => Cow::Borrowed(it),
        };
        Order {
            allocations: snapshots.iter().map(|it| allocations(it)).collect(),
            snapshots: snapshots.into_iter().map(charged).collect(),
            seconds,
            is_sorted,
            omits_exit,
        }
    }

    /// The number of steps from one snapshot to the next.
    pub(crate) fn steps(&self) -> usize {
        self.snapshots.len().saturating_sub(1)
    }

    /// Seconds from the first snapshot to the last, if that is any time.
    pub(crate) fn duration(&self) -> Option<f64> {
        let last = self.seconds.as_ref()?.last()?;
        Some(*last).filter(|it| *it > 0.0)
    }

    /// The length of each step: in allocations of the whole program, so that idle time does not
    /// count, or else in seconds. It is 1 for each step if one of them has no length.
    pub(crate) fn lengths(&self) -> Vec<f64> {
        let steps = self.steps();
        let allocations = self.allocations.iter().flatten().map(|it| *it as f64);
        let seconds = self.seconds.iter().flatten().copied();
        lengths(allocations.collect(), steps)
            .or_else(|| lengths(seconds.collect(), steps))
            .unwrap_or_else(|| vec![1.0; steps])
    }
}

/// The differences between the readings of a clock, if there are as many as steps and none is 0.
fn lengths(readings: Vec<f64>, steps: usize) -> Option<Vec<f64>> {
    let lengths: Vec<f64> = readings.windows(2).map(|it| it[1] - it[0]).collect();
    (lengths.len() == steps && lengths.iter().all(|it| *it > 0.0)).then_some(lengths)
}

/// The allocations of a program until a snapshot.
fn allocations(snapshot: &Snapshot) -> Option<u64> {
    let traces = snapshot.traces().iter();
    let blocks = traces.map(|it| it.counters.total.blocks);
    let sum = blocks.fold(0, u64::saturating_add);
    (snapshot.knows(Metric::Total) && snapshot.knows_blocks()).then_some(sum)
}

fn is_charged_alike(one: &Snapshot, other: &Snapshot) -> bool {
    one.charged_to() == other.charged_to() && one.skipped_crates().eq(other.skipped_crates())
}
