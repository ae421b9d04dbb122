//! What a session without stacks counts, compared with a model after every step. Such a session
//! finds blocks by address ranges if it begins with one thread, and by an index otherwise.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Arc, Barrier, mpsc};

use alloc_core::{Amount, Config, Counters, Snapshot, TraceAlloc, traced_memory, untraced};
use alloc_tests::Random;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests!(
    a_session_that_begins_with_one_thread_agrees,
    a_session_that_begins_with_two_threads_agrees,
    an_untraced_block_is_not_subtracted_when_it_is_freed,
    a_block_at_the_address_of_an_earlier_untraced_one_counts,
    untraced_blocks_between_blocks_that_need_no_look_up,
    an_untraced_block_of_another_thread_is_not_subtracted,
    threads_add_up,
);

struct Block {
    address: *mut u8,
    size: usize,
    is_counted: bool,
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a layout")
}

/// The expected counters, kept the simple way.
#[derive(Default)]
struct Model {
    /// Counters of the Rust heap, and of tracked memory.
    parts: [Counters; 2],
    current: u64,
    peak: u64,
    is_rising: bool,
}

const HEAP: usize = 0;
const TRACKED: usize = 1;
const DOMAIN: u32 = 7;

impl Model {
    /// One change of a part: the size that is freed, and the size that is allocated.
    fn change(
        &mut self,
        part: usize,
        gone: Option<usize>,
        come: Option<usize>,
        is_reallocation: bool,
    ) {
        let size = |it: Option<usize>| it.unwrap_or(0) as u64;
        if size(come) < size(gone) && std::mem::take(&mut self.is_rising) {
            self.keep_at_peak();
        }
        let it = &mut self.parts[part];
        let blocks = it.current.blocks + u64::from(come.is_some()) - u64::from(gone.is_some());
        let bytes = it.current.bytes.get() + size(come) - size(gone);
        it.current = Amount::new(bytes, blocks);
        if let Some(size) = come {
            it.total += Amount::new(size as u64, 1);
            it.reallocations += u64::from(is_reallocation);
        }
        it.peak.blocks = it.peak.blocks.max(blocks);
        it.peak.bytes = it.peak.bytes.max(it.current.bytes);
        self.current = self.current + size(come) - size(gone);
        if self.current >= self.peak {
            self.peak = self.current;
            self.is_rising = true;
        }
        if self.is_rising {
            self.keep_at_peak();
        }
    }

    fn keep_at_peak(&mut self) {
        self.parts.iter_mut().for_each(|it| it.at_peak = it.current);
    }

    fn reset_peak(&mut self) {
        self.parts.iter_mut().for_each(|it| it.peak = it.current);
        self.peak = self.current;
        self.is_rising = true;
        self.keep_at_peak();
    }

    fn forget(&mut self, live: &mut [Block], tracked: &mut Vec<(usize, usize)>) {
        *self = Model::default();
        self.is_rising = true;
        live.iter_mut().for_each(|it| it.is_counted = false);
        tracked.clear();
    }

    #[track_caller]
    fn check_heap(&self, step: usize) {
        let heap = traced_memory();
        let expected = (self.current.into(), self.peak.into());
        assert_eq!((heap.current, heap.peak), expected, "step {step}");
    }

    #[track_caller]
    fn check(&self, snapshot: &Snapshot, step: usize) {
        for (part, domain) in [(HEAP, 0), (TRACKED, DOMAIN)] {
            let mut traces = snapshot.traces().iter();
            let counters = traces.find(|it| it.domain == domain).map(|it| it.counters);
            let expected = self.parts[part];
            let expected = (expected.total.blocks != 0).then_some(expected);
            assert_eq!(counters, expected, "part {part}, step {step}");
        }
    }
}

fn block(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}

fn start() {
    alloc_core::start_with(Config::default().frames(0)).expect("it starts");
}

fn random_work_agrees(seed: u64) {
    const STEPS: usize = 60_000;
    let mut random = Random::new(seed);
    let mut live: Vec<Block> = Vec::with_capacity(STEPS);
    let mut kept: Vec<Snapshot> = Vec::with_capacity(4);
    let mut tracked: Vec<(usize, usize)> = Vec::with_capacity(STEPS);
    let mut model = Model::default();
    start();
    model.forget(&mut live, &mut tracked);
    for step in 0..STEPS {
        let size = match random.below(40) {
            0 => 200_000 + random.below(100_000),
            _ => 1 + random.below(900),
        };
        let is_muted = random.below(8) == 0;
        let muted = |work: &mut dyn FnMut() -> *mut u8| {
            if is_muted { untraced(work) } else { work() }
        };
        // The limit goes up and down, so that addresses are reused and memory is returned to the
        // system.
        let limit = 50 + (step / 64 * 37) % 900;
        match random.below(5) {
            _ if live.len() > limit => {
                let block = live.swap_remove(random.below(live.len()));
                muted(&mut || {
                    // SAFETY: the block is live and has that layout.
                    unsafe { ALLOC.dealloc(block.address, layout(block.size)) };
                    std::ptr::null_mut()
                });
                if block.is_counted {
                    model.change(HEAP, Some(block.size), None, false);
                }
            }
            0 if !live.is_empty() => {
                let at = random.below(live.len());
                let block = &mut live[at];
                let (address, old) = (block.address, block.size);
                // SAFETY: the block is live and has that layout, and the new size is not zero.
                block.address = muted(&mut || unsafe { ALLOC.realloc(address, layout(old), size) });
                block.size = size;
                let gone = block.is_counted.then_some(old);
                block.is_counted = !is_muted;
                if gone.is_some() || !is_muted {
                    model.change(HEAP, gone, (!is_muted).then_some(size), true);
                }
            }
            kind => {
                let address = muted(&mut || match kind {
                    // SAFETY: the size is not zero.
                    1 => unsafe { ALLOC.alloc_zeroed(layout(size)) },
                    // SAFETY: the size is not zero.
                    _ => unsafe { ALLOC.alloc(layout(size)) },
                });
                live.push(Block {
                    address,
                    size,
                    is_counted: !is_muted,
                });
                if !is_muted {
                    model.change(HEAP, None, Some(size), false);
                }
            }
        }
        // Memory that the allocator does not see is tracked at one line.
        if random.below(16) == 0 {
            if tracked.len() > 20 || !tracked.is_empty() && random.below(2) == 0 {
                let (at, size) = tracked.swap_remove(random.below(tracked.len()));
                alloc_core::untrack(DOMAIN, at).expect("tracing is on");
                model.change(TRACKED, Some(size), None, false);
            } else {
                alloc_core::track(DOMAIN, step, size).expect("tracing is on");
                tracked.push((step, size));
                model.change(TRACKED, None, Some(size), false);
            }
        }
        match random.below(4_000) {
            0 => {
                alloc_core::clear_traces();
                model.forget(&mut live, &mut tracked);
            }
            1 => {
                alloc_core::stop();
                start();
                model.forget(&mut live, &mut tracked);
            }
            2..6 => {
                alloc_core::reset_peak();
                model.reset_peak();
            }
            6..20 => {
                // The memory of a snapshot belongs to the tracer, and the program frees it while
                // other blocks are counted.
                if kept.len() == 4 {
                    drop(kept.swap_remove(random.below(4)));
                }
                kept.push(alloc_core::take_snapshot().expect("a snapshot"));
            }
            20 => kept.clear(),
            _ => {}
        }
        model.check_heap(step);
        if step % 50 == 0 {
            model.check(&alloc_core::take_snapshot().expect("a snapshot"), step);
        }
    }
    for block in live {
        // SAFETY: the block is live and has that layout.
        unsafe { ALLOC.dealloc(block.address, layout(block.size)) };
        if block.is_counted {
            model.change(HEAP, Some(block.size), None, false);
        }
    }
    assert_eq!(model.parts[HEAP].current, Amount::default());
    model.check(&alloc_core::take_snapshot().expect("a snapshot"), STEPS);
}

fn a_session_that_begins_with_one_thread_agrees() {
    random_work_agrees(1);
}

fn a_session_that_begins_with_two_threads_agrees() {
    // The thread allocates nothing while it waits.
    let barrier = Arc::new(Barrier::new(2));
    let other = std::thread::spawn({
        let barrier = Arc::clone(&barrier);
        move || {
            barrier.wait();
            barrier.wait();
        }
    });
    barrier.wait();
    random_work_agrees(2);
    barrier.wait();
    other.join().expect("no panic");
}

fn an_untraced_block_is_not_subtracted_when_it_is_freed() {
    const MANY: usize = 20_000;
    let from_before: Vec<Vec<u8>> = (0..MANY).map(|_| Vec::with_capacity(500)).collect();
    start();
    // Counted and untraced blocks lie side by side, in memory that was not mapped before.
    let mut counted = untraced(|| Vec::with_capacity(MANY));
    let mut left_out = untraced(|| Vec::with_capacity(MANY));
    for _ in 0..MANY {
        counted.push(std::hint::black_box(Vec::<u8>::with_capacity(300)));
        left_out.push(untraced(|| {
            std::hint::black_box(Vec::<u8>::with_capacity(300))
        }));
    }
    let all = 300 * MANY as u64;
    assert_eq!(traced_memory().current, all);
    drop(left_out);
    assert_eq!(traced_memory().current, all);
    drop(from_before);
    assert_eq!(traced_memory().current, all);
    drop(counted);
    assert_eq!(
        (traced_memory().current.get(), traced_memory().peak.get()),
        (0, all)
    );
}

/// An untraced block that is freed after its session does not affect the next block at its address.
fn a_block_at_the_address_of_an_earlier_untraced_one_counts() {
    start();
    let left_out: Vec<Vec<u8>> = untraced(|| (0..5_000).map(|_| block(3_000)).collect());
    alloc_core::stop();
    let places: Vec<_> = left_out.iter().map(|it| it.as_ptr()).collect();
    drop(left_out);
    for config in [Config::default(), Config::default().frames(0)] {
        alloc_core::start_with(config).expect("it starts");
        let mut blocks: Vec<Vec<u8>> = untraced(|| Vec::with_capacity(5_000));
        (0..5_000).for_each(|_| blocks.push(block(3_000)));
        assert!(blocks.iter().any(|it| places.contains(&it.as_ptr())));
        assert_eq!(traced_memory().current, 5_000 * 3_000);
        untraced(|| drop(blocks));
        assert_eq!(traced_memory().current, 0);
        alloc_core::stop();
    }
}

/// Large enough to be mapped outside of all memory that was mapped at session start.
const FAR: usize = 300_000;

fn far(random: &mut Random) -> Vec<u8> {
    block(FAR + random.below(FAR))
}

/// While no block is untraced, a block at such an address counts without a look-up. Untraced blocks
/// end that.
fn untraced_blocks_between_blocks_that_need_no_look_up() {
    let mut random = Random::new(3);
    let (mut counted, mut left_out) = (Vec::with_capacity(64), Vec::with_capacity(64));
    start();
    let mut expected = 0;
    for round in 0..20_000 {
        // In every other stretch the untraced blocks are freed first, and then only counted blocks
        // come and go.
        let leaves_out = (round / 200) % 2 == 0;
        match random.below(4) {
            0 if leaves_out && left_out.len() < 8 => {
                left_out.push(untraced(|| far(&mut random)));
            }
            1 if !left_out.is_empty() => drop(left_out.swap_remove(0)),
            2 if counted.len() < 8 => {
                counted.push(far(&mut random));
                expected += counted.last().map_or(0, Vec::capacity);
            }
            _ if !counted.is_empty() => {
                let gone: Vec<u8> = counted.swap_remove(random.below(counted.len()));
                expected -= gone.capacity();
            }
            _ => {}
        }
        assert_eq!(
            traced_memory().current.get(),
            expected as u64,
            "round {round}"
        );
    }
}

/// A thread that receives an untraced block also sees that it is untraced.
fn an_untraced_block_of_another_thread_is_not_subtracted() {
    const ROUNDS: usize = 3_000;
    let place = Arc::new(AtomicPtr::<Vec<u8>>::default());
    let given = Arc::clone(&place);
    start();
    let (before, mut random) = (traced_memory().current, Random::new(4));
    let work = move || {
        for _ in 0..ROUNDS {
            let block = untraced(|| Box::into_raw(Box::new(block(FAR))));
            while !given.load(Acquire).is_null() {
                std::hint::spin_loop();
            }
            given.store(block, Release);
        }
    };
    let other = untraced(|| std::thread::spawn(work));
    let mut received = 0;
    while received < ROUNDS {
        // These keep the address range cached while no block is untraced.
        drop((far(&mut random), far(&mut random)));
        let block = place.swap(std::ptr::null_mut(), AcqRel);
        if !block.is_null() {
            // SAFETY: the pointer is from a box, and the swap hands it to this thread alone.
            drop(unsafe { Box::from_raw(block) });
            received += 1;
        }
    }
    untraced(|| other.join()).expect("no panic");
    assert_eq!(traced_memory().current, before);
}

/// The current and total numbers of threads are exact as soon as the threads rest.
fn threads_add_up() {
    start();
    const THREADS: usize = 4;
    const ROUNDS: usize = 20_000;
    let (sender, receiver) = mpsc::channel::<Vec<Vec<u8>>>();
    let before = traced_memory().current;
    let work = move |seed: usize, sender: mpsc::Sender<Vec<Vec<u8>>>| {
        let mut random = Random::new(seed as u64);
        let mut kept = untraced(|| Vec::with_capacity(ROUNDS));
        for _ in 0..ROUNDS {
            let size = 1 + random.below(500);
            drop(std::hint::black_box(Vec::<u8>::with_capacity(size)));
            kept.push(std::hint::black_box(Vec::<u8>::with_capacity(7)));
        }
        // Another thread frees them.
        untraced(|| sender.send(kept).expect("it is received"));
    };
    untraced(|| {
        std::thread::scope(|threads| {
            for seed in 0..THREADS {
                let sender = sender.clone();
                threads.spawn(move || work(seed, sender));
            }
        });
    });
    drop(sender);
    let all: Vec<_> = untraced(|| receiver.iter().collect());
    let blocks = (THREADS * ROUNDS) as u64;
    let snapshot = alloc_core::take_snapshot().expect("a snapshot");
    let counters = snapshot.traces()[0].counters;
    assert!(traced_memory().current >= before + (7 * blocks).into());
    assert!(counters.total.blocks >= 2 * blocks && counters.current.blocks >= blocks);
    assert!(counters.peak.blocks >= counters.current.blocks);
    let held = traced_memory().current.get();
    drop(all);
    // The memory of the threads themselves has been freed before.
    assert_eq!(held - traced_memory().current.get(), 7 * blocks);
}
