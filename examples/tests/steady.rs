//! Programs that do not leak: `suspects` names nothing in any of them, however they are recorded.
//!
//! They run in this process, one after the other, and without the test harness, which allocates on
//! threads of its own.

use alloc_core::{ChargeTo, Config, Snapshot, TraceAlloc};
use alloc_report::suspects;

#[path = "steady/programs.rs"]
mod programs;
#[path = "steady/random.rs"]
mod random;

use programs::PROGRAMS;
use random::Random;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// The steps of a run, each with a snapshot at its end.
const STEPS: usize = 12;

/// The steps that fill caches and pools.
const WARM_UP: usize = 4;

/// The runs of each program in each way to record it.
const SEEDS: u64 = 6;

fn main() {
    a_cache_is_named_until_it_reaches_its_limit();
    steady_programs_have_no_suspects();
}

/// Runs a program. Returns its snapshots, charged to the workspace.
fn record(config: Config, seed: u64, program: fn(&mut Random, &mut dyn FnMut())) -> Vec<Snapshot> {
    let mut snapshots = Vec::with_capacity(STEPS);
    alloc_core::start_with(config).unwrap();
    program(&mut Random(seed), &mut || {
        let snapshot = alloc_core::take_snapshot().unwrap();
        snapshots.push(snapshot.charge_to(ChargeTo::Workspace));
    });
    alloc_core::stop();
    assert_eq!(snapshots.len(), STEPS);
    snapshots
}

fn steady_programs_have_no_suspects() {
    let mut alarms = Vec::new();
    let mut windows = 0;
    for (name, program) in PROGRAMS {
        for sample in [None, Some(4 << 10), Some(512)] {
            for seed in 0..SEEDS {
                let config = match sample {
                    None => Config::default(),
                    Some(bytes) => Config::default().sample_every(bytes),
                };
                let snapshots = record(config, seed, *program);
                let starts = WARM_UP..STEPS - 2;
                let short = starts.flat_map(|it| [(it, it + 3), (it, it + 5)]);
                let all = short.chain([(0, STEPS), (WARM_UP, STEPS)]);
                for (start, end) in all.filter(|(_, end)| *end <= STEPS) {
                    let table = suspects(&snapshots[start..end]).width(usize::MAX);
                    windows += 1;
                    if !table.list().is_empty() {
                        alarms.push(format!(
                            "{name}, sample {sample:?}, seed {seed}, {start}..{end}:\n{table}"
                        ));
                    }
                }
            }
        }
    }
    assert!(
        alarms.is_empty(),
        "{} of {windows} windows:\n{}",
        alarms.len(),
        alarms.join("\n\n")
    );
    println!(
        "no alarm in {windows} windows of {} programs",
        PROGRAMS.len()
    );
}

/// With a thousand new entries in each step, a limit of 3,200 is reached in the fourth.
fn a_cache_is_named_until_it_reaches_its_limit() {
    for (config, is_sample) in [
        (Config::default(), false),
        (Config::default().sample_every(512), true),
    ] {
        let snapshots = record(config, 1, programs::filling_cache);
        let names = |steps: usize| suspects(&snapshots[..steps]).list().len();
        assert_eq!([2, 3].map(names), [1, 1], "{}", suspects(&snapshots[..3]));
        let later: Vec<usize> = (4..=STEPS).map(names).collect();
        assert_eq!(later, [0; STEPS - 3], "{}", suspects(&snapshots[..4]));
        let named = &suspects(&snapshots[..3]).list()[0];
        if !is_sample {
            assert_eq!(named.count_diff, 2_000);
        }
    }
}
