//! Size classes that count each block by its own size, compared with a model.

use std::collections::BTreeMap;
use std::hint::black_box;

use alloc_core::{
    Amount, Config, Filter, GroupBy, GroupKey, Grouping, Metric, Names, Snapshot, TraceAlloc,
    start_with, take_snapshot,
};
use alloc_tests::Random;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    one_call_of_many_sizes_with_whole_stacks,
    one_call_of_many_sizes_with_lines,
    one_call_of_many_sizes_on_threads_with_names,
    a_sample_classes_blocks_by_their_own_size,
    a_block_that_grows_moves_to_its_new_class,
    without_sizes_a_callsite_is_classed_by_its_mean,
    a_file_keeps_the_classes,
];

/// Bytes and blocks by the upper end of their size class.
type Classes = BTreeMap<u64, Amount>;

/// What a function of this file allocated, by size class.
fn classes(snapshot: &Snapshot, metric: Metric, function: &str) -> Classes {
    let filter = Filter::include("*/sizes.rs").function(&format!("*::{function}"));
    let grouping = Grouping::by(GroupBy::SizeClass).with_metric(metric);
    let statistics = snapshot.filter_traces(&[filter]).statistics(grouping);
    let classes = statistics.iter().map(|it| match it.key {
        GroupKey::SizeClass(class) => (class.get(), Amount::new(it.size.get(), it.count)),
        ref key => panic!("found {key}"),
    });
    classes.filter(|(_, amount)| amount.blocks > 0).collect()
}

fn add(classes: &mut Classes, size: usize) {
    *classes.entry(size.next_power_of_two() as u64).or_default() += Amount::new(size as u64, 1);
}

/// Allocates many times at one line, and returns every third block on average.
#[inline(never)]
fn allocate(seed: u64, total: &mut Classes, current: &mut Classes) -> Vec<Vec<u8>> {
    let mut random = Random::new(seed);
    let mut kept = alloc_core::untraced(|| Vec::with_capacity(2000));
    for _ in 0..2000 {
        let bits = random.below(16);
        let size = 1 + random.below(1 << bits);
        let block = Vec::<u8>::with_capacity(size);
        alloc_core::untraced(|| add(total, size));
        if random.one_in(3) {
            alloc_core::untraced(|| add(current, size));
            kept.push(block);
        }
    }
    kept
}

#[track_caller]
fn check_one_call(config: Config) {
    start_with(config.sizes(true)).unwrap();
    let (mut total, mut current) = (Classes::new(), Classes::new());
    let kept = allocate(1, &mut total, &mut current);
    let snapshot = take_snapshot().unwrap();
    assert_eq!(classes(&snapshot, Metric::Total, "allocate"), total);
    assert_eq!(classes(&snapshot, Metric::Current, "allocate"), current);
    assert!(total.len() > 14, "{total:?}");
    drop(kept);
    let snapshot = take_snapshot().unwrap();
    assert_eq!(
        classes(&snapshot, Metric::Current, "allocate"),
        Classes::new()
    );
    assert_eq!(classes(&snapshot, Metric::Total, "allocate"), total);
}

fn one_call_of_many_sizes_with_whole_stacks() {
    check_one_call(Config::default());
}

fn one_call_of_many_sizes_with_lines() {
    check_one_call(Config::default().frames(1));
}

/// Blocks much larger than the interval are all sampled, and each counts for itself.
fn a_sample_classes_blocks_by_their_own_size() {
    start_with(Config::default().sample_every(64).sizes(true)).unwrap();
    let _blocks = blocks_of_one_line(&[2000, 5000, 70_000, 5001]);
    let snapshot = take_snapshot().unwrap();
    let expected = Classes::from([
        (2048, Amount::new(2000, 1)),
        (8192, Amount::new(10_001, 2)),
        (131_072, Amount::new(70_000, 1)),
    ]);
    assert_eq!(
        classes(&snapshot, Metric::Current, "blocks_of_one_line"),
        expected
    );
}

fn one_call_of_many_sizes_on_threads_with_names() {
    start_with(Config::default().sizes(true).threads(true)).unwrap();
    let truths: Vec<(String, Classes)> = std::thread::scope(|scope| {
        let thread = |number: u64| {
            let name = format!("worker-{number}");
            let work = move || {
                let (mut total, mut current) = (Classes::new(), Classes::new());
                allocate(number, &mut total, &mut current);
                (format!("worker-{number}"), total)
            };
            std::thread::Builder::new()
                .name(name)
                .spawn_scoped(scope, work)
                .unwrap()
        };
        let threads: Vec<_> = (1..=4).map(thread).collect();
        let joined = threads.into_iter().map(|it| it.join().unwrap());
        joined.collect()
    });
    let snapshot = take_snapshot().unwrap();
    for (name, total) in truths {
        let of_thread = snapshot.filter_traces(&[Filter::include("*").thread(&name)]);
        assert_eq!(
            classes(&of_thread, Metric::Total, "allocate"),
            total,
            "{name}"
        );
    }
}

#[inline(never)]
fn block_of(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

#[inline(never)]
fn grow_block_of(block: &mut Vec<u8>, size: usize) {
    block.reserve_exact(size);
}

fn a_block_that_grows_moves_to_its_new_class() {
    start_with(Config::default().sizes(true)).unwrap();
    let mut block = block_of(100);
    let size_of = |snapshot: &Snapshot| classes(snapshot, Metric::Current, "*block_of");
    let before = take_snapshot().unwrap();
    assert_eq!(
        size_of(&before),
        Classes::from([(128, Amount::new(100, 1))])
    );
    grow_block_of(&mut block, 1568 << 10);
    let after = take_snapshot().unwrap();
    let grown = Amount::new(1568 << 10, 1);
    assert_eq!(size_of(&after), Classes::from([(2 << 20, grown)]));
    let total = Classes::from([(128, Amount::new(100, 1)), (2 << 20, grown)]);
    assert_eq!(classes(&after, Metric::Total, "*block_of"), total);
}

/// Allocates blocks of these sizes at one line.
#[inline(never)]
fn blocks_of_one_line(sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut blocks = alloc_core::untraced(|| Vec::with_capacity(sizes.len()));
    // NOTE: of unknown length, so that the optimizer keeps one call.
    for &size in black_box(sizes) {
        blocks.push(Vec::with_capacity(size));
    }
    blocks
}

fn without_sizes_a_callsite_is_classed_by_its_mean() {
    start_with(Config::default()).unwrap();
    let _blocks = blocks_of_one_line(&[16, 3000]);
    let snapshot = take_snapshot().unwrap();
    let mean = Classes::from([(2048, Amount::new(3016, 2))]);
    assert_eq!(
        classes(&snapshot, Metric::Current, "blocks_of_one_line"),
        mean
    );
    assert!(snapshot.traces().iter().all(|it| it.size_class.is_none()));
}

fn a_file_keeps_the_classes() {
    start_with(Config::default().sizes(true)).unwrap();
    let _blocks = blocks_of_one_line(&[16, 3000]);
    let snapshot = take_snapshot().unwrap();
    let expected = Classes::from([(16, Amount::new(16, 1)), (4096, Amount::new(3000, 1))]);
    assert_eq!(
        classes(&snapshot, Metric::Current, "blocks_of_one_line"),
        expected
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heap.pb.gz");
    for names in [Names::Addresses, Names::Symbols] {
        snapshot.dump_with(&path, names).unwrap();
        let read = Snapshot::load(&path).unwrap();
        assert_eq!(
            classes(&read, Metric::Current, "blocks_of_one_line"),
            expected,
            "{names:?}"
        );
    }
}
