//! Instructions: the instructions of a record, counted by valgrind's callgrind.
//!
//! The number is the same on a noisy machine, so a regression shows where times hide it. Callgrind
//! counts the whole program. The difference to the bare program, divided by the pairs of an
//! allocation and a free, is the cost of a pair. A few per cent depend on the compiler and on the
//! addresses that the system chooses; the limits leave room for them.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

use alloc_benches::cargo::Dependencies;
use alloc_benches::contender::{MODE, Task};
use alloc_benches::workloads::{Size, THREADS, Workload};

/// The limit of a pair by mode and workload: a tenth above the count of the last change, on x86-64
/// Linux with rustc 1.95. With stacks JSON has a fifth: which stacks share a slot of the thread's
/// cache depends on the address of the stack.
const LIMITS: [(&str, [u64; 3]); 9] = [
    ("stopped", [6, 6, 6]),
    ("counters", [110, 140, 130]),
    ("sampled", [38, 38, 38]),
    ("line", [370, 315, 440]),
    ("traced", [440, 365, 810]),
    ("sizes", [500, 400, 890]),
    ("lifetimes", [620, 590, 1090]),
    ("frees", [590, 500, 1060]),
    ("exact graph", [540, 500, 960]),
];

/// Recurring stacks, one stack again and again, and stacks whose inner frames are mostly new.
const WORKLOADS: [Workload; 3] = [Workload::Json, Workload::Churn, Workload::RustSource];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let mut within = true;
    let sources = Dependencies::of(&[])?.rust_sources()?;
    let mut bare = Vec::new();
    for workload in WORKLOADS {
        let task = task(workload, &sources);
        let instructions = count(env!("CARGO_BIN_EXE_bench-bare"), &task, None)?;
        bare.push((pairs(&task)?, instructions, task));
    }
    println!(
        "instructions   json  limit  churn  limit   Rust  limit   for a pair of an allocation and a free"
    );
    for (mode, limits) in LIMITS {
        let mut row = format!("{mode:<12}");
        // NOTE: at the same time, since a count does not depend on what else the machine does.
        let counts = thread::scope(|threads| {
            let count = |task| threads.spawn(move || count_mode(task, mode));
            let threads = Vec::from_iter(bare.iter().map(|(_, _, task)| count(task)));
            let counts = threads.into_iter().map(|it| it.join().expect("no panic"));
            counts.collect::<Result<Vec<u64>, String>>()
        })?;
        for ((&(pairs, bare, _), limit), with) in bare.iter().zip(limits).zip(counts) {
            let added = with.saturating_sub(bare) / pairs;
            let mark = if added > limit { "!" } else { " " };
            within &= added <= limit;
            row += &format!("{added:>6}{mark}{limit:>6}");
        }
        println!("{row}");
    }
    if !within {
        println!("ABOVE a limit: find what grew, or raise the limit and say why");
    }
    Ok(within)
}

/// The instructions of a task in a mode.
fn count_mode(task: &Task, mode: &str) -> Result<u64, String> {
    let traced = env!("CARGO_BIN_EXE_bench-traced");
    let counted = match mode {
        "stopped" => count(env!("CARGO_BIN_EXE_bench-stopped"), task, None),
        "traced" => count(traced, task, None),
        mode => count(traced, task, Some(mode)),
    };
    counted.map_err(|error| error.to_string())
}

fn task(workload: Workload, sources: &[PathBuf]) -> Task {
    Task {
        workload,
        size: Size::Quick,
        threads: THREADS,
        sources: sources.to_vec(),
    }
}

/// The pairs of a workload, from the counting contender.
fn pairs(task: &Task) -> Result<u64, Box<dyn Error>> {
    let outcome = task.run(Path::new(env!("CARGO_BIN_EXE_bench-counted")), &[])?;
    Ok(outcome.number("pairs").ok_or("the count has no pairs")?)
}

fn count(program: &str, task: &Task, mode: Option<&str>) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            program,
        ])
        .args([task.workload.name(), task.size.name()])
        .arg(task.threads.to_string())
        .args(&task.sources)
        .env_remove("ALLOC_TRACE")
        .env_remove("ALLOC_TRACE_OUT")
        .envs(mode.map(|mode| (MODE, mode)))
        .output()
        .map_err(|error| format!("expected valgrind on this machine: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{program} was expected to succeed: {text}").into());
    }
    let collected = text
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    let number = collected.and_then(|number| number.trim().parse().ok());
    number.ok_or_else(|| format!("expected callgrind's count, found {text}").into())
}
