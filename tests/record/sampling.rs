//! Sampling: sums are right on average and marked as estimates, and a free subtracts exactly what
//! its allocation added.

use std::hint::black_box;

use alloc_core::{
    Bytes, Config, GroupBy, Metric, Scope, Snapshot, Statistic, TraceAlloc, take_snapshot,
};
use alloc_tests::Source;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    sums_are_within_their_stated_errors,
    frees_subtract_exactly_what_was_added,
    blocks_in_one_place_are_not_all_rounded_alike,
    reallocations_move_what_blocks_stand_for,
    a_scope_changes_nothing_and_counts_all,
    threads_draw_for_themselves,
    snapshots_and_files_say_that_they_are_samples,
    wrong_intervals,
];

const HERE: Source = alloc_tests::source!();
const INTERVAL: u64 = 16 << 10;

fn sampled(interval: u64, work: impl FnOnce()) -> Snapshot {
    alloc_core::start_with(Config::default().sample_every(interval)).unwrap();
    work();
    let snapshot = take_snapshot().unwrap();
    alloc_core::stop();
    snapshot
}

/// The statistic of a marked line of this file.
fn at(snapshot: &Snapshot, mark: &str, metric: Metric) -> Statistic {
    let statistics = snapshot.statistics_by(GroupBy::Line, metric);
    let key = format!("{}:{}", HERE.file, HERE.line(mark));
    let found = statistics.iter().find(|it| it.key.to_string() == key);
    found
        .unwrap_or_else(|| panic!("no {key} in {statistics:?}"))
        .clone()
}

/// Checks blocks of one size, within five standard errors: wrong once in two million runs.
#[track_caller]
fn check(statistic: &Statistic, bytes: u64, blocks: u64) {
    let error = check_bytes(statistic, bytes);
    let size = bytes / blocks;
    let off = statistic.count.abs_diff(blocks);
    assert!(off <= 5 * error / size + 1, "{statistic}, truth {blocks}");
}

/// Checks the bytes alone, and returns their standard error.
#[track_caller]
fn check_bytes(statistic: &Statistic, bytes: u64) -> u64 {
    let error = statistic.error.expect("it is a sample").get();
    assert!(error > 0 && error < bytes / 4, "{statistic}");
    let off = statistic.size.get().abs_diff(bytes);
    assert!(off <= 5 * error, "{statistic}, truth {bytes}");
    error
}

/// Checks blocks of these sizes. A small sampled block stands for many, so the error of the bytes
/// says little about the number of blocks.
#[track_caller]
fn check_each(statistic: &Statistic, sizes: impl Iterator<Item = u64> + Clone) {
    check_bytes(statistic, sizes.clone().sum());
    // A block counts with the chance p, as 1/p blocks, rounded at random to one of the two nearest
    // whole numbers.
    let variance_of_one = |size: u64| {
        let chance = -(-(size as f64) / INTERVAL as f64).exp_m1();
        let part = (1.0 / chance).fract();
        (1.0 - chance) / chance + chance * part * (1.0 - part)
    };
    let blocks = sizes.clone().count() as u64;
    let error = sizes.map(variance_of_one).sum::<f64>().sqrt();
    let off = statistic.count.abs_diff(blocks);
    assert!(off as f64 <= 5.0 * error, "{statistic}, truth {blocks}");
}

fn sums_are_within_their_stated_errors() {
    for size in [48, 1_000, 20_000] {
        let count = 40_000_000 / size;
        let mut kept = Vec::with_capacity(count);
        let snapshot = sampled(INTERVAL, || {
            for _ in 0..count {
                kept.push(black_box(vec![1_u8; size])); // mark: kept
            }
        });
        let statistic = at(&snapshot, "kept", Metric::Current);
        check(&statistic, (size * count) as u64, count as u64);
        assert!(statistic.to_string().contains(" ±"), "{statistic}");
        // A sample has few records, which is what it saves.
        let memory = snapshot.traced_memory();
        assert!(memory.sampled);
        assert_eq!(
            memory.current,
            snapshot
                .traces()
                .iter()
                .map(|it| it.counters.current.bytes)
                .sum::<Bytes>()
        );
        assert_eq!(memory.peak, memory.current);
    }
}

fn frees_subtract_exactly_what_was_added() {
    let before: Vec<Vec<u8>> = (0..2_000).map(|_| vec![3; 500]).collect();
    let snapshot = sampled(INTERVAL, || {
        for round in 0..20_000_usize {
            drop(black_box(vec![1_u8; 16 + round % 3_000])); // mark: dropped
        }
        drop(before);
    });
    assert_eq!(snapshot.traced_memory().current, 0);
    assert!(snapshot.statistics(GroupBy::Line).is_empty());
    let sizes = (0..20_000).map(|round| 16 + round % 3_000);
    check_each(&at(&snapshot, "dropped", Metric::Total), sizes);
    assert_eq!(snapshot.health(), Default::default());
}

/// Each block stands for one block and a fraction, and a loop gets the same address again and
/// again.
fn blocks_in_one_place_are_not_all_rounded_alike() {
    const COUNT: usize = 20_000;
    for size in [INTERVAL, INTERVAL / 2, 3 * INTERVAL / 2] {
        let snapshot = sampled(INTERVAL, || {
            for _ in 0..COUNT {
                drop(black_box(Vec::<u8>::with_capacity(size as usize))); // mark: same place
            }
        });
        let sizes = std::iter::repeat_n(size, COUNT);
        check_each(&at(&snapshot, "same place", Metric::Total), sizes);
        assert_eq!(snapshot.traced_memory().current, 0);
    }
}

fn reallocations_move_what_blocks_stand_for() {
    let mut vectors: Vec<Vec<u8>> = Vec::with_capacity(4_000);
    let mut moved = 0;
    let snapshot = sampled(INTERVAL, || {
        for _ in 0..4_000 {
            vectors.push(black_box(Vec::with_capacity(1_000))); // mark: made
        }
        for vector in &mut vectors {
            let before = vector.as_ptr();
            vector.reserve_exact(3_000); // mark: grown
            moved += u64::from(vector.as_ptr() != before);
        }
    });
    check(&at(&snapshot, "grown", Metric::Current), 12_000_000, 4_000);
    check(&at(&snapshot, "made", Metric::Total), 4_000_000, 4_000);
    let left = snapshot.statistics(GroupBy::Line);
    let made = format!(":{}", HERE.line("made"));
    assert!(
        left.iter().all(|it| !it.key.to_string().ends_with(&made)),
        "{left:?}"
    );
    let statistic = at(&snapshot, "grown", Metric::Total);
    assert!(statistic.counters.reallocations > 0);
    // A third of each block was copied, with the weight of the whole.
    assert!(moved > 3_000, "{moved}");
    let error = check_bytes(&statistic, 12_000_000) / 3;
    let off = statistic.counters.copied.get().abs_diff(moved * 1_000);
    assert!(off <= 5 * error, "{statistic:?}, {moved} moved");
}

/// A scope counts every block, and does not change the sample: neither of blocks freed after it,
/// nor of blocks from before it.
fn a_scope_changes_nothing_and_counts_all() {
    const COUNT: usize = 20_000;
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(COUNT);
    let snapshot = sampled(INTERVAL, || {
        let before: Vec<Vec<u8>> = (0..2_000).map(|_| vec![3; 500]).collect();
        let scope = Scope::enter().unwrap();
        for _ in 0..COUNT {
            kept.push(black_box(Vec::with_capacity(300))); // mark: made in a scope
        }
        for vector in &mut kept[..COUNT / 2] {
            vector.reserve_exact(900); // mark: grown in a scope
        }
        drop(before);
        let usage = scope.usage().unwrap();
        // A reallocation counts as an allocation.
        assert_eq!(usage.allocated.blocks, COUNT as u64 * 3 / 2);
        assert_eq!(usage.current.bytes, COUNT as u64 / 2 * (300 + 900));
        drop(scope);
        kept.drain(..COUNT / 4);
    });
    let (count, quarter) = (COUNT as u64, COUNT as u64 / 4);
    check(
        &at(&snapshot, "made in a scope", Metric::Total),
        count * 300,
        count,
    );
    check(
        &at(&snapshot, "made in a scope", Metric::Current),
        count * 150,
        count / 2,
    );
    check(
        &at(&snapshot, "grown in a scope", Metric::Current),
        quarter * 900,
        quarter,
    );
    let lines: Vec<_> = snapshot
        .statistics(GroupBy::Line)
        .iter()
        .map(|it| it.key.to_string())
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(snapshot.health(), Default::default());
}

fn threads_draw_for_themselves() {
    const THREADS: usize = 8;
    let snapshot = sampled(INTERVAL, || {
        let threads: [_; THREADS] = std::array::from_fn(|_| {
            std::thread::spawn(|| {
                let mut kept = Vec::with_capacity(2_000);
                for _ in 0..2_000 {
                    kept.push(black_box(vec![1_u8; 700])); // mark: on threads
                }
                kept
            })
        });
        let kept = threads.map(|thread| thread.join().unwrap());
        // Half of the blocks are freed by another thread, the others never.
        kept.into_iter().skip(THREADS / 2).for_each(drop);
    });
    check(
        &at(&snapshot, "on threads", Metric::Total),
        16_000 * 700,
        16_000,
    );
}

fn snapshots_and_files_say_that_they_are_samples() {
    let mut kept = Vec::new();
    let snapshot = sampled(INTERVAL, || {
        kept.extend((0..5_000).map(|_| black_box(vec![1_u8; 300])))
    });
    assert_eq!(snapshot.sampled_every(), Some(INTERVAL.into()));
    let mut file = Vec::new();
    snapshot.write_to(&mut file).unwrap();
    let back = Snapshot::read_from(&file[..]).unwrap();
    assert_eq!(back.sampled_every(), snapshot.sampled_every());
    assert_eq!(back.traced_memory(), snapshot.traced_memory());
    let statistics = |it: &Snapshot| it.statistics(GroupBy::Line);
    assert_eq!(statistics(&back), statistics(&snapshot));
}

fn wrong_intervals() {
    let error = alloc_core::start_with(Config::default().sample_every((64 << 20) + 1)).unwrap_err();
    assert!(error.is_invalid_config());
    assert!(
        error
            .to_string()
            .contains("from 0 to 67108864, found 67108865"),
        "{error}"
    );
    assert!(!alloc_core::is_tracing());
}
