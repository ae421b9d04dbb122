//! [`Interval`]: the arithmetic of a sample over allocated bytes.
//!
//! In: sizes and random numbers. Out: which blocks are drawn, how many others each stands for, and
//! how far an estimate may be off. Never: a table.

use std::num::NonZeroU64;

/// A Poisson sample over allocated bytes.
///
/// # Why sums are unbiased
///
/// Each byte that the program allocates is drawn with the same small chance, one in `interval`, and
/// a block is recorded if one of its bytes is: a block of size *s* with the chance *p = 1 - exp(-s
/// / interval)*. It is then counted as *1/p* blocks of *s/p* bytes, its own chance and not that of
/// a mean, so that the expectation of every sum is the true sum, whatever the sizes are.
/// (Correcting a sum by the chance of the mean size is what makes other tools' sampled numbers
/// biased.)
///
/// How many blocks that is is rounded up or down at random, and the index keeps which: so what a
/// block counts for is taken off again exactly when it is freed, and nothing goes negative.
///
/// # Cost
///
/// An allocation that is not drawn costs a subtraction and a branch, a free of such a block a look
/// at a filter; both without the guard of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(NonZeroU64);

/// What a block counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weighted {
    /// Its bytes.
    pub bytes: i64,
    /// Its blocks.
    pub blocks: i32,
}

impl Weighted {
    /// A block that counts for itself.
    #[inline(always)]
    pub fn one(size: usize) -> Weighted {
        Weighted {
            bytes: size as i64,
            blocks: 1,
        }
    }

    /// A block of this size, in a sample or not.
    #[inline]
    pub fn of(sampling: Option<Interval>, size: usize, rounding: Rounding) -> Weighted {
        match sampling {
            None => Weighted::one(size),
            Some(interval) => interval.weigh(size, rounding),
        }
    }
}

impl Interval {
    /// Beyond this one block could stand for more than counters hold.
    pub const MOST: u64 = 64 << 20;

    /// `bytes` on average from one drawn byte to the next; nothing for 0.
    #[inline]
    pub fn from_bytes(bytes: u64) -> Option<Interval> {
        NonZeroU64::new(bytes).map(Interval)
    }

    /// The bytes on average from one drawn byte to the next.
    #[inline]
    pub fn bytes(self) -> u64 {
        self.0.get()
    }

    /// The chance of a block to be recorded.
    #[inline]
    pub fn chance(self, size: f64) -> f64 {
        -(-size / self.0.get() as f64).exp_m1()
    }

    /// What a block that was recorded counts for.
    #[inline]
    pub fn weigh(self, size: usize, rounding: Rounding) -> Weighted {
        // A size of zero never reaches an allocator, but a wrong layout may.
        let size = size.max(1) as f64;
        let others = 1.0 / self.chance(size);
        Weighted {
            bytes: (size * others).round() as i64,
            blocks: (others + rounding.fraction()) as i32,
        }
    }

    /// How many bytes from here on to the next that is drawn, and how the block that was drawn last
    /// is rounded.
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

/// Where between two whole numbers of blocks it is rounded up what one counts for: drawn with the
/// block.
///
/// NOTE: not told from the address. A loop gets the same block again and again, and one half too
/// many each time is no error that evens out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rounding(u32);

impl Rounding {
    /// How many bits [`word`](Self::word) has.
    pub const BITS: u32 = 11;
    /// How many there are.
    pub const STEPS: u32 = 1 << Rounding::BITS;

    /// By the bits that a [fraction] of the same random number has not.
    #[inline]
    fn new(random: u64) -> Rounding {
        Rounding(random as u32 % Rounding::STEPS)
    }

    /// As a word of [`BITS`](Self::BITS) bits.
    #[inline]
    pub fn word(self) -> u32 {
        self.0
    }

    /// What [`word`](Self::word) returned; further bits are left out.
    #[inline]
    pub fn from_word(word: u32) -> Rounding {
        Rounding(word % Rounding::STEPS)
    }

    #[inline]
    fn fraction(self) -> f64 {
        (f64::from(self.0) + 0.5) / f64::from(Rounding::STEPS)
    }
}

/// The variance of the estimated bytes of `blocks` blocks of a mean size, both estimated.
///
/// Of each recorded block *s/p* bytes were counted, with the chance *p*: so a block adds the
/// variance *s² (1 - p) / p* (Horvitz and Thompson, 1952).
pub fn variance(interval: Interval, bytes: u64, blocks: u64) -> f64 {
    if blocks == 0 {
        return 0.0;
    }
    let size = bytes as f64 / blocks as f64;
    let chance = interval.chance(size.max(1.0));
    blocks as f64 * size * size * (1.0 - chance) / chance
}

/// In [0, 1).
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
