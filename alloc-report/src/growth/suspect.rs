//! [`Suspect`]: a group that grew at every step.

use std::cmp::Ordering;
use std::time::Duration;

use alloc_core_snapshot::{Amount, Bytes, GroupKey};

use super::moment::Shares;
use super::rule::{self, Facts};
use super::series::Series;
use crate::compare::difference;

/// The least part of the growth for which a thread or a label is named.
const MOST_OF_IT: f64 = 0.9;

/// A group whose live bytes grew at every step: see [`suspects`](crate::suspects()).
///
/// It prints as a sentence, without a final dot.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let snapshot = |blocks| {
///     let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
///     let held = Amount::new(blocks * 500, blocks);
///     let counters = Counters { current: held, peak: held, total: held, ..Counters::default() };
///     Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![frame]), counters)], 32)
/// };
/// let snapshots = [snapshot(1_000), snapshot(2_000), snapshot(3_000)];
/// let suspects = alloc_report::suspects(&snapshots).list();
/// assert_eq!(
///     suspects[0].to_string(),
///     "src/cache.rs:41 grew in each of 2 steps, by 488 KiB a step; nothing that it allocated was \
///      freed"
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Suspect {
    /// The key that the group's callsites share.
    pub key: GroupKey,
    /// The live bytes in the newest snapshot.
    pub size: Bytes,
    /// The live blocks in the newest snapshot.
    pub count: u64,
    /// The growth in bytes from the first snapshot to the last.
    pub growth: Bytes,
    /// The change in the number of blocks from the first snapshot to the last.
    pub count_diff: i64,
    /// The growth in bytes in each step.
    pub steps: Vec<Bytes>,
    /// The growth in bytes a second, from the times of the first and the last snapshot. It is
    /// `None` if these are unknown or equal.
    pub rate: Option<f64>,
    /// What the group allocated from the first snapshot to the last. Zero if the files do not
    /// contain it.
    pub allocated: Amount,
    /// What was freed of the group from the first snapshot to the last, including blocks that were
    /// reallocated. Zero if the files do not contain it.
    pub freed: Amount,
    /// The age of its oldest live block in the newest snapshot, to within a factor of 1.5, if
    /// lifetimes were recorded (`Config::lifetimes`).
    pub oldest: Option<Duration>,
    /// The name of the thread that allocated nine tenths of the growth or more, if threads were
    /// recorded.
    pub thread: Option<String>,
    /// The path of the label that nine tenths of the growth or more were allocated in, if there are
    /// labels.
    pub label: Option<String>,
    /// What the words are made of.
    pub(crate) history: History,
}

/// What the numbers say about how the group grew.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct History {
    /// The growth of each step, divided by the length of the step.
    pub(crate) paces: Vec<f64>,
    /// The live bytes in the first snapshot.
    pub(crate) size_before: Bytes,
    /// Blocks that were allocated, without reallocations.
    pub(crate) fresh: u64,
    /// Blocks that were freed, without those that a reallocation replaced.
    pub(crate) dropped: Option<u64>,
    /// Whether any block of the group was ever freed or reallocated.
    pub(crate) ever_freed: bool,
    pub(crate) is_sample: bool,
}

impl Suspect {
    pub(super) fn of(series: &Series, facts: &Facts) -> Suspect {
        let (first, last) = (series.first(), series.last());
        let (then, now) = (&first.counters, &last.counters);
        let growth = last.bytes - first.bytes;
        let steps: Vec<u64> = series.steps().map(|it| it.unsigned_abs()).collect();
        let paces = steps.iter().zip(&facts.lengths);
        let since = |now: Amount, then: Amount| Amount {
            bytes: now.bytes.saturating_sub(then.bytes),
            blocks: now.blocks.saturating_sub(then.blocks),
        };
        let if_known = |amount| match facts.knows_total {
            true => amount,
            false => Amount::default(),
        };
        Suspect {
            key: series.key.clone(),
            size: now.current.bytes,
            count: now.current.blocks,
            growth: Bytes::new(growth),
            count_diff: difference(now.current.blocks, then.current.blocks),
            rate: facts.duration.map(|it| growth as f64 / it),
            allocated: if_known(since(now.total, then.total)),
            freed: if_known(since(now.freed(), then.freed())),
            oldest: last.oldest,
            thread: most(&first.threads, &last.threads, growth),
            label: most(&first.labels, &last.labels, growth),
            history: History {
                paces: paces.map(|(step, length)| *step as f64 / length).collect(),
                size_before: then.current.bytes,
                fresh: rule::fresh(series),
                dropped: rule::dropped(series, facts),
                ever_freed: now.freed() != Amount::default(),
                is_sample: facts.is_sample,
            },
            steps: steps.into_iter().map(Bytes::new).collect(),
        }
    }

    /// The growth in bytes an hour: see [`rate`](field@Self::rate).
    ///
    /// ```
    /// # use alloc_core::{Amount, Counters, Snapshot, Trace, Traceback};
    /// # let snapshot = |bytes| {
    /// #     let counters = Counters { current: Amount::new(bytes, 1), ..Counters::default() };
    /// #     Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![]), counters)], 1)
    /// # };
    /// // The times of snapshots that were made by hand are not known.
    /// let suspects = alloc_report::suspects(&[snapshot(1), snapshot(2)]).list();
    /// assert_eq!(suspects[0].rate_per_hour(), None);
    /// ```
    pub fn rate_per_hour(&self) -> Option<f64> {
        self.rate.map(|it| it * 3600.0)
    }

    /// The order of a list: the largest growth first.
    pub(super) fn compare(&self, other: &Suspect) -> Ordering {
        let growth = |it: &Suspect| (it.growth, it.count_diff);
        let by_growth = growth(other).cmp(&growth(self));
        by_growth.then_with(|| self.key.cmp(&other.key))
    }
}

/// The part of a group that has most of the growth.
fn most(first: &Shares, last: &Shares, growth: u64) -> Option<String> {
    let growth_of = |(key, now): (&GroupKey, &u64)| {
        let before = first.get(key).copied().unwrap_or(0);
        now.saturating_sub(before)
    };
    let most = last.iter().max_by_key(|it| growth_of(*it))?;
    (growth_of(most) as f64 >= growth as f64 * MOST_OF_IT).then(|| most.0.to_string())
}
