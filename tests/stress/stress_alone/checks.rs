//! What is compared after each step.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_core::{Bytes, Snapshot, traced_memory};

use crate::refusing::REFUSES;
use crate::{Mode, NAMES, Run};

impl Run {
    pub(crate) fn check(&mut self) {
        let memory = traced_memory();
        match self.mode {
            Mode::Off => check("while it is off", memory, Default::default()),
            Mode::Sampled => {
                let is_empty = self.live.is_empty() && self.tracked.is_empty() && !self.has_last;
                if is_empty {
                    check("a sample of nothing", memory.current, Bytes::ZERO);
                }
            }
            Mode::Whole | Mode::Counted => {
                check("current", memory.current.get(), self.current);
                let off = memory.peak.get().abs_diff(self.peak);
                if self.is_alone {
                    check(
                        "peak",
                        (memory.peak.get(), memory.peak_error.get()),
                        (self.peak, 0),
                    );
                } else if off > memory.peak_error.get() {
                    check("peak, though not alone", memory.peak.get(), self.peak);
                }
            }
        }
        if !self.is_child {
            for (number, alive) in &self.alive {
                self.scopes[*number].check(alive.usage());
            }
        }
    }

    pub(crate) fn check_sites(&self, snapshot: &Snapshot) {
        check(
            "a snapshot's heap",
            snapshot.traced_memory(),
            traced_memory(),
        );
        if self.mode != Mode::Whole {
            return;
        }
        for (number, site) in self.sites.iter().enumerate() {
            let is_of = |name: &str| {
                let name = name.rsplit("::").next();
                name.is_some_and(|it| NAMES[number].contains(&it))
            };
            let found = alloc_tests::sum_of(snapshot, |trace| {
                let mut frames = trace.traceback.iter().filter_map(|it| it.function());
                trace.domain == 0 && frames.any(is_of)
            });
            check("a site's blocks", found.current, site.current);
            check("a site's total", found.total, site.total);
            check(
                "a site's reallocations",
                found.reallocations,
                site.reallocations,
            );
            if self.is_alone {
                let at_peak = if self.rising {
                    site.current
                } else {
                    self.at_peak[number]
                };
                check("a site at the peak", found.at_peak, at_peak);
            }
        }
    }
}

/// The position of a run, for the message of a failure.
pub(crate) struct Now {
    pub(crate) seed: AtomicUsize,
    pub(crate) step: AtomicUsize,
}

pub(crate) static NOW: Now = Now {
    seed: AtomicUsize::new(0),
    step: AtomicUsize::new(0),
};

/// Compares two values. A failure names the seed and the step.
#[track_caller]
pub(crate) fn check<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) {
    if found != expected {
        REFUSES.store(false, Relaxed);
        let (seed, step) = (NOW.seed.load(Relaxed), NOW.step.load(Relaxed));
        panic!("STRESS_SEED={seed}, step {step}: {what}: found {found:?}, expected {expected:?}");
    }
}
