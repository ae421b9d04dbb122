//! Known allocations on several threads, and what happens at a thread's end.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_core::{Amount, Config, Snapshot, TraceAlloc, start, take_snapshot, traced_memory};
use alloc_tests::{at_function, sum_of};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    lines_add_up_over_threads,
    blocks_freed_on_another_thread,
    blocks_of_a_thread_that_is_gone,
    a_producer_and_its_consumer_hold_little,
    many_threads_one_after_the_other,
    many_threads_at_once_take_little,
    threads_that_first_allocate_when_all_is_over,
    rust_thread_locals_at_a_thread_s_end,
    c_thread_locals_at_a_thread_s_end,
    after_threads_the_peak_is_exact_again,
    a_peak_that_threads_reach_in_turns,
    tracing_starts_and_stops_while_threads_allocate,
];

/// A snapshot, with no other thread running: the parts add up to the heap.
fn checked_snapshot() -> Snapshot {
    let snapshot = take_snapshot().unwrap();
    let current = sum_of(&snapshot, |_| true).current.bytes;
    assert_eq!(current, snapshot.traced_memory().current);
    assert_eq!(current, traced_memory().current);
    assert!(snapshot.traced_memory().peak >= current);
    assert_eq!(snapshot.health().lost_blocks, 0);
    snapshot
}

#[inline(never)]
fn block_of_640() -> Box<[u8; 640]> {
    Box::new(black_box([1; 640]))
}

#[inline(never)]
fn block_of_64() -> Box<[u8; 64]> {
    Box::new(black_box([2; 64]))
}

fn lines_add_up_over_threads() {
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

fn blocks_freed_on_another_thread() {
    start().unwrap();
    let boxes: [_; 500] = std::array::from_fn(|_| block_of_640());
    let others = thread::scope(|scope| {
        let thread = scope.spawn(move || {
            drop(boxes);
            std::array::from_fn::<_, 500, _>(|_| block_of_64())
        });
        thread.join().unwrap()
    });
    let snapshot = checked_snapshot();
    let large = at_function(&snapshot, "block_of_640");
    assert_eq!(large.current, Amount::default());
    assert_eq!(large.total, Amount::new(320_000, 500));
    assert_eq!(large.peak, Amount::new(320_000, 500));
    let small = at_function(&snapshot, "block_of_64");
    assert_eq!(
        (small.current, small.total),
        (Amount::new(32_000, 500), Amount::new(32_000, 500))
    );
    drop(others);
    assert_eq!(
        at_function(&checked_snapshot(), "block_of_64").current,
        Amount::default()
    );
}

fn blocks_of_a_thread_that_is_gone() {
    start().unwrap();
    let boxes = thread::spawn(|| std::array::from_fn::<_, 100, _>(|_| block_of_640()));
    let mut boxes = Vec::from(boxes.join().unwrap());
    assert_eq!(
        at_function(&checked_snapshot(), "block_of_640")
            .current
            .blocks,
        100
    );
    boxes.truncate(30);
    assert_eq!(
        at_function(&checked_snapshot(), "block_of_640").current,
        Amount::new(19_200, 30)
    );
    thread::spawn(move || drop(boxes)).join().unwrap();
    assert_eq!(
        at_function(&checked_snapshot(), "block_of_640").current,
        Amount::default()
    );
}

/// No callsite's peak adds up a producer's blocks and forgets that they are freed elsewhere.
fn a_producer_and_its_consumer_hold_little() {
    const BLOCKS: u64 = 20_000;
    start().unwrap();
    let (sender, receiver) = std::sync::mpsc::sync_channel(4);
    // NOTE: joined, since a scope ends a little before its threads do.
    let producer = move || (0..BLOCKS).for_each(|_| sender.send(block_of_640()).unwrap());
    let consumer = move || receiver.iter().for_each(|block| drop(black_box(block)));
    let threads = [thread::spawn(producer), thread::spawn(consumer)];
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let counters = at_function(&checked_snapshot(), "block_of_640");
    assert_eq!(counters.current, Amount::default());
    assert_eq!(counters.total, Amount::new(640 * BLOCKS, BLOCKS));
    // Six blocks are on their way at most; two threads hold back 16 KiB each, and one block more.
    let bound = 6 * 640 + 2 * ((16 << 10) + 640);
    assert!(counters.peak.bytes <= bound, "{:?}", counters.peak);
}

/// A thread's end leaves nothing behind: no numbers lost, no table that grows.
fn many_threads_one_after_the_other() {
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
    let snapshot = checked_snapshot();
    assert_eq!(
        at_function(&snapshot, "block_of_640").total,
        Amount::new(192_000, 300)
    );
    assert_eq!(
        at_function(&snapshot, "block_of_64").total,
        Amount::new(19_200, 300)
    );
    // Blocks may come to lie on new pages, whose part of the page map is a page each.
    assert!(memory[2] - memory[1] <= 64 << 10, "{memory:?}");
}

#[inline(never)]
fn at_the_end() -> Vec<u8> {
    black_box(vec![3; black_box(200)])
}

/// Frees a block and allocates two when its thread ends, one of which stays.
struct AtTheEnd(#[expect(dead_code, reason = "dropped with it")] Box<[u8; 640]>);

static LEFT_BEHIND: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let left = at_the_end();
        drop(black_box(at_the_end()));
        LEFT_BEHIND.lock().unwrap().push(left);
    }
}

thread_local! {
    static HELD: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    static ALSO_HELD: RefCell<Vec<AtTheEnd>> = const { RefCell::new(Vec::new()) };
}

fn rust_thread_locals_at_a_thread_s_end() {
    start().unwrap();
    for _ in 0..10 {
        let thread = thread::spawn(|| {
            HELD.set(Some(AtTheEnd(block_of_640())));
            ALSO_HELD.with_borrow_mut(|held| held.push(AtTheEnd(block_of_640())));
        });
        thread.join().unwrap();
    }
    let snapshot = checked_snapshot();
    let held = at_function(&snapshot, "block_of_640");
    assert_eq!(
        (held.current.blocks, held.total),
        (0, Amount::new(12_800, 20))
    );
    let left = at_function(&snapshot, "at_the_end");
    assert_eq!(
        (left.current, left.total),
        (Amount::new(4000, 20), Amount::new(8000, 40))
    );
    LEFT_BEHIND.lock().unwrap().clear();
    assert_eq!(
        at_function(&checked_snapshot(), "at_the_end").current,
        Amount::default()
    );
    *LEFT_BEHIND.lock().unwrap() = Vec::new();
}

static KEY: AtomicUsize = AtomicUsize::new(0);
static ROUNDS: AtomicUsize = AtomicUsize::new(0);
static LAST: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

const OF_C: Layout = Layout::new::<[u64; 50]>();

#[inline(never)]
fn block_of_c() -> *mut u8 {
    // SAFETY: the size is not zero.
    black_box(unsafe { alloc(OF_C) })
}

/// In each round of destructors frees the block of the round before and allocates another.
unsafe extern "C" fn next_round(block: *mut libc::c_void) {
    // SAFETY: from `block_of_c`.
    unsafe { dealloc(block.cast(), OF_C) };
    let next = block_of_c();
    LAST.store(next, Relaxed);
    ROUNDS.fetch_add(1, Relaxed);
    let key = KEY.load(Relaxed) as libc::pthread_key_t;
    // SAFETY: a key that was created, and never deleted.
    unsafe { libc::pthread_setspecific(key, next.cast()) };
}

/// Destructors that run after the tracer let the thread go are passed through: the block that was
/// recorded is taken off, the one that is allocated then is not recorded.
fn c_thread_locals_at_a_thread_s_end() {
    let mut key = 0;
    // SAFETY: room for a key, and a function of the right type.
    let failed = unsafe { libc::pthread_key_create(&mut key, Some(next_round)) };
    assert_eq!(failed, 0);
    KEY.store(key as usize, Relaxed);
    start().unwrap();
    let thread = thread::spawn(move || {
        let block = block_of_c();
        // SAFETY: a key that was created just now.
        unsafe { libc::pthread_setspecific(key, block.cast()) };
    });
    thread.join().unwrap();
    // As many as POSIX promises and glibc has.
    assert_eq!(ROUNDS.load(Relaxed), 4);
    let snapshot = checked_snapshot();
    let blocks = at_function(&snapshot, "block_of_c");
    let not_recorded = 5 - blocks.total.blocks;
    assert!(
        not_recorded <= snapshot.health().skipped,
        "{not_recorded} {:?}",
        snapshot.health()
    );
    assert!(not_recorded <= 2, "{not_recorded}");
    let is_last_recorded = alloc_core::traceback_of(LAST.load(Relaxed)).is_some();
    assert_eq!(blocks.current.blocks, u64::from(is_last_recorded));
    // SAFETY: from `block_of_c`, and no destructor has it any more.
    unsafe { dealloc(LAST.load(Relaxed), OF_C) };
    assert_eq!(
        at_function(&checked_snapshot(), "block_of_c").current,
        Amount::default()
    );
}

/// Once one thread is left and the heap rises above what was in doubt, nothing is in doubt.
fn after_threads_the_peak_is_exact_again() {
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

fn tracing_starts_and_stops_while_threads_allocate() {
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
        // Each of three threads has 17 of the large and one of the small at most.
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

/// Two threads take turns, so that the true peak is known; each turn changes less than a thread may
/// hold back.
fn a_peak_that_threads_reach_in_turns() {
    const SIZE: usize = 64;
    /// Whose turn it is, and by how many blocks it changes what it holds.
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
                // A first record each, so that both have all they need.
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
                        // SAFETY: allocated above, with this layout, and held once.
                        unsafe { dealloc(held[len], layout) };
                    }
                    TURN.store(turn + 1, Relaxed);
                }
                for block in &held[..len] {
                    // SAFETY: as above.
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

/// A thread whose first block comes in the last round of its destructors is not told of its end: no other is called
/// after. Its state is taken back all the same.
fn threads_that_first_allocate_when_all_is_over() {
    start().unwrap();
    static KEY: AtomicUsize = AtomicUsize::new(0);
    /// Asks to be called again, and allocates in the last round.
    unsafe extern "C" fn at_end(round: *mut libc::c_void) {
        let round = round.addr();
        if round < 4 {
            let next = std::ptr::without_provenance(round + 1);
            // SAFETY: the key was made, and the value is a number.
            unsafe { libc::pthread_setspecific(KEY.load(Relaxed) as libc::pthread_key_t, next) };
        } else {
            drop(black_box(Box::new([0_u8; 24])));
        }
    }
    extern "C" fn work(_: *mut libc::c_void) -> *mut libc::c_void {
        let first = std::ptr::without_provenance(1);
        // SAFETY: as above.
        unsafe { libc::pthread_setspecific(KEY.load(Relaxed) as libc::pthread_key_t, first) };
        std::ptr::null_mut()
    }
    let mut key = 0;
    // SAFETY: room for a key, and a function of the right type.
    let failed = unsafe { libc::pthread_key_create(&mut key, Some(at_end)) };
    assert_eq!(failed, 0);
    KEY.store(key as usize, Relaxed);
    let run = || {
        let mut thread = std::mem::MaybeUninit::uninit();
        let (place, none) = (thread.as_mut_ptr(), std::ptr::null());
        // SAFETY: room for a thread, and a function that allocates nothing of Rust's.
        let failed = unsafe { libc::pthread_create(place, none, work, std::ptr::null_mut()) };
        assert_eq!(failed, 0);
        // SAFETY: it was made.
        let thread = unsafe { thread.assume_init() };
        // SAFETY: nobody else waits for it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    };
    (0..10).for_each(|_| run());
    let before = alloc_core::tracer_memory().get();
    (0..500).for_each(|_| run());
    let after = alloc_core::tracer_memory().get();
    assert!(after < before + (256 << 10), "{before}, {after}");
    // And this thread is alone again, so that the peak is exact: a snapshot looks for more of those that are gone.
    for _ in 0..50 {
        drop(take_snapshot());
        thread::sleep(std::time::Duration::from_millis(1));
    }
    let doubt = traced_memory();
    let size = doubt.peak.get() + doubt.peak_error.get() + 1;
    drop(black_box(vec![0_u8; size as usize]));
    assert_eq!(traced_memory().peak_error, 0);
    let counters = at_function(&checked_snapshot(), "at_end");
    assert_eq!(counters.total.blocks, 510);
}

/// Many threads at once, each with a few callsites.
fn many_threads_at_once_take_little() {
    const THREADS: usize = 500;
    start().unwrap();
    static READY: AtomicUsize = AtomicUsize::new(0);
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let work = || {
        // Eleven blocks at as many callsites.
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
