//! Lifetimes: each block is in the bucket of its age, compared with a model.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use alloc_core::{
    Bytes, Config, Filter, GroupBy, Lifetimes, Names, Snapshot, TraceAlloc, start_with,
    take_snapshot, untraced,
};
use alloc_tests::Random;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    each_block_that_was_freed_and_each_that_lives_is_counted_once,
    ages_in_bytes_are_what_was_allocated_meanwhile,
    ages_in_time_are_those_of_the_clock,
    a_reallocation_ends_a_life,
    deaths_on_other_threads_are_counted_where_the_block_was_born,
    clearing_forgets_lifetimes,
    files_keep_lifetimes,
    without_the_option_there_are_none,
    lifetimes_need_every_block_and_its_stack,
];

fn start() {
    start_with(Config::default().lifetimes(true)).unwrap();
}

#[inline(never)]
fn block(size: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(size))
}

/// The lifetimes of what a function of this file allocated.
fn of(snapshot: &Snapshot, function: &str) -> Lifetimes {
    let filter = Filter::include("*/lifetimes.rs").function(&format!("*::{function}"));
    let of_function = snapshot.filter_traces(&[filter]);
    let mut sum = Lifetimes::default();
    for trace in of_function.traces() {
        sum += trace.lifetimes.as_ref().unwrap();
    }
    sum
}

/// Each callsite has as many blocks in its buckets as its counters say.
#[track_caller]
fn check_counts(snapshot: &Snapshot) {
    for trace in snapshot.traces() {
        let lifetimes = trace.lifetimes.as_ref().unwrap();
        let counts = (lifetimes.freed.count(), lifetimes.live.count());
        let counters = trace.counters;
        assert_eq!(
            counts,
            (counters.freed().blocks, counters.current.blocks),
            "{trace}"
        );
        let by_bytes = |ages: &alloc_core::Ages| ages.bytes().map(|it| it.1).sum::<u64>();
        assert_eq!(
            (by_bytes(&lifetimes.freed), by_bytes(&lifetimes.live)),
            counts
        );
    }
}

fn each_block_that_was_freed_and_each_that_lives_is_counted_once() {
    start();
    let mut random = Random::new(1);
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for _ in 0..20_000 {
        kept.push(block(1 + random.below(2000)));
        if random.one_in(2) {
            let at = random.below(kept.len());
            let mut grown = kept.swap_remove(at);
            if random.one_in(3) {
                grown.reserve_exact(3000);
                kept.push(grown);
            }
        }
    }
    let snapshot = take_snapshot().unwrap();
    check_counts(&snapshot);
    assert!(of(&snapshot, "block").freed.count() > 5000);
    // What was read does not count twice.
    drop(kept);
    check_counts(&take_snapshot().unwrap());
}

fn ages_in_bytes_are_what_was_allocated_meanwhile() {
    start();
    let check = |between: usize, expected: u64| {
        alloc_core::clear_traces();
        let first = block(10);
        let other = black_box(Vec::<u8>::with_capacity(between));
        drop(first);
        drop(other);
        let freed = of(&take_snapshot().unwrap(), "block").freed;
        let bytes: Vec<_> = freed.bytes().collect();
        assert_eq!(bytes, [(Bytes::new(expected), 1)], "{between}");
    };
    check(100, 1 << 10);
    check(3 << 10, 4 << 10);
    check(100 << 10, 128 << 10);
    check(50 << 20, 64 << 20);
}

fn ages_in_time_are_those_of_the_clock() {
    start();
    let began = Instant::now();
    let (short, long) = (block(10), block(20));
    let born = began.elapsed();
    thread::sleep(Duration::from_millis(30));
    let least = began.elapsed() - born;
    drop(short);
    let most = began.elapsed();
    let snapshot = take_snapshot().unwrap();
    let all = began.elapsed();
    let lifetimes = of(&snapshot, "block");
    // The end of a bucket is at most half as much again, and two microseconds.
    let slack = Duration::from_micros(10);
    let freed = lifetimes.freed.oldest().unwrap();
    assert!(
        freed + slack >= least && freed <= most * 3 / 2 + slack,
        "{freed:?}, {least:?}, {most:?}"
    );
    let live = lifetimes.live.oldest().unwrap();
    assert!(
        live + slack >= least && live <= all * 3 / 2 + slack,
        "{live:?}"
    );
    drop(long);
}

#[inline(never)]
fn grow(block: &mut Vec<u8>) {
    block.reserve_exact(100_000);
}

fn a_reallocation_ends_a_life() {
    start();
    let mut grown = block(10);
    grow(&mut grown);
    let snapshot = take_snapshot().unwrap();
    let (before, after) = (of(&snapshot, "block"), of(&snapshot, "grow"));
    assert_eq!((before.freed.count(), before.live.count()), (1, 0));
    assert_eq!((after.freed.count(), after.live.count()), (0, 1));
    drop(grown);
}

fn deaths_on_other_threads_are_counted_where_the_block_was_born() {
    start();
    let (sender, receiver) = std::sync::mpsc::channel::<Vec<Vec<u8>>>();
    let killer = thread::spawn(move || receiver.iter().map(|it| it.len()).sum::<usize>());
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let sender = sender.clone();
            thread::spawn(move || {
                for _ in 0..50 {
                    let blocks: Vec<_> = (0..100).map(|_| block(50)).collect();
                    sender.send(blocks).unwrap();
                }
            })
        })
        .collect();
    drop(sender);
    threads.into_iter().for_each(|it| it.join().unwrap());
    assert_eq!(killer.join().unwrap(), 20_000);
    let snapshot = take_snapshot().unwrap();
    let blocks = of(&snapshot, "block");
    assert_eq!((blocks.freed.count(), blocks.live.count()), (20_000, 0));
    check_counts(&snapshot);
}

fn clearing_forgets_lifetimes() {
    start();
    (0..100).for_each(|_| drop(block(10)));
    alloc_core::clear_traces();
    drop(block(10));
    let freed = of(&take_snapshot().unwrap(), "block").freed;
    assert_eq!(freed.count(), 1);
    alloc_core::stop();
    start();
    drop(block(10));
    let freed = of(&take_snapshot().unwrap(), "block").freed;
    assert_eq!(freed.count(), 1);
}

fn files_keep_lifetimes() {
    start();
    let kept: Vec<_> = (0..100).map(block).collect();
    (0..1000).for_each(|size| drop(block(size)));
    let snapshot = take_snapshot().unwrap();
    let expected = of(&snapshot, "block");
    assert_eq!((expected.freed.count(), expected.live.count()), (999, 99));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("heap.pb.gz");
    for names in [Names::Addresses, Names::Symbols] {
        snapshot.dump_with(&path, names).unwrap();
        let read = Snapshot::load(&path).unwrap();
        assert_eq!(of(&read, "block"), expected, "{names:?}");
        let groups = read.statistics(GroupBy::Function);
        let group = groups
            .iter()
            .find(|it| it.key.to_string().ends_with("::block"));
        assert_eq!(group.unwrap().lifetimes, Some(expected.clone()));
    }
    drop(kept);
}

fn without_the_option_there_are_none() {
    start_with(Config::default()).unwrap();
    let kept = block(10);
    let snapshot = take_snapshot().unwrap();
    assert!(snapshot.traces().iter().all(|it| it.lifetimes.is_none()));
    drop(untraced(|| kept));
}

fn lifetimes_need_every_block_and_its_stack() {
    let lifetimes = || Config::default().lifetimes(true);
    for config in [lifetimes().sample_every(1000), lifetimes().frames(0)] {
        let error = start_with(config).unwrap_err();
        assert!(error.is_invalid_config());
        assert!(
            error
                .to_string()
                .contains("expected at least one frame and no sample"),
            "{error}"
        );
    }
}
