//! Reading: a snapshot of 200,000 callsites with stacks of thirty frames is written, loaded,
//! grouped, printed and compared with another.
//!
//! Each round runs every step once. A row has the median and the best of all rounds. The last two
//! rows are the work of `alloc-report top FILE` and `alloc-report diff OLD NEW` in this process. No
//! figure fails the bench.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use alloc_benches::machine;
use alloc_benches::summary::{Runs, table};
use alloc_benches::synthetic::{self, Shape};
use alloc_core::{GroupBy, Snapshot};
use alloc_report::CompareTo as _;

const HELP: &str = "\
The time to read large snapshots

Usage: cargo bench -p alloc-benches --bench reading [-- OPTIONS]

Options:
  --quick      a tenth of the callsites, and one round
  --rounds N   runs of each step (5)
  --keep DIR   keep the two snapshots in DIR, as old.pb.gz and new.pb.gz
  --help       this text
";

struct Options {
    callsites: usize,
    rounds: usize,
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::from_command_line()? else {
        print!("{HELP}");
        return Ok(());
    };
    println!("machine   {}", machine::description());
    println!(
        "method    two snapshots of {} callsites, 30 frames each; {} rounds in one process\n",
        options.callsites, options.rounds
    );
    let shape = |seed| Shape {
        callsites: options.callsites,
        depth: 30,
        seed,
    };
    let own;
    let folder = match &options.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            folder
        }
        None => {
            own = std::env::temp_dir().join(format!("alloc-benches-{}", std::process::id()));
            std::fs::create_dir_all(&own)?;
            &own
        }
    };
    let measured = measure(
        &options,
        shape,
        &folder.join("old.pb.gz"),
        &folder.join("new.pb.gz"),
    );
    if options.keep.is_none() {
        std::fs::remove_dir_all(folder)?;
    }
    println!("{}", measured?);
    Ok(())
}

fn measure(
    options: &Options,
    shape: impl Fn(u64) -> Shape,
    old_file: &Path,
    new_file: &Path,
) -> Result<String, Box<dyn Error>> {
    synthetic::snapshot(shape(1)).dump(old_file)?;
    let made = synthetic::snapshot(shape(2));
    let mut steps: Vec<(&str, Runs)> = Vec::new();
    for _ in 0..options.rounds {
        let mut step = Steps {
            steps: &mut steps,
            at: 0,
        };
        step.time("dump", || made.dump(new_file))?;
        let new = step.time("load", || Snapshot::load(new_file))?;
        let old = Snapshot::load(old_file)?;
        step.time("group by line", || new.statistics(GroupBy::Line));
        step.time("group by traceback", || new.statistics(GroupBy::Traceback));
        step.time("print the top ten", || {
            alloc_report::top(&new, 10).to_string()
        });
        step.time("compare by line", || new.compare_to(&old, GroupBy::Line));
        step.time("compare by traceback", || {
            new.compare_to(&old, GroupBy::Traceback)
        });
        drop((old, new));
        step.time("top, from file to text", || {
            let new = Snapshot::load(new_file)?;
            Ok::<_, alloc_core::Error>(alloc_report::top(&new, 10).to_string())
        })?;
        step.time("diff, from files to text", || {
            let (old, new) = (Snapshot::load(old_file)?, Snapshot::load(new_file)?);
            Ok::<_, alloc_core::Error>(alloc_report::diff(&new, &old, 10).to_string())
        })?;
    }
    let head = ["step", "median", "best"].map(str::to_owned).to_vec();
    let row = |(name, runs): (&str, Runs)| {
        let time = |time: Duration| format!("{} ms", time.as_millis());
        vec![name.to_owned(), time(runs.median()), time(runs.best())]
    };
    let rows: Vec<_> = [head]
        .into_iter()
        .chain(steps.into_iter().map(row))
        .collect();
    Ok(table(&rows))
}

/// The steps of a round, in order.
struct Steps<'a> {
    steps: &'a mut Vec<(&'static str, Runs)>,
    at: usize,
}

impl Steps<'_> {
    /// Runs a step and records its time.
    fn time<R>(&mut self, name: &'static str, work: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let result = work();
        let elapsed = began.elapsed();
        if self.steps.len() == self.at {
            self.steps.push((name, Runs::default()));
        }
        self.steps[self.at].1.push(elapsed, None);
        self.at += 1;
        result
    }
}

impl Options {
    /// `None` for `--help`.
    fn from_command_line() -> Result<Option<Options>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut options = Options {
            callsites: 200_000,
            rounds: 5,
            keep: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => (options.callsites, options.rounds) = (20_000, 1),
                Long("rounds") => options.rounds = parser.value()?.parse()?,
                Long("keep") => options.keep = Some(parser.value()?.into()),
                Long("help") | Short('h') => return Ok(None),
                // Cargo passes it to every bench.
                Long("bench") => {}
                _ => return Err(argument.unexpected().into()),
            }
        }
        if options.rounds == 0 {
            return Err("expected one round or more, found 0".into());
        }
        Ok(Some(options))
    }
}
