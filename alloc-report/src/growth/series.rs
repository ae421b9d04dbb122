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

/// What a group held in one snapshot. A group that is not there held nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    /// The live bytes.
    pub(super) bytes: u64,
    pub(super) counters: Counters,
    /// The variance of the live bytes, if the snapshot is a sample.
    pub(super) variance: f64,
    /// The live bytes of each thread, if threads were recorded.
    pub(super) threads: Vec<(GroupKey, u64)>,
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

    let has_threads = snapshot.traces().iter().any(|it| it.thread.is_some());
    let live = match has_threads {
        true => Grouping::by(by).then(GroupBy::Thread),
        false => Grouping::by(by),
    };
    for mut it in snapshot.statistics(live) {
        let error = it.error.unwrap_or_default().get() as f64;
        let threads = std::mem::take(&mut it.parts).into_iter();
        let threads = threads.map(|it| (it.key, it.size.get())).collect();
        // NOTE: a file of another tool may know what is live and not what was allocated.
        let (key, level) = level(it);
        let level = levels.entry(key).or_insert(level);
        level.variance = error * error;
        level.threads = threads;
    }
    levels
}
