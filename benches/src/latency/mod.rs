//! Latency: the time of single allocations and frees, and its tail.
//!
//! In: a [`Task`] on the command line of a contender. Out: one histogram of nanoseconds for each
//! operation, as an [`Outcome`], and the harness's table of percentiles. Never: an allocation
//! between two readings of the clock other than the measured one.

mod clock;
mod histogram;
mod scenario;
pub(crate) mod stacks;
mod table;

pub use histogram::Latencies;
pub use scenario::Scenario;
pub use table::{Row, head, overview, percentiles, table};

use std::error::Error;
use std::ffi::OsString;
use std::path::Path;

use crate::contender::{Outcome, run_program};

/// The step of the clock on this machine, in nanoseconds.
pub fn clock_step() -> u64 {
    clock::Clock::new().step()
}

/// The first word of a contender's command line that asks for a latency run.
const WORD: &str = "latency";

/// One run of one scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// The scenario.
    pub scenario: Scenario,
    /// The pairs of an allocation and a free that are measured.
    pub pairs: u64,
    /// Whether a snapshot can be taken in this contender.
    pub is_traced: bool,
}

impl Task {
    /// Runs `program` with this task and waits for it.
    ///
    /// # Errors
    ///
    /// If it does not start, fails, or prints something other than an outcome.
    pub fn run(
        self,
        program: &Path,
        environment: &[(&str, OsString)],
    ) -> Result<Outcome, Box<dyn Error>> {
        let traced = if self.is_traced { "traced" } else { "bare" };
        let words = [WORD, self.scenario.name(), &self.pairs.to_string(), traced];
        run_program(program, words, environment)
    }

    /// The task of this process; `None` if its command line has another one.
    ///
    /// # Panics
    ///
    /// If the command line is not one that [`Task::run`] writes.
    pub(crate) fn from_command_line() -> Option<Task> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let [WORD, scenario, pairs, traced] = words[..] else {
            return None;
        };
        Some(Task {
            scenario: scenario.parse().expect("the name of a scenario"),
            pairs: pairs.parse().expect("a number of pairs"),
            is_traced: traced == "traced",
        })
    }

    /// Measures in this process.
    pub(crate) fn measure(self) -> Outcome {
        let mut latencies = Latencies::new();
        let snapshots = scenario::measure(self, &mut latencies);
        let mut outcome = Outcome::default();
        latencies.write(&mut outcome);
        outcome.set("snapshots", snapshots);
        outcome
    }
}
