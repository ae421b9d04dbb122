//! A contender: a process that runs one workload once.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Instant;

use alloc_core::{CaptureMethod, Config};

use crate::workloads::{Size, Workload};
use crate::{counting, latency, machine};

/// The work of one run, passed on the contender's command line.
#[derive(Clone, Debug)]
pub struct Task {
    /// The workload.
    pub workload: Workload,
    /// Its size.
    pub size: Size,
    /// The threads of [`Workload::ManyThreads`].
    pub threads: usize,
    /// The folders whose Rust sources [`Workload::RustSource`] parses.
    pub sources: Vec<PathBuf>,
}

/// The values that a contender prints, one a line, each after its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome(BTreeMap<String, String>);

/// The `main` of a contender.
///
/// `begin` starts the contender's allocator. It runs first, so that the workload's input is
/// recorded too, as in a real program. The measured time is that of the workload alone, without the
/// start of the process and the preparation of the input. `facts` runs last and adds values that
/// only this contender has.
///
/// # Panics
///
/// If the command line is not one that [`Task::run`] writes.
pub fn run(begin: impl FnOnce(), facts: impl FnOnce(&mut Outcome)) {
    if let Some(task) = latency::Task::from_command_line() {
        begin();
        print!("{}", task.measure());
        return;
    }
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
    // Zero unless the counting allocator is installed.
    if counted.pairs() != 0 {
        outcome.set("pairs", counted.pairs());
        outcome.set("frees", counted.frees + counted.reallocations);
        outcome.set("bytes", counted.bytes);
        outcome.set("live_peak", counting::peak() - live_at_begin);
    }
    facts(&mut outcome);
    print!("{outcome}");
}

/// The environment variable with the mode of the tracer.
pub const MODE: &str = "ALLOC_BENCHES_MODE";

/// Starts the tracer in the mode of [`MODE`]; by default with 32 frames, as many as its peers have.
///
/// # Panics
///
/// If it cannot be started.
pub fn start_tracing() {
    let config = Config::default().frames(32);
    let config = match std::env::var(MODE).as_deref() {
        Err(_) => config,
        Ok("counters") => config.frames(0),
        Ok("sampled") => config.sample_every(512 << 10),
        Ok("line") => config.frames(1),
        Ok("sizes") => config.sizes(true),
        Ok("lifetimes") => config.lifetimes(true),
        Ok("frees") => config.frees(true),
        Ok("exact graph") => config.exact_graph(true),
        Ok(mode) => match mode.parse() {
            Ok(frames) => config.frames(frames),
            Err(_) => panic!(
                "expected counters, sampled, line, sizes, lifetimes, frees, exact graph or frames, found {mode:?}"
            ),
        },
    };
    alloc_core::start_with(config).expect("the tracer is installed and not yet started");
}

/// Adds the tracer's own numbers to an outcome.
pub fn add_tracer_facts(outcome: &mut Outcome) {
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

/// Runs a contender with these words on its command line, and waits for it.
///
/// # Errors
///
/// If it does not start, fails, or prints something other than an outcome.
pub fn run_program(
    program: &Path,
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
    environment: &[(&str, OsString)],
) -> Result<Outcome, Box<dyn Error>> {
    let output = Command::new(program)
        .args(words)
        // A tracer started from the environment would turn this into another contender.
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

impl Task {
    /// Runs `program` with this task and waits for it.
    ///
    /// # Errors
    ///
    /// If it does not start, fails, or prints something other than an outcome.
    pub fn run(
        &self,
        program: &Path,
        environment: &[(&str, OsString)],
    ) -> Result<Outcome, Box<dyn Error>> {
        let words = [
            self.workload.name(),
            self.size.name(),
            &self.threads.to_string(),
        ];
        let words = words.into_iter().map(OsStr::new);
        let sources = self.sources.iter().map(|source| source.as_os_str());
        run_program(program, words.chain(sources), environment)
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
