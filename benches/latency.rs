//! Latency: the time of one allocation and of one free, from the median to the maximum.
//!
//! # Method
//!
//! Each run is a process of its own, all contenders run in turn, and each round begins with another
//! one, as in the bench `overhead`. The clock is read before and after each operation. Its own cost
//! is part of every figure; the row "the clock alone" has two readings with nothing between them,
//! taken before every measured allocation of the first contender. Its tail is that of the machine:
//! interrupts and other processes. A contender's histograms of all rounds are added, so `max` is
//! the maximum of all rounds.
//!
//! A first tenth of the pairs warms up and is not recorded, except with short-lived threads, where
//! the first operations of each thread are the subject. Contenders with frame pointers take no
//! part. No figure fails the bench. It fails if a figure is missing.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use alloc_benches::contenders::{self, Build, Contender, Programs};
use alloc_benches::latency::{Latencies, Row, Scenario, Task, clock_step, overview, table};
use alloc_benches::machine;
use alloc_benches::summary::thousands;

const HELP: &str = "\
The time of one allocation and of one free: p50, p99, p99.9, p99.99 and max

Usage: cargo bench -p alloc-benches --bench latency [--features PEER,...] [-- OPTIONS]

Options:
  --quick           few pairs and 1 round: some seconds
  --rounds N        runs of each contender and scenario (5)
  --scenario NAME   only steady, snapshots, folds or threads
  --help            this text

Peers: dhat, divan, heaptrack, jemalloc, mimalloc, stats_alloc.
";

/// The parsed command line.
struct Options {
    pairs: u64,
    rounds: usize,
    scenarios: Vec<Scenario>,
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
    contenders.retain(|contender| contender.build == Build::Ordinary);
    println!("machine   {}", machine::description());
    println!(
        "method    rounds of {} pairs, {} in all, each run a process of its own, contenders in turn;\n\
         \x20         blocks of 16 to 511 bytes, from stacks of 20 frames\n\
         clock     steps of {} ns; its own cost is part of every figure",
        thousands(options.pairs),
        options.rounds,
        clock_step(),
    );
    let mut all = Vec::new();
    for &scenario in &options.scenarios {
        println!("\n{}: {}", scenario.name(), scenario.description());
        let rows = measure(scenario, &options, &contenders, &programs)?;
        print!("{}", table(&rows));
        all.push((scenario, rows));
    }
    print!("\n{}", overview(&all));
    Ok(())
}

fn measure(
    scenario: Scenario,
    options: &Options,
    contenders: &[Contender],
    programs: &Programs,
) -> Result<Vec<Row>, Box<dyn Error>> {
    let row = |contender: &Contender| Row {
        label: contender.label.clone(),
        latencies: Latencies::new(),
    };
    let mut rows: Vec<Row> = contenders.iter().map(row).collect();
    for (_, place) in contenders::turns(options.rounds, contenders.len()) {
        let contender = &contenders[place];
        let task = Task {
            scenario,
            pairs: options.pairs,
            is_traced: contender.is_traced(),
        };
        let outcome = contender.run_latency(programs, task)?;
        let before = rows[place].latencies.clone();
        rows[place].latencies.add(&outcome)?;
        check(scenario, contender, &before, &rows[place].latencies)?;
        if scenario == Scenario::Snapshots
            && contender.is_traced()
            && outcome.number("snapshots").unwrap_or(0) == 0
        {
            return Err(format!("{}: expected a snapshot, found none", contender.label).into());
        }
    }
    Ok(rows)
}

/// Fails if a run recorded no allocation, or another number of frees.
fn check(
    scenario: Scenario,
    contender: &Contender,
    before: &Latencies,
    now: &Latencies,
) -> Result<(), String> {
    let allocations = now.alloc.len() - before.alloc.len();
    let frees = now.free.len() - before.free.len();
    if allocations == 0 || allocations != frees {
        return Err(format!(
            "{}, {}: expected as many frees as allocations, found {frees} and {allocations}",
            scenario.name(),
            contender.label
        ));
    }
    Ok(())
}

impl Options {
    /// `None` for `--help`.
    fn from_command_line() -> Result<Option<Options>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut is_quick = false;
        let mut rounds = None;
        let mut scenarios = Scenario::ALL.to_vec();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => is_quick = true,
                Long("rounds") => rounds = Some(parser.value()?.parse()?),
                Long("scenario") => scenarios = vec![parser.value()?.parse()?],
                Long("help") | Short('h') => return Ok(None),
                // Cargo passes it to every bench.
                Long("bench") => {}
                _ => return Err(argument.unexpected().into()),
            }
        }
        let (pairs, default) = if is_quick { (25_600, 1) } else { (512_000, 5) };
        let rounds = rounds.unwrap_or(default);
        if rounds == 0 {
            return Err("expected one round or more, found 0".into());
        }
        Ok(Some(Options {
            pairs,
            rounds,
            scenarios,
        }))
    }
}
