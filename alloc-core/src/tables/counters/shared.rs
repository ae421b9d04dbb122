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
/// Each field is one atomic. Two folds at once may mix, so with several threads what was saved at
/// the peak is off by at most one fold. A reader who must not see half a fold compares
/// [`begun` and `ended`](Self::folds) before and after.
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct SharedCounters {
    /// Folds begun in the lower half, folds ended in the upper.
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
}

impl SharedCounters {
    /// Adds `delta`; `emptied` runs where the reader's check covers it.
    pub(crate) fn fold(&self, delta: &Delta, epoch: u64, emptied: impl FnOnce()) {
        self.fold_as::<Locked>(delta, epoch, emptied);
    }

    #[inline(always)]
    pub(super) fn fold_as<F: Folder>(&self, delta: &Delta, epoch: u64, emptied: impl FnOnce()) {
        // PERF: two cache lines, often far away, and nothing that comes after the first change
        // begins before it is done.
        crate::system::arena::prefetch(&self.epoch);
        F::add_unsigned(&self.folds, 1);
        // The fence keeps the changes after the beginning; it pairs with the first in `consistent`.
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
        // Else neither changed since the peak, and nor does their sum.

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

        // The fence keeps the changes before the end; it pairs with the acquire in `consistent`.
        fence(Ordering::Release);
        F::add_unsigned(&self.folds, 1 << 32);
    }

    /// The callsite's counters: the shared part and the cells of all threads, which `cells` reads
    /// afresh each time it is called.
    ///
    /// A fold that happens meanwhile makes it read again. NOTE: not forever: then the last try
    /// counts.
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

        let shared = current;
        for cell in cells {
            current = current.plus(cell.net);
            peak = peak.max(shared.plus(cell.high));
            at_peak = at_peak.plus(cell.at_peak(epoch));
            total += Amount::new(cell.total_bytes, cell.total_blocks);
            reallocations += cell.reallocations;
        }
        let at_peak = if rising { current } else { at_peak };
        Counters {
            current: current.amount(),
            // NOTE: with several threads, what others hold back may make it seem lower.
            peak: peak.max(current).max(at_peak).amount(),
            at_peak: at_peak.amount(),
            total,
            // NOTE: a record under way may have counted the one and not the other.
            reallocations: reallocations.min(total.blocks),
        }
    }

    /// Makes the present the peak. NOTE: only while all threads stand still, and all cells are
    /// folded.
    pub(crate) fn reset_peak(&self) {
        self.peak_bytes.store(self.bytes.load(Relaxed), Relaxed);
        self.peak_blocks.store(self.blocks.load(Relaxed), Relaxed);
    }
}
