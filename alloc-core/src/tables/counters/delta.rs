//! [`Delta`]: a change to a callsite's counters.

use crate::snapshot::numbers::Amount;
use crate::tables::sampling::Weighted;

/// Bytes and blocks that may be negative: a thread may free what others allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) bytes: i64,
    pub(crate) blocks: i64,
}

impl Signed {
    pub(crate) fn new(bytes: i64, blocks: i64) -> Signed {
        Signed { bytes, blocks }
    }

    pub(super) fn plus(self, other: Signed) -> Signed {
        Signed::new(self.bytes + other.bytes, self.blocks + other.blocks)
    }

    pub(crate) fn max(self, other: Signed) -> Signed {
        Signed::new(self.bytes.max(other.bytes), self.blocks.max(other.blocks))
    }

    /// NOTE: parts of a sum are read at different moments, so the sum may be negative.
    pub(super) fn amount(self) -> Amount {
        Amount::new(self.bytes.max(0) as u64, self.blocks.max(0) as u64)
    }
}

/// A change to a callsite's counters, as a cell collects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delta {
    pub(crate) net: Signed,
    pub(crate) high: Signed,
    pub(crate) saved: Signed,
    pub(crate) epoch: u64,
    pub(crate) total_bytes: u64,
    pub(crate) total_blocks: u64,
    pub(crate) reallocations: u64,
    pub(crate) copied: u64,
}

impl Delta {
    /// One more block, or the blocks that a sampled one stands for, for a thread without a cell.
    pub(crate) fn allocated(weighted: Weighted, epoch: u64) -> Delta {
        let net = Signed::new(weighted.bytes, weighted.blocks.into());
        Delta {
            net,
            high: net,
            epoch,
            total_bytes: weighted.bytes as u64,
            total_blocks: weighted.blocks.unsigned_abs().into(),
            ..Delta::default()
        }
    }

    /// One block less, for a thread without a cell.
    pub(crate) fn freed(weighted: Weighted, epoch: u64) -> Delta {
        Delta {
            net: Signed::new(-weighted.bytes, -i64::from(weighted.blocks)),
            epoch,
            ..Delta::default()
        }
    }

    /// A block that [`freed`](Self::freed) subtracted and that comes back.
    pub(crate) fn restored(weighted: Weighted, epoch: u64) -> Delta {
        Delta {
            net: Signed::new(weighted.bytes, weighted.blocks.into()),
            epoch,
            ..Delta::default()
        }
    }

    pub(super) fn at_peak(&self, epoch: u64) -> Signed {
        if self.epoch == epoch {
            self.saved
        } else {
            self.net
        }
    }
}
