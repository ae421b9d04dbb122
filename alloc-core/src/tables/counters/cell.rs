//! [`Cell`]: one thread's counters of one callsite.

use super::fold::Unlocked;
use super::{Delta, SharedCounters, Signed};
use crate::system::sync::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};
use crate::tables::sampling::Weighted;
use Ordering::Relaxed;

/// What one thread changed at one callsite since it last folded, in one cache line.
///
/// Only the owner of the cell writes it, so plain loads and stores are enough. The fields are
/// atomics because a snapshot reads them concurrently.
#[repr(C, align(64))]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Cell {
    /// The callsite; zero for an unused cell.
    callsite: AtomicU32,
    reallocations: AtomicU32,
    epoch: AtomicU64,
    net_bytes: AtomicI64,
    /// The highest `net_bytes` since the last fold.
    high_bytes: AtomicI64,
    total_bytes: AtomicU64,
    /// `net_bytes` at the peak, if `epoch` is the current one.
    saved_bytes: AtomicI64,
    net_blocks: AtomicI32,
    high_blocks: AtomicI32,
    saved_blocks: AtomicI32,
    total_blocks: AtomicU32,
}

// SAFETY: zero is valid for all fields and means an unused cell.
#[cfg(not(loom))]
unsafe impl crate::system::arena::Zeroed for Cell {}

/// The most bytes, either way, that a cell holds back before it must be folded.
#[derive(Clone, Copy)]
pub(crate) struct CellCeiling(pub(crate) i64);

impl CellCeiling {
    /// One thread: folding gains nothing, but 32-bit block counts must not overflow.
    pub(crate) const ONE_THREAD: CellCeiling = CellCeiling(1 << 30);
    /// Several threads: bounds the error of a callsite's own peak.
    pub(crate) const MANY_THREADS: CellCeiling = CellCeiling(16 << 10);
}

/// Number of allocated blocks at which a cell must be folded.
pub(super) const MOST_BLOCKS: u32 = 1 << 30;

/// Whether the owner should fold the cell now.
pub(crate) type MustFold = bool;

impl Cell {
    #[inline(always)]
    pub(crate) fn callsite(&self) -> u32 {
        self.callsite.load(Relaxed)
    }

    /// Counts an allocation: one block, or the weight of a sampled block.
    #[inline(always)]
    pub(crate) fn allocated(
        &self,
        weighted: Weighted,
        reallocation: bool,
        epoch: u64,
        ceiling: CellCeiling,
    ) -> MustFold {
        if reallocation {
            self.reallocations
                .store(self.reallocations.load(Relaxed).wrapping_add(1), Relaxed);
        }
        let total_blocks = self.total_blocks.load(Relaxed);
        let total_blocks = total_blocks.wrapping_add(weighted.blocks as u32);
        let bytes = self.net_bytes.load(Relaxed) + weighted.bytes;
        self.add(weighted, bytes, total_blocks, epoch);
        // NOTE: one sampled block counts for at most 2^26 blocks, and the cell is folded at this
        // count, so the sum does not overflow.
        bytes > ceiling.0 || total_blocks >= MOST_BLOCKS
    }

    /// Fast path: counts an allocation of one block. Returns `false`, with nothing changed, if the
    /// cell belongs to another callsite or should be folded.
    #[inline(always)]
    pub(crate) fn try_alloc_fast(
        &self,
        callsite: u32,
        size: i64,
        epoch: u64,
        ceiling: CellCeiling,
    ) -> bool {
        if self.callsite() != callsite {
            return false;
        }
        let bytes = self.net_bytes.load(Relaxed) + size;
        let total_blocks = self.total_blocks.load(Relaxed) + 1;
        if bytes > ceiling.0 || total_blocks >= MOST_BLOCKS {
            return false;
        }
        self.add(
            Weighted {
                bytes: size,
                blocks: 1,
            },
            bytes,
            total_blocks,
            epoch,
        );
        true
    }

    /// Counts an allocation; `bytes` and `total_blocks` are the values after it.
    #[inline(always)]
    fn add(&self, weighted: Weighted, bytes: i64, total_blocks: u32, epoch: u64) {
        self.save_if_old(epoch);
        self.net_bytes.store(bytes, Relaxed);
        if bytes > self.high_bytes.load(Relaxed) {
            self.high_bytes.store(bytes, Relaxed);
        }
        self.total_blocks.store(total_blocks, Relaxed);
        let net_blocks = self.net_blocks.load(Relaxed).wrapping_add(weighted.blocks);
        self.net_blocks.store(net_blocks, Relaxed);
        if net_blocks > self.high_blocks.load(Relaxed) {
            self.high_blocks.store(net_blocks, Relaxed);
        }
        let total_bytes = self.total_bytes.load(Relaxed);
        self.total_bytes
            .store(total_bytes.wrapping_add(weighted.bytes as u64), Relaxed);
    }

    /// The net bytes after a free of one block of this callsite, if the free can take the [fast
    /// path](Self::free_fast). `None` if the cell belongs to another callsite or should be folded.
    #[inline(always)]
    pub(crate) fn bytes_after(
        &self,
        callsite: u32,
        size: i64,
        ceiling: CellCeiling,
    ) -> Option<i64> {
        if self.callsite() != callsite {
            return None;
        }
        let bytes = self.net_bytes.load(Relaxed) - size;
        (bytes >= -ceiling.0).then_some(bytes)
    }

    /// Counts the free of one block; [`bytes_after`](Self::bytes_after) gave the net bytes.
    #[inline(always)]
    pub(crate) fn free_fast(&self, bytes: i64, epoch: u64) {
        self.subtract(bytes, 1, epoch);
    }

    /// Counts a free; `bytes` are the net bytes after it. Returns the net blocks after it.
    #[inline(always)]
    fn subtract(&self, bytes: i64, blocks: i32, epoch: u64) -> i32 {
        self.save_if_old(epoch);
        self.net_bytes.store(bytes, Relaxed);
        let net_blocks = self.net_blocks.load(Relaxed).wrapping_sub(blocks);
        self.net_blocks.store(net_blocks, Relaxed);
        net_blocks
    }

    /// Counts the free of what [`allocated`](Self::allocated) counted.
    #[inline(always)]
    pub(crate) fn freed(
        &self,
        Weighted {
            bytes: size,
            blocks,
        }: Weighted,
        epoch: u64,
        ceiling: CellCeiling,
    ) -> MustFold {
        let bytes = self.net_bytes.load(Relaxed) - size;
        let net_blocks = self.subtract(bytes, blocks, epoch);
        // NOTE: single blocks reach the limit of bytes long before the count of blocks overflows.
        bytes < -ceiling.0 || blocks != 1 && net_blocks < -(1 << 30)
    }

    /// Saves the present values as those at the peak, unless already done in this epoch.
    #[inline(always)]
    fn save_if_old(&self, epoch: u64) {
        if self.epoch.load(Relaxed) != epoch {
            self.saved_bytes
                .store(self.net_bytes.load(Relaxed), Relaxed);
            self.saved_blocks
                .store(self.net_blocks.load(Relaxed), Relaxed);
            self.epoch.store(epoch, Relaxed);
        }
    }

    /// Folds the cell into its callsite's shared counters, and empties it for `next`, a callsite or
    /// zero.
    pub(crate) fn fold_into(&self, shared: &SharedCounters, next: u32, epoch: u64) {
        shared.fold(&self.read(), epoch, || self.empty_for(next, epoch));
    }

    /// Folds without locked instructions, while no other thread folds.
    pub(crate) fn fold_alone_into(&self, shared: &SharedCounters, next: u32, epoch: u64) {
        shared.fold_as::<Unlocked>(&self.read(), epoch, || self.empty_for(next, epoch));
    }

    /// Makes this an empty cell of `callsite`.
    pub(crate) fn empty_for(&self, callsite: u32, epoch: u64) {
        self.reallocations.store(0, Relaxed);
        // The shared part holds the values at the peak, so the cell's own part of the peak is zero.
        self.epoch.store(epoch, Relaxed);
        self.net_bytes.store(0, Relaxed);
        self.high_bytes.store(0, Relaxed);
        self.total_bytes.store(0, Relaxed);
        self.saved_bytes.store(0, Relaxed);
        self.net_blocks.store(0, Relaxed);
        self.high_blocks.store(0, Relaxed);
        self.saved_blocks.store(0, Relaxed);
        self.total_blocks.store(0, Relaxed);
        // NOTE: last, so that no reader takes the previous callsite's counts for this one's. The
        // release pairs with the acquire in `read_of`.
        self.callsite.store(callsite, Ordering::Release);
    }

    /// The cell's counts, if the cell belongs to `callsite`.
    pub(crate) fn read_of(&self, callsite: u32) -> Option<Delta> {
        // The acquire pairs with the release in `empty_for`.
        (self.callsite.load(Ordering::Acquire) == callsite).then(|| self.read())
    }

    pub(super) fn read(&self) -> Delta {
        Delta {
            net: Signed::new(
                self.net_bytes.load(Relaxed),
                self.net_blocks.load(Relaxed).into(),
            ),
            high: Signed::new(
                self.high_bytes.load(Relaxed),
                self.high_blocks.load(Relaxed).into(),
            ),
            saved: Signed::new(
                self.saved_bytes.load(Relaxed),
                self.saved_blocks.load(Relaxed).into(),
            ),
            epoch: self.epoch.load(Relaxed),
            total_bytes: self.total_bytes.load(Relaxed),
            total_blocks: self.total_blocks.load(Relaxed).into(),
            reallocations: self.reallocations.load(Relaxed).into(),
            copied: 0,
        }
    }
}
