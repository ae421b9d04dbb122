//! Numbers read while threads record: each is one that the heap had.

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use alloc_core::{Config, TraceAlloc, take_snapshot, traced_memory};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    no_byte_is_read_twice_while_a_thread_settles,
    a_peak_that_was_reset_is_within_its_error,
    a_sleeping_thread_holds_nothing_back_after_a_reset,
];

fn modes() -> [Config; 4] {
    let default = Config::default();
    [
        default.clone().exact_peak(true),
        default.clone(),
        default.clone().frames(1),
        default.frames(0),
    ]
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

fn allocate(size: usize) -> *mut u8 {
    // SAFETY: the layout is not empty.
    black_box(unsafe { alloc(layout(size)) })
}

fn free(block: *mut u8, size: usize) {
    // SAFETY: `allocate` returned the block for this size.
    unsafe { dealloc(block, layout(size)) };
}

/// One thread allocates and frees one block at a time, so the heap never holds two.
fn no_byte_is_read_twice_while_a_thread_settles() {
    const BIG: usize = 1 << 30;
    for config in modes() {
        alloc_core::start_with(config.clone()).unwrap();
        static DONE: AtomicBool = AtomicBool::new(false);
        DONE.store(false, Relaxed);
        let writer = thread::spawn(|| {
            while !DONE.load(Relaxed) {
                free(allocate(BIG), BIG);
            }
        });
        // With other threads, the writer is not alone and settles its numbers now and then.
        let others = [(); 3].map(|()| {
            thread::spawn(|| {
                black_box(vec![0_u8; 10]);
                while !DONE.load(Relaxed) {
                    thread::yield_now();
                }
            })
        });
        let most = (BIG + BIG / 4) as u64;
        for read in 0..200_000 {
            let memory = traced_memory();
            assert!(memory.peak <= most, "{config:?}: {memory:?}");
            if read % 1_000 == 0 {
                let snapshot = take_snapshot().unwrap();
                assert!(snapshot.traced_memory().peak <= most, "{config:?}");
            }
        }
        DONE.store(true, Relaxed);
        writer.join().unwrap();
        others.into_iter().for_each(|it| it.join().unwrap());
        alloc_core::stop();
    }
}

/// A thread that frees the blocks it receives.
struct Freeing {
    send: Sender<(usize, usize)>,
    done: Receiver<()>,
}

impl Freeing {
    fn start() -> Freeing {
        let (send, blocks) = channel::<(usize, usize)>();
        let (sender, done) = channel();
        thread::spawn(move || {
            for (block, size) in blocks {
                free(block as *mut u8, size);
                sender.send(()).unwrap();
            }
        });
        Freeing { send, done }
    }

    fn free(&self, size: usize) {
        self.send.send((allocate(size) as usize, size)).unwrap();
        self.done.recv().unwrap();
    }
}

fn a_peak_that_was_reset_is_within_its_error() {
    for config in modes() {
        alloc_core::start_with(config.clone()).unwrap();
        let other = Freeing::start();
        other.free(100);
        // Far below the peak, a thread may hold back much. The other thread holds back a negative
        // amount.
        free(allocate(100 << 20), 100 << 20);
        other.free(1 << 20);
        let block = allocate(60 << 10);
        free(allocate(1 << 20), 1 << 20);
        other.send.send((block as usize, 60 << 10)).unwrap();
        other.done.recv().unwrap();

        alloc_core::reset_peak();
        let at_reset = traced_memory();
        assert_eq!(at_reset.peak, at_reset.current, "{config:?}");
        let more = allocate(16);
        let highest = traced_memory();
        free(more, 16);
        let after = traced_memory();
        let off = after.peak.get().abs_diff(at_reset.current.get() + 16);
        assert!(
            off <= after.peak_error.get(),
            "{config:?}: {off} off: {at_reset:?}, {highest:?}, {after:?}"
        );
        alloc_core::stop();
    }
}

/// A reset folds what a sleeping thread held back, and sets the peaks of callsites to their current
/// values.
fn a_sleeping_thread_holds_nothing_back_after_a_reset() {
    alloc_core::start().unwrap();
    let other = Freeing::start();
    (0..100).for_each(|_| other.free(500));
    let kept = allocate(3_000);
    free(allocate(9_000), 9_000);
    alloc_core::reset_peak();
    let snapshot = take_snapshot().unwrap();
    for trace in snapshot.traces() {
        assert_eq!(trace.counters.peak, trace.counters.current, "{trace}");
        assert_eq!(trace.counters.at_peak, trace.counters.current, "{trace}");
    }
    free(kept, 3_000);
}
