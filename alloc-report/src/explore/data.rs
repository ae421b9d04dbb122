//! [`Data`]: the snapshots that a screen shows.

use std::time::{SystemTime, UNIX_EPOCH};

use alloc_core_snapshot::{Metric, Snapshot};

use crate::stacks::Value;

/// A number of each callsite that the screen can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    /// Live when the snapshot was taken.
    Now,
    /// Live when the heap was at its peak.
    AtPeak,
    /// The most that was ever live.
    Peaks,
    /// Ever allocated.
    Total,
    /// The change of what is live, since the older snapshot.
    Growth,
}

impl Shown {
    pub(super) const ALL: [Shown; 5] = [
        Shown::Now,
        Shown::AtPeak,
        Shown::Peaks,
        Shown::Total,
        Shown::Growth,
    ];

    pub(super) fn of(metric: Metric) -> Option<Shown> {
        Shown::ALL.into_iter().find(|it| it.metric() == metric)
    }

    pub(super) fn metric(self) -> Metric {
        match self {
            Shown::Now | Shown::Growth => Metric::Current,
            Shown::AtPeak => Metric::AtPeak,
            Shown::Peaks => Metric::Peak,
            Shown::Total => Metric::Total,
        }
    }

    pub(super) fn name(self, snapshot: &Snapshot) -> &'static str {
        match self {
            Shown::Now if snapshot.is_at_exit() => "at the end",
            Shown::Now => "now",
            Shown::AtPeak => "at the peak",
            Shown::Peaks => "peaks",
            Shown::Total => "total",
            Shown::Growth => "growth",
        }
    }
}

/// The snapshots, and the heap over time.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) now: Snapshot,
    /// What growth is measured from.
    pub(super) old: Option<Snapshot>,
    /// The snapshot of the refresh before.
    pub(super) before: Option<Snapshot>,
    /// The bytes that were live at each refresh, in seconds since the first.
    pub(super) history: Vec<(f64, u64)>,
    start: f64,
}

/// The heap over time has this many moments at most. When there are more, every other one is dropped.
const MOST_MOMENTS: usize = 4096;

impl Data {
    pub(super) fn of(now: Snapshot) -> Data {
        let start = seconds(&now);
        Data {
            history: vec![(0.0, heap(&now))],
            now,
            old: None,
            before: None,
            start,
        }
    }

    /// Takes a newer snapshot. The first that was seen becomes the older one.
    pub(super) fn refresh(&mut self, newer: Snapshot) {
        if self.history.len() == MOST_MOMENTS {
            let mut at = 0;
            self.history.retain(|_| {
                at += 1;
                at % 2 == 1
            });
        }
        let last = self.history.last().map_or(0.0, |it| it.0);
        let time = (seconds(&newer) - self.start).max(last);
        self.history.push((time, heap(&newer)));
        let before = std::mem::replace(&mut self.now, newer);
        match self.old {
            None => {
                self.old = Some(before.clone());
                self.before = Some(before);
            }
            Some(_) => self.before = Some(before),
        }
    }

    pub(super) fn knows(&self, shown: Shown) -> bool {
        match shown {
            Shown::Growth => self.old.is_some() && self.now.knows(Metric::Current),
            shown => self.now.knows(shown.metric()),
        }
    }

    /// The snapshots whose stacks are in the tree.
    pub(super) fn snapshots(&self) -> Vec<&Snapshot> {
        let others = [self.old.as_ref(), self.before.as_ref()];
        [Some(&self.now)]
            .into_iter()
            .chain(others)
            .flatten()
            .collect()
    }

    /// The value of each callsite, in the order of [`Data::snapshots`] and their traces.
    pub(super) fn values(&self, shown: Shown) -> Vec<Value> {
        let metric = shown.metric();
        let mut values = amounts(&self.now, metric);
        if let Some(old) = &self.old {
            values.extend(amounts(old, metric).into_iter().map(|it| match shown {
                Shown::Growth => negative(it),
                _ => Value::default(),
            }));
        }
        values
    }

    /// By how much each callsite grew since the last refresh.
    pub(super) fn recent(&self) -> Option<Vec<Value>> {
        let before = self.before.as_ref()?;
        let mut values = amounts(&self.now, Metric::Current);
        let of_old = self.old.as_ref().map_or(0, |it| it.traces().len());
        values.extend(std::iter::repeat_n(Value::default(), of_old));
        let before = amounts(before, Metric::Current);
        values.extend(before.into_iter().map(negative));
        Some(values)
    }

    /// The sum over all callsites.
    pub(super) fn sum(&self, shown: Shown) -> Value {
        let mut sum = Value::default();
        self.values(shown).into_iter().for_each(|it| sum += it);
        sum
    }
}

fn amounts(snapshot: &Snapshot, metric: Metric) -> Vec<Value> {
    let traces = snapshot.traces().iter();
    traces.map(|it| it.counters.amount(metric).into()).collect()
}

fn negative(value: Value) -> Value {
    Value {
        bytes: -value.bytes,
        blocks: -value.blocks,
    }
}

fn heap(snapshot: &Snapshot) -> u64 {
    snapshot.traced_memory().current.get()
}

/// The time of a snapshot; if it is unknown, as for a profile from elsewhere, the time now.
fn seconds(snapshot: &Snapshot) -> f64 {
    let taken_at = snapshot.taken_at();
    let time = if taken_at > UNIX_EPOCH {
        taken_at
    } else {
        SystemTime::now()
    };
    let time = time.duration_since(UNIX_EPOCH);
    time.unwrap_or_default().as_secs_f64()
}
