//! [`Origin`]: when a block was allocated, and with how many bytes.

use std::num::NonZeroU64;

use crate::system::arena::Zeroed;
use crate::system::clock;
use crate::tables::blocks::{Companion, Companions};

/// When a block was allocated, in units of about six milliseconds, and with how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin(NonZeroU64);

/// Units by which the clock of a processor may be behind that of another: more than any is.
const MOST_BEHIND: u32 = 1000;

/// Ticks of the clock in a unit of time, as a power of two: 5.6 ms at 3 GHz. The 32 bits of the
/// time then last for 280 days.
const UNIT_BITS: u32 = 24;

impl Origin {
    #[inline(always)]
    pub(crate) fn now(size: usize) -> Origin {
        Origin::at(units(), size)
    }

    #[inline(always)]
    fn at(units: u32, size: usize) -> Origin {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let word = u64::from(units) << 32 | u64::from(size);
        // An empty block in the first unit of time is one unit younger.
        Origin(NonZeroU64::new(word).unwrap_or(const { NonZeroU64::new(1 << 32).unwrap() }))
    }

    /// The size, unless it is 4 GiB or more.
    pub(crate) fn size(self) -> Option<usize> {
        let size = self.0.get() as u32;
        (size != u32::MAX).then_some(size as usize)
    }

    /// How long ago it was, in microseconds. `unit` is the length of a unit of time: see
    /// [`unit_picoseconds`].
    pub(crate) fn age(self, unit: u64) -> u64 {
        self.age_at(units(), unit)
    }

    fn age_at(self, now: u32, unit: u64) -> u64 {
        const PICOSECONDS: u128 = 1_000_000;
        let age = now.wrapping_sub((self.0.get() >> 32) as u32);
        // NOTE: the clock of another processor may be behind by a little.
        let age = if age > u32::MAX - MOST_BEHIND { 0 } else { age };
        (u128::from(age) * u128::from(unit) / PICOSECONDS) as u64
    }
}

#[inline(always)]
fn units() -> u32 {
    (clock::ticks() >> UNIT_BITS) as u32
}

/// The length of a unit of time, in picoseconds.
pub(crate) fn unit_picoseconds() -> u64 {
    clock::picoseconds(1 << UNIT_BITS)
}

// SAFETY: zero is `None`, since an origin is not zero.
unsafe impl Zeroed for Option<Origin> {}

impl Companion for Origin {
    const KIND: usize = Companions::ORIGIN;

    #[inline(always)]
    fn word(self) -> NonZeroU64 {
        self.0
    }

    #[inline(always)]
    fn from_word(word: NonZeroU64) -> Origin {
        Origin(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact_below_four_gibibytes() {
        for size in [0, 1, 1023, 1025, 1_000_003, u32::MAX as usize - 1] {
            for units in [0, 1, u32::MAX] {
                assert_eq!(Origin::at(units, size).size(), Some(size));
            }
        }
        assert_eq!(Origin::at(0, u32::MAX as usize).size(), None);
        assert_eq!(Origin::at(7, 1 << 40).size(), None);
    }

    #[test]
    fn ages_wrap_around_and_are_never_negative() {
        const UNIT: u64 = 5_592_405_333;
        let age = |then: u32, now: u32| Origin::at(then, 1).age_at(now, UNIT);
        assert_eq!(age(10, 10), 0);
        assert_eq!(age(10, 11), 5_592);
        assert_eq!(age(u32::MAX, 1), 11_184);
        assert_eq!(age(10, 9), 0);
        assert_eq!(age(0, 1 << 31), (1_u64 << 31) * UNIT / 1_000_000);
    }
}
