//! [`Series`]: the numbers of one group in each snapshot.

use std::collections::HashMap;

use alloc_core_snapshot::GroupKey;

use super::moment::{Level, Moment};

/// One group in each snapshot, the oldest first.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) key: GroupKey,
    /// One for each snapshot, and so two or more.
    pub(super) levels: Vec<Level>,
}

impl Series {
    /// Every group of any of the snapshots.
    pub(super) fn all(moments: &[Moment]) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        let mut by_key: HashMap<&GroupKey, usize> = HashMap::new();
        for (at, moment) in moments.iter().enumerate() {
            for (key, level) in moment.levels() {
                let series = *by_key.entry(key).or_insert_with(|| {
                    all.push(Series {
                        key: key.clone(),
                        levels: vec![Level::default(); moments.len()],
                    });
                    all.len() - 1
                });
                all[series].levels[at] = level.clone();
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
