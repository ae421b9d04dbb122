//! [`Heap`]: the bytes of the whole heap and its peak, shared by all threads.

use super::raise;
use crate::snapshot::numbers::{Bytes, TracedMemory};
use crate::system::sync::{ATTEMPTS, AtomicBool, AtomicI64, AtomicU64, Ordering, fence, wait};
use Ordering::Relaxed;

/// The bytes and the peak of the whole heap, shared by all threads.
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Heap {
    /// The bytes that threads have settled.
    pub(super) current: AtomicI64,
    pub(super) peak: AtomicI64,
    /// Bound on the error of the peak, in bytes.
    pub(super) peak_error: AtomicI64,
    /// A peak above this is exact, once a single thread remains.
    pub(super) exact_above: AtomicI64,
    /// Whether the heap is at its peak now: it has not shrunk since.
    pub(super) rising: AtomicBool,
    /// The largest credit that a thread has had, in bytes.
    pub(super) most_credit: AtomicI64,
    /// Number of threads that may hold something back.
    pub(super) threads: AtomicI64,
    /// Exact mode: no thread may hold anything back.
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

    /// Sets exact mode, in which all threads settle at every change. NOTE: only before a session.
    pub(crate) fn set_exact(&self, exact: bool) {
        self.exact.store(exact, Relaxed);
    }

    /// The heap's totals. `held_back` reads what accounts have not settled, again on each call.
    ///
    /// The read is retried if an account settles meanwhile. NOTE: the number of attempts is
    /// bounded; the last one counts.
    pub(crate) fn read(&self, held_back: impl Fn() -> HeldBack) -> TracedMemory {
        let mut current = 0;
        for attempt in 0..ATTEMPTS {
            if self.exact.load(Relaxed) && self.threads.load(Relaxed) > 1 {
                // In exact mode, a thread holds bytes back only during a change.
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
        // A single thread may not have checked the peak that it is at.
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

    /// Whether the heap is as high as its peak. That peak may not be recorded yet.
    pub(crate) fn is_at_peak(&self, held_back: i64) -> bool {
        self.current.load(Relaxed) + held_back >= self.peak.load(Relaxed)
    }

    /// Records the peak if the heap is at it, just before it shrinks, and returns whether it was.
    /// Only for a single thread.
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

    /// Raises the peak to the present size without moving the epoch. Only for a single thread.
    pub(crate) fn raise_peak(&self, held_back: i64) {
        raise(&self.peak, self.current.load(Relaxed) + held_back);
    }

    pub(crate) fn set_threads(&self, threads: u32) {
        self.threads.store(threads.max(1).into(), Relaxed);
    }

    /// Counts bytes for a thread without an account.
    pub(crate) fn add_directly(&self, bytes: i64, epoch: &AtomicU64) {
        if bytes < 0 && self.rising.swap(false, Relaxed) {
            epoch.fetch_add(1, Relaxed);
        }
        self.current.fetch_add(bytes, Relaxed);
    }

    /// Sets the peak to the present size. NOTE: only while the world is stopped and no account
    /// holds anything back.
    pub(crate) fn reset_peak(&self) {
        self.peak.store(self.current.load(Relaxed), Relaxed);
        self.rising.store(true, Relaxed);
        self.peak_error.store(0, Relaxed);
        self.most_credit.store(0, Relaxed);
    }

    /// Clears all but the number of threads. NOTE: only while the world is stopped.
    pub(crate) fn clear(&self) {
        self.current.store(0, Relaxed);
        self.reset_peak();
    }
}

/// What accounts hold back from the heap, read one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldBack {
    pub(crate) bytes: i64,
    /// The sum of the accounts' versions, which only rise: it is unchanged if no account settled.
    /// `None` if one was settling.
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
