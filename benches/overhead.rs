//! The harness: every contender runs every workload, and the tables say what it cost.
//!
//! # Method
//!
//! Each run is a process of its own. Within a round all contenders run one after the other, each
//! round beginning with another, so that a machine that grows slower or faster in between does so
//! for all of them alike. What is shown is the median over the rounds of the wall time of the
//! workload alone; its input is made before, and the process's start does not count. Ratios are
//! between medians. The number of allocations comes from a contender that counts and does nothing
//! else; what a pair of an allocation and a free costs more is wall time too, so with several
//! threads it is what remains after they shared the work. Memory is the most that was ever resident
//! of the process, input included.
//!
//! Programs with frame pointers are compared with a bare program that has them too, and run in the
//! same rounds.
//!
//! Contenders whose checksums differ did not do the same work, and nothing is compared.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use alloc_benches::cargo::{self, Dependencies};
use alloc_benches::contender::{Outcome, Task};
use alloc_benches::lineup::{self, Build, Contender, Programs};
use alloc_benches::report::{Entrant, Measured, overview};
use alloc_benches::summary::Runs;
use alloc_benches::workloads::{Size, THREADS, Workload};
use alloc_benches::{machine, picture, readme};

const HELP: &str = "\
What the tracer costs, side by side with its peers

Usage: cargo bench -p alloc-benches --bench overhead [--features PEER,...] [-- OPTIONS]

Options:
  --quick            a quarter of the work and 3 rounds: within half a minute
  --rounds N         how often each contender runs each workload (15)
  --workload NAME    this one only: json, rust-source, churn, cross-thread, many-threads
  --frame-pointers   build programs with frame pointers too, and run them in the same rounds
  --readme           the same; writes benches/overhead.svg and the tables of README.md and benches/README.md
  --help             this text

Peers: dhat, divan, heapscope, heaptrack, jemalloc, mimalloc, peak_alloc, pprof-alloc, stats_alloc;
benches/Cargo.toml has a paragraph on each. heapscope asks for Rust 1.96: with an older one, say
--ignore-rust-version before the two dashes. All that the README shows:

  cargo bench -p alloc-benches --bench overhead --all-features --ignore-rust-version -- --readme
";

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/overhead.svg");

/// A contender that has used up so much time on a workload sits out the rest of its rounds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A thread's own record may be freed after the time is taken, so a few blocks for each of the
/// threads of a workload are no fault.
const OUTLIVING: u64 = THREADS as u64 * 4;

/// What the command line asks for.
struct Options {
    size: Size,
    rounds: usize,
    workloads: Vec<Workload>,
    frame_pointers: bool,
    readme: bool,
}

/// What must be known to judge the numbers.
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
    let contenders = lineup::contenders(options.frame_pointers);
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
        let (size, rounds) = (options.size.name(), options.rounds);
        let caption = format!("{size} work, medians of {rounds} rounds; {}", about.machine);
        fs::write(PICTURE, picture::svg(&all, &caption))?;
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
        println!("The picture is in {PICTURE}");
    }
    Ok(())
}

/// Where the programs lie, after those with frame pointers were built if anyone needs them.
fn programs(contenders: &[Contender]) -> Result<Programs, Box<dyn Error>> {
    let bare = Path::new(env!("CARGO_BIN_EXE_bench-bare"));
    let ordinary = bare.parent().ok_or("expected a program in a folder")?;
    let built_with = |contender: &Contender| contender.build == Build::FramePointers;
    let frame_pointers = match contenders.iter().any(built_with) {
        true => Some(cargo::build_with_frame_pointers(contenders, ordinary)?),
        false => None,
    };
    Ok(Programs {
        ordinary: ordinary.to_owned(),
        frame_pointers,
    })
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
    for (round, place) in lineup::turns(rounds, contenders.len()) {
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
            peers.extend(lineup::heaptrack_version());
        }
        About {
            machine: machine::description(),
            method: format!(
                "{} work, {} rounds, each run a process of its own, contenders in turn; medians of wall \
                 time; each against bare of the same build unless it says otherwise; who has spent \
                 {PATIENCE:?} on a workload sits out its later rounds",
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
    /// `None` if help is asked for.
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
                // Cargo says so to every bench.
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
