//! [`Account`]: one thread's part of the heap.

use super::{Heap, HeldBack, raise};
use crate::system::sync::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use crate::tables::version::Version;
use Ordering::Relaxed;

/// Whether a thread is the only one that takes part in the heap's peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concurrency {
    Single,
    Multi,
}

/// One thread's part of the heap: what it changed since it last settled with [`Heap`].
///
/// # Exactness
///
/// *Single*: the thread never settles. The total is the settled part plus its own, so it sees every
/// peak, and the first decrease after it, at the very allocation or free. While the heap is at its
/// peak, its present size is the peak. Only the account knows it, until the heap falls or another
/// thread [changes it](Self::tell_peak).
///
/// *Multi*: the thread settles when its own part leaves a window, the credit, in either direction.
/// All threads together hold back at most their number times the credit, which bounds the error of
/// the peak. The credit is half of the distance to the last peak, divided among the threads, within
/// [`LEAST_CREDIT`] and [`MOST_CREDIT`]: threads rarely settle far from the peak, and often near
/// it. In exact mode the credit is zero: every change of every thread goes to the shared total at
/// once, and the highest value of that total is the peak.
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Account {
    net: AtomicI64,
    /// `net` at or above which [`Account::rose`] is called.
    upper: AtomicI64,
    /// `net` below which [`Account::fell`] is called.
    lower: AtomicI64,
    /// The settled part that `upper` was computed from, with a single thread.
    base: AtomicI64,
    /// Changes with each settling.
    version: Version,
    alone: AtomicBool,
}

/// Whether a [`Tally`](crate::tables::tally::Tally) must be checked as well.
pub(crate) type HasSettled = bool;

/// The least credit of a thread, in bytes.
pub(super) const LEAST_CREDIT: i64 = 4 << 10;
/// The largest credit of a thread, in bytes.
pub(super) const MOST_CREDIT: i64 = 64 << 10;

impl Account {
    /// Adds `size` bytes and returns whether the account settled. The callsite was changed before.
    #[inline(always)]
    pub(crate) fn grow(&self, size: i64, heap: &Heap) -> HasSettled {
        let net = self.net.load(Relaxed) + size;
        self.net.store(net, Relaxed);
        let upper = self.upper.load(Relaxed);
        if net < upper {
            return false;
        }
        if upper == self.lower.load(Relaxed) {
            // PERF: the heap is at its peak and rises again, as most growing heaps do.
            self.stand_at(net);
            return false;
        }
        self.rose(net, heap)
    }

    /// Sets the account's `net` at the peak as both limits.
    #[inline(always)]
    fn stand_at(&self, net: i64) {
        self.upper.store(net, Relaxed);
        self.lower.store(net, Relaxed);
    }

    /// Subtracts `size` bytes. Returns whether the account settled or the heap fell from its peak.
    /// The callsite is changed after.
    #[inline(always)]
    pub(crate) fn shrink(&self, size: i64, heap: &Heap, epoch: &AtomicU64) -> HasSettled {
        let net = self.net.load(Relaxed) - size;
        if net < self.lower.load(Relaxed) {
            self.fell(net, heap, epoch);
            return true;
        }
        self.net.store(net, Relaxed);
        false
    }

    /// Fast path: subtracts `size` bytes. Returns `false`, with nothing changed, if the account
    /// should settle or the heap falls from its peak.
    #[inline(always)]
    pub(crate) fn try_shrink(&self, size: i64) -> bool {
        let left = self.left_without_settling(size);
        if let Some(left) = left {
            self.keep(left);
        }
        left.is_some()
    }

    /// The value to [keep](Self::keep) after subtracting `size` bytes; `None` if the account should
    /// settle or the heap falls from its peak.
    #[inline(always)]
    pub(crate) fn left_without_settling(&self, size: i64) -> Option<i64> {
        let left = self.net.load(Relaxed) - size;
        (left >= self.lower.load(Relaxed)).then_some(left)
    }

    /// Stores `net`.
    #[inline(always)]
    pub(crate) fn keep(&self, left: i64) {
        self.net.store(left, Relaxed);
    }

    /// Changes the heap without checking for a peak. NOTE: only for a single thread that checks
    /// itself.
    pub(crate) fn add(&self, bytes: i64) {
        self.net.store(self.net.load(Relaxed) + bytes, Relaxed);
    }

    /// How many bytes a [`Tally`](crate::tables::tally::Tally) may hold before the heap is at its
    /// peak and must be checked.
    pub(crate) fn room_of_tally(&self, heap: &Heap) -> i64 {
        if self.is_alone() {
            heap.peak.load(Relaxed) - heap.current.load(Relaxed) - self.net.load(Relaxed)
        } else {
            i64::MAX
        }
    }

    /// Whether the thread is single, so that it never settles.
    #[inline(always)]
    pub(crate) fn is_alone(&self) -> bool {
        self.alone.load(Relaxed)
    }

    #[inline(never)]
    fn rose(&self, net: i64, heap: &Heap) -> HasSettled {
        if !self.alone.load(Relaxed) {
            self.settle_risen(net, heap);
            return true;
        }
        let total = self.base.load(Relaxed) + net;
        heap.peak.store(total, Relaxed);
        heap.rising.store(true, Relaxed);
        if total > heap.exact_above.load(Relaxed) {
            heap.peak_error.store(0, Relaxed);
        }
        self.stand_at_peak(net, heap);
        false
    }

    /// Like [`stand_at`](Self::stand_at), unless the peak may still be off: then
    /// [`rose`](Self::rose) must check again when the heap rises further.
    fn stand_at_peak(&self, net: i64, heap: &Heap) {
        self.stand_at(net);
        if heap.peak_error.load(Relaxed) != 0 {
            self.upper.store(net - 1, Relaxed);
        }
    }

    #[inline(never)]
    fn fell(&self, net: i64, heap: &Heap, epoch: &AtomicU64) {
        if !self.alone.load(Relaxed) {
            return self.settle_fallen(net, heap, epoch);
        }
        self.tell_peak(heap);
        self.forget_peak();
        // The release pairs with the acquire in `net`: a reader that sees less than the peak sees
        // the recorded peak.
        self.net.store(net, Ordering::Release);
        if heap.rising.load(Relaxed) {
            heap.rising.store(false, Relaxed);
            epoch.store(epoch.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Records the peak in [`Heap`] if only this account knows it. Called before the heap is
    /// changed by another way than the thread's account.
    pub(crate) fn tell_peak(&self, heap: &Heap) {
        let peak = self.lower.load(Relaxed);
        if self.alone.load(Relaxed) && peak != i64::MIN {
            raise(&heap.peak, self.base.load(Relaxed) + peak);
        }
    }

    #[cold]
    fn settle_risen(&self, net: i64, heap: &Heap) {
        let total = self.hand_over(net, heap);
        if total >= heap.peak.load(Relaxed) && heap.peak.fetch_max(total, Relaxed) <= total {
            heap.rising.store(true, Relaxed);
        }
        self.open_window(total, heap);
    }

    #[cold]
    fn settle_fallen(&self, net: i64, heap: &Heap, epoch: &AtomicU64) {
        let total = self.hand_over(net, heap);
        if heap.rising.load(Relaxed) && heap.rising.swap(false, Relaxed) {
            epoch.fetch_add(1, Relaxed);
        }
        self.open_window(total, heap);
    }

    /// Sets the window of the next settling, with several threads.
    fn open_window(&self, total: i64, heap: &Heap) {
        if heap.exact.load(Relaxed) {
            // NOTE: the limits differ: equal limits mean a single thread with the heap at its peak.
            self.upper.store(0, Relaxed);
            self.lower.store(1, Relaxed);
            return;
        }
        let threads = heap.threads.load(Relaxed);
        let room = heap.peak.load(Relaxed).saturating_sub(total);
        let credit = (room / (2 * threads)).clamp(LEAST_CREDIT, MOST_CREDIT);
        raise(&heap.most_credit, credit);
        raise(&heap.peak_error, heap.most_credit.load(Relaxed) * threads);
        self.upper.store(credit, Relaxed);
        self.lower.store(-credit, Relaxed);
    }

    /// Settles, and starts again with this concurrency.
    pub(crate) fn begin(&self, concurrency: Concurrency, heap: &Heap) {
        let total = self.settle(heap);
        if total >= heap.peak.load(Relaxed) {
            heap.peak.fetch_max(total, Relaxed);
            heap.rising.store(true, Relaxed);
        }
        self.alone
            .store(concurrency == Concurrency::Single, Relaxed);
        if concurrency == Concurrency::Multi {
            // NOTE: a thread that was single until now and has not joined again must not report a
            // peak as exact.
            heap.exact_above.store(i64::MAX, Relaxed);
            return self.open_window(total, heap);
        }
        let peak = heap.peak.load(Relaxed);
        self.base.store(total, Relaxed);
        self.upper.store(peak - total, Relaxed);
        heap.exact_above
            .store(peak + heap.peak_error.load(Relaxed), Relaxed);
        if heap.rising() {
            self.stand_at_peak(0, heap);
        }
    }

    /// Moves the thread's part to the heap, and returns the heap's settled total.
    pub(crate) fn settle(&self, heap: &Heap) -> i64 {
        self.tell_peak(heap);
        self.forget_peak();
        self.hand_over(self.net.load(Relaxed), heap)
    }

    /// Moves this part to the heap and returns the heap's settled total. A reader finds it in
    /// exactly one of the two places.
    fn hand_over(&self, net: i64, heap: &Heap) -> i64 {
        self.version.change(|| {
            self.net.store(0, Relaxed);
            heap.current.fetch_add(net, Relaxed) + net
        })
    }

    pub(crate) fn net(&self) -> i64 {
        // The acquire pairs with the release in `fell`.
        self.net.load(Ordering::Acquire)
    }

    /// The bytes held back, by `read`, which reads the account.
    ///
    /// NOTE: with `is_own` a settling under way is ignored: a signal handler on the owner's thread
    /// reads, and waiting would never end.
    pub(crate) fn held_back(&self, is_own: bool, read: impl FnOnce() -> i64) -> HeldBack {
        let version = if is_own {
            Some(0)
        } else {
            self.version.before()
        };
        let bytes = read();
        HeldBack {
            bytes,
            versions: version,
        }
    }

    /// Drops the peak that only this account knows: the heap fell, or the peak is reset.
    pub(crate) fn forget_peak(&self) {
        self.lower.store(i64::MIN, Relaxed);
    }

    /// Clears the account. NOTE: only while the world is stopped.
    pub(crate) fn clear(&self) {
        self.net.store(0, Relaxed);
        self.forget_peak();
    }
}
