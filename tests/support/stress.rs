//! What the stress programs share: how long they run, and random numbers that can be drawn again.

use std::time::{Duration, Instant};

/// How long a stress program runs: `STRESS_ROUNDS` rounds, or `STRESS_SECONDS` seconds, or a few rounds.
pub struct Stress {
    seed: u64,
    rounds: u64,
    round: u64,
    until: Option<Instant>,
}

impl Stress {
    /// As the environment says. `STRESS_SEED` repeats one round.
    pub fn from_environment(name: &str, rounds: u64) -> Stress {
        let number = |name: &str| -> Option<u64> {
            let value = std::env::var(name).ok()?;
            let number = value.parse();
            Some(number.unwrap_or_else(|_| panic!("{name}: expected a number, found {value:?}")))
        };
        let seconds = number("STRESS_SECONDS").map(Duration::from_secs);
        let (seed, rounds) = match number("STRESS_SEED") {
            Some(seed) => (seed, 1),
            None => {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                let seed = now.map_or(1, |it| it.as_nanos() as u64) % 1_000_000_000;
                let forever = seconds.map(|_| u64::MAX);
                (seed, number("STRESS_ROUNDS").or(forever).unwrap_or(rounds))
            }
        };
        println!("{name}: STRESS_SEED={seed} for the first of {rounds} rounds");
        Stress {
            seed,
            rounds,
            round: 0,
            until: seconds.map(|it| Instant::now() + it),
        }
    }

    /// The seed of the next round, which is printed if that fails.
    pub fn next_round(&mut self) -> Option<u64> {
        let is_over = self.until.is_some_and(|it| Instant::now() >= it);
        if is_over || self.round == self.rounds {
            println!("{} rounds", self.round);
            return None;
        }
        self.round += 1;
        Some(self.seed.wrapping_add(self.round - 1))
    }
}

/// xorshift: the same numbers for a seed in every run.
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        let mut random =
            Random((seed ^ 0x2545_F491_4F6C_DD1D).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        (0..8).for_each(|_| {
            random.below(2);
        });
        random
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }

    /// Whether one of so many comes up.
    pub fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}
