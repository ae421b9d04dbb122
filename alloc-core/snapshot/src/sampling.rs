//! [`Interval`]: the arithmetic of sampling allocated bytes.
//!
//! In: sizes and random numbers. Out: which blocks are sampled, the weight of each, and the error
//! of an estimate. It has no tables.

use std::num::NonZeroU64;

/// A Poisson sample over allocated bytes.
///
/// # Why sums are unbiased
///
/// Each byte that the program allocates is drawn with the same small probability, one in
/// `interval`. A block is recorded if one of its bytes is drawn: a block of size *s* with
/// probability *p = 1 - exp(-s / interval)*. It then counts as *1/p* blocks of *s/p* bytes, with
/// its own probability and not that of a mean, so the expectation of every sum is the true sum for
/// any sizes. (Other tools correct a sum by the probability of the mean size, which makes their
/// numbers biased.)
///
/// The number of blocks is rounded up or down at random, and the index stores the rounding. So a
/// free subtracts exactly what its allocation added, and nothing becomes negative.
/// # Cost
///
/// An allocation that is not sampled costs a subtraction and a branch, and its free costs a filter
/// lookup. Neither takes the reentrancy guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(NonZeroU64);

/// The weight of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighted {
    /// The bytes it counts for.
    pub bytes: i64,
    /// The number of blocks it counts for.
    pub blocks: i32,
}

impl Weighted {
    /// A block that counts once.
    #[inline(always)]
    pub fn one(size: usize) -> Weighted {
        Weighted {
            bytes: size as i64,
            blocks: 1,
        }
    }

    /// The weight of a block of this size, sampled or not.
    #[inline]
    pub fn of(sampling: Option<Interval>, size: usize, rounding: Rounding) -> Weighted {
        match sampling {
            None => Weighted::one(size),
            Some(interval) => interval.weigh(size, rounding),
        }
    }
}

impl Interval {
    /// The maximum interval. Beyond it, one block could exceed the range of the counters.
    pub const MOST: u64 = 64 << 20;

    /// An interval of `bytes` on average between two drawn bytes; `None` for 0.
    #[inline]
    pub fn from_bytes(bytes: u64) -> Option<Interval> {
        NonZeroU64::new(bytes).map(Interval)
    }

    /// The average number of bytes between two drawn bytes.
    #[inline]
    pub fn bytes(self) -> u64 {
        self.0.get()
    }

    /// The probability that a block is recorded.
    #[inline]
    pub fn chance(self, size: f64) -> f64 {
        -(-size / self.0.get() as f64).exp_m1()
    }

    /// The weight of a recorded block.
    #[inline]
    pub fn weigh(self, size: usize, rounding: Rounding) -> Weighted {
        // A size of zero never reaches an allocator, but an invalid layout may.
        let size = size.max(1) as f64;
        let others = 1.0 / self.chance(size);
        Weighted {
            bytes: (size * others).round() as i64,
            blocks: (others + rounding.fraction()) as i32,
        }
    }

    /// The bytes that a part of a recorded block of this size counts for, such as the part that was
    /// copied when the block was made.
    #[inline]
    pub fn weigh_part(self, part: usize, size: usize) -> u64 {
        (part as f64 / self.chance(size.max(1) as f64)).round() as u64
    }

    /// Draws the number of bytes up to the next drawn byte, and the rounding of the block that was
    /// just drawn.
    #[inline]
    pub fn draw(self, random: &mut u64) -> (i64, Rounding) {
        *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = mix(*random);
        // In (0, 1], so that the logarithm is finite.
        let uniform = 1.0 - fraction(mixed);
        let until = (-uniform.ln() * self.0.get() as f64) as i64 + 1;
        (until, Rounding::new(mixed))
    }
}

/// Threshold for stochastic rounding of a block's weight, drawn with the block.
///
/// NOTE: it is not derived from the address. A loop gets the same block again and again, and a
/// repeated error of up to half a block would not average out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rounding(u32);

impl Rounding {
    /// The number of bits in [`word`](Self::word).
    pub const BITS: u32 = 11;
    /// The number of values.
    pub const STEPS: u32 = 1 << Rounding::BITS;

    /// Uses the bits of the random number that [fraction] does not use.
    #[inline]
    fn new(random: u64) -> Rounding {
        Rounding(random as u32 % Rounding::STEPS)
    }

    /// The rounding as a word of [`BITS`](Self::BITS) bits.
    #[inline]
    pub fn word(self) -> u32 {
        self.0
    }

    /// The inverse of [`word`](Self::word); further bits are ignored.
    #[inline]
    pub fn from_word(word: u32) -> Rounding {
        Rounding(word % Rounding::STEPS)
    }

    #[inline]
    fn fraction(self) -> f64 {
        (f64::from(self.0) + 0.5) / f64::from(Rounding::STEPS)
    }
}

/// The variance of the estimated bytes, for an estimated number of blocks of a mean size.
///
/// Each recorded block counts *s/p* bytes with probability *p*, so each block adds the variance *s²
/// (1 - p) / p* (Horvitz and Thompson, 1952).
pub fn variance(interval: Interval, bytes: u64, blocks: u64) -> f64 {
    if blocks == 0 {
        return 0.0;
    }
    let size = bytes as f64 / blocks as f64;
    let chance = interval.chance(size.max(1.0));
    blocks as f64 * size * size * (1.0 - chance) / chance
}

/// A number in [0, 1).
#[inline]
fn fraction(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// SplitMix64, by Vigna.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}
