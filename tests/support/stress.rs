//! [`Stress`]: how long a stress program runs, and from which seeds.

use std::time::{Duration, Instant};

/// The rounds of a stress program: `STRESS_ROUNDS` of them, or as many as fit into
/// `STRESS_SECONDS`, or a few by default.
pub struct Stress {
    seed: u64,
    rounds: u64,
    round: u64,
    until: Option<Instant>,
}

impl Stress {
    /// The rounds that the environment asks for, or `rounds` of them. `STRESS_SEED` repeats one
    /// round.
    ///
    /// # Panics
    ///
    /// If a variable is not a number.
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

    /// The seed of the next round, or `None` after the last.
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
