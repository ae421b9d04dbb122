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
/// The code is the size itself below 1 KiB. Above, its high bit is set, and the others are the size
/// as a floating-point number with five bits each of exponent and mantissa, rounded down: less than
/// 1/32 too small, up to 2 TiB.
///
/// PERF: nine more instructions in an allocation, and one more in a free: 13 of the 376 for a pair
/// with the registers that they need. If all sizes were floating-point numbers, they would be 16.
/// The size itself in a word of 64 bits takes as many, and twice the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block(NonZeroU32);

const CALLSITE_BITS: u32 = 20;
const CALLSITES: u32 = (1 << CALLSITE_BITS) - 1;
/// The bit for the half of the granule.
const HALF: u32 = 1 << CALLSITE_BITS;
const DETAIL_BITS: u32 = CALLSITE_BITS + 1;
/// Sizes below this are their own code.
const EXACT: usize = 1 << 10;
const EXACT_BITS: u32 = EXACT.trailing_zeros();
/// Bits of exponent and mantissa in the code of a larger size.
const EXPONENT_BITS: u32 = 5;
const MANTISSA_BITS: u32 = 5;

const _: () = assert!(CallsiteId::MOST <= CALLSITES);
const _: () = assert!(DETAIL_BITS + Rounding::BITS == u32::BITS);
const _: () = assert!(EXPONENT_BITS + MANTISSA_BITS == EXACT_BITS);

impl Block {
    /// A block of a session that records every block.
    #[inline(always)]
    pub(crate) fn whole(callsite: CallsiteId, address: usize, size: usize) -> Block {
        let code = if size < EXACT {
            size as u32
        } else {
            code_of_large(size)
        };
        let half = (address >> 4) as u32 & 1;
        Block::with(callsite, (2 * code + half) << CALLSITE_BITS)
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
    /// have.
    pub(crate) fn sizes(self) -> (usize, usize) {
        let code = (self.word() >> DETAIL_BITS) as usize;
        if code < EXACT {
            return (code, code);
        }
        let (exponent, mantissa) = (code >> MANTISSA_BITS, code % (1 << MANTISSA_BITS));
        let exponent = exponent as u32 % (1 << EXPONENT_BITS) + EXACT_BITS - MANTISSA_BITS;
        let least = (1 << MANTISSA_BITS | mantissa) << exponent;
        (least, least + (1 << exponent) - 1)
    }
}

/// The code of a size from [`EXACT`] on.
///
/// NOTE: not inlined, or both codes are computed for each block.
#[cold]
#[inline(never)]
fn code_of_large(size: usize) -> u32 {
    const LARGEST: usize = (1 << (EXACT_BITS + (1 << EXPONENT_BITS))) - 1;
    let size = size.min(LARGEST);
    let exponent = size.ilog2();
    let mantissa = (size >> (exponent - MANTISSA_BITS)) as u32 % (1 << MANTISSA_BITS);
    1 << EXACT_BITS | (exponent - EXACT_BITS) << MANTISSA_BITS | mantissa
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> CallsiteId {
        CallsiteId::from_word(n).unwrap()
    }

    #[track_caller]
    fn check_size(size: usize) {
        let (least, most) = Block::whole(id(7), 0x1000, size).sizes();
        assert!(least <= size && size <= most, "{size}: {least} to {most}");
        let room = if size < 1024 { 0 } else { least / 32 - 1 };
        assert!(most - least <= room, "{size}: {least} to {most}");
    }

    #[test]
    fn a_size_is_exact_below_a_kibibyte_and_within_a_thirty_second_above() {
        (1..5000).for_each(check_size);
        for bits in 10..42 {
            for near in [0, 1, 2, 31, 32, 33] {
                check_size((1 << bits) + near);
                check_size((1 << bits) - 1 - near);
            }
        }
        let (least, _) = Block::whole(id(7), 0x1000, 1 << 45).sizes();
        assert_eq!(least >> 36, 63);
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
