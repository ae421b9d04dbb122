//! Blocks that threads make, hand over and free.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_core::{Amount, Snapshot, start, take_snapshot, traced_memory};
use alloc_tests::at_function;

use crate::{block_of_64, block_of_640, check, checked_snapshot};

pub(crate) fn lines_add_up_over_threads() {
    start().unwrap();
    let work = |n: usize| (0..n).map(|_| Box::new([0_u8; 100])).collect::<Vec<_>>(); // mark: boxes
    let mut kept: Vec<_> = thread::scope(|scope| {
        let threads = [100, 200, 300, 400].map(|n| scope.spawn(move || work(n)));
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let counters = |snapshot: &Snapshot| alloc_tests::source!().counters(snapshot, "boxes");
    let vectors = 8 * (100 + 200 + 300 + 400);
    let boxes = 100 * (100 + 200 + 300 + 400);
    let all = Amount::new(boxes + vectors, 1000 + 4);
    let now = counters(&checked_snapshot());
    assert_eq!((now.current, now.total), (all, all));
    kept.remove(1);
    let now = counters(&checked_snapshot());
    assert_eq!(now.current, Amount::new(80_000 + 8 * 800, 800 + 3));
    assert_eq!(now.total, all);
    drop(kept);
    assert_eq!(counters(&checked_snapshot()).current, Amount::default());
}

pub(crate) fn blocks_freed_on_another_thread() {
    start().unwrap();
    let boxes: [_; 500] = std::array::from_fn(|_| block_of_640());
    let others = thread::scope(|scope| {
        let thread = scope.spawn(move || {
            drop(boxes);
            std::array::from_fn::<_, 500, _>(|_| block_of_64())
        });
        thread.join().unwrap()
    });
    check("block_of_640", (0, 0), (320_000, 500));
    check("block_of_64", (32_000, 500), (32_000, 500));
    let peak = at_function(&checked_snapshot(), "block_of_640").peak;
    assert_eq!(peak, Amount::new(320_000, 500));
    drop(others);
    check("block_of_64", (0, 0), (32_000, 500));
}

pub(crate) fn blocks_of_a_thread_that_is_gone() {
    start().unwrap();
    let boxes = thread::spawn(|| std::array::from_fn::<_, 100, _>(|_| block_of_640()));
    let mut boxes = Vec::from(boxes.join().unwrap());
    check("block_of_640", (64_000, 100), (64_000, 100));
    boxes.truncate(30);
    check("block_of_640", (19_200, 30), (64_000, 100));
    thread::spawn(move || drop(boxes)).join().unwrap();
    check("block_of_640", (0, 0), (64_000, 100));
}

/// A producer's blocks do not add up in the peak of their callsite while another thread frees them.
pub(crate) fn a_producer_and_its_consumer_have_a_small_peak() {
    const BLOCKS: u64 = 20_000;
    start().unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(4);
    // NOTE: the threads are joined, because a scope ends slightly before its threads do.
    let producer = move || (0..BLOCKS).for_each(|_| sender.send(block_of_640()).unwrap());
    let consumer = move || receiver.iter().for_each(|block| drop(black_box(block)));
    let threads = [thread::spawn(producer), thread::spawn(consumer)];
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let counters = at_function(&checked_snapshot(), "block_of_640");
    assert_eq!(counters.current, Amount::default());
    assert_eq!(counters.total, Amount::new(640 * BLOCKS, BLOCKS));
    // At most six blocks are on their way. Two threads hold back 16 KiB each, and one block more.
    let bound = 6 * 640 + 2 * ((16 << 10) + 640);
    assert!(counters.peak.bytes <= bound, "{:?}", counters.peak);
}

pub(crate) fn tracing_starts_and_stops_while_threads_allocate() {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let work = || {
        let mut kept = std::array::from_fn::<_, 16, _>(|_| block_of_640());
        while DONE.load(Relaxed) == 0 {
            kept.rotate_left(1);
            kept[0] = block_of_640();
            drop(black_box(block_of_64()));
        }
    };
    let threads = [work; 3].map(thread::spawn);
    for round in 0..300 {
        start().unwrap();
        thread::yield_now();
        let memory = traced_memory();
        // Each of the three threads has at most 17 large blocks and one small one.
        assert!(memory.current < 3 * (17 * 640 + 64) + 10_000, "{memory:?}");
        match round % 4 {
            0 => alloc_core::clear_traces(),
            1 => alloc_core::reset_peak(),
            2 => drop(take_snapshot().unwrap()),
            _ => {}
        }
        alloc_core::stop();
        assert_eq!(traced_memory(), Default::default());
    }
    start().unwrap();
    DONE.store(1, Relaxed);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let counters = at_function(&checked_snapshot(), "block_of_640");
    assert_eq!(counters.current, Amount::default());
}
