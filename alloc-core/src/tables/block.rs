//! [`Block`]: what the live-block index stores about a block, in one word.

use std::num::NonZeroU32;

use crate::tables::callsites::CallsiteId;
use crate::tables::sampling::{Interval, Rounding, Weighted};

/// What the live-block index stores about a block.
///
/// # Implementation
///
/// | bits | in a session of every block | in a sample |
/// | --- | --- | --- |
/// | 0 to 19 | callsite | callsite |
/// | 20 | bit 4 of the address: the half of a 32-byte granule | zero |
/// | 21 to 31 | code of the size | [`Rounding`] |
///
/// The code is the size as a floating-point number with five bits of exponent and six of mantissa,
/// rounded down: exact below 128 bytes, and less than 1/64 too small above. Sizes from 4 GiB wrap
/// around. A record takes eight more instructions for it. The size itself in a word of 64 bits
/// takes as many and twice the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block(NonZeroU32);

const CALLSITE_BITS: u32 = 20;
const CALLSITES: u32 = (1 << CALLSITE_BITS) - 1;
/// The bit for the half of the granule.
const HALF: u32 = 1 << CALLSITE_BITS;
const HALF_OF_ADDRESS: usize = 1 << 4;
const DETAIL_BITS: u32 = CALLSITE_BITS + 1;
/// Bits of a mantissa that the code keeps.
const MANTISSA_BITS: u32 = 6;
/// The shift that drops the other bits.
const UNUSED_BITS: u32 = f64::MANTISSA_DIGITS - 1 - MANTISSA_BITS - DETAIL_BITS;

const _: () = assert!(CallsiteId::MOST <= CALLSITES);
const _: () = assert!(DETAIL_BITS + Rounding::BITS == u32::BITS);

impl Block {
    /// A block of a session that records every block.
    #[inline(always)]
    pub(crate) fn whole(callsite: CallsiteId, address: usize, size: usize) -> Block {
        // PERF: one instruction converts a signed number. A size is never negative: see `Layout`.
        let float = (size as i64 as f64).to_bits();
        // The low bits of the exponent are one less than the power of two, modulo 32.
        let code = (float >> UNUSED_BITS) as u32 & !((1 << DETAIL_BITS) - 1);
        let half = ((address & HALF_OF_ADDRESS) as u32) << (CALLSITE_BITS - 4);
        Block::with(callsite, code | half)
    }

    /// A block of a sample.
    pub(crate) fn sampled(callsite: CallsiteId, rounding: Rounding) -> Block {
        Block::with(callsite, rounding.word() << DETAIL_BITS)
    }

    /// A block of which nothing but the callsite is known.
    pub(crate) fn of_callsite(callsite: CallsiteId) -> Block {
        Block::with(callsite, 0)
    }

    #[inline(always)]
    fn with(callsite: CallsiteId, rest: u32) -> Block {
        Block(NonZeroU32::from(callsite) | rest)
    }

    /// From a word of the index, where zero means no block. NOTE: other words than those that
    /// [`word`](Self::word) returned are not blocks.
    #[inline(always)]
    pub(crate) fn from_word(word: u32) -> Option<Block> {
        NonZeroU32::new(word).map(Block)
    }

    #[inline(always)]
    pub(crate) fn word(self) -> u32 {
        self.0.get()
    }

    #[inline(always)]
    pub(crate) fn callsite(self) -> CallsiteId {
        let callsite = CallsiteId::from_word(self.word() & CALLSITES);
        // SAFETY: a word of the index was made in `with`, from the id of a callsite, which is not
        // zero and within these bits.
        unsafe { callsite.unwrap_unchecked() }
    }

    /// The rounding of a sampled block.
    pub(crate) fn rounding(self) -> Rounding {
        Rounding::from_word(self.word() >> DETAIL_BITS)
    }

    /// What a block of this size counts as.
    pub(crate) fn weigh(self, sampling: Option<Interval>, size: usize) -> Weighted {
        Weighted::of(sampling, size, self.rounding())
    }

    /// The start of a block of a session that records every block, whose granule starts at
    /// `granule` and has at most 32 bytes.
    pub(crate) fn start(self, granule: usize) -> usize {
        granule | (self.word() & HALF) as usize >> (CALLSITE_BITS - 4)
    }

    /// The smallest and the largest size that a block of a session that records every block can
    /// have, up to 4 GiB.
    pub(crate) fn sizes(self) -> (usize, usize) {
        let code = self.word() >> DETAIL_BITS;
        let exponent = ((code >> MANTISSA_BITS) + 1) % 32;
        let mantissa = 1 << MANTISSA_BITS | (code & ((1 << MANTISSA_BITS) - 1)) as usize;
        let scaled = |mantissa: usize| (mantissa << exponent) >> MANTISSA_BITS;
        let least = scaled(mantissa);
        (least, (scaled(mantissa + 1) - 1).max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> CallsiteId {
        CallsiteId::from_word(n).unwrap()
    }

    #[track_caller]
    fn check_size(size: usize) {
        let block = Block::whole(id(7), 0x1000, size);
        let (least, most) = block.sizes();
        assert!(least <= size && size <= most, "{size}: {least} to {most}");
        assert!(most - least <= least / 64, "{size}: {least} to {most}");
        assert_eq!(least == most, size < 128 || most == least, "{size}");
    }

    #[test]
    fn a_size_is_exact_below_128_bytes_and_within_a_sixty_fourth_above() {
        (1..5000).for_each(check_size);
        for bits in 7..31 {
            for near in [0, 1, 2, 63, 64, 65] {
                check_size((1 << bits) + near);
                check_size((1 << bits) - 1 - near);
            }
        }
        for size in 1..128 {
            assert_eq!(Block::whole(id(1), 0, size).sizes(), (size, size));
        }
    }

    #[test]
    fn callsite_and_start_are_kept_whatever_the_size() {
        for callsite in [1, 2, 3, CallsiteId::MOST].map(id) {
            for (address, granule) in [(0x7f00_0010, 0x7f00_0000), (0x7f00_0020, 0x7f00_0020)] {
                for size in [1, 24, 1 << 20, u32::MAX as usize] {
                    let block = Block::whole(callsite, address, size);
                    assert_eq!(block.callsite(), callsite);
                    assert_eq!(block.start(granule), address);
                    assert_eq!(Block::from_word(block.word()), Some(block));
                }
            }
        }
    }

    #[test]
    fn the_index_keeps_the_rounding_of_a_sampled_block() {
        for callsite in [1, 2, 3, 77, CallsiteId::MOST].map(id) {
            for rounding in (0..Rounding::STEPS).map(Rounding::from_word) {
                let block = Block::sampled(callsite, rounding);
                assert_eq!((block.callsite(), block.rounding()), (callsite, rounding));
            }
            assert_eq!(Block::of_callsite(callsite).callsite(), callsite);
        }
    }
}
