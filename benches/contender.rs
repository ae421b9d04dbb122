//! What a contender does: one workload, once, in a process of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Instant;

use alloc_core::{CaptureMethod, Config};

use crate::workloads::{Size, Workload};
use crate::{counting, machine};

/// What the harness asks of a contender; the contender's command line.
#[derive(Clone, Debug)]
pub struct Task {
    /// What to run.
    pub workload: Workload,
    /// How much of it.
    pub size: Size,
    /// How many threads [`Workload::ManyThreads`] has.
    pub threads: usize,
    /// The folders of Rust sources that [`Workload::RustSource`] parses.
    pub sources: Vec<PathBuf>,
}

/// What a contender hands back: a line of text for each value, its name first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome(BTreeMap<String, String>);

/// The whole of a contender's `main`.
///
/// `begin` switches the contender's allocator on and comes before all that counts, so that the
/// workload's input is recorded too, as it would be in a program. The time taken is that of the
/// workload alone, not of the process's start and not of making the input. `facts` is asked when
/// all is measured, and adds what only this contender knows.
///
/// # Panics
///
/// If the command line is not one that [`Task::run`] writes.
pub fn run(begin: impl FnOnce(), facts: impl FnOnce(&mut Outcome)) {
    let task = Task::from_command_line();
    begin();
    let live_at_begin = counting::tally().live;
    let work = task
        .workload
        .prepare(task.size, task.threads, &task.sources);

    let before = counting::tally();
    let start = Instant::now();
    let checksum = work();
    let elapsed = start.elapsed();
    let counted = counting::tally().since(&before);
    let resident = machine::peak_resident_kib();

    let mut outcome = Outcome::default();
    outcome.set("checksum", checksum);
    outcome.set("nanoseconds", elapsed.as_nanos());
    if let Some(kib) = resident {
        outcome.set("resident_kib", kib);
    }
    // Zero where another allocator is installed.
    if counted.pairs() != 0 {
        outcome.set("pairs", counted.pairs());
        outcome.set("frees", counted.frees + counted.reallocations);
        outcome.set("bytes", counted.bytes);
        outcome.set("live_peak", counting::peak() - live_at_begin);
    }
    facts(&mut outcome);
    print!("{outcome}");
}

/// The environment variable that says how much the tracer records.
pub const MODE: &str = "ALLOC_BENCHES_MODE";

/// Starts the tracer as a program would: with 32 frames, unless [`MODE`] says otherwise.
///
/// # Panics
///
/// If it cannot be started.
pub fn start_tracing() {
    // As many as peers have.
    let config = Config::default().frames(32);
    let config = match std::env::var(MODE).as_deref() {
        Err(_) => config,
        Ok("counters") => config.frames(0),
        Ok("sampled") => config.sample_every(512 << 10),
        Ok("line") => config.frames(1),
        Ok(mode) => match mode.parse() {
            Ok(frames) => config.frames(frames),
            Err(_) => panic!("expected counters, sampled, line or frames, found {mode:?}"),
        },
    };
    alloc_core::start_with(config).expect("the tracer is installed and nobody has started it");
}

/// What the tracer says of itself.
pub fn tell_of_the_tracer(outcome: &mut Outcome) {
    let memory = alloc_core::traced_memory();
    outcome.set("traced_peak", memory.peak.get());
    outcome.set("traced_peak_error", memory.peak_error.get());
    outcome.set("tracer_memory", alloc_core::tracer_memory().get());
    let capture = match alloc_core::capture_method() {
        Some(CaptureMethod::FramePointers) => "frame pointers",
        Some(CaptureMethod::UnwindTables) => "unwind tables",
        Some(CaptureMethod::Backtrace) => "the backtrace crate",
        other => &format!("{other:?}"),
    };
    outcome.set("capture", capture);
}

impl Task {
    /// Runs `program` with this task and waits for it.
    ///
    /// # Errors
    ///
    /// If it cannot be started, does not succeed, or prints what is not an outcome.
    pub fn run(
        &self,
        program: &Path,
        environment: &[(&str, OsString)],
    ) -> Result<Outcome, Box<dyn Error>> {
        let output = Command::new(program)
            .arg(self.workload.name())
            .arg(self.size.name())
            .arg(self.threads.to_string())
            .args(&self.sources)
            // A tracer that is switched on from outside would not be the contender we think it is.
            .env_remove("ALLOC_TRACE")
            .env_remove("ALLOC_TRACE_OUT")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("{} did not start: {error}", program.display()))?;
        if !output.status.success() {
            return Err(format!(
                "{} was expected to succeed, found {}",
                program.display(),
                output.status
            )
            .into());
        }
        String::from_utf8(output.stdout)?.parse()
    }

    fn from_command_line() -> Task {
        let mut arguments = std::env::args_os().skip(1);
        let mut word = |what: &str| {
            let word = arguments.next().and_then(|word| word.into_string().ok());
            word.unwrap_or_else(|| panic!("expected {what}: this program is run by `cargo bench`"))
        };
        Task {
            workload: word("a workload").parse().expect("a workload's name"),
            size: word("a size").parse().expect("a size"),
            threads: word("a number of threads").parse().expect("a number"),
            sources: arguments.map(PathBuf::from).collect(),
        }
    }
}

impl Outcome {
    /// Adds a value.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    /// A value as it was printed.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A value that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            writeln!(f, "{name} {value}")?;
        }
        Ok(())
    }
}

impl FromStr for Outcome {
    type Err = Box<dyn Error>;

    fn from_str(text: &str) -> Result<Outcome, Self::Err> {
        let pair = |line: &str| {
            let (name, value) = line
                .split_once(' ')
                .ok_or_else(|| format!("expected a name and a value, found {line:?}"))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        text.lines()
            .map(pair)
            .collect::<Result<_, _>>()
            .map(Outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives_the_pipe() {
        let mut outcome = Outcome::default();
        outcome.set("checksum", u64::MAX);
        outcome.set("capture", "unwind tables");
        let read: Outcome = outcome.to_string().parse().expect("what was just written");
        assert_eq!(read, outcome);
        assert_eq!(read.number("checksum"), Some(u64::MAX));
        assert_eq!(read.text("capture"), Some("unwind tables"));
        assert_eq!(read.number("capture"), None);
    }

    #[test]
    fn a_line_without_a_value_is_refused() {
        let error = "checksum".parse::<Outcome>().expect_err("no value");
        assert_eq!(
            error.to_string(),
            "expected a name and a value, found \"checksum\""
        );
    }
}
