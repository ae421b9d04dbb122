//! [`Random`]: random numbers that a seed repeats.

/// A random generator: xorshift64, by Marsaglia. A seed gives the same numbers in every run.
///
/// It neither allocates nor locks, so a test may draw while it is traced.
pub struct Random(u64);

impl Random {
    /// A generator that starts from `seed`. Seeds next to each other give unrelated numbers.
    pub fn new(seed: u64) -> Random {
        let scrambled = (seed ^ 0x2545_F491_4F6C_DD1D).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // Zero is the one state that xorshift never leaves.
        let mut random = Random(scrambled | 1);
        for _ in 0..8 {
            random.below(2);
        }
        random
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }

    /// `true` once in `many` draws on average.
    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}
