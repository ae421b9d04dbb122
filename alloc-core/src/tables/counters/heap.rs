//! [`Heap`]: the bytes of the whole heap and its peak, as all threads share them.

use super::raise;
use crate::snapshot::numbers::{Bytes, TracedMemory};
use crate::system::sync::{ATTEMPTS, AtomicBool, AtomicI64, AtomicU64, Ordering, fence, wait};
use Ordering::Relaxed;

/// The heap as all threads share it.
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Heap {
    /// The bytes that threads have settled.
    pub(super) current: AtomicI64,
    pub(super) peak: AtomicI64,
    /// How far off the peak may be, in bytes.
    pub(super) peak_error: AtomicI64,
    /// The peak above which the error is gone, once a thread is alone again.
    pub(super) exact_above: AtomicI64,
    /// Whether the heap is at its peak now: it has not shrunk since.
    pub(super) rising: AtomicBool,
    /// The most bytes that a thread was allowed to hold back.
    pub(super) most_credit: AtomicI64,
    /// How many threads hold something back.
    pub(super) threads: AtomicI64,
    /// Whether no thread may hold anything back.
    pub(super) exact: AtomicBool,
}

impl Heap {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Heap {
        Heap {
            current: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            peak_error: AtomicI64::new(0),
            exact_above: AtomicI64::new(0),
            rising: AtomicBool::new(false),
            most_credit: AtomicI64::new(0),
            threads: AtomicI64::new(1),
            exact: AtomicBool::new(false),
        }
    }

    /// Has all threads settle at every change, or lets them hold back their credit. NOTE: only
    /// before a session.
    pub(crate) fn set_exact(&self, exact: bool) {
        self.exact.store(exact, Relaxed);
    }

    /// The heap's totals. `held_back` reads afresh what accounts have not settled, each time it is
    /// called.
    ///
    /// An account that settles meanwhile makes it read again. NOTE: not forever: then the last try
    /// counts.
    pub(crate) fn read(&self, held_back: impl Fn() -> HeldBack) -> TracedMemory {
        let mut current = 0;
        for attempt in 0..ATTEMPTS {
            if self.exact.load(Relaxed) && self.threads.load(Relaxed) > 1 {
                // Nobody holds anything back for longer than a change takes.
                current = self.current.load(Relaxed);
                break;
            }
            let before = held_back();
            current = self.current.load(Relaxed) + before.bytes;
            fence(Ordering::Acquire);
            if before.versions.is_some() && before.versions == held_back().versions {
                break;
            }
            wait(attempt);
        }
        let current = current.max(0);
        let peak = self.peak.load(Relaxed).max(current);
        // Whoever is alone may not have looked at the peak that it is at.
        let is_exact = current > self.exact_above.load(Relaxed);
        let peak_error = if is_exact {
            0
        } else {
            self.peak_error.load(Relaxed).max(0)
        };
        TracedMemory {
            current: Bytes::new(current as u64),
            peak: Bytes::new(peak as u64),
            peak_error: Bytes::new(peak_error as u64),
            sampled: false,
        }
    }

    /// Whether the heap has not shrunk since its peak, so that present values are those at peak.
    pub(crate) fn rising(&self) -> bool {
        self.rising.load(Relaxed)
    }

    /// Whether it is as high as its peak, which nobody may have looked at yet.
    pub(crate) fn is_at_peak(&self, held_back: i64) -> bool {
        self.current.load(Relaxed) + held_back >= self.peak.load(Relaxed)
    }

    /// Takes note of the peak, if the heap is at it and shrinks now, and returns whether it is.
    /// Only for a thread that is alone.
    pub(crate) fn note_peak(&self, held_back: i64) -> bool {
        let total = self.current.load(Relaxed) + held_back;
        if total < self.peak.load(Relaxed) {
            return false;
        }
        self.peak.store(total, Relaxed);
        self.rising.store(false, Relaxed);
        if total > self.exact_above.load(Relaxed) {
            self.peak_error.store(0, Relaxed);
        }
        true
    }

    /// Takes note that the heap is as high as this, without a look at what it holds. Only for a
    /// thread that is alone.
    pub(crate) fn raise_peak(&self, held_back: i64) {
        raise(&self.peak, self.current.load(Relaxed) + held_back);
    }

    pub(crate) fn set_threads(&self, threads: u32) {
        self.threads.store(threads.max(1).into(), Relaxed);
    }

    /// Counts bytes for those who have no account.
    pub(crate) fn add_directly(&self, bytes: i64, epoch: &AtomicU64) {
        if bytes < 0 && self.rising.swap(false, Relaxed) {
            epoch.fetch_add(1, Relaxed);
        }
        self.current.fetch_add(bytes, Relaxed);
    }

    /// Makes the present the peak. NOTE: only while all threads stand still, and nobody holds
    /// anything back.
    pub(crate) fn reset_peak(&self) {
        self.peak.store(self.current.load(Relaxed), Relaxed);
        self.rising.store(true, Relaxed);
        self.peak_error.store(0, Relaxed);
        self.most_credit.store(0, Relaxed);
    }

    /// Forgets everything but the number of threads. NOTE: only while all threads stand still.
    pub(crate) fn clear(&self) {
        self.current.store(0, Relaxed);
        self.reset_peak();
    }
}

/// What accounts hold back of the heap, read one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldBack {
    pub(crate) bytes: i64,
    /// The sum of the accounts' versions, which only rise: the same as before if none settled.
    /// `None` if one was in the middle of it.
    pub(super) versions: Option<u64>,
}

impl HeldBack {
    pub(crate) const NOTHING: HeldBack = HeldBack {
        bytes: 0,
        versions: Some(0),
    };

    pub(crate) fn plus(self, other: HeldBack) -> HeldBack {
        let sum = |(mine, theirs): (u64, u64)| mine.wrapping_add(theirs);
        HeldBack {
            bytes: self.bytes + other.bytes,
            versions: self.versions.zip(other.versions).map(sum),
        }
    }
}
