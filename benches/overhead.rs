//! Overhead: every contender runs every workload.
//!
//! # Method
//!
//! Each run is a process of its own. Within a round all contenders run in turn, and each round
//! begins with another one, so that a machine that slows down slows down all of them alike. A
//! figure is the median over the rounds of the wall time of the workload, without the preparation
//! of its input and the start of the process. Ratios are ratios of medians. The number of
//! allocations comes from a contender that only counts. The time added to a pair of an allocation
//! and a free is wall time too: several threads share it. Memory is the peak of resident memory of
//! the process, input included.
//!
//! Programs with frame pointers run in the same rounds and are compared with a bare program that
//! has frame pointers too.
//!
//! A checksum that differs is an error: the contender did not do the same work.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use alloc_benches::cargo::{self, Dependencies};
use alloc_benches::contender::{Outcome, Task};
use alloc_benches::contenders::{self, Build, Contender, Programs};
use alloc_benches::report::{Entrant, Measured, overview};
use alloc_benches::summary::Runs;
use alloc_benches::workloads::{Size, THREADS, Workload};
use alloc_benches::{machine, readme};

const HELP: &str = "\
The overhead of the tracer and of its peers

Usage: cargo bench -p alloc-benches --bench overhead [--features PEER,...] [-- OPTIONS]

Options:
  --quick            a quarter of the work and 3 rounds: half a minute
  --rounds N         runs of each contender and workload (15)
  --workload NAME    only json, rust-source, churn, cross-thread or many-threads
  --frame-pointers   also build and run programs with frame pointers
  --readme           --frame-pointers, and write the tables of README.md and benches/README.md
  --help             this text

Peers: dhat, divan, heapscope, heaptrack, jemalloc, mimalloc, stats_alloc; benches/Cargo.toml has a
paragraph on each. heapscope needs Rust 1.96 by its manifest: with 1.95, add --ignore-rust-version
before the two dashes. All rows of the READMEs:

  cargo bench -p alloc-benches --bench overhead --all-features --ignore-rust-version -- --readme
";

/// The time after which a contender runs a workload no more.
const PATIENCE: Duration = Duration::from_secs(20);

/// Blocks that may outlive the measured time: a few for each thread's own record.
const OUTLIVING: u64 = THREADS as u64 * 4;

/// The parsed command line.
struct Options {
    size: Size,
    rounds: usize,
    workloads: Vec<Workload>,
    frame_pointers: bool,
    readme: bool,
}

/// The context of the numbers.
struct About {
    machine: String,
    method: String,
    peers: String,
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
    let contenders = contenders::contenders(options.frame_pointers);
    let dependencies = Dependencies::of(&contenders)?;
    let sources = dependencies.rust_sources()?;
    let programs = programs(&contenders)?;

    let about = About::of(&options, &dependencies);
    print_header(&about, &sources);
    let mut all = Vec::new();
    for &workload in &options.workloads {
        let task = Task {
            workload,
            size: options.size,
            threads: THREADS,
            sources: sources.clone(),
        };
        let measured = measure(&task, &contenders, &programs, options.rounds)?;
        println!("{measured}");
        all.push(measured);
    }
    print!("{}", overview(&all));
    if options.readme {
        let (method, machine, peers) = (&about.method, &about.machine, &about.peers);
        for (page, rows) in readme::PAGES {
            let text = fs::read_to_string(page)?;
            let table = readme::markdown(&all, rows);
            fs::write(page, readme::with_table(&text, &table)?)?;
            println!("The table is in {page}");
        }
        println!(
            "Method: {method}. Below each ratio: {}. {machine}. Peers: {peers}.",
            readme::BELOW
        );
    }
    Ok(())
}

/// The folders of the programs. It first builds the programs with frame pointers, if there are any.
fn programs(contenders: &[Contender]) -> Result<Programs, Box<dyn Error>> {
    let mut programs = Programs::next_to(Path::new(env!("CARGO_BIN_EXE_bench-bare")))?;
    let built_with = |contender: &Contender| contender.build == Build::FramePointers;
    if contenders.iter().any(built_with) {
        let folder = cargo::build_with_frame_pointers(contenders, &programs.ordinary)?;
        programs.frame_pointers = Some(folder);
    }
    Ok(programs)
}

/// Counts the workload's allocations, then runs it under all contenders in turn.
fn measure(
    task: &Task,
    contenders: &[Contender],
    programs: &Programs,
    rounds: usize,
) -> Result<Measured, Box<dyn Error>> {
    let name = task.workload.name();
    let counted = task.run(Path::new(env!("CARGO_BIN_EXE_bench-counted")), &[])?;
    let entrant = |contender: &Contender| Entrant {
        contender: contender.clone(),
        runs: Runs::default(),
        outcome: Outcome::default(),
    };
    let mut measured = Measured {
        workload: task.workload,
        pairs: value(&counted, "pairs")?,
        live_peak: value(&counted, "live_peak")?,
        entrants: contenders.iter().map(entrant).collect(),
    };
    let kept = measured.pairs.abs_diff(value(&counted, "frees")?);
    if kept > OUTLIVING {
        return Err(format!("{name}: expected every block to be freed, found {kept} kept").into());
    }
    let expected = value(&counted, "checksum")?;
    for (round, place) in contenders::turns(rounds, contenders.len()) {
        let (contender, entrant) = (&contenders[place], &mut measured.entrants[place]);
        if entrant.runs.spent() > PATIENCE {
            continue;
        }
        let turn = format!(
            "{name}, round {} of {rounds}: {}",
            round + 1,
            contender.name
        );
        eprintln!("{turn}");
        let outcome = contender.run(programs, task)?;
        let found = value(&outcome, "checksum")?;
        if expected != found {
            return Err(format!("{turn}: expected the checksum {expected}, found {found}").into());
        }
        let elapsed = Duration::from_nanos(value(&outcome, "nanoseconds")?);
        entrant.runs.push(elapsed, outcome.number("resident_kib"));
        entrant.outcome = outcome;
    }
    Ok(measured)
}

impl About {
    fn of(options: &Options, dependencies: &Dependencies) -> About {
        let mut peers = dependencies.peers();
        if cfg!(feature = "heaptrack") {
            peers.extend(contenders::heaptrack_version());
        }
        About {
            machine: machine::description(),
            method: format!(
                "{} work, {} rounds, each run a process of its own, contenders in turn; medians of wall \
                 time; each against bare of the same build unless noted; no further rounds of a \
                 workload after {PATIENCE:?}",
                options.size.name(),
                options.rounds
            ),
            peers: match peers.is_empty() {
                true => "none".to_owned(),
                false => peers.join(", "),
            },
        }
    }
}

fn print_header(about: &About, sources: &[PathBuf]) {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let packages: Vec<_> = sources
        .iter()
        .filter_map(|source| package_of(source))
        .collect();
    println!("machine   {}", about.machine);
    println!("build     release, RUSTFLAGS={flags:?}");
    println!("method    {}", about.method);
    println!("peers     {}", about.peers);
    println!("sources   of rust-source: {}\n", packages.join(", "));
}

impl Options {
    /// `None` for `--help`.
    fn from_command_line() -> Result<Option<Options>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut size = Size::Full;
        let mut rounds = None;
        let mut workloads = Workload::ALL.to_vec();
        let mut frame_pointers = false;
        let mut readme = false;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => size = Size::Quick,
                Long("rounds") => rounds = Some(parser.value()?.parse()?),
                Long("workload") => workloads = vec![parser.value()?.parse()?],
                Long("frame-pointers") => frame_pointers = true,
                Long("readme") => (readme, frame_pointers) = (true, true),
                Long("help") | Short('h') => return Ok(None),
                // Cargo passes it to every bench.
                Long("bench") => {}
                _ => return Err(argument.unexpected().into()),
            }
        }
        let rounds = rounds.unwrap_or(match size {
            Size::Quick => 3,
            Size::Full => 15,
        });
        if rounds == 0 {
            return Err("expected one round or more, found 0".into());
        }
        Ok(Some(Options {
            size,
            rounds,
            workloads,
            frame_pointers,
            readme,
        }))
    }
}

/// `syn-2.0.119` of `.../syn-2.0.119/src`.
fn package_of(source: &Path) -> Option<&str> {
    source
        .parent()
        .and_then(Path::file_name)
        .and_then(OsStr::to_str)
}

fn value(outcome: &Outcome, name: &str) -> Result<u64, Box<dyn Error>> {
    let found = outcome.number(name);
    found.ok_or_else(|| {
        format!(
            "expected a number named {name}, found {:?}",
            outcome.text(name)
        )
        .into()
    })
}
