//! Many snapshots, large snapshots, and the tracer's figure of its own memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use alloc_core::{Config, GroupBy, TraceAlloc, start, start_with, take_snapshot, traced_memory};
use alloc_tests::{at_function, call_by_bits, resident_memory};

/// The system's allocator, which counts live bytes and blocks.
struct Counting;

static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);
static LIVE_BLOCKS: AtomicI64 = AtomicI64::new(0);

fn count(bytes: usize, blocks: i64) {
    LIVE_BYTES.fetch_add(bytes as i64 * blocks, Relaxed);
    LIVE_BLOCKS.fetch_add(blocks, Relaxed);
}

// SAFETY: all memory comes from the system's allocator. The default methods call these two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            count(layout.size(), 1);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.dealloc(block, layout) };
        count(layout.size(), -1);
    }
}

#[global_allocator]
static ALLOC: TraceAlloc<Counting> = TraceAlloc::with_granule(Counting, 16);

alloc_tests::tests![
    // This test is first: names, which later tests find, are on the heap and not in mappings.
    the_tracer_s_memory_is_what_the_system_sees,
    snapshots_while_threads_allocate_leak_nothing,
    a_snapshot_of_a_hundred_thousand_callsites,
];

const SNAPSHOTS: usize = 10_000;

/// What is live when no other thread runs: bytes and blocks of the inner allocator, and bytes by
/// the tracer.
fn live() -> (i64, i64, u64) {
    let current = traced_memory().current.get();
    (LIVE_BYTES.load(Relaxed), LIVE_BLOCKS.load(Relaxed), current)
}

fn snapshots_while_threads_allocate_leak_nothing() {
    start().unwrap();
    let rounds = [SNAPSHOTS / 10, SNAPSHOTS / 10, SNAPSHOTS].map(|snapshots| {
        static DONE: AtomicBool = AtomicBool::new(false);
        DONE.store(false, Relaxed);
        let began = Instant::now();
        thread::scope(|scope| {
            let threads = [3, 5].map(|step| scope.spawn(move || work(step, &DONE)));
            for number in 0..snapshots {
                let snapshot = take_snapshot().unwrap();
                if number % 20 == 0 {
                    assert!(!snapshot.statistics(GroupBy::Line).is_empty());
                }
            }
            DONE.store(true, Relaxed);
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
        });
        println!("{snapshots} snapshots in {:?}", began.elapsed());
        (live(), resident_memory())
    });
    let [
        _,
        (live_before, resident_before),
        (live_after, resident_after),
    ] = rounds;
    // Names are found once for each address, and kept. A few addresses may be new.
    let ((bytes_before, blocks_before, traced_before), (bytes, blocks, traced)) =
        (live_before, live_after);
    println!("live: {live_before:?} and {live_after:?}");
    assert_eq!(traced, traced_before);
    assert!(blocks - blocks_before < SNAPSHOTS as i64 / 100);
    assert!(bytes - bytes_before < SNAPSHOTS as i64 * 2);
    let grown = resident_after.saturating_sub(resident_before);
    println!("resident memory grew by {grown} bytes");
    // A leak of one byte for each snapshot would go unnoticed, a leak of the smallest snapshot
    // would not.
    assert!(grown < 2 << 20, "{grown}");
}

/// Allocates and frees until `done`, and frees everything at the end.
fn work(step: usize, done: &AtomicBool) {
    let mut kept: [Vec<u64>; 32] = Default::default();
    let mut size = 1;
    while !done.load(Relaxed) {
        size = (size + step) % 500;
        kept[size % 32] = Vec::with_capacity(black_box(size + 1));
    }
}

/// The resident memory of the mappings that are neither accounted nor ever of huge pages, by
/// `/proc/self/smaps`: only the tracer asks for both.
fn resident_mappings_of_the_tracer() -> u64 {
    let maps = alloc_core::untraced(|| std::fs::read_to_string("/proc/self/smaps").unwrap());
    let (mut resident, mut sum) = (0, 0);
    for line in maps.lines() {
        if let Some(kib) = line.strip_prefix("Rss:") {
            let kib = kib.trim().trim_end_matches(" kB");
            resident = kib.parse::<u64>().unwrap() << 10;
        } else if let Some(flags) = line.strip_prefix("VmFlags:") {
            let has = |flag: &str| flags.split_ascii_whitespace().any(|it| it == flag);
            let is_tracer = has("nr") && has("nh");
            sum += if is_tracer { resident } else { 0 };
        }
    }
    sum
}

#[cfg(target_os = "linux")]
fn the_tracer_s_memory_is_what_the_system_sees() {
    start().unwrap();
    let check = |what: &str| {
        let said = alloc_core::tracer_memory().get();
        let seen = resident_mappings_of_the_tracer();
        println!("{what}: {said} bytes said, {seen} seen");
        assert!(
            // A few pages may differ.
            said.abs_diff(seen) <= seen / 20 + (32 << 10),
            "{what}: {said} and {seen}"
        );
    };
    check("at the start");
    let blocks: Vec<Box<[u64; 8]>> = (0..200_000).map(|it| Box::new([it; 8])).collect();
    check("a heap of small blocks");
    let stacks: Vec<_> = (0..20_000).map(|number| by_bits(number, 17)).collect();
    check("many callsites");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| drop(black_box(by_bits(1, 17))));
        }
    });
    check("more threads");
    drop((blocks, stacks));
    check("all is freed");
    alloc_core::stop();
    check("stopped");
}

#[cfg(not(target_os = "linux"))]
fn the_tracer_s_memory_is_what_the_system_sees() {
    alloc_tests::skip("smaps is Linux's");
}

/// A block from a stack of its own for each number below two to the power of `bits`.
fn by_bits(number: u32, bits: u32) -> Box<[u8; 24]> {
    let mut block = None;
    call_by_bits(number, bits, &mut || block = Some(leaf()));
    block.expect("the leaf is called")
}

#[inline(never)]
fn leaf() -> Box<[u8; 24]> {
    Box::new(black_box([0; 24]))
}

/// Prints the time it takes: at most 50 ms in a release build, before names are found.
fn a_snapshot_of_a_hundred_thousand_callsites() {
    const CALLSITES: u32 = 100_000;
    start_with(Config::default().frames(64).max_callsites(1_000_000)).unwrap();
    let blocks: Vec<_> = (0..CALLSITES).map(|number| by_bits(number, 17)).collect();
    let mut snapshots = Vec::with_capacity(5);
    for _ in 0..5 {
        let began = Instant::now();
        snapshots.push(take_snapshot().unwrap());
        println!(
            "a snapshot of {CALLSITES} callsites took {:?}",
            began.elapsed()
        );
    }
    let began = Instant::now();
    let snapshot = snapshots.pop().unwrap();
    let leaves = at_function(&snapshot, "leaf");
    println!("their names took {:?}", began.elapsed());
    assert!(snapshot.traces().len() >= CALLSITES as usize);
    assert_eq!(leaves.current.blocks, u64::from(CALLSITES));
    assert_eq!(leaves.current.bytes, 24 * u64::from(CALLSITES));
    assert_eq!(snapshot.health().overflowed, 0);
    drop(blocks);
}
