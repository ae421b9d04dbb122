//! [`SharedCounters`]: one callsite's counters, which all threads fold into.

use super::fold::{Folder, Locked};
use super::{Delta, Signed, raise};
use crate::snapshot::numbers::{Amount, Counters};
use crate::system::sync::{ATTEMPTS, AtomicI64, AtomicU64, Ordering, fence, wait};
use Ordering::Relaxed;

/// The counters of one callsite that all threads fold into.
///
/// # Implementation
///
/// Each field is one atomic. Two concurrent folds may interleave, so with several threads the
/// values saved at the peak are off by at most one fold. A reader that must not see half a fold
/// compares both halves of [`folds`](Self::folds) before and after.
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct SharedCounters {
    /// Number of folds begun in the lower half, of folds ended in the upper half.
    folds: AtomicU64,
    bytes: AtomicI64,
    blocks: AtomicI64,
    peak_bytes: AtomicI64,
    peak_blocks: AtomicI64,
    total_bytes: AtomicU64,
    total_blocks: AtomicU64,
    reallocations: AtomicU64,
    epoch: AtomicU64,
    saved_bytes: AtomicI64,
    saved_blocks: AtomicI64,
    copied: AtomicU64,
}

impl SharedCounters {
    /// Adds `delta`. `emptied` runs inside the fold, so that a reader retries if it runs meanwhile.
    pub(crate) fn fold(&self, delta: &Delta, epoch: u64, emptied: impl FnOnce()) {
        self.fold_as::<Locked>(delta, epoch, emptied);
    }

    #[inline(always)]
    pub(super) fn fold_as<F: Folder>(&self, delta: &Delta, epoch: u64, emptied: impl FnOnce()) {
        // PERF: two cache lines, often in no near cache. Locked instructions after the first change
        // wait for it.
        crate::system::arena::prefetch(&self.epoch);
        F::add_unsigned(&self.folds, 1);
        // The fence keeps the changes after the begin count; it pairs with the fence in `sum`.
        fence(Ordering::Release);

        let (bytes, blocks) = (self.bytes.load(Relaxed), self.blocks.load(Relaxed));
        if self.epoch.load(Relaxed) == epoch {
            let part = delta.at_peak(epoch);
            F::add(&self.saved_bytes, part.bytes);
            F::add(&self.saved_blocks, part.blocks);
        } else if delta.epoch == epoch {
            self.saved_bytes.store(bytes + delta.saved.bytes, Relaxed);
            self.saved_blocks
                .store(blocks + delta.saved.blocks, Relaxed);
            self.epoch.store(epoch, Relaxed);
        }
        // Otherwise neither part changed since the peak, so their sum is still the value at the
        // peak.

        let bytes = F::add(&self.bytes, delta.net.bytes);
        let blocks = F::add(&self.blocks, delta.net.blocks);
        raise(&self.peak_bytes, bytes + delta.high.bytes);
        raise(&self.peak_blocks, blocks + delta.high.blocks);
        if delta.total_blocks > 0 {
            F::add_unsigned(&self.total_bytes, delta.total_bytes);
            F::add_unsigned(&self.total_blocks, delta.total_blocks);
        }
        if delta.reallocations > 0 {
            F::add_unsigned(&self.reallocations, delta.reallocations);
        }
        emptied();

        // The fence keeps the changes before the end count; it pairs with the first load in `sum`.
        fence(Ordering::Release);
        F::add_unsigned(&self.folds, 1 << 32);
    }

    /// Adds bytes that reallocations copied. `emptied` runs inside the fold, as in
    /// [`fold`](Self::fold).
    pub(crate) fn fold_copied(&self, bytes: u64, emptied: impl FnOnce()) {
        self.folds.fetch_add(1, Relaxed);
        // Both fences pair as those in `fold_as`.
        fence(Ordering::Release);
        self.copied.fetch_add(bytes, Relaxed);
        emptied();
        fence(Ordering::Release);
        self.folds.fetch_add(1 << 32, Relaxed);
    }

    /// The callsite's counters: the shared part plus the cells of all threads. `cells` reads the
    /// cells, again on each call.
    ///
    /// The read is retried if a fold happens meanwhile. NOTE: the number of attempts is bounded;
    /// the last one counts.
    pub(crate) fn sum<I>(&self, mut cells: impl FnMut() -> I, epoch: u64, rising: bool) -> Counters
    where
        I: Iterator<Item = Delta>,
    {
        let mut counters = Counters::default();
        for attempt in 0..ATTEMPTS {
            let before = self.folds.load(Ordering::Acquire);
            counters = self.sum_once(cells(), epoch, rising);
            fence(Ordering::Acquire);
            let after = self.folds.load(Relaxed);
            if before == after && before as u32 == (before >> 32) as u32 {
                break;
            }
            wait(attempt);
        }
        counters
    }

    fn sum_once(&self, cells: impl Iterator<Item = Delta>, epoch: u64, rising: bool) -> Counters {
        let mut current = Signed::new(self.bytes.load(Relaxed), self.blocks.load(Relaxed));
        let mut peak = Signed::new(
            self.peak_bytes.load(Relaxed),
            self.peak_blocks.load(Relaxed),
        );
        let mut at_peak = if self.epoch.load(Relaxed) == epoch {
            Signed::new(
                self.saved_bytes.load(Relaxed),
                self.saved_blocks.load(Relaxed),
            )
        } else {
            current
        };
        let mut total = Amount::new(
            self.total_bytes.load(Relaxed),
            self.total_blocks.load(Relaxed),
        );
        let mut reallocations = self.reallocations.load(Relaxed);
        let mut copied = self.copied.load(Relaxed);

        let shared = current;
        for cell in cells {
            current = current.plus(cell.net);
            peak = peak.max(shared.plus(cell.high));
            at_peak = at_peak.plus(cell.at_peak(epoch));
            total += Amount::new(cell.total_bytes, cell.total_blocks);
            reallocations += cell.reallocations;
            copied += cell.copied;
        }
        let at_peak = if rising { current } else { at_peak };
        Counters {
            current: current.amount(),
            // NOTE: with several threads, bytes held back by others may make it seem lower.
            peak: peak.max(current).max(at_peak).amount(),
            at_peak: at_peak.amount(),
            total,
            // NOTE: a record under way may have counted one and not yet the other.
            reallocations: reallocations.min(total.blocks),
            copied: copied.into(),
        }
    }

    /// Sets the peak to the present. NOTE: only while the world is stopped and all cells are
    /// folded.
    pub(crate) fn reset_peak(&self) {
        self.peak_bytes.store(self.bytes.load(Relaxed), Relaxed);
        self.peak_blocks.store(self.blocks.load(Relaxed), Relaxed);
    }
}
