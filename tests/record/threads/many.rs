//! What the tracer keeps for a thread, while many run and after many have ended.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_core::start;

use crate::{block_of_64, block_of_640, check};

/// The end of a thread loses no numbers, and leaves no memory behind.
pub(crate) fn many_threads_one_after_the_other() {
    start().unwrap();
    let mut memory = [0; 3];
    for round in &mut memory {
        for _ in 0..100 {
            thread::spawn(|| drop(black_box((block_of_640(), block_of_64()))))
                .join()
                .unwrap();
        }
        *round = alloc_core::tracer_memory().get();
    }
    check("block_of_640", (0, 0), (192_000, 300));
    check("block_of_64", (0, 0), (19_200, 300));
    // Blocks may be on new pages, and each needs a page of the page map.
    assert!(memory[2] - memory[1] <= 64 << 10, "{memory:?}");
}

/// The memory that the tracer takes for each of many threads with a few callsites.
pub(crate) fn many_threads_at_once_take_little_memory() {
    const THREADS: usize = 500;
    start().unwrap();
    static READY: AtomicUsize = AtomicUsize::new(0);
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let work = || {
        // Eleven blocks at eleven callsites.
        let kept = (
            (
                Box::new(black_box(1)),
                Box::new(black_box(2)),
                Box::new(black_box(3)),
            ),
            (
                Box::new(black_box(4)),
                Box::new(black_box(5)),
                Box::new(black_box(6)),
            ),
            (
                Box::new(black_box(7)),
                Box::new(black_box(8)),
                Box::new(black_box(9)),
            ),
            (Box::new(black_box(10)), Box::new(black_box(11))),
        );
        READY.fetch_add(1, Relaxed);
        while DONE.load(Relaxed) == 0 {
            thread::sleep(std::time::Duration::from_millis(10));
        }
        drop(kept);
    };
    let start = |n: usize| -> Vec<_> {
        let start = || {
            thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(work)
                .unwrap()
        };
        let goal = READY.load(Relaxed) + n;
        let threads = (0..n).map(|_| start()).collect();
        while READY.load(Relaxed) < goal {
            thread::yield_now();
        }
        threads
    };
    let mut threads = start(10);
    let before = alloc_core::tracer_memory().get();
    threads.extend(start(THREADS));
    let each = (alloc_core::tracer_memory().get() - before) / THREADS as u64;
    assert!(each <= 16 << 10, "{each} bytes a thread");
    DONE.store(1, Relaxed);
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
}
