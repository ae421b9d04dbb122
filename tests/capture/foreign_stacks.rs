//! Stacks that are not the thread's own: segments of a recursion that grows, coroutines, the small
//! stacks of signal handlers, and C functions that realign their frames. None of them loses the
//! user's line.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use alloc_core::{Config, TraceAlloc, Traceback, start_with, take_snapshot, traceback_of};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
alloc_tests::tests![
    a_recursion_on_segments_keeps_its_lines,
    segments_come_and_go,
    coroutines_continue_to_the_function_that_resumes_them,
    a_frame_that_is_found_by_more_than_three_registers,
    large_frames_on_a_segment_are_stepped_over,
    a_record_takes_little_stack,
    a_handler_on_a_small_stack_allocates,
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
#[expect(clippy::vec_box, reason = "each block is an allocation")]
fn plan(depth: usize, kept: &mut Vec<Box<[u8; 64]>>) -> usize {
    stacker::maybe_grow(64 << 10, 256 << 10, || {
        let columns = black_box([depth; 3]);
        kept.push(Box::new([0; 64]));
        let inner = if depth > 0 { plan(depth - 1, kept) } else { 0 };
        inner + columns[2]
    })
}

/// Recursion in the way of DataFusion's planner.
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

/// Stacks are whole from segments that are mapped, freed and mapped again at the same addresses.
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

/// The walk follows a segment to its end, at any distance.
fn large_frames_on_a_segment_are_stepped_over() {
    #[inline(never)]
    fn large(depth: usize) -> Box<[u8; 80]> {
        let room = black_box([1_u8; 100_000]);
        let block = match depth {
            0 => Box::new(black_box([1_u8; 80])),
            _ => large(depth - 1),
        };
        assert_eq!(black_box(room)[99_999], 1);
        block
    }
    start_with(Config::default().frames(1_000)).unwrap();
    for _ in 0..3 {
        let block = stacker::grow(4 << 20, || large(8));
        let traceback = traceback_of(&raw const *block).unwrap();
        assert!(has(&traceback, "main"), "{traceback}");
        assert!(!traceback.is_broken(), "{traceback}");
    }
}

fn coroutines_continue_to_the_function_that_resumes_them() {
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
            has(
                &traceback,
                "coroutines_continue_to_the_function_that_resumes_them"
            ),
            "{traceback}"
        );
        blocks += 1;
    }
    assert_eq!(blocks, 50);
}

// As compiled from C where a local needs alignment: the frame stores the CFA.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
std::arch::global_asm!(
    ".globl call_realigned",
    "call_realigned:",
    ".cfi_startproc",
    "lea r10, [rsp + 8]",
    ".cfi_def_cfa 10, 0",
    "and rsp, -64",
    "push qword ptr [r10 - 8]",
    "push rbp",
    "mov rbp, rsp",
    // The saved rbp is at rbp.
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

// The CFA is relative to rbx, as in code written by hand.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
std::arch::global_asm!(
    ".globl call_by_rbx",
    "call_by_rbx:",
    ".cfi_startproc",
    "push rbx",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbx, -16",
    "mov rbx, rsp",
    ".cfi_def_cfa rbx, 16",
    "and rsp, -64",
    "sub rsp, 192",
    "call rdi",
    "mov rsp, rbx",
    ".cfi_def_cfa rsp, 16",
    "pop rbx",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
);

// Stores its caller's rbp plus five, so that only an expression gives its value: the word below the
// last two of the CFA, less five. The caller's CFA is relative to rbp.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
std::arch::global_asm!(
    ".globl call_with_value",
    "call_with_value:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "and rsp, -64",
    "sub rsp, 64",
    "call keep_value",
    "mov rsp, rbp",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "ret",
    ".cfi_endproc",
    "keep_value:",
    ".cfi_startproc",
    "lea rax, [rbp + 5]",
    "push rax",
    ".cfi_def_cfa_offset 16",
    // DW_CFA_val_expression of rbp: lit16, minus, deref, lit5, minus.
    ".cfi_escape 0x16, 6, 5, 0x40, 0x1c, 0x06, 0x35, 0x1c",
    "mov ebp, 7",
    "call rdi",
    "pop rbp",
    "sub rbp, 5",
    ".cfi_def_cfa_offset 8",
    ".cfi_same_value rbp",
    "ret",
    ".cfi_endproc",
);

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
unsafe extern "C" {
    fn call_realigned(call: extern "C" fn());
    fn call_by_rbx(call: extern "C" fn());
    fn call_with_value(call: extern "C" fn());
}

/// The functions in assembly.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const KEEPERS: [unsafe extern "C" fn(extern "C" fn()); 3] =
    [call_realigned, call_by_rbx, call_with_value];

static BLOCK: AtomicUsize = AtomicUsize::new(0);

extern "C" fn block_in_aligned() {
    let block = Box::new(black_box([1_u8; 80]));
    BLOCK.store(Box::into_raw(block) as usize, Relaxed);
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[inline(never)]
fn call_from(depth: usize, keeper: usize) {
    match depth {
        // SAFETY: the function has this type and does not unwind.
        0 => unsafe { KEEPERS[keeper](block_in_aligned) },
        _ => call_from(depth - 1, keeper),
    }
    black_box(depth);
}

/// Calls come from many depths, so that frames are aligned by different distances.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_frame_that_is_found_by_more_than_three_registers() {
    start_with(Config::default().frames(1_000)).unwrap();
    for round in 0..200 {
        let depth = round * 7 % 40;
        call_from(depth, round % KEEPERS.len());
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

/// The bytes of stack that `work` and its calls write to.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[inline(never)]
fn stack_used_by(work: fn()) -> usize {
    const PAINT: u8 = 0xA5;
    const ROOM: usize = 64 << 10;
    const RED_ZONE: usize = 128;
    let top: usize;
    // SAFETY: no code uses the stack below the red zone of a live frame, and the thread's stack has
    // that much room.
    unsafe {
        std::arch::asm!(
            "lea rdi, [rsp - {ROOM}]",
            "rep stosb",
            "mov {top}, rsp",
            ROOM = const ROOM,
            top = out(reg) top,
            inout("rcx") ROOM - RED_ZONE => _,
            in("al") PAINT,
            out("rdi") _,
        );
    }
    work();
    // SAFETY: the address is in the range painted above, which is mapped, and any byte is valid.
    let is_painted = |&at: &usize| unsafe { (at as *const u8).read_volatile() } == PAINT;
    let untouched = (top - ROOM..top).take_while(is_painted).count();
    ROOM - untouched
}

/// Allocates, grows and frees a block, at three lines.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[inline(never)]
fn blocks_of(allocator: &impl GlobalAlloc) {
    #[inline(never)]
    fn block_of(allocator: &impl GlobalAlloc, size: usize) {
        let layout = Layout::from_size_align(size, 8).unwrap();
        // SAFETY: the layout is not empty.
        let block = unsafe { allocator.alloc(layout) };
        // SAFETY: the block was allocated above with this layout.
        let block = unsafe { allocator.realloc(block, layout, 3 * size) };
        let layout = Layout::from_size_align(3 * size, 8).unwrap();
        // SAFETY: the block was allocated above with this layout.
        unsafe { allocator.dealloc(black_box(block), layout) };
    }
    block_of(allocator, 16);
    block_of(allocator, black_box(24));
    black_box(());
    block_of(allocator, 32);
}

/// The stack that a record may use, in addition to the inner allocator. Without optimization, every
/// value of every inlined function has its own place.
const MOST_STACK: usize = if cfg!(debug_assertions) {
    24 << 10
} else {
    2 << 10
};

/// The stack that a record uses in addition to the inner allocator: with new unwind rules and
/// callsites, and in the steady state.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_record_takes_little_stack() {
    let bare = stack_used_by(|| blocks_of(&System));
    let mut found = Vec::new();
    for (name, config) in [
        ("stacks", Config::default()),
        ("lines", Config::default().frames(1)),
        ("counted", Config::default().frames(0)),
        ("sampled", Config::default().sample_every(8)),
        ("threads", Config::default().threads(true)),
        ("exact peak", Config::default().exact_peak(true)),
    ] {
        start_with(config).unwrap();
        for time in ["at first", "again", "and again"] {
            let used = stack_used_by(|| blocks_of(&ALLOC));
            found.push((name, time, used.saturating_sub(bare)));
        }
        for _ in 0..1_000 {
            blocks_of(&ALLOC);
        }
        let used = stack_used_by(|| blocks_of(&ALLOC));
        found.push((name, "often", used.saturating_sub(bare)));
        let first = std::thread::spawn(|| stack_used_by(|| blocks_of(&ALLOC)));
        let used = first.join().unwrap();
        found.push((name, "in a thread", used.saturating_sub(bare)));
        alloc_core::stop();
    }
    let most = found.iter().map(|(_, _, used)| *used).max();
    assert!(most <= Some(MOST_STACK), "{bare} bare, and {found:?} more");
}

/// A handler runs on the smallest stack that the system allows, plus 2 KiB for the handler and the
/// stack of a record. A protected page is below.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_handler_on_a_small_stack_allocates() {
    const PAGE: usize = 4096;
    const OWN: usize = 2048;
    extern "C" fn on_signal(_: libc::c_int) {
        block_in_handler();
    }
    #[inline(never)]
    fn block_in_handler() {
        blocks_of(&ALLOC);
        block_in_aligned();
    }
    // SAFETY: `getauxval` takes any key.
    let least = unsafe { libc::getauxval(libc::AT_MINSIGSTKSZ) } as usize;
    let size = least.max(libc::MINSIGSTKSZ) + OWN + MOST_STACK;
    let len = size.next_multiple_of(PAGE) + PAGE;
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new mapping at an address that the system chooses.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
    assert_ne!(base, libc::MAP_FAILED);
    // SAFETY: the page is the first of the mapping, which is not used yet.
    let failed = unsafe { libc::mprotect(base, PAGE, libc::PROT_NONE) };
    assert_eq!(failed, 0);
    let stack = libc::stack_t {
        ss_sp: base.wrapping_byte_add(PAGE),
        ss_flags: 0,
        ss_size: size,
    };
    // SAFETY: the memory is never unmapped.
    let failed = unsafe { libc::sigaltstack(&stack, std::ptr::null_mut()) };
    assert_eq!(failed, 0);
    // SAFETY: all zeros are a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = on_signal;
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_ONSTACK;
    // SAFETY: only `raise` below runs the handler, at a point where it may allocate.
    let failed = unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) };
    assert_eq!(failed, 0);
    for config in modes() {
        start_with(config).unwrap();
        for _ in 0..600 {
            // SAFETY: the signal has the handler installed above.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
            let block = BLOCK.load(Relaxed) as *mut [u8; 80];
            // SAFETY: from `Box::into_raw`, once.
            let block = unsafe { Box::from_raw(block) };
            drop(block);
        }
        // SAFETY: the signal has the handler installed above.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
        let block = BLOCK.load(Relaxed) as *mut [u8; 80];
        let traceback = traceback_of(block).unwrap();
        assert!(has(&traceback, "block_in_aligned"), "{traceback}");
        alloc_core::stop();
        // SAFETY: from `Box::into_raw`, once.
        drop(unsafe { Box::from_raw(block) });
    }
}
