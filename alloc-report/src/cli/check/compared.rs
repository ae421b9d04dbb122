//! [`Compared`]: a metric in both snapshots, and the verdict.

use alloc_core_snapshot::{Bytes, Snapshot};

use super::gauge::Gauge;
use super::limits::Growth;

/// A metric in both snapshots, and its limit.
pub(super) struct Compared {
    pub(super) gauge: Gauge,
    pub(super) old: u64,
    pub(super) new: u64,
    pub(super) limit: Growth,
    /// The largest allowed new number.
    pub(super) most: u64,
}

impl Compared {
    pub(super) fn of(gauge: Gauge, limit: Growth, old: &Snapshot, new: &Snapshot) -> Compared {
        let (before, now) = (gauge.of(old), gauge.of(new));
        // Equal peaks may differ in truth by the sum of their errors.
        let error = match gauge {
            Gauge::Peak => old.traced_memory().peak_error + new.traced_memory().peak_error,
            _ => Bytes::ZERO,
        };
        let most = limit.most(gauge, before).saturating_add(error.get());
        Compared {
            gauge,
            old: before,
            new: now,
            limit,
            most,
        }
    }

    pub(super) fn is_allowed(&self) -> bool {
        self.new <= self.most
    }

    pub(super) fn percent(&self) -> Option<f64> {
        (self.old > 0).then(|| (self.new as f64 / self.old as f64 - 1.0) * 100.0)
    }

    pub(super) fn growth(&self) -> String {
        match self.percent() {
            _ if self.old == self.new => "unchanged".to_owned(),
            None => "from nothing".to_owned(),
            Some(percent) => {
                // A small change must not look like none.
                match percent.abs() < 0.05 {
                    true => format!("{}<0.1%", if percent < 0.0 { "-" } else { "+" }),
                    false => format!("{percent:+.1}%"),
                }
            }
        }
    }

    pub(super) fn verdict(&self) -> &'static str {
        match (self.is_allowed(), self.new < self.old) {
            (false, _) => "grew beyond the limit",
            (true, true) => "better",
            (true, false) if self.new > self.limit.most(self.gauge, self.old) => {
                "ok, within the error of the peak"
            }
            (true, false) => "ok",
        }
    }
}
