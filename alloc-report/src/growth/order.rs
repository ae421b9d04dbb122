//! [`Order`]: the moments to compare, in order of time.

use std::time::UNIX_EPOCH;

use alloc_core_snapshot::{GroupBy, Snapshot};

use super::moment::Moment;

/// The moments to compare, in order of time.
///
/// Without their times, which files of other tools may not contain, they keep the given order. One
/// of the program's end is left out if two others remain: little is live by then.
pub(crate) struct Order<'a> {
    pub(crate) moments: Vec<Moment>,
    /// The snapshot of the last moment, if there is one.
    pub(crate) newest: Option<&'a Snapshot>,
    /// Seconds from the first moment to each, if all times are known.
    pub(crate) seconds: Option<Vec<f64>>,
    /// The allocations of the whole program until each, if all are known.
    pub(crate) allocations: Option<Vec<u64>>,
    /// Whether they were given in another order.
    pub(crate) is_sorted: bool,
    /// Whether a moment of the program's end is left out.
    pub(crate) omits_exit: bool,
}

impl<'a> Order<'a> {
    /// The moments of snapshots, all charged as the newest is.
    pub(crate) fn of_snapshots(given: &'a [Snapshot], by: GroupBy) -> Order<'a> {
        let about: Vec<&Snapshot> = given.iter().collect();
        let (chosen, ..) = chosen(&about);
        let newest = chosen.last().map(|it| &given[*it]);
        let charged = |it: &Snapshot| match newest {
            Some(newest) if !is_charged_alike(it, newest) => {
                Moment::of(&it.clone().charge_like(newest), by)
            }
            _ => Moment::of(it, by),
        };
        Order::of(given.iter().map(charged).collect(), newest)
    }

    pub(crate) fn of(given: Vec<Moment>, newest: Option<&'a Snapshot>) -> Order<'a> {
        let about: Vec<&Snapshot> = given.iter().map(Moment::about).collect();
        let (chosen, is_sorted, omits_exit) = chosen(&about);
        let moments: Vec<Moment> = chosen.iter().map(|it| given[*it].clone()).collect();
        let knows_times = knows_times(moments.iter().map(Moment::about));
        let seconds = moments.first().filter(|_| knows_times).map(|first| {
            let since = |it: &Moment| it.about().time_since(first.about());
            let seconds = moments.iter().map(|it| since(it).unwrap_or_default());
            seconds.map(|it| it.as_secs_f64()).collect()
        });
        Order {
            seconds,
            allocations: moments.iter().map(Moment::allocations).collect(),
            moments,
            newest,
            is_sorted,
            omits_exit,
        }
    }

    /// The number of steps from one snapshot to the next.
    pub(crate) fn steps(&self) -> usize {
        self.moments.len().saturating_sub(1)
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

/// The numbers of the snapshots to compare, in order of time; whether they were given in another
/// order, and whether one of the program's end is left out.
pub(super) fn chosen(given: &[&Snapshot]) -> (Vec<usize>, bool, bool) {
    let is_running = |it: &usize| !given[*it].is_at_exit();
    let running = (0..given.len()).filter(is_running).count();
    let omits_exit = running >= 2 && running < given.len();
    let all = 0..given.len();
    let mut chosen: Vec<usize> = all.filter(|it| !omits_exit || is_running(it)).collect();
    let run = |it: &Snapshot| it.run().map(|it| it.began);
    let of_one_run = given.iter().all(|it| run(it) == run(given[0]));
    let time = |it: &usize| {
        let of_run = given[*it].run().filter(|_| of_one_run);
        // NOTE: the clock may have been set while the program ran.
        match of_run {
            Some(run) => run.uptime,
            None => given[*it]
                .taken_at()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    };
    let is_sorted =
        knows_times(chosen.iter().map(|it| given[*it])) && !chosen.is_sorted_by_key(time);
    if is_sorted {
        chosen.sort_by_key(time);
    }
    (chosen, is_sorted, omits_exit)
}

/// NOTE: an unknown time is 1970.
fn knows_times<'s>(mut snapshots: impl Iterator<Item = &'s Snapshot>) -> bool {
    snapshots.all(|it| it.taken_at() > UNIX_EPOCH)
}

fn is_charged_alike(one: &Snapshot, other: &Snapshot) -> bool {
    one.charged_to() == other.charged_to() && one.skipped_crates().eq(other.skipped_crates())
}
