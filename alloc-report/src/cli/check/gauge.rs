//! [`Gauge`]: a metric of a whole snapshot.

use alloc_core_snapshot::{Bytes, Metric, Snapshot};
use alloc_report::StatisticDiff;
use clap::ValueEnum;

/// A metric of a whole snapshot.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(super) enum Gauge {
    /// The most bytes that were live at one moment
    Peak,
    /// The number of allocated blocks
    Allocations,
    /// The number of allocated bytes
    Allocated,
    /// The number of live bytes at the end
    Current,
}

impl Gauge {
    /// The default metrics.
    pub(super) const USUAL: [Gauge; 2] = [Gauge::Peak, Gauge::Allocations];

    pub(super) fn name(self) -> &'static str {
        match self {
            Gauge::Peak => "peak",
            Gauge::Allocations => "allocations",
            Gauge::Allocated => "allocated",
            Gauge::Current => "current",
        }
    }

    pub(super) fn of(self, snapshot: &Snapshot) -> u64 {
        let sum = |metric: Metric| {
            let amounts = snapshot
                .traces()
                .iter()
                .map(|it| it.counters.amount(metric));
            amounts.fold((0_u64, 0_u64), |sum, it| {
                (
                    sum.0.saturating_add(it.bytes.get()),
                    sum.1.saturating_add(it.blocks),
                )
            })
        };
        match self {
            Gauge::Peak => snapshot.traced_memory().peak.get(),
            Gauge::Allocations => sum(Metric::Total).1,
            Gauge::Allocated => sum(Metric::Total).0,
            Gauge::Current => snapshot.traced_memory().current.get(),
        }
    }

    pub(super) fn metric(self) -> Metric {
        match self {
            Gauge::Peak => Metric::AtPeak,
            Gauge::Allocations | Gauge::Allocated => Metric::Total,
            Gauge::Current => Metric::Current,
        }
    }

    /// Whether it never shrinks while a process runs.
    pub(super) fn is_cumulative(self) -> bool {
        self != Gauge::Current
    }

    pub(super) fn counts_blocks(self) -> bool {
        self == Gauge::Allocations
    }

    pub(super) fn show(self, number: u64) -> String {
        match self.counts_blocks() {
            true => number.to_string(),
            false => Bytes::new(number).to_string(),
        }
    }

    pub(super) fn change(self, diff: &StatisticDiff) -> i64 {
        match self.counts_blocks() {
            true => diff.count_diff,
            false => diff.size_diff.get(),
        }
    }
}
