//! [`Contents`]: what the reader of a format found, and the snapshot made of it.

use alloc_core_snapshot::seam::sampling::Interval;
use alloc_core_snapshot::seam::snapshot::{About, Unknown};
use alloc_core_snapshot::{Counters, Error, Frame, Metric, Snapshot, Trace, Traceback};

use super::budget::Budget;

/// Everything in a file with names.
pub(super) struct Contents {
    pub(super) traces: Vec<Trace>,
    pub(super) about: About,
    pub(super) sampling: Option<Interval>,
}

impl Contents {
    pub(super) fn snapshot(self, expected: &'static str) -> Result<Snapshot, Error> {
        check_sums(self.traces.iter().map(|it| &it.counters), expected)?;
        let deepest = self.traces.iter().map(|it| it.traceback.len()).max();
        let limit = deepest.unwrap_or(0).try_into().unwrap_or(u16::MAX);
        let Contents {
            traces,
            about,
            sampling,
        } = self;
        Ok(Snapshot::of_named(traces, sampling, limit, about))
    }
}

/// Refuses sums that no process can reach, so that later sums cannot overflow.
pub(super) fn check_sums<'a>(
    counters: impl Iterator<Item = &'a Counters>,
    expected: &'static str,
) -> Result<(), Error> {
    let mut sums = [0_u64; 8];
    for it in counters {
        for (sum, amount) in sums
            .chunks_mut(2)
            .zip([it.current, it.peak, it.at_peak, it.total])
        {
            sum[0] = sum[0].saturating_add(amount.bytes.get());
            sum[1] = sum[1].saturating_add(amount.blocks);
        }
    }
    match sums.iter().all(|sum| i64::try_from(*sum).is_ok()) {
        true => Ok(()),
        false => Err(Error::unexpected(
            expected,
            "found numbers that sum up to more than 2^63",
        )),
    }
}

/// A stack, innermost frame first.
pub(super) fn traceback(mut frames: Vec<Frame>) -> Traceback {
    if frames.is_empty() {
        frames.push(Frame::default());
    }
    Traceback::new(frames)
}

/// Takes the memory of a trace with `frames` frames, which are collected and then moved.
pub(super) fn take_trace(budget: &mut Budget, frames: usize) -> Result<(), Error> {
    // The vector of traces is copied while it grows.
    budget.take(1, 3 * size_of::<Trace>() + 64, "callsites")?;
    budget.take(frames.max(1), 2 * size_of::<Frame>(), "stacks")
}

/// A file that has only these metrics.
pub(super) fn only(known: &[Metric]) -> Unknown {
    let all = [
        Metric::Current,
        Metric::Peak,
        Metric::AtPeak,
        Metric::Total,
        Metric::Freed,
    ];
    let missing = all.into_iter().filter(|it| !known.contains(it));
    Unknown {
        metrics: missing.collect(),
        copied: true,
        ..Unknown::default()
    }
}
