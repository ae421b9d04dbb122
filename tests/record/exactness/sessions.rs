//! How tracing starts, stops and forgets, and with which configuration.

use std::hint::black_box;

use alloc_core::{Amount, Config, start, take_snapshot, traced_memory};
use alloc_tests::Source;

use crate::{check_heap, check_line, checked_snapshot};

const HERE: Source = alloc_tests::source!();

pub(crate) fn clear_traces() {
    start().unwrap();
    let before: [_; 10] = std::array::from_fn(|_| black_box(Box::new([0_u8; 300])));
    assert_eq!(traced_memory().current, 3000);
    alloc_core::clear_traces();
    assert!(alloc_core::is_tracing());
    check_heap(0, 0);
    assert!(checked_snapshot().traces().is_empty());
    assert!(alloc_core::traceback_of(&*before[0]).is_none());

    let after = vec![1_u8; black_box(700)]; // mark: after a clear
    let unknown = take_snapshot().unwrap().health().unknown_frees;
    drop(before);
    let snapshot = checked_snapshot();
    check_line(
        HERE,
        &snapshot,
        ("after a clear", (700, 1), (700, 1), (700, 1), 0),
    );
    assert_eq!(traced_memory().current, 700);
    // At least the ten boxes are unknown. Memory of the first snapshot may have been freed since.
    let unknown = snapshot.health().unknown_frees - unknown;
    assert!(unknown >= 10, "{unknown}");
    drop(after);
    assert_eq!(traced_memory().current, 0);
}

pub(crate) fn stop_and_start() {
    start().unwrap();
    let first = vec![1_u8; black_box(100)];
    alloc_core::stop();
    assert!(!alloc_core::is_tracing());
    assert_eq!(alloc_core::traceback_limit(), None);
    assert_eq!(traced_memory(), Default::default());
    assert!(take_snapshot().unwrap_err().is_not_tracing());
    assert!(alloc_core::traceback_of(first.as_ptr()).is_none());
    // Neither block is recorded.
    let unseen = vec![2_u8; black_box(200)];
    drop(first);

    start().unwrap();
    check_heap(0, 0);
    let seen = vec![3_u8; black_box(400)]; // mark: seen
    drop(unseen);
    let snapshot = checked_snapshot();
    check_line(HERE, &snapshot, ("seen", (400, 1), (400, 1), (400, 1), 0));
    assert_eq!(snapshot.traces().len(), 1);
    assert_eq!(snapshot.health().unknown_frees, 1);
    drop(seen);
}

pub(crate) fn blocks_from_before() {
    let mut old = Vec::<u8>::with_capacity(black_box(1000));
    let mut older = Vec::<u8>::with_capacity(black_box(1000));
    start().unwrap();
    drop(std::mem::take(&mut older));
    check_heap(0, 0);
    // The block is recorded for the first time when it grows.
    old.reserve_exact(black_box(2500)); // mark: grown from before
    check_line(
        HERE,
        &checked_snapshot(),
        ("grown from before", (2500, 1), (2500, 1), (2500, 1), 1),
    );
    drop(old);
    check_heap(0, 2500);
}

pub(crate) fn tracing_nothing() {
    assert!(!alloc_core::is_tracing());
    alloc_core::stop();
    alloc_core::clear_traces();
    alloc_core::reset_peak();
    assert!(!alloc_core::is_tracing());
    assert_eq!(traced_memory(), Default::default());
    assert!(take_snapshot().unwrap_err().is_not_tracing());
    let kept = black_box(Box::new(5));
    assert!(alloc_core::traceback_of(&*kept).is_none());
}

pub(crate) fn start_twice() {
    start().unwrap();
    assert_eq!(alloc_core::traceback_limit(), Some(128));
    let kept = vec![0_u8; black_box(64)];
    // Starting again with the same configuration changes nothing.
    start().unwrap();
    alloc_core::start_with(Config::default().frames(128)).unwrap();
    assert_eq!(traced_memory().current, 64);
    let error = alloc_core::start_with(Config::default().frames(5)).unwrap_err();
    assert!(error.is_already_tracing(), "{error}");
    let message = error.to_string();
    assert!(
        message.contains("128") && message.contains('5'),
        "{message}"
    );
    assert_eq!(alloc_core::traceback_limit(), Some(128));
    drop((message, error));
    // Only the same block is left: the errors were dropped.
    assert_eq!(traced_memory().current, 64);
    alloc_core::stop();
    alloc_core::start_with(Config::default().frames(5)).unwrap();
    assert_eq!(alloc_core::traceback_limit(), Some(5));
    drop(kept);
}

pub(crate) fn wrong_configurations() {
    for frames in [1001, u16::MAX] {
        let error = alloc_core::start_with(Config::default().frames(frames)).unwrap_err();
        assert!(error.is_invalid_config(), "{error}");
        let message = error.to_string();
        assert!(message.contains("from 0 to 1000"), "{message}");
        assert!(message.contains(&frames.to_string()), "{message}");
        assert!(!message.ends_with('.'), "{message}");
        assert!(!alloc_core::is_tracing());
    }
    for callsites in [0, u32::MAX] {
        let error = alloc_core::start_with(Config::default().max_callsites(callsites));
        assert!(error.unwrap_err().is_invalid_config());
    }
    for frames in [1, 1000] {
        alloc_core::start_with(Config::default().frames(frames)).unwrap();
        assert_eq!(alloc_core::traceback_limit(), Some(frames));
        alloc_core::stop();
    }
}

pub(crate) fn counters_without_stacks() {
    let before: Vec<Box<[u8; 1000]>> = (0..10).map(|_| black_box(Box::new([1; 1000]))).collect();
    alloc_core::start_with(Config::default().frames(0)).unwrap();
    let kept: Vec<u8> = black_box(vec![7; 5000]);
    drop(black_box(vec![7_u8; 3000]));
    let memory = traced_memory();
    let earlier = take_snapshot().unwrap();
    // The ten boxes and their vector are from before the session. They are unknown, and change
    // nothing.
    drop(before);
    assert_eq!(traced_memory(), memory);
    let snapshot = take_snapshot().unwrap();
    let unknown = snapshot.health().unknown_frees - earlier.health().unknown_frees;
    assert_eq!(unknown, 11);
    assert_eq!((memory.current.get(), memory.peak.get()), (5000, 8000));
    let [trace] = snapshot.traces() else {
        panic!("{:?}", snapshot.traces());
    };
    assert!(trace.traceback.is_uncaptured());
    assert_eq!(trace.traceback[0].to_string(), "<heap>");
    let counters = trace.counters;
    assert_eq!(counters.current, Amount::new(5000, 1));
    assert_eq!(counters.peak, Amount::new(8000, 2));
    assert_eq!(counters.at_peak, Amount::new(8000, 2));
    assert_eq!(counters.total, Amount::new(8000, 2));
    assert_eq!(alloc_core::traceback_limit(), Some(0));
    alloc_core::stop();
    drop(kept);
}
