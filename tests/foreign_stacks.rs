//! Stacks that are not the thread's own: segments of a recursion that grows, coroutines, the small stacks of signal
//! handlers, and C functions that align their frames anew. The user's line is never lost on them.

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_core::{Config, TraceAlloc, Traceback, start_with, take_snapshot, traceback_of};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
alloc_tests::tests![
    a_recursion_on_segments_keeps_its_lines,
    segments_come_and_go,
    coroutines_go_on_to_whoever_resumed_them,
    a_frame_that_keeps_where_it_ended,
    a_record_takes_little_stack,
];

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
alloc_tests::tests![];

fn has(traceback: &Traceback, name: &str) -> bool {
    let mut functions = traceback.iter().filter_map(|frame| frame.function());
    functions.any(|it| it.rsplit("::").next() == Some(name))
}

fn modes() -> [Config; 3] {
    [
        Config::default(),
        Config::default().frames(1),
        Config::default().frames(300),
    ]
}

#[inline(never)]
#[expect(clippy::vec_box, reason = "each is a block")]
fn plan(depth: usize, kept: &mut Vec<Box<[u8; 64]>>) -> usize {
    stacker::maybe_grow(64 << 10, 256 << 10, || {
        let columns = black_box([depth; 3]);
        kept.push(Box::new([0; 64]));
        let inner = if depth > 0 { plan(depth - 1, kept) } else { 0 };
        inner + columns[2]
    })
}

/// As DataFusion's planner recurses.
fn a_recursion_on_segments_keeps_its_lines() {
    const DEPTH: usize = 40_000;
    for config in modes() {
        let mut kept = Vec::with_capacity(DEPTH + 1);
        start_with(config.clone()).unwrap();
        let sum = plan(DEPTH, &mut kept);
        assert_eq!(sum, DEPTH * (DEPTH + 1) / 2);
        let snapshot = take_snapshot().unwrap();
        let known = alloc_tests::sum_of(&snapshot, |trace| has(&trace.traceback, "{{closure}}"));
        assert_eq!(known.current.blocks as usize, DEPTH + 1, "{config:?}");
        assert_eq!(snapshot.health().broken_stacks, 0, "{config:?}");
        alloc_core::stop();
    }
}

/// Whole stacks are found from segments that are mapped, freed and mapped again at the same addresses.
fn segments_come_and_go() {
    start_with(Config::default().frames(1_000)).unwrap();
    for round in 0..200 {
        let size = (64 << 10) + (round % 5) * (16 << 10);
        let block = stacker::grow(size, || Box::new(black_box([1_u8; 80])));
        let traceback = traceback_of(&raw const *block).unwrap();
        assert!(has(&traceback, "segments_come_and_go"), "{traceback}");
        assert!(has(&traceback, "main"), "{traceback}");
        assert!(!traceback.is_broken(), "{traceback}");
    }
}

fn coroutines_go_on_to_whoever_resumed_them() {
    use corosensei::{Coroutine, CoroutineResult};
    start_with(Config::default().frames(1_000)).unwrap();
    let mut coroutine = Coroutine::new(|yielder, ()| {
        for _ in 0..50 {
            yielder.suspend(Box::new(black_box([1_u8; 80])));
        }
    });
    let mut blocks = 0;
    while let CoroutineResult::Yield(block) = coroutine.resume(()) {
        let traceback = traceback_of(&raw const *block).unwrap();
        assert!(has(&traceback, "{{closure}}"), "{traceback}");
        assert!(
            has(&traceback, "coroutines_go_on_to_whoever_resumed_them"),
            "{traceback}"
        );
        blocks += 1;
    }
    assert_eq!(blocks, 50);
}

// Compiled from C as compilers do where a local must be aligned: the CFA is what the frame keeps.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
std::arch::global_asm!(
    ".globl call_aligned_anew",
    "call_aligned_anew:",
    ".cfi_startproc",
    "lea r10, [rsp + 8]",
    ".cfi_def_cfa 10, 0",
    "and rsp, -64",
    "push qword ptr [r10 - 8]",
    "push rbp",
    "mov rbp, rsp",
    // The saved rbp lies at rbp.
    ".cfi_escape 0x10, 0x6, 0x2, 0x76, 0",
    "push r10",
    // The CFA is the word at rbp - 8.
    ".cfi_escape 0xf, 0x3, 0x76, 0x78, 0x6",
    "sub rsp, 120",
    "call rdi",
    "add rsp, 120",
    "pop r10",
    ".cfi_def_cfa 10, 0",
    "pop rbp",
    "lea rsp, [r10 - 8]",
    ".cfi_def_cfa 7, 8",
    "ret",
    ".cfi_endproc",
);

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
unsafe extern "C" {
    fn call_aligned_anew(call: extern "C" fn());
}

static BLOCK: AtomicUsize = AtomicUsize::new(0);

extern "C" fn block_in_aligned() {
    let block = Box::new(black_box([1_u8; 80]));
    BLOCK.store(Box::into_raw(block) as usize, Relaxed);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[inline(never)]
fn call_from(depth: usize) {
    match depth {
        // SAFETY: a function of this type, which does not unwind.
        0 => unsafe { call_aligned_anew(block_in_aligned) },
        _ => call_from(depth - 1),
    }
    black_box(depth);
}

/// From many depths, so that frames are aligned by other distances each time.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_frame_that_keeps_where_it_ended() {
    start_with(Config::default().frames(1_000)).unwrap();
    for round in 0..200 {
        let depth = round * 7 % 40;
        call_from(depth);
        let block = BLOCK.load(Relaxed) as *mut [u8; 80];
        let traceback = traceback_of(block).unwrap();
        let is_call = |it: &&alloc_core::Frame| {
            let name = it.function().and_then(|it| it.rsplit("::").next());
            name == Some("call_from")
        };
        assert_eq!(
            traceback.iter().filter(is_call).count(),
            depth + 1,
            "{traceback}"
        );
        assert!(!traceback.is_broken(), "{traceback}");
        // SAFETY: from `Box::into_raw`, once.
        drop(unsafe { Box::from_raw(block) });
    }
}

/// How much of a thread's stack an allocation and a free write to, at most.
fn a_record_takes_little_stack() {
    const PAINT: u8 = 0xA5;
    const ROOM: usize = 32 << 10;
    #[inline(never)]
    fn paint(below: usize) {
        let start = below as *mut u8;
        for at in 256..ROOM {
            // SAFETY: the thread's own stack, far below what is in use, and a red zone apart.
            unsafe { start.wrapping_sub(at).write_volatile(PAINT) };
        }
    }
    #[inline(never)]
    fn painted(below: usize) -> usize {
        let start = below as *const u8;
        let mut deepest = 0;
        for at in 256..ROOM {
            // SAFETY: as above.
            if unsafe { start.wrapping_sub(at).read_volatile() } != PAINT {
                deepest = at;
            }
        }
        deepest
    }
    #[inline(never)]
    fn pair(size: usize) {
        let layout = Layout::from_size_align(size, 8).unwrap();
        // SAFETY: the layout is not empty.
        let block = black_box(unsafe { alloc(layout) });
        // SAFETY: from just above.
        unsafe { dealloc(block, layout) };
    }
    /// From another line each time, so that rules and callsites are new.
    #[inline(never)]
    fn new_pairs() {
        pair(16);
        pair(black_box(24));
        black_box(());
        pair(32);
    }
    fn measured(work: fn()) -> usize {
        let here = black_box(0_u8);
        let here = (&raw const here) as usize;
        paint(here);
        work();
        painted(here)
    }
    // What the inner allocator takes, and the calls around it.
    let bare = measured(new_pairs);
    for config in [
        Config::default(),
        Config::default().frames(1),
        Config::default().frames(0),
        Config::default().sample_every(64),
    ] {
        start_with(config.clone()).unwrap();
        pair(16);
        let first = measured(new_pairs);
        let again = measured(new_pairs);
        // NOTE: with the calls in between. Without optimization every value has a place of its own.
        let most = bare
            + if cfg!(debug_assertions) {
                24 << 10
            } else {
                5 << 9
            };
        assert!(
            again <= most && first <= most,
            "{config:?}: {bare}, {first}, {again}"
        );
        alloc_core::stop();
    }
}
