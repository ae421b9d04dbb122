//! Scaling: the same work on each of 1 to 64 threads, bare and traced.
//!
//! The workload is `many-threads`. Each run is a process of its own, and all contenders with all
//! numbers of threads run in turn, as in the bench `overhead`. A figure is the throughput divided
//! by that of one thread, both of the best runs: other work on the machine takes more from two
//! threads than from one. No figure fails the bench.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use alloc_benches::contender::Task;
use alloc_benches::contenders::{self, Contender, Programs};
use alloc_benches::machine;
use alloc_benches::scaling::{Scaling, report};
use alloc_benches::summary::Runs;
use alloc_benches::workloads::{Size, Workload};

const HELP: &str = "\
How a program scales with its threads, bare and traced

Usage: cargo bench -p alloc-benches --bench scaling [-- OPTIONS]

Options:
  --quick      a quarter of the work, 3 rounds, and 1, 2 and 64 threads only: within 20 seconds
  --rounds N   runs of each contender with each number of threads (5)
  --help       this text
";

/// The bare program is first: the others are compared with it.
const CONTENDERS: [&str; 4] = ["bare", "counters", "sampled", "traced"];

/// The parsed command line.
struct Options {
    size: Size,
    rounds: usize,
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
    let bare = Path::new(env!("CARGO_BIN_EXE_bench-bare"));
    let programs = Programs::next_to(bare)?;
    let mut contenders = contenders::contenders(false);
    contenders.retain(|contender| CONTENDERS.contains(&contender.name));
    let threads: &[usize] = match options.size {
        Size::Quick => &[1, 2, 64],
        Size::Full => &[1, 2, 4, 8, 16, 64],
    };
    println!("machine   {}", machine::description());
    println!(
        "method    {} work on each thread, {} rounds, each run a process of its own, contenders in turn; \
         best runs\n",
        options.size.name(),
        options.rounds
    );
    print!(
        "{}",
        report(&measure(&options, threads, &contenders, &programs)?)
    );
    Ok(())
}

fn measure(
    options: &Options,
    threads: &[usize],
    contenders: &[Contender],
    programs: &Programs,
) -> Result<Vec<Scaling>, Box<dyn Error>> {
    let unmeasured = |contender: &Contender| Scaling {
        name: contender.name,
        runs: threads
            .iter()
            .map(|&threads| (threads, Runs::default()))
            .collect(),
    };
    let mut all: Vec<_> = contenders.iter().map(unmeasured).collect();
    let mut checksums = vec![None; threads.len()];
    for (_, place) in contenders::turns(options.rounds, contenders.len() * threads.len()) {
        let (column, row) = (place / threads.len(), place % threads.len());
        let (contender, threads) = (&contenders[column], threads[row]);
        let task = Task {
            workload: Workload::ManyThreads,
            size: options.size,
            threads,
            sources: Vec::new(),
        };
        let outcome = contender.run(programs, &task)?;
        let checksum = outcome.number("checksum");
        if *checksums[row].get_or_insert(checksum) != checksum {
            let message = format!(
                "{}, {threads} threads: the checksum differs",
                contender.name
            );
            return Err(message.into());
        }
        let elapsed = outcome.number("nanoseconds");
        let elapsed = Duration::from_nanos(elapsed.ok_or("expected a time, found none")?);
        let (_, runs) = &mut all[column].runs[row];
        runs.push(elapsed, outcome.number("resident_kib"));
    }
    Ok(all)
}

impl Options {
    /// `None` for `--help`.
    fn from_command_line() -> Result<Option<Options>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut size = Size::Full;
        let mut rounds = None;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => size = Size::Quick,
                Long("rounds") => rounds = Some(parser.value()?.parse()?),
                Long("help") | Short('h') => return Ok(None),
                // Cargo passes it to every bench.
                Long("bench") => {}
                _ => return Err(argument.unexpected().into()),
            }
        }
        let rounds = rounds.unwrap_or(match size {
            Size::Quick => 3,
            Size::Full => 5,
        });
        if rounds == 0 {
            return Err("expected one round or more, found 0".into());
        }
        Ok(Some(Options { size, rounds }))
    }
}
