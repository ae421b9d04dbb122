//! The scenarios: four situations in which a service allocates.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Latencies, Task, stacks};
use crate::random::Random;

/// A situation in which allocations and frees are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// One thread replaces the blocks of a working set.
    Steady,
    /// The same work while another thread takes snapshots.
    Snapshots,
    /// One thread allocates from many stacks, another one frees. Counters of a traced thread fold
    /// into shared ones.
    Folds,
    /// Short-lived threads, so that many operations are the first of their thread.
    Threads,
}

/// Blocks of the working set, and the stacks they are allocated from.
const KEPT: u64 = 2_000;
const FEW_STACKS: u64 = 64;
const MANY_STACKS: u64 = 16_384;

/// Blocks sent to the other thread at once.
const BATCH: u64 = 256;

/// Pairs of a short-lived thread.
const PAIRS_OF_A_THREAD: u64 = 100;

/// The pause between two snapshots. A service takes far fewer.
const PAUSE: Duration = Duration::from_millis(20);

/// The time after which a slow contender stops measuring.
const PATIENCE: Duration = Duration::from_secs(5);

impl Scenario {
    /// All scenarios, in the order of the tables.
    pub const ALL: [Scenario; 4] = [
        Scenario::Steady,
        Scenario::Snapshots,
        Scenario::Folds,
        Scenario::Threads,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Steady => "steady",
            Scenario::Snapshots => "snapshots",
            Scenario::Folds => "folds",
            Scenario::Threads => "threads",
        }
    }

    /// What happens in it, in one sentence.
    pub fn description(self) -> &'static str {
        match self {
            Scenario::Steady => "one thread replaces 2,000 blocks, from 64 stacks",
            Scenario::Snapshots => "the same, while another thread takes a snapshot every 20 ms",
            Scenario::Folds => {
                "one thread allocates from 16,384 stacks, another frees; counters fold"
            }
            Scenario::Threads => "threads of 100 pairs each come and go",
        }
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(name: &str) -> Result<Scenario, String> {
        let found = Scenario::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name);
        found.ok_or_else(|| {
            let names = Scenario::ALL.map(Scenario::name).join(", ");
            format!("expected a scenario ({names}), found {name:?}")
        })
    }
}

/// Runs the scenario and returns the number of snapshots taken meanwhile.
pub(super) fn measure(task: Task, latencies: &mut Latencies) -> u64 {
    match task.scenario {
        Scenario::Steady => steady(task.pairs, latencies),
        Scenario::Snapshots => {
            let until = AtomicBool::new(false);
            return thread::scope(|scope| {
                let taker = scope.spawn(|| take_snapshots(task.is_traced, &until));
                steady(task.pairs, latencies);
                until.store(true, Relaxed);
                taker.join().expect("the snapshots are taken")
            });
        }
        Scenario::Folds => folds(task.pairs, latencies),
        Scenario::Threads => threads(task.pairs, latencies),
    }
    0
}

fn size(random: &mut Random) -> usize {
    16 + random.below(496) as usize
}

fn steady(pairs: u64, latencies: &mut Latencies) {
    let mut random = Random(1);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for _ in 0..KEPT {
        kept.push(Vec::with_capacity(size(&mut random)));
    }
    let mut replace = |count: u64, latencies: &mut Latencies| {
        let start = Instant::now();
        for number in 0..count {
            let slot = random.below(KEPT) as usize;
            let (path, size) = (random.below(FEW_STACKS) as u32, size(&mut random));
            latencies.free(std::mem::take(&mut kept[slot]));
            kept[slot] = stacks::call(path, || latencies.alloc(size));
            if number % BATCH == 0 && start.elapsed() > PATIENCE {
                break;
            }
        }
    };
    replace(pairs / 10, latencies);
    latencies.clear();
    replace(pairs, latencies);
}

/// Takes one snapshot after another. It only waits where there is no tracer.
fn take_snapshots(is_traced: bool, until: &AtomicBool) -> u64 {
    let mut taken = 0;
    loop {
        thread::sleep(PAUSE);
        if is_traced {
            let snapshot = alloc_core::take_snapshot().expect("the tracer is started");
            drop(snapshot);
            taken += 1;
        }
        if until.load(Relaxed) {
            return taken;
        }
    }
}

fn folds(pairs: u64, latencies: &mut Latencies) {
    let (give, take) = mpsc::sync_channel::<Vec<Vec<u8>>>(8);
    let warm_up = pairs / 10 / BATCH;
    let mut frees = latencies.clone();
    thread::scope(|scope| {
        let frees = &mut frees;
        scope.spawn(move || {
            for (number, batch) in (0..).zip(take) {
                if number == warm_up {
                    frees.clear();
                }
                batch.into_iter().for_each(|block| frees.free(block));
            }
        });
        let mut random = Random(2);
        let start = Instant::now();
        for number in 0..warm_up + pairs.div_ceil(BATCH) {
            if number == warm_up {
                latencies.clear();
            }
            let mut batch = Vec::with_capacity(BATCH as usize);
            for _ in 0..BATCH {
                let (path, size) = (random.below(MANY_STACKS) as u32, size(&mut random));
                batch.push(stacks::call(path, || latencies.alloc(size)));
            }
            give.send(batch).expect("the other thread listens");
            if number > warm_up && start.elapsed() > PATIENCE {
                break;
            }
        }
        drop(give);
    });
    latencies.free = frees.free;
}

fn threads(pairs: u64, latencies: &mut Latencies) {
    let until = AtomicBool::new(false);
    thread::scope(|scope| {
        // Another thread starts and joins threads at the same time.
        scope.spawn(|| {
            while !until.load(Relaxed) {
                thread::scope(|scope| {
                    scope.spawn(|| drop(std::hint::black_box(Vec::<u8>::with_capacity(100))));
                });
            }
        });
        let start = Instant::now();
        for number in 0..pairs.div_ceil(PAIRS_OF_A_THREAD) {
            thread::scope(|scope| {
                let latencies = &mut *latencies;
                scope.spawn(move || of_a_thread(number, latencies));
            });
            if start.elapsed() > PATIENCE {
                break;
            }
        }
        until.store(true, Relaxed);
    });
}

fn of_a_thread(seed: u64, latencies: &mut Latencies) {
    let mut random = Random(seed);
    // An array, so that the first measured operation is the first after the start of the thread.
    let mut kept = [const { Vec::new() }; PAIRS_OF_A_THREAD as usize];
    for slot in &mut kept {
        let (path, size) = (random.below(FEW_STACKS) as u32, size(&mut random));
        *slot = stacks::call(path, || latencies.alloc(size));
    }
    kept.into_iter().for_each(|block| latencies.free(block));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scenario_measures_every_pair() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.name().parse(), Ok(scenario));
            let task = Task {
                scenario,
                pairs: 25_600,
                is_traced: false,
            };
            let mut latencies = Latencies::new();
            assert_eq!(measure(task, &mut latencies), 0);
            let counts = [&latencies.alloc, &latencies.free, &latencies.nothing];
            let counts = counts.map(|histogram| histogram.len());
            assert_eq!(counts, [25_600; 3], "{}", scenario.name());
        }
        let error = "xml".parse::<Scenario>().expect_err("no such scenario");
        assert_eq!(
            error,
            "expected a scenario (steady, snapshots, folds, threads), found \"xml\""
        );
    }
}
