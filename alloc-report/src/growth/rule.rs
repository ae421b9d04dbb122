//! [`grows`]: the rule that makes a group a suspect.

use alloc_core_snapshot::Metric;

use super::moment::Moment;
use super::order::Order;
use super::series::Series;

/// The number of standard errors that growth must exceed.
const STANDARD_ERRORS: f64 = 3.0;

/// The least part of the earlier pace that the last step must keep.
const LEAST_PACE: f64 = 0.5;

/// The growth of each step, and the number of steps, from which on growth is no noise, however few
/// blocks there are: a table or a buffer that is enlarged again and again.
const ENLARGED: (f64, usize) = (1.5, 3);

/// What the rule needs to know of all snapshots.
pub(super) struct Facts {
    /// The length of each step: see [`Order::lengths`].
    pub(super) lengths: Vec<f64>,
    /// Seconds from the first snapshot to the last.
    pub(super) duration: Option<f64>,
    pub(super) knows_peak: bool,
    pub(super) knows_total: bool,
    pub(super) knows_blocks: bool,
    pub(super) is_sample: bool,
}

impl Facts {
    pub(super) fn of(order: &Order<'_>) -> Facts {
        let about = || order.moments.iter().map(Moment::about);
        let all_know = |metric| about().all(|it| it.knows(metric));
        Facts {
            lengths: order.lengths(),
            duration: order.duration(),
            knows_peak: all_know(Metric::Peak),
            knows_total: all_know(Metric::Total),
            knows_blocks: about().all(|it| it.knows_blocks()),
            is_sample: about().any(|it| it.sampled_every().is_some()),
        }
    }
}

/// Whether a group is a suspect. All of this must be so:
///
/// - It holds more bytes after each step.
/// - It holds more than ever: of its growth, its own peak grew by half at least. Memory that only
///   comes back to a level that it had before does not count.
/// - It grew by more than noise: see [`exceeds_noise`].
/// - It keeps its pace: in the last step it grew at half of the mean pace of the earlier steps, or
///   faster, in bytes for each allocation of the whole program. A cache that reaches its limit does
///   not. One step has no earlier ones, so two snapshots cannot show this.
pub(super) fn grows(series: &Series, facts: &Facts) -> bool {
    series.steps().all(|it| it > 0)
        && exceeds_earlier_peak(series, facts)
        && exceeds_noise(series, facts)
        && keeps_pace(series, facts)
}

fn exceeds_earlier_peak(series: &Series, facts: &Facts) -> bool {
    if !facts.knows_peak {
        return true;
    }
    let growth = series.last().bytes - series.first().bytes;
    let steps = series.levels.windows(2);
    // NOTE: `reset_peak` lowers a peak, so what it was before that step is unknown.
    let peak_growth = steps.map(|it| {
        let [before, after] = [&it[0], &it[1]].map(|it| it.counters.peak.bytes.get().max(it.bytes));
        match after < before {
            true => it[1].bytes.saturating_sub(it[0].bytes),
            false => after - before,
        }
    });
    peak_growth.fold(0, u64::saturating_add) >= growth.div_ceil(2)
}

/// Whether the growth is more than three standard errors of what chance does to a group that does
/// not grow.
///
/// Two things are chance. Blocks that come and go: if each is replaced at a moment of its own, the
/// numbers of live blocks at two moments differ with the variance of the blocks that were replaced
/// in between, twice. And a sample: the blocks that are in one snapshot only add their variance,
/// and those in both cancel out.
fn exceeds_noise(series: &Series, facts: &Facts) -> bool {
    let (first, last) = (series.first(), series.last());
    let growth = (last.bytes - first.bytes) as f64;
    let (then, now) = (first.counters.current.blocks, last.counters.current.blocks);
    let dropped = dropped(series, facts).unwrap_or(now);
    let is_enlarged = || {
        let (factor, steps) = ENLARGED;
        let levels = || series.levels.windows(2);
        levels().len() >= steps
            && levels().all(|it| it[1].bytes as f64 >= it[0].bytes as f64 * factor)
    };
    let churn = match now {
        0 => 0.0,
        _ if is_enlarged() => 0.0,
        _ => {
            let size = last.bytes as f64 / now as f64;
            2.0 * dropped.min(now) as f64 * size * size
        }
    };
    let replaced = match then {
        0 => 0.0,
        _ => (dropped as f64 / then as f64).min(1.0),
    };
    let sampling = (last.variance - first.variance).abs() + 2.0 * replaced * first.variance;
    growth > STANDARD_ERRORS * (churn + sampling).sqrt()
}

fn keeps_pace(series: &Series, facts: &Facts) -> bool {
    let steps: Vec<f64> = series.steps().map(|it| it as f64).collect();
    let ([.., last], [lengths @ .., length]) = (&steps[..], &facts.lengths[..]) else {
        return true;
    };
    let earlier: f64 = steps[..steps.len() - 1].iter().sum();
    let time: f64 = lengths.iter().sum();
    time == 0.0 || last / length >= LEAST_PACE * (earlier / time)
}

/// The number of blocks that were freed from the first snapshot to the last, without those that a
/// reallocation replaced, if known.
pub(super) fn dropped(series: &Series, facts: &Facts) -> Option<u64> {
    let (then, now) = (&series.first().counters, &series.last().counters);
    let fresh = fresh(series);
    let kept = i128::from(now.current.blocks) - i128::from(then.current.blocks);
    // A block that was moved here by a reallocation was allocated elsewhere.
    let dropped = (i128::from(fresh) - kept).clamp(0, u64::MAX.into()) as u64;
    (facts.knows_total && facts.knows_blocks).then_some(dropped)
}

/// The number of blocks that were allocated from the first snapshot to the last, without
/// reallocations.
pub(super) fn fresh(series: &Series) -> u64 {
    let (then, now) = (&series.first().counters, &series.last().counters);
    let allocated = now.total.blocks.saturating_sub(then.total.blocks);
    allocated.saturating_sub(now.reallocations.saturating_sub(then.reallocations))
}
