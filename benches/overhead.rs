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
//! Contenders whose checksums differ did not do the same work, and nothing is compared.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use alloc_benches::contender::{MODE, Outcome, Task};
use alloc_benches::report::{Entrant, Measured, overview};
use alloc_benches::summary::Runs;
use alloc_benches::workloads::{Size, Workload};
use alloc_benches::{cargo, machine};

const HELP: &str = "\
What the tracer costs, side by side with its peers

Usage: cargo bench -p alloc-benches [--features PEER,...] [-- OPTIONS]

Options:
  --quick            a quarter of the work and 3 rounds: within half a minute
  --rounds N         how often each contender runs each workload (7)
  --workload NAME    this one only: json, rust-source, churn, cross-thread, many-threads
  --frame-pointers   build everything with frame pointers first, in a target folder of its own
  --help             this text

Peers: dhat, stats_alloc, peak_alloc, pprof-alloc, jemalloc, mimalloc; benches/Cargo.toml has a
paragraph on each.
";

/// A contender that has used up so much time on a workload sits out the rest of its rounds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A thread's own record may be freed after the time is taken, so a few blocks for each of the
/// threads of a workload are no fault.
const OUTLIVING: u64 = 8 * 4;

/// One program of `contenders/`, under one setting.
struct Contender {
    name: &'static str,
    program: &'static str,
    environment: &'static [(&'static str, &'static str)],
    /// The contender it is compared with; itself, if others are compared with it.
    against: &'static str,
}

/// What the command line asks for.
struct Options {
    size: Size,
    rounds: usize,
    workloads: Vec<Workload>,
    frame_pointers: bool,
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
    if options.frame_pointers && !cargo::built_with_frame_pointers() {
        return cargo::run_with_frame_pointers(&features());
    }

    let sources = cargo::rust_sources()?;
    let contenders = contenders();
    print_header(&options, &sources);
    let mut all = Vec::new();
    for &workload in &options.workloads {
        let task = Task {
            workload,
            size: options.size,
            sources: sources.clone(),
        };
        let measured = measure(&task, &contenders, options.rounds)?;
        println!("{measured}");
        all.push(measured);
    }
    print!("{}", overview(&all));
    Ok(())
}

/// Counts the workload's allocations, then runs it under all contenders in turn.
fn measure(
    task: &Task,
    contenders: &[Contender],
    rounds: usize,
) -> Result<Measured, Box<dyn Error>> {
    let name = task.workload.name();
    let counted = task.run(env!("CARGO_BIN_EXE_bench-counted"), &[])?;
    let entrant = |contender: &Contender| Entrant {
        name: contender.name,
        against: contender.against,
        runs: Runs::default(),
    };
    let mut measured = Measured {
        workload: task.workload,
        pairs: value(&counted, "pairs")?,
        live_peak: value(&counted, "live_peak")?,
        entrants: contenders.iter().map(entrant).collect(),
        traced: Outcome::default(),
    };
    let kept = measured.pairs.abs_diff(value(&counted, "frees")?);
    if kept > OUTLIVING {
        return Err(format!("{name}: expected every block to be freed, found {kept} kept").into());
    }
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let place = (round + turn) % contenders.len();
            let contender = &contenders[place];
            let runs = &mut measured.entrants[place].runs;
            if runs.spent() > PATIENCE {
                continue;
            }
            eprintln!(
                "{name}, round {} of {rounds}: {}",
                round + 1,
                contender.name
            );
            let outcome = task.run(contender.program, contender.environment)?;
            let (expected, found) = (value(&counted, "checksum")?, value(&outcome, "checksum")?);
            if expected != found {
                return Err(format!(
                    "{name}, {}: expected the checksum {expected}, found {found}",
                    contender.name
                )
                .into());
            }
            let elapsed = Duration::from_nanos(value(&outcome, "nanoseconds")?);
            runs.push(elapsed, outcome.number("resident_kib"));
            if contender.name == "traced" {
                measured.traced = outcome;
            }
        }
    }
    Ok(measured)
}

fn print_header(options: &Options, sources: &[PathBuf]) {
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let packages: Vec<_> = sources
        .iter()
        .filter_map(|source| package_of(source))
        .collect();
    println!("machine   {}", machine::description());
    println!("build     release, RUSTFLAGS={flags:?}");
    println!(
        "method    {} work, {} rounds, each run a process of its own, contenders in turn; medians of wall time; each against bare unless it says otherwise",
        options.size.name(),
        options.rounds
    );
    println!("sources   of rust-source: {}\n", packages.join(", "));
}

fn contenders() -> Vec<Contender> {
    let plain = |name, program| Contender {
        name,
        program,
        environment: &[],
        against: "bare",
    };
    let traced = |name, environment| Contender {
        environment,
        ..plain(name, env!("CARGO_BIN_EXE_bench-traced"))
    };
    let mut contenders = Vec::new();
    contenders.extend([
        plain("bare", env!("CARGO_BIN_EXE_bench-bare")),
        plain("stopped", env!("CARGO_BIN_EXE_bench-stopped")),
        traced("counters", &[(MODE, "counters")]),
        traced("sampled", &[(MODE, "sampled")]),
        traced("one line", &[(MODE, "line")]),
        traced("traced", &[]),
    ]);
    #[cfg(feature = "stats_alloc")]
    contenders.push(plain(
        "stats_alloc",
        env!("CARGO_BIN_EXE_bench-stats_alloc"),
    ));
    #[cfg(feature = "peak_alloc")]
    contenders.push(plain("peak_alloc", env!("CARGO_BIN_EXE_bench-peak_alloc")));
    #[cfg(feature = "dhat")]
    contenders.push(plain("dhat", env!("CARGO_BIN_EXE_bench-dhat")));
    #[cfg(feature = "pprof-alloc")]
    contenders.extend([
        Contender {
            environment: &[("PPROF_ALLOC_SAMPLE_RATE", "524288")],
            ..plain(
                "pprof-alloc, sampled",
                env!("CARGO_BIN_EXE_bench-pprof-alloc"),
            )
        },
        Contender {
            environment: &[("PPROF_ALLOC_SAMPLE_RATE", "1")],
            ..plain(
                "pprof-alloc, exact",
                env!("CARGO_BIN_EXE_bench-pprof-alloc"),
            )
        },
    ]);
    #[cfg(feature = "jemalloc")]
    {
        let jemalloc = |name, environment| Contender {
            environment,
            against: "jemalloc",
            ..plain(name, env!("CARGO_BIN_EXE_bench-jemalloc"))
        };
        contenders.extend([
            jemalloc("jemalloc", &[]),
            jemalloc("jemalloc, sampled", &[("_RJEM_MALLOC_CONF", "prof:true")]),
            jemalloc(
                "jemalloc, exact",
                &[("_RJEM_MALLOC_CONF", "prof:true,lg_prof_sample:0")],
            ),
        ]);
    }
    #[cfg(feature = "mimalloc")]
    contenders.extend([
        Contender {
            against: "mimalloc",
            ..plain("mimalloc", env!("CARGO_BIN_EXE_bench-mimalloc"))
        },
        Contender {
            against: "mimalloc",
            ..plain(
                "mimalloc, traced",
                env!("CARGO_BIN_EXE_bench-mimalloc-traced"),
            )
        },
    ]);
    contenders
}

/// The features that this was built with.
fn features() -> Vec<&'static str> {
    let all = [
        ("dhat", cfg!(feature = "dhat")),
        ("jemalloc", cfg!(feature = "jemalloc")),
        ("mimalloc", cfg!(feature = "mimalloc")),
        ("peak_alloc", cfg!(feature = "peak_alloc")),
        ("pprof-alloc", cfg!(feature = "pprof-alloc")),
        ("stats_alloc", cfg!(feature = "stats_alloc")),
    ];
    let built = all.into_iter().filter(|(_, built)| *built);
    built.map(|(name, _)| name).collect()
}

impl Options {
    /// `None` if help is asked for.
    fn from_command_line() -> Result<Option<Options>, Box<dyn Error>> {
        use lexopt::prelude::*;
        let mut size = Size::Full;
        let mut rounds = None;
        let mut workloads = Workload::ALL.to_vec();
        let mut frame_pointers = false;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => size = Size::Quick,
                Long("rounds") => rounds = Some(parser.value()?.parse()?),
                Long("workload") => workloads = vec![parser.value()?.parse()?],
                Long("frame-pointers") => frame_pointers = true,
                Long("help") | Short('h') => return Ok(None),
                // Cargo says so to every bench.
                Long("bench") => {}
                _ => return Err(argument.unexpected().into()),
            }
        }
        let rounds = rounds.unwrap_or(match size {
            Size::Quick => 3,
            Size::Full => 7,
        });
        if rounds == 0 {
            return Err("expected one round or more, found 0".into());
        }
        Ok(Some(Options {
            size,
            rounds,
            workloads,
            frame_pointers,
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
