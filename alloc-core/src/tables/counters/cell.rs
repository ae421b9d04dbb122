//! [`Cell`]: what one thread counts at one callsite.

use super::fold::Unlocked;
use super::{Delta, SharedCounters, Signed};
use crate::system::sync::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering};
use crate::tables::sampling::Weighted;
use Ordering::Relaxed;

/// What one thread changed at one callsite since it last folded, in one cache line.
///
/// Only the thread that owns the cell writes it, so plain loads and stores are enough; the fields
/// are atomics because a snapshot reads them meanwhile.
#[repr(C, align(64))]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Cell {
    /// Whose numbers these are; zero for an unused cell.
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

// SAFETY: zero is a value of all fields: a cell that nobody uses.
#[cfg(not(loom))]
unsafe impl crate::system::arena::Zeroed for Cell {}

/// When a cell must be folded although its callsite did not change: the most bytes, either way,
/// that it holds back.
#[derive(Clone, Copy)]
pub(crate) struct CellCeiling(pub(crate) i64);

impl CellCeiling {
    /// With one thread nothing is gained by folding, but 32-bit block counts must not run over.
    pub(crate) const ONE_THREAD: CellCeiling = CellCeiling(1 << 30);
    /// With several, it bounds how far off a callsite's own peak can be.
    pub(crate) const MANY_THREADS: CellCeiling = CellCeiling(16 << 10);
}

/// With how many blocks allocated a cell is folded.
const MOST_BLOCKS: u32 = 1 << 30;

/// Whether the owner should fold the cell now.
pub(crate) type MustFold = bool;

impl Cell {
    #[inline(always)]
    pub(crate) fn callsite(&self) -> u32 {
        self.callsite.load(Relaxed)
    }

    /// Counts an allocation: one block, or what a block of a sample stands for.
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
        // NOTE: no block counts for more than 2^26, and with this many the cell is folded.
        bytes > ceiling.0 || total_blocks >= MOST_BLOCKS
    }

    /// Counts an allocation of one block, and returns whether it could: not if the cell is another
    /// callsite's, or should be folded; then nothing has happened.
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

    /// Adds what was allocated, after which there are so many bytes, and so many blocks were
    /// allocated.
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

    /// How many bytes there are after one block of this callsite ends, if that can be counted
    /// [at once](Self::free_fast): not as [`try_alloc_fast`](Self::try_alloc_fast).
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

    /// Counts the end of one block, after which there are so many [bytes](Self::bytes_after).
    #[inline(always)]
    pub(crate) fn free_fast(&self, bytes: i64, epoch: u64) {
        self.subtract(bytes, 1, epoch);
    }

    /// Subtracts what was freed, after which there are so many bytes, and returns how many blocks
    /// there are.
    #[inline(always)]
    fn subtract(&self, bytes: i64, blocks: i32, epoch: u64) -> i32 {
        self.save_if_old(epoch);
        self.net_bytes.store(bytes, Relaxed);
        let net_blocks = self.net_blocks.load(Relaxed).wrapping_sub(blocks);
        self.net_blocks.store(net_blocks, Relaxed);
        net_blocks
    }

    /// Counts the end of what [`allocated`](Self::allocated) counted.
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
        // NOTE: a single block never brings the count near its end before the bytes.
        bytes < -ceiling.0 || blocks != 1 && net_blocks < -(1 << 30)
    }

    /// Keeps the present values as those at the peak, unless that was done in this epoch.
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

    /// Moves what the cell counted into its callsite's shared counters, and empties the cell for
    /// `next`, the number of a callsite or zero.
    pub(crate) fn fold_into(&self, shared: &SharedCounters, next: u32, epoch: u64) {
        shared.fold(&self.read(), epoch, || self.empty_for(next, epoch));
    }

    /// Folds while no other thread does, without locked instructions.
    pub(crate) fn fold_alone_into(&self, shared: &SharedCounters, next: u32, epoch: u64) {
        shared.fold_as::<Unlocked>(&self.read(), epoch, || self.empty_for(next, epoch));
    }

    /// Makes the cell one of `callsite` that has counted nothing.
    pub(crate) fn empty_for(&self, callsite: u32, epoch: u64) {
        self.reallocations.store(0, Relaxed);
        // What it held at the peak is in the shared part, so its own part of the peak is nothing.
        self.epoch.store(epoch, Relaxed);
        self.net_bytes.store(0, Relaxed);
        self.high_bytes.store(0, Relaxed);
        self.total_bytes.store(0, Relaxed);
        self.saved_bytes.store(0, Relaxed);
        self.net_blocks.store(0, Relaxed);
        self.high_blocks.store(0, Relaxed);
        self.saved_blocks.store(0, Relaxed);
        self.total_blocks.store(0, Relaxed);
        // NOTE: last, so that nobody takes the counts of the callsite before for those of this one.
        // The release pairs with the acquire in `read_of`.
        self.callsite.store(callsite, Ordering::Release);
    }

    /// What the cell counted of `callsite`, if it is that one's.
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
        }
    }
}
