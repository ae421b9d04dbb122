//! How exact the peak of several threads is.

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_core::{Config, start, traced_memory};
use alloc_tests::sum_of;

use crate::checked_snapshot;

/// The peak is exact again once one thread is left and the heap rises above the earlier peak and
/// its error.
pub(crate) fn after_threads_the_peak_is_exact_again() {
    start().unwrap();
    thread::spawn(|| drop(black_box(vec![0_u8; 100_000])))
        .join()
        .unwrap();
    let doubt = traced_memory();
    let current = doubt.current.get();
    let size = doubt.peak.get() + doubt.peak_error.get() + 1;
    let block = vec![0_u8; black_box(size as usize)];
    let now = traced_memory();
    assert_eq!((now.peak.get(), now.peak_error.get()), (current + size, 0));
    drop(block);
    let snapshot = checked_snapshot();
    assert_eq!(snapshot.traced_memory().peak, current + size);
    assert_eq!(sum_of(&snapshot, |_| true).at_peak.bytes, current + size);
    alloc_core::reset_peak();
    assert_eq!(traced_memory().peak, current);
    assert_eq!(traced_memory().peak_error, 0);
}

/// Two threads take turns, so the true peak is known. Each turn changes less than a thread may hold
/// back.
pub(crate) fn a_peak_that_threads_reach_in_turns() {
    const SIZE: usize = 64;
    /// The thread whose turn it is, and by how many blocks it grows or shrinks.
    const TURNS: [(usize, isize); 12] = [
        (0, 10),
        (1, 25),
        (0, -9),
        (1, 3),
        (0, 20),
        (1, -28),
        (0, -11),
        (1, 30),
        (0, 17),
        (1, -1),
        (0, -20),
        (1, -20),
    ];
    let mut live = 0;
    let most = TURNS.iter().map(|(_, by)| {
        live += by;
        live
    });
    let most = most.max().unwrap() as u64 * SIZE as u64;

    for exact in [true, false] {
        alloc_core::start_with(Config::default().exact_peak(exact)).unwrap();
        static TURN: AtomicUsize = AtomicUsize::new(usize::MAX);
        static READY: AtomicUsize = AtomicUsize::new(0);
        TURN.store(usize::MAX, Relaxed);
        READY.store(0, Relaxed);
        let work = |own: usize| {
            move || {
                let layout = Layout::new::<[u8; SIZE]>();
                let mut held = [std::ptr::null_mut(); 64];
                let mut len = 0;
                // Each thread records once, so that its state exists.
                drop(black_box(Box::new([0_u8; 8])));
                READY.fetch_add(1, Relaxed);
                for (turn, (whose, by)) in TURNS.into_iter().enumerate() {
                    if whose != own {
                        continue;
                    }
                    while TURN.load(Relaxed) != turn {
                        std::hint::spin_loop();
                    }
                    for _ in 0..by {
                        // SAFETY: the layout is not empty.
                        held[len] = black_box(unsafe { alloc(layout) });
                        len += 1;
                    }
                    for _ in by..0 {
                        len -= 1;
                        // SAFETY: the block was allocated above with this layout, and is removed
                        // from `held`.
                        unsafe { dealloc(held[len], layout) };
                    }
                    TURN.store(turn + 1, Relaxed);
                }
                for block in &held[..len] {
                    // SAFETY: the block was allocated above with this layout.
                    unsafe { dealloc(*block, layout) };
                }
            }
        };
        let threads = [0, 1].map(|own| thread::spawn(work(own)));
        while READY.load(Relaxed) != 2 {
            thread::yield_now();
        }
        alloc_core::reset_peak();
        let before = traced_memory().current;
        TURN.store(0, Relaxed);
        while TURN.load(Relaxed) != TURNS.len() {
            thread::yield_now();
        }
        let memory = traced_memory();
        for thread in threads {
            thread.join().unwrap();
        }
        alloc_core::stop();

        let (peak, error) = ((memory.peak - before).get(), memory.peak_error.get());
        if exact {
            assert_eq!((peak, error), (most, 0));
        } else {
            assert!(
                error > 0 && peak.abs_diff(most) <= error,
                "{peak} ±{error}, truth {most}"
            );
        }
    }
}
