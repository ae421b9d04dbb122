//! [`Series`]: the numbers of one group in each snapshot.

use std::borrow::Cow;
use std::collections::HashMap;

use alloc_core_snapshot::{Counters, GroupBy, GroupKey, Grouping, Metric, Snapshot, Statistic};

/// One group in each snapshot, the oldest first.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) key: GroupKey,
    /// One for each snapshot, and so two or more.
    pub(super) levels: Vec<Level>,
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
    /// The live bytes of each thread, if threads were recorded.
    pub(super) threads: Shares,
    /// The live bytes of each label, if there are labels.
    pub(super) labels: Shares,
}

impl Series {
    /// Every group of any of the snapshots.
    pub(super) fn all(snapshots: &[Cow<'_, Snapshot>], by: GroupBy) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        let mut by_key: HashMap<GroupKey, usize> = HashMap::new();
        for (at, snapshot) in snapshots.iter().enumerate() {
            for (key, level) in levels(snapshot, by) {
                let series = *by_key.entry(key).or_insert_with_key(|key| {
                    all.push(Series {
                        key: key.clone(),
                        levels: vec![Level::default(); snapshots.len()],
                    });
                    all.len() - 1
                });
                all[series].levels[at] = level;
            }
        }
        all
    }

    pub(super) fn first(&self) -> &Level {
        &self.levels[0]
    }

    pub(super) fn last(&self) -> &Level {
        &self.levels[self.levels.len() - 1]
    }

    /// The change of the live bytes in each step.
    pub(super) fn steps(&self) -> impl Iterator<Item = i64> {
        let steps = self.levels.windows(2);
        steps.map(|it| crate::compare::difference(it[1].bytes, it[0].bytes))
    }
}

/// The groups of a snapshot, also those that hold nothing now and once did.
fn levels(snapshot: &Snapshot, by: GroupBy) -> HashMap<GroupKey, Level> {
    let level = |it: Statistic| {
        let level = Level {
            bytes: it.counters.current.bytes.get(),
            counters: it.counters,
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
