//! How many instructions a record takes, counted by valgrind's callgrind: the same number on a noisy
//! machine, so that a regression shows where times do not.
//!
//! What is counted is the whole program; the difference to the bare program, divided by the pairs of an
//! allocation and a free, is what a pair costs. A few per cent depend on the compiler and on where the
//! system puts things, so the limits leave that much.

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitCode};

use alloc_benches::contender::{MODE, Task};
use alloc_benches::workloads::{Size, THREADS, Workload};

/// What a pair may take, by mode and workload: a tenth above what was counted when it was last changed, on
/// x86-64 Linux with rustc 1.95; where stacks are captured a fifth for JSON, since which of them share a
/// place in a thread's memory depends on where the system puts the stack.
const LIMITS: [(&str, [u64; 2]); 5] = [
    ("stopped", [15, 15]),
    ("counters", [190, 175]),
    ("sampled", [70, 68]),
    ("line", [480, 390]),
    ("traced", [580, 430]),
];

const WORKLOADS: [Workload; 2] = [Workload::Json, Workload::Churn];

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
    let mut bare = Vec::new();
    for workload in WORKLOADS {
        let instructions = count(env!("CARGO_BIN_EXE_bench-bare"), workload, None)?;
        bare.push((workload, pairs(workload)?, instructions));
    }
    println!("instructions   json  limit  churn  limit   for a pair of an allocation and a free");
    for (mode, limits) in LIMITS {
        let mut row = format!("{mode:<12}");
        for (&(workload, pairs, bare), limit) in bare.iter().zip(limits) {
            let with = match mode {
                "stopped" => count(env!("CARGO_BIN_EXE_bench-stopped"), workload, None)?,
                "traced" => count(env!("CARGO_BIN_EXE_bench-traced"), workload, None)?,
                mode => count(env!("CARGO_BIN_EXE_bench-traced"), workload, Some(mode))?,
            };
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

/// The pairs of a workload, from the contender that counts.
fn pairs(workload: Workload) -> Result<u64, Box<dyn Error>> {
    let task = Task {
        workload,
        size: Size::Quick,
        threads: THREADS,
        sources: Vec::new(),
    };
    let outcome = task.run(Path::new(env!("CARGO_BIN_EXE_bench-counted")), &[])?;
    Ok(outcome.number("pairs").ok_or("the count has no pairs")?)
}

fn count(program: &str, workload: Workload, mode: Option<&str>) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            program,
        ])
        .args([workload.name(), Size::Quick.name(), &THREADS.to_string()])
        .env_remove("ALLOC_TRACE")
        .env_remove("ALLOC_TRACE_OUT")
        .envs(mode.map(|mode| (MODE, mode)))
        .output()
        .map_err(|error| format!("expected valgrind on this machine: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected = text
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    let number = collected.and_then(|number| number.trim().parse().ok());
    number.ok_or_else(|| format!("expected callgrind's count, found {text}").into())
}
