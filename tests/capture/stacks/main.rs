//! Every stack of a program of random calls, held against what `backtrace::trace` says in the same
//! function: equal, address by address, or different in a way that is listed at [`check`].

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::panic::{self, AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::pin::{Pin, pin};
use std::ptr::{null_mut, with_exposed_provenance_mut};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};
use std::thread;

use alloc_core::{
    Config, Origin, Scope, TraceAlloc, Traceback, start_with, take_snapshot, traceback_of,
};
use alloc_tests::{Random, Tool, boxed_afar};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    random_calls,
    random_calls_with_few_frames,
    random_calls_on_many_threads,
    small_threads,
    a_recursion_of_two_thousand,
    each_c_function_at_each_optimization,
    libraries_that_come_and_go,
    over_aligned_frames_at_the_same_place,
    the_bottoms_of_main_and_of_threads,
    signal_handlers_on_the_same_stack_and_on_another,
    a_signal_in_the_middle_of_anything,
    coroutines,
    however_a_block_is_recorded_its_stack_is_the_same,
];

/// More frames than any stack of these programs has, but for the deep recursion.
const ALL: u16 = 1000;

fn random_calls() {
    start_with(Config::default().frames(ALL)).unwrap();
    let libraries = Library::all();
    on_a_large_stack(|| {
        for seed in 1..=8 {
            let mut shapes = Shapes::new(seed, 400, &libraries);
            shapes.run(20);
            assert_eq!(shapes.leaves.len(), 400);
            for (shape, calls) in shapes.calls.iter().enumerate() {
                assert!(*calls > 0, "shape {shape} was never drawn");
            }
            for leaf in &shapes.leaves {
                check(leaf, ALL);
            }
        }
    });
    check_health();
}

/// Outer frames are cut off where they have to be, while the walk remembers more than it shows.
fn random_calls_with_few_frames() {
    let libraries = Library::all();
    on_a_large_stack(|| {
        for (seed, frames) in [(11, 1), (12, 2), (13, 7), (14, 20), (15, 32), (16, 46)] {
            start_with(Config::default().frames(frames)).unwrap();
            let mut shapes = Shapes::new(seed, 300, &libraries);
            shapes.run(30);
            let cut = shapes
                .leaves
                .iter()
                .filter(|leaf| check(leaf, frames))
                .count();
            assert!(cut > 0);
            check_health();
            drop(shapes);
            alloc_core::stop();
        }
    });
}

fn random_calls_on_many_threads() {
    start_with(Config::default().frames(ALL)).unwrap();
    let libraries = Library::all();
    let libraries = &libraries[..];
    let found: Vec<Vec<Leaf>> = thread::scope(|scope| {
        let threads = [21, 22, 23, 24].map(|seed| {
            let run = move || {
                let mut shapes = Shapes::new(seed, 300, libraries);
                shapes.run(20);
                shapes.leaves
            };
            let thread = thread::Builder::new().stack_size(LARGE_STACK);
            thread.spawn_scoped(scope, run).unwrap()
        });
        threads.map(|it| it.join().unwrap()).into()
    });
    for leaf in found.iter().flatten() {
        check(leaf, ALL);
    }
    check_health();
}

/// Threads with as little stack as a thread can have; what they find is checked outside of them.
fn small_threads() {
    start_with(Config::default().frames(ALL)).unwrap();
    let mut found = Vec::new();
    for (seed, kib) in [(31, 256), (32, 320), (33, 384), (34, 512)] {
        let run = move || {
            let mut shapes = Shapes::new(seed, 40, &[]);
            shapes.is_small = true;
            shapes.run(5);
            shapes.leaves
        };
        let thread = thread::Builder::new().stack_size(kib << 10);
        found.extend(thread.spawn(run).unwrap().join().unwrap());
    }
    assert_eq!(found.len(), 160);
    for leaf in &found {
        check(leaf, ALL);
    }
    check_health();
}

/// Leaves on the way in and on the way out, at depths that fit, that just fit, and that do not.
fn a_recursion_of_two_thousand() {
    #[inline(never)]
    fn recurse(shapes: &mut Shapes<'_>, depth: usize) {
        if depth.is_multiple_of(7) {
            shapes.leaf();
        }
        if depth > 0 {
            recurse(shapes, depth - 1);
        }
        if depth.is_multiple_of(11) {
            shapes.leaf();
        }
        black_box(());
    }
    on_a_large_stack(|| {
        for frames in [1, 5, 32, 64] {
            start_with(Config::default().frames(frames)).unwrap();
            let mut shapes = Shapes::new(1, usize::MAX, &[]);
            recurse(&mut shapes, 2000);
            assert_eq!(shapes.leaves.len(), 2000 / 7 + 1 + 2000 / 11 + 1);
            for leaf in &shapes.leaves {
                check(leaf, frames);
            }
            check_health();
            drop(shapes);
            alloc_core::stop();
        }
    });
}

fn each_c_function_at_each_optimization() {
    start_with(Config::default().frames(ALL)).unwrap();
    let libraries = Library::all();
    let mut shapes = Shapes::new(41, usize::MAX, &libraries);
    for at in 0..libraries.len() {
        for function in 0..Library::FUNCTIONS.len() {
            for size in [16, 100, 5000, 70_000] {
                shapes.through_own_c(1, at, function, size);
                shapes.through_own_c(2, at, function, size);
            }
        }
    }
    for leaf in &shapes.leaves {
        check(leaf, ALL);
    }
    check_health();
}

/// A library is unloaded, and the next one, whose frames differ, is loaded to its addresses.
fn libraries_that_come_and_go() {
    start_with(Config::default().frames(ALL)).unwrap();
    let Some(files) = &*FILES else { return };
    let mut places = HashMap::new();
    for round in 0..3 {
        for file in files {
            let library = Library::open(file);
            let place = library.functions[0] as usize & !0xFFF;
            *places.entry(place).or_insert(0) += 1;
            let libraries = [library];
            let mut shapes = Shapes::new(51 + round, usize::MAX, &libraries);
            for function in 0..Library::FUNCTIONS.len() {
                shapes.through_own_c(2, 0, function, 100);
            }
            for leaf in &shapes.leaves {
                check(leaf, ALL);
            }
            drop(shapes);
            let [library] = libraries;
            library.close();
        }
    }
    // Else nothing was tested.
    assert!(places.values().any(|&times| times > 1), "{places:?}");
    check_health();
}

/// An over-aligned frame lies at the same place below callers of ten sizes, so that only its frame pointer
/// tells them apart: the return address to the caller before still lies where it was.
fn over_aligned_frames_at_the_same_place() {
    #[repr(align(256))]
    struct Aligned([u8; 256]);
    #[inline(never)]
    fn aligned(shapes: &mut Shapes<'_>) {
        let space = black_box(Aligned([1; 256]));
        shapes.leaf();
        assert_eq!(black_box(space).0[255], 1);
    }
    #[inline(never)]
    fn from<const BYTES: usize>(shapes: &mut Shapes<'_>) {
        let mut room = MaybeUninit::<[u8; BYTES]>::uninit();
        black_box(&mut room);
        aligned(shapes);
        black_box(&mut room);
    }
    const CALLERS: [fn(&mut Shapes<'_>); 10] = [
        from::<16>,
        from::<32>,
        from::<48>,
        from::<64>,
        from::<80>,
        from::<96>,
        from::<112>,
        from::<128>,
        from::<144>,
        from::<160>,
    ];
    start_with(Config::default().frames(ALL)).unwrap();
    let mut shapes = Shapes::new(62, usize::MAX, &[]);
    for _ in 0..500 {
        let caller = shapes.below(10);
        CALLERS[caller](&mut shapes);
    }
    for leaf in &shapes.leaves {
        check(leaf, ALL);
    }
    check_health();
}

/// Where stacks end: in `main`, in a thread of the library, and in one that C started.
fn the_bottoms_of_main_and_of_threads() {
    fn leaves() -> Vec<Leaf> {
        let mut shapes = Shapes::new(61, 20, &[]);
        shapes.leaf();
        shapes.run(3);
        shapes.leaves
    }
    extern "C" fn start(found: *mut c_void) -> *mut c_void {
        // SAFETY: what is passed below, by a thread that waits for this one.
        unsafe { *found.cast::<Vec<Leaf>>() = leaves() };
        null_mut()
    }
    start_with(Config::default().frames(ALL)).unwrap();
    let mut of_c = Vec::new();
    let mut thread = 0;
    // SAFETY: the function takes what it is passed, which outlives the thread.
    let failed =
        unsafe { libc::pthread_create(&mut thread, null_mut(), start, (&raw mut of_c).cast()) };
    assert_eq!(failed, 0);
    // SAFETY: a thread of ours that nobody else waits for.
    assert_eq!(unsafe { libc::pthread_join(thread, null_mut()) }, 0);
    let of_rust = thread::spawn(leaves).join().unwrap();
    for found in [leaves(), of_rust, of_c] {
        assert_eq!(found.len(), 20);
        for leaf in &found {
            check(leaf, ALL);
        }
    }
    check_health();
}

/// The stack of a handler goes on to what the signal interrupted, also from a stack of its own.
fn signal_handlers_on_the_same_stack_and_on_another() {
    start_with(Config::default().frames(ALL)).unwrap();
    const ROOM: usize = 8 << 20;
    let mut room = vec![0_u8; ROOM];
    let stack = libc::stack_t {
        ss_sp: room.as_mut_ptr().cast(),
        ss_flags: 0,
        ss_size: ROOM,
    };
    // SAFETY: memory that outlives its use as a stack, which ends below.
    assert_eq!(unsafe { libc::sigaltstack(&stack, null_mut()) }, 0);
    for (seed, flags) in [(71, 0), (72, libc::SA_ONSTACK), (73, 0)] {
        handle(libc::SIGUSR2, flags);
        let mut shapes = Shapes::new(seed, usize::MAX, &[]);
        for _ in 0..50 {
            shapes.interrupted(4);
            let handler = shapes.leaves.last().unwrap();
            assert!(check_inner_part(handler, "on_signal"));
            // The thread's own stack is whole again.
            shapes.plain::<0>(1);
            check(shapes.leaves.last().unwrap(), ALL);
        }
    }
    let none = libc::stack_t {
        ss_flags: libc::SS_DISABLE,
        ..stack
    };
    // SAFETY: nobody is on the stack any more.
    assert_eq!(unsafe { libc::sigaltstack(&none, null_mut()) }, 0);
}

/// A timer interrupts a loop at any instruction of its own and of the `clock_gettime` that the system maps
/// into the program. The loop neither allocates nor locks, so the handler may.
fn a_signal_in_the_middle_of_anything() {
    start_with(Config::default().frames(ALL)).unwrap();
    handle(libc::SIGPROF, 0);
    let mut shapes = Shapes::new(81, 50, &[]);
    shapes.leaves.reserve(50);
    set_timer(1_000);
    for _ in 0..50 {
        COMPARED.set(Some((std::ptr::from_mut(&mut shapes).cast(), 1)));
        while COMPARED.get().is_some() {
            let mut time = MaybeUninit::<libc::timespec>::uninit();
            // SAFETY: room for the time.
            unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
        }
    }
    set_timer(0);
    assert_eq!(shapes.leaves.len(), 50);
    for leaf in &shapes.leaves {
        assert!(check_inner_part(leaf, "on_signal"));
    }
    let vdso = vdso();
    let is_in_vdso = |leaf: &&Leaf| leaf.truth.iter().any(|it| vdso.contains(it));
    let in_vdso = shapes.leaves.iter().filter(is_in_vdso).count();
    println!("{in_vdso} of 50 signals came in the vdso");
}

/// On a stack of its own a coroutine sees itself, and never what lies beyond its stack.
fn coroutines() {
    start_with(Config::default().frames(ALL)).unwrap();
    let mut shapes = Shapes::new(91, usize::MAX, &[]);
    for size in [64 << 10, 1 << 20] {
        let mut room = vec![0_u8; size];
        for _ in 0..50 {
            COMPARED.set(Some((std::ptr::from_mut(&mut shapes).cast(), 1)));
            on_another_stack(&mut room);
            check_inner_part(shapes.leaves.last().unwrap(), "run");
            shapes.plain::<0>(1);
            check(shapes.leaves.last().unwrap(), ALL);
        }
    }
    assert_eq!(shapes.leaves.len(), 200);
}

/// At once, or after the thread has taken note of what is new.
fn however_a_block_is_recorded_its_stack_is_the_same() {
    let ways: [fn(); 8] = [
        || start_with(Config::default()).unwrap(),
        || (),
        || alloc_core::reset_peak(),
        || thread::spawn(|| drop(boxed_afar())).join().unwrap(),
        || alloc_core::untraced(|| drop(boxed_afar())),
        || (),
        // It stays, and the last is made in it, too.
        || std::mem::forget(Scope::enter().unwrap()),
        || (),
    ];
    // Where calls leave frames, scopes are told in another.
    let ways = if cfg!(debug_assertions) {
        &ways[..6]
    } else {
        &ways[..]
    };
    let mut kept = Vec::with_capacity(ways.len());
    // A loop and not a call for each, whoever optimizes.
    for way in black_box(ways) {
        way();
        kept.push(boxed_afar());
    }
    let snapshot = take_snapshot().unwrap();
    let traces = snapshot.traces().iter().filter(|trace| {
        let mut functions = trace.traceback.iter().filter_map(|frame| frame.function());
        functions.any(|name| name.ends_with("boxed_afar"))
    });
    let blocks = traces.map(|trace| trace.counters.current.blocks);
    let live: Vec<u64> = blocks.filter(|&blocks| blocks > 0).collect();
    assert_eq!(live, [ways.len() as u64]);
}

/// Calls a leaf on another stack.
fn on_another_stack(room: &mut [u8]) {
    extern "C" fn run() {
        call_compared();
        black_box(());
    }
    // SAFETY: numbers and pointers, filled in below.
    let mut here: libc::ucontext_t = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut there: libc::ucontext_t = unsafe { std::mem::zeroed() };
    // SAFETY: room for a context.
    assert_eq!(unsafe { libc::getcontext(&mut there) }, 0);
    there.uc_stack.ss_sp = room.as_mut_ptr().cast();
    there.uc_stack.ss_size = room.len();
    there.uc_link = &mut here;
    // SAFETY: a context with a stack of its own, and a function without arguments.
    unsafe { libc::makecontext(&mut there, run, 0) };
    // SAFETY: both are valid; the function returns to `here`.
    assert_eq!(unsafe { libc::swapcontext(&mut here, &there) }, 0);
}

/// Has signals handled by [`on_signal`].
fn handle(signal: libc::c_int, flags: libc::c_int) {
    // SAFETY: numbers and a null pointer.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = on_signal;
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    action.sa_flags = flags | libc::SA_RESTART;
    // SAFETY: the handler allocates only where what it interrupts does not.
    let failed = unsafe { libc::sigaction(signal, &action, null_mut()) };
    assert_eq!(failed, 0);
}

extern "C" fn on_signal(_: libc::c_int) {
    call_compared();
    black_box(());
}

/// Has a signal sent after each so many microseconds of processor time; never with 0.
fn set_timer(microseconds: libc::suseconds_t) {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: a timer to read, and no old one is asked for.
    let failed = unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, null_mut()) };
    assert_eq!(failed, 0);
}

/// Where the system's own code lies in the program.
fn vdso() -> std::ops::Range<usize> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    let range = line.and_then(|line| line.split_once(' ')?.0.split_once('-'));
    let address = |text| usize::from_str_radix(text, 16).ok();
    range
        .and_then(|(start, end)| Some(address(start)?..address(end)?))
        .unwrap_or_default()
}

const LARGE_STACK: usize = 256 << 20;

/// Debug builds have large frames, and depth multiplies them.
fn on_a_large_stack(run: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(LARGE_STACK);
        let thread = thread.spawn_scoped(scope, run).unwrap();
        thread.join().unwrap_or_else(|panic| resume_unwind(panic));
    });
}

fn check_health() {
    let health = take_snapshot().unwrap().health();
    assert_eq!((health.broken_stacks, health.lost_blocks), (0, 0));
}

/// Asserts that a stack is the true one, and returns whether outer frames were cut off.
///
/// Both have the addresses of the leaf's callers, and these must be equal, down to the bottom. They
/// differ in this, by their nature:
///
/// * Inside of the leaf one shows the way to the allocator, the other that into the unwinder. What
///   the traceback has there must be the standard library's.
/// * The leaf's own address is that of another call.
/// * The unwinder may report the return address of zero that ends a stack; the traceback never does.
/// * What a signal interrupted differs by one: see [`check_inner_part`].
/// * Of a stack that is deeper than the configured number of frames, the traceback has exactly that
///   many addresses, counted from the leaf's own, and says so.
#[track_caller]
fn check(leaf: &Leaf, frames: u16) -> bool {
    let Compared {
        captured,
        truth,
        is_truncated,
        is_broken,
    } = Compared::new(leaf);
    // The leaf itself is one of the frames.
    let most = usize::from(frames) - 1;
    let shown = &truth[..truth.len().min(most)];
    assert!(!is_broken, "broken: {}", differ(&captured, &truth));
    assert_eq!(captured, shown, "{}", differ(&captured, shown));
    assert_eq!(is_truncated, truth.len() > most);
    is_truncated
}

/// Asserts that a stack is the true one, or where frame pointers are followed the inner part of it. Returns whether it is
/// known up to the function `whole`.
#[track_caller]
fn check_inner_part(leaf: &Leaf, whole: &str) -> bool {
    let traceback = traceback_of(leaf.block.address()).expect("the block is traced");
    let has = |traceback: &Traceback, name: &str| {
        let mut functions = traceback.iter().filter_map(|frame| frame.function());
        functions.any(|it| it.rsplit("::").next() == Some(name))
    };
    let Compared {
        mut captured,
        truth,
        is_truncated,
        ..
    } = Compared::new(leaf);
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        // What was interrupted is shown as if it had called.
        let pairs = captured.iter_mut().zip(&truth);
        let mut interrupted = pairs.filter(|(captured, truth)| **captured == **truth + 1);
        if let Some((captured, truth)) = interrupted.next() {
            *captured = *truth;
        }
        assert_eq!(captured, truth, "{}", differ(&captured, &truth));
    } else {
        // By frame pointers the walk goes on beyond a signal's frame, as well as it can.
        let is_whole =
            |it: &usize| name(*it).is_some_and(|it| it.rsplit("::").next() == Some(whole));
        let at = captured.iter().position(is_whole);
        captured.truncate(at.map_or(captured.len(), |at| at + 1));
    }
    let shown = &truth[..truth.len().min(captured.len())];
    assert_eq!(captured, shown, "{}", differ(&captured, shown));
    assert!(!is_truncated);
    has(&traceback, whole)
}

/// The addresses of a leaf's callers, as the tracer captured them and as they are.
struct Compared {
    captured: Vec<usize>,
    truth: Vec<usize>,
    is_truncated: bool,
    is_broken: bool,
}

impl Compared {
    #[track_caller]
    fn new(leaf: &Leaf) -> Compared {
        let traceback = traceback_of(leaf.block.address()).expect("the block is traced");
        let is_leaf = |name: &str| name.rsplit("::").next() == Some("leaf");
        let at = traceback
            .iter()
            .position(|frame| frame.function().is_some_and(is_leaf));
        let at = at.unwrap_or_else(|| panic!("no leaf in {traceback}"));
        assert!(
            traceback[..at].iter().all(|it| it.origin() == Origin::Std),
            "{traceback}"
        );
        assert!(!traceback[at].is_inlined());
        let captured = traceback[at + 1..]
            .iter()
            .filter(|frame| !frame.is_inlined())
            .map(|frame| frame.address() as usize)
            .collect();

        let mut truth = &leaf.truth[..];
        let at = truth
            .iter()
            .position(|&it| name(it).is_some_and(|it| is_leaf(&it)));
        truth = &truth[at.expect("the leaf is in the truth") + 1..];
        if let [callers @ .., 0] = truth {
            truth = callers;
        }
        Compared {
            captured,
            truth: truth.to_vec(),
            is_truncated: traceback.is_truncated(),
            is_broken: traceback.is_broken(),
        }
    }
}

/// The name of the function that returns to this address, whatever was inlined into it.
fn name(address: usize) -> Option<String> {
    thread_local! {
        static KNOWN: RefCell<HashMap<usize, Option<String>>> = RefCell::default();
    }
    KNOWN.with_borrow_mut(|known| {
        let look_up = || {
            let mut outermost = None;
            backtrace::resolve(address as *mut c_void, |symbol| {
                outermost = symbol.name().map(|name| format!("{name:#}"));
            });
            outermost
        };
        known.entry(address).or_insert_with(look_up).clone()
    })
}

/// Where two stacks differ, for the message of a failed test.
fn differ(captured: &[usize], truth: &[usize]) -> String {
    let equal = captured.iter().zip(truth).take_while(|(a, b)| a == b);
    let equal = equal.count();
    let print = |stack: &[usize]| {
        let end = stack.len().min(equal + 4);
        let lines = stack[equal.saturating_sub(4).min(end)..end].iter();
        let lines = lines.map(|&it| format!("\n  {it:#x} {}", name(it).unwrap_or_default()));
        lines.collect::<String>()
    };
    format!(
        "the first {equal} of {} and {} are equal\ncaptured:{}\ntruth:{}",
        captured.len(),
        truth.len(),
        print(captured),
        print(truth)
    )
}

/// A block and the stack of the function that allocated it.
struct Leaf {
    block: Block,
    /// As the platform's unwinder has it, from inside of its own on.
    truth: Vec<usize>,
}

/// Memory that was come by in different ways.
enum Block {
    Boxed(Box<[u8; 48]>),
    Bytes(Vec<u8>),
    Text(String),
}

impl Block {
    fn address(&self) -> *const u8 {
        match self {
            Block::Boxed(boxed) => boxed.as_ptr(),
            Block::Bytes(bytes) => bytes.as_ptr(),
            Block::Text(text) => text.as_ptr(),
        }
    }
}

/// A tree of calls of many shapes, drawn at random, and what was found at its leaves.
///
/// The leaves of one tree follow each other on nearly the same stack, which is what the tracer's walk
/// makes use of, and could be wrong about.
struct Shapes<'l> {
    random: Random,
    most: usize,
    leaves: Vec<Leaf>,
    libraries: &'l [Library],
    /// No frames that would not fit into a small stack.
    is_small: bool,
    /// How often each shape was called.
    calls: [usize; Shapes::KINDS],
}

impl<'l> Shapes<'l> {
    const KINDS: usize = 25;

    fn new(seed: u64, most: usize, libraries: &'l [Library]) -> Shapes<'l> {
        LazyLock::force(&QUIET);
        Shapes {
            random: Random::new(seed),
            most,
            leaves: Vec::new(),
            libraries,
            is_small: false,
            calls: [0; _],
        }
    }

    /// Calls until there are as many leaves as asked for.
    fn run(&mut self, depth: usize) {
        while self.leaves.len() < self.most {
            let depth = 1 + self.below(depth);
            self.call(depth);
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.below(end)
    }

    #[inline(never)]
    fn leaf(&mut self) {
        if self.leaves.len() >= self.most {
            return;
        }
        let mut grown = Vec::with_capacity(10);
        let block = match self.below(4) {
            0 => Block::Boxed(black_box(Box::new([0; 48]))),
            1 => Block::Bytes(black_box(vec![0; 100])),
            2 => Block::Text(black_box(format!("{:>40}", self.most))),
            _ => {
                grown.reserve_exact(black_box(1000));

                Block::Bytes(grown)
            }
        };
        let mut truth = Vec::with_capacity(3000);
        backtrace::trace(|frame| {
            truth.push(frame.ip() as usize);
            true
        });
        truth.shrink_to_fit();
        self.leaves.push(Leaf { block, truth });
    }

    /// A call of a shape drawn at random, `depth` levels above the leaves.
    fn call(&mut self, depth: usize) {
        if depth == 0 || self.leaves.len() >= self.most {
            return self.leaf();
        }
        let kind = self.below(Shapes::KINDS);
        self.calls[kind] += 1;
        // Where a panic ends the process there is nothing to catch.
        match kind {
            14 | 18 | 21 | 23 if cfg!(panic = "abort") => self.plain::<0>(depth),
            0 => self.plain::<0>(depth),
            1 => self.plain::<1>(depth),
            2 => self.aligned::<0>(depth),
            3 => self.aligned::<1>(depth),
            4 => self.large(depth),
            5 => self.dynamic(depth),
            6 => self.inlined(depth),
            7 => self.tail(depth),
            8 => self.many_arguments(depth, [1, 2, 3], 4, 5, 6, 7, 8, 9, 10),
            9 => self.searching(depth),
            10 => self.sorting(depth),
            11 => self.comparing(depth),
            12 => self.formatting(depth),
            13 => self.dropping(depth),
            14 => self.panicking(depth),
            15 => self.awaiting(depth),
            16 => self.joining(depth),
            17 => self.own_c(depth),
            18 => self.panicking_through_c(depth),
            19 => self.once(depth),
            20 => self.walking_a_tree(depth),
            21 => self.hooking(depth),
            22 => self.nesting(depth),
            23 => self.catching(depth),
            _ => self.several(depth),
        }
    }

    #[inline(never)]
    fn plain<const N: usize>(&mut self, depth: usize) {
        self.call(depth - 1);
        black_box(N);
    }

    /// Its frame is found by rbp, wherever the stack pointer was.
    #[inline(never)]
    fn aligned<const N: usize>(&mut self, depth: usize) {
        #[repr(align(128))]
        struct Aligned([u8; 128]);
        let space = black_box(Aligned([N as u8; 128]));
        self.call(depth - 1);
        assert_eq!(black_box(space).0[N], N as u8);
    }

    #[inline(never)]
    fn large(&mut self, depth: usize) {
        if self.is_small {
            return self.plain::<2>(depth);
        }
        let mut space = [const { MaybeUninit::<u8>::uninit() }; 64 << 10];
        black_box(&mut space);
        self.call(depth - 1);
        black_box(&mut space);
    }

    #[inline(never)]
    fn dynamic(&mut self, depth: usize) {
        let act = |shapes: &mut Shapes<'l>| {
            shapes.call(depth - 1);
            black_box(depth);
        };
        let act: &dyn Fn(&mut Shapes<'l>) = black_box(&act);
        act(self);
    }

    /// Three functions and a closure of the program, and an iterator of the library, in one frame.
    #[inline(never)]
    fn inlined(&mut self, depth: usize) {
        #[inline(always)]
        fn outer(shapes: &mut Shapes<'_>, depth: usize) {
            inner(shapes, depth);
            black_box(1);
        }
        #[inline(always)]
        fn inner(shapes: &mut Shapes<'_>, depth: usize) {
            (0..black_box(1)).for_each(|_| shapes.call(depth - 1));
            black_box(2);
        }
        outer(self, depth);
        black_box(3);
    }

    /// In release builds a jump, so that neither stack has this frame.
    #[inline(never)]
    fn tail(&mut self, depth: usize) {
        black_box(depth);
        self.plain::<3>(depth);
    }

    /// Some of the arguments are passed on the stack.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "that is the shape")]
    fn many_arguments(
        &mut self,
        depth: usize,
        array: [u64; 3],
        a: u64,
        b: u64,
        c: u64,
        d: u64,
        e: u64,
        f: u64,
        g: u64,
    ) {
        self.call(depth - 1);
        let sum = a + b + c + d + e + f + g + array.iter().sum::<u64>();
        assert_eq!(black_box(sum), 55);
    }

    /// Through the C library and back.
    #[inline(never)]
    fn searching(&mut self, depth: usize) {
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        let numbers = [7_i32];
        // SAFETY: one element of that size, and a function that compares two.
        unsafe {
            libc::bsearch(
                numbers.as_ptr().cast(),
                numbers.as_ptr().cast(),
                1,
                size_of::<i32>(),
                Some(compare),
            )
        };
    }

    /// The C library's own recursion and, for elements that are large, its memory.
    #[inline(never)]
    fn sorting(&mut self, depth: usize) {
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        let mut numbers = [[3_i32; 12], [1; 12], [2; 12]];
        // SAFETY: three elements of that size, and a function that compares two.
        unsafe {
            libc::qsort(
                numbers.as_mut_ptr().cast(),
                3,
                size_of_val(&numbers[0]),
                Some(compare),
            );
        };
    }

    /// A closure that the library calls from functions that are not inlined.
    #[inline(never)]
    fn comparing(&mut self, depth: usize) {
        let mut numbers = [3, 1, 2];
        let mut once = true;
        numbers.sort_by(|a, b| {
            if std::mem::take(&mut once) {
                self.call(depth - 1);
            }
            i32::cmp(a, b)
        });
        assert_eq!(numbers, [1, 2, 3]);
    }

    #[inline(never)]
    fn formatting(&mut self, depth: usize) {
        struct Calls<'s, 'l>(RefCell<&'s mut Shapes<'l>>, usize);
        impl fmt::Display for Calls<'_, '_> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.borrow_mut().call(self.1 - 1);
                formatter.write_str("called")
            }
        }
        let text = format!("{:?} {}", [1], Calls(RefCell::new(self), depth));
        assert_eq!(text, "[1] called");
    }

    #[inline(never)]
    fn dropping(&mut self, depth: usize) {
        let shapes = RefCell::new(self);
        let boxed: Box<dyn Any> = Box::new(1);
        let guards: [Box<dyn Held + '_>; 1] = [Box::new((boxed, OnDrop(&shapes, depth)))];
        drop(black_box(guards));
    }

    /// Destructors call while the stack is unwound, and one of them after another.
    #[inline(never)]
    fn panicking(&mut self, depth: usize) {
        #[inline(never)]
        fn throw(guard: &OnDrop<'_, '_, '_>, levels: usize) {
            let OnDrop(shapes, depth) = *guard;
            let _guard = (levels == 1).then(|| OnDrop(shapes, depth / 2 + 1));
            match levels {
                0 if depth.is_multiple_of(2) => panic_any(Thrown),
                0 => resume_unwind(Box::new(Thrown)),
                _ => throw(guard, levels - 1),
            }
            black_box(levels);
        }
        let shapes = RefCell::new(self);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let guard = OnDrop(&shapes, depth);
            throw(&guard, 3);
        }));
        assert!(result.unwrap_err().is::<Thrown>());
    }

    #[inline(never)]
    fn awaiting(&mut self, depth: usize) {
        async fn outer(shapes: &mut Shapes<'_>, depth: usize) {
            let large = black_box([1_u8; 300]);
            inner(shapes, depth).await;
            assert_eq!(black_box(large)[299], 1);
        }
        async fn inner(shapes: &mut Shapes<'_>, depth: usize) {
            for _ in 0..2 {
                Yield(true).await;
                shapes.call(depth.saturating_sub(2));
            }
        }
        block_on(outer(self, depth));
    }

    /// Two futures take turns; the one that is slower is dropped in the middle.
    #[inline(never)]
    fn joining(&mut self, depth: usize) {
        async fn task(shapes: &RefCell<&mut Shapes<'_>>, depth: usize, turns: usize) {
            let _guard = OnDrop(shapes, depth);
            for _ in 0..turns {
                shapes.borrow_mut().call(depth - 1);
                Yield(true).await;
            }
        }
        let shapes = RefCell::new(self);
        let mut tasks: [Pin<Box<dyn Future<Output = ()> + '_>>; 2] = [
            Box::pin(task(&shapes, depth, 1)),
            Box::pin(async {
                task(&shapes, depth.saturating_sub(2).max(1), 3).await;
                black_box(());
            }),
        ];
        block_on(std::future::poll_fn(|context| {
            let polls = tasks.each_mut().map(|it| it.as_mut().poll(context));
            if polls.iter().any(Poll::is_ready) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
    }

    #[inline(never)]
    fn own_c(&mut self, depth: usize) {
        if self.libraries.is_empty() {
            return self.plain::<4>(depth);
        }
        let at = self.below(self.libraries.len());
        let function = self.below(Library::FUNCTIONS.len());
        let size = 1 + self.below(9000);
        self.through_own_c(depth, at, function, size);
    }

    fn through_own_c(&mut self, depth: usize, library: usize, function: usize, size: usize) {
        let call = self.libraries[library].functions[function];
        let mut called = (self, depth);
        // SAFETY: a function of `stacks.c`, which passes the pointer on; it outlives the call.
        unsafe { call(call_back, (&raw mut called).cast(), size) };
    }

    #[inline(never)]
    fn panicking_through_c(&mut self, depth: usize) {
        unsafe extern "C-unwind" fn throw(_: *mut c_void) {
            panic_any(Thrown);
        }
        if self.libraries.is_empty() {
            return self.panicking(depth);
        }
        let at = self.below(self.libraries.len());
        let function = self.below(Library::FUNCTIONS.len());
        let call = self.libraries[at].functions[function];
        let shapes = RefCell::new(self);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let _guard = OnDrop(&shapes, depth);
            // SAFETY: a function of `stacks.c`, which is compiled with tables for unwinding.
            unsafe { call(throw, null_mut(), 100) };
        }));
        assert!(result.unwrap_err().is::<Thrown>());
    }

    #[inline(never)]
    fn once(&mut self, depth: usize) {
        unsafe extern "C" {
            fn pthread_once(once: *mut libc::c_int, run: extern "C" fn()) -> libc::c_int;
        }
        extern "C" fn run() {
            call_compared();
            black_box(());
        }
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        let mut once = 0;
        // SAFETY: a number that says that the function did not run yet.
        assert_eq!(unsafe { pthread_once(&mut once, run) }, 0);
    }

    #[inline(never)]
    fn walking_a_tree(&mut self, depth: usize) {
        type Compare = unsafe extern "C" fn(*const c_void, *const c_void) -> i32;
        type Visit = unsafe extern "C" fn(*const c_void, libc::c_int, libc::c_int);
        unsafe extern "C" {
            fn tsearch(key: *const c_void, root: *mut *mut c_void, compare: Compare)
            -> *mut c_void;
            fn tdelete(key: *const c_void, root: *mut *mut c_void, compare: Compare)
            -> *mut c_void;
            fn twalk(root: *const c_void, visit: Visit);
        }
        unsafe extern "C" fn visit(_: *const c_void, _: libc::c_int, _: libc::c_int) {
            call_compared();
        }
        let numbers = [2_i32, 1, 3];
        let mut root = null_mut();
        for number in &numbers {
            // SAFETY: elements begin with a number and outlive the tree.
            unsafe { tsearch((&raw const *number).cast(), &mut root, compare) };
        }
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        // SAFETY: the tree that was just built.
        unsafe { twalk(root, visit) };
        for number in &numbers {
            // SAFETY: as above.
            unsafe { tdelete((&raw const *number).cast(), &mut root, compare) };
        }
        assert!(root.is_null());
    }

    /// A leaf in the hook that a panic calls before it unwinds.
    #[inline(never)]
    fn hooking(&mut self, depth: usize) {
        HOOKED.set(Some(std::ptr::from_mut(self).cast()));
        let result = catch_unwind(|| panic_any(Thrown));
        assert!(result.unwrap_err().is::<Thrown>());
        HOOKED.set(None);
        self.call(depth - 1);
    }

    /// A future in a future in a future, polled from the outermost each time.
    #[inline(never)]
    fn nesting(&mut self, depth: usize) {
        fn nested<'f>(
            shapes: &'f mut Shapes<'_>,
            depth: usize,
            levels: usize,
        ) -> Pin<Box<dyn Future<Output = ()> + 'f>> {
            Box::pin(async move {
                if levels == 0 {
                    Yield(true).await;
                    shapes.call(depth - 1);
                } else {
                    nested(shapes, depth, levels - 1).await;
                }
                black_box(levels);
            })
        }
        let levels = 1 + self.below(12);
        block_on(nested(self, depth, levels));
    }

    /// What is thrown inside is caught inside; what is thrown outside goes through.
    #[inline(never)]
    fn catching(&mut self, depth: usize) {
        let shapes = RefCell::new(self);
        let outer = catch_unwind(AssertUnwindSafe(|| {
            let _guard = OnDrop(&shapes, depth);
            let inner = catch_unwind(AssertUnwindSafe(|| {
                let _guard = OnDrop(&shapes, depth.saturating_sub(2).max(1));
                panic_any(Thrown);
            }));
            resume_unwind(inner.unwrap_err());
        }));
        assert!(outer.unwrap_err().is::<Thrown>());
    }

    /// A handler that runs where it interrupts, if it is on this stack.
    #[inline(never)]
    fn interrupted(&mut self, depth: usize) {
        COMPARED.set(Some((std::ptr::from_mut(self).cast(), depth)));
        // SAFETY: the handler is one of these tests'.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
    }

    #[inline(never)]
    fn several(&mut self, depth: usize) {
        for _ in 0..2 {
            self.call(depth - 1);
        }
        self.call(depth.saturating_sub(3));
    }
}

thread_local! {
    /// Whose leaf the panic hook is to call.
    static HOOKED: Cell<Option<*mut c_void>> = const { Cell::new(None) };
    /// For callbacks of C functions, which have no other way to be told; taken by the first comparison.
    static COMPARED: Cell<Option<(*mut c_void, usize)>> = const { Cell::new(None) };
}

/// Calls what [`COMPARED`] says, if nobody did.
#[inline(never)]
fn call_compared() {
    if let Some((shapes, depth)) = COMPARED.take() {
        // SAFETY: set by a caller that waits for us.
        let shapes = unsafe { &mut *shapes.cast::<Shapes<'_>>() };
        shapes.call(depth - 1);
    }
    black_box(());
}

unsafe extern "C" fn compare(a: *const c_void, b: *const c_void) -> i32 {
    call_compared();
    // SAFETY: elements begin with a number.
    let a = unsafe { *a.cast::<i32>() };
    // SAFETY: as above.
    let b = unsafe { *b.cast::<i32>() };
    a.cmp(&b) as i32
}

unsafe extern "C-unwind" fn call_back(called: *mut c_void) {
    // SAFETY: what `through_own_c` passes, and waits.
    let (shapes, depth) = unsafe { &mut *called.cast::<(&mut Shapes<'_>, usize)>() };
    shapes.call(*depth - 1);
    black_box(());
}

/// Something that is dropped behind a pointer.
trait Held {}
impl<T> Held for T {}

/// What these tests throw, without a message.
struct Thrown;

static QUIET: LazyLock<()> = LazyLock::new(|| {
    let say = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if let Some(shapes) = HOOKED.take() {
            // SAFETY: set by a caller that waits for us.
            unsafe { &mut *shapes.cast::<Shapes<'_>>() }.leaf();
        }
        if !panic.payload().is::<Thrown>() {
            say(panic);
        }
    }));
});

struct OnDrop<'r, 's, 'l>(&'r RefCell<&'s mut Shapes<'l>>, usize);

impl Drop for OnDrop<'_, '_, '_> {
    fn drop(&mut self) {
        self.0.borrow_mut().call(self.1 - 1);
        black_box(());
    }
}

/// Pending once.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.0) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

type CallBack = unsafe extern "C-unwind" fn(*mut c_void);
type CFunction = unsafe extern "C-unwind" fn(CallBack, *mut c_void, usize);

/// Functions in C that call back, each with a frame of another kind.
const SOURCE: &str = r"
#include <alloca.h>
#include <stddef.h>
typedef void call_back(void *);

void plain(call_back *call, void *data, size_t size) {
    volatile char space[24];
    space[0] = size;
    call(data);
    space[1] = space[0];
}
void with_alloca(call_back *call, void *data, size_t size) {
    volatile char *space = alloca(size);
    space[0] = space[size - 1] = 1;
    call(data);
    space[0] = space[size - 1];
}
void with_array(call_back *call, void *data, size_t size) {
    for (size_t round = 1; round < 3; round++) {
        volatile char space[size / round + 1];
        space[0] = space[size / round] = 1;
        if (round == 2) call(data);
        space[0] = space[size / round];
    }
}
struct large { char bytes[700]; };
static __attribute__((noinline)) char by_value(struct large large, call_back *call, void *data) {
    call(data);
    return large.bytes[large.bytes[0]];
}
void with_arguments_on_the_stack(call_back *call, void *data, size_t size) {
    struct large large = { { 2, 1, size } };
    volatile char kept = by_value(large, call, data);
    kept = kept + 1;
}
void in_the_end(call_back *call, void *data, size_t size) {
    call(data);
}
void aligned(call_back *call, void *data, size_t size) {
    volatile char space[64] __attribute__((aligned(64)));
    space[size % 64] = 1;
    call(data);
    space[0] = space[size % 64];
}
";

/// A library of [`SOURCE`], loaded into this process.
struct Library {
    /// What the loader calls it by, a number to everybody else.
    handle: usize,
    functions: [CFunction; Library::FUNCTIONS.len()],
}

impl Library {
    const FUNCTIONS: [&str; 6] = [
        "plain",
        "with_alloca",
        "with_array",
        "with_arguments_on_the_stack",
        "in_the_end",
        "aligned",
    ];

    /// One of each optimization; none, said aloud, where there is no C compiler.
    fn all() -> Vec<Library> {
        let files = FILES.as_deref().unwrap_or_default();
        files.iter().map(Library::open).collect()
    }

    fn open(file: &CString) -> Library {
        // SAFETY: the library has no initializers.
        let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{file:?} cannot be loaded");
        let handle = handle.expose_provenance();
        let functions = Library::FUNCTIONS.map(|name| symbol(handle, name));
        Library { handle, functions }
    }

    fn close(self) {
        // SAFETY: from `dlopen`, and none of its functions is running.
        let failed = unsafe { libc::dlclose(with_exposed_provenance_mut(self.handle)) };
        assert_eq!(failed, 0);
    }
}

fn symbol(handle: usize, name: &str) -> CFunction {
    let name = CString::new(name).unwrap();
    // SAFETY: a loaded library, and a string that ends in zero.
    let address = unsafe { libc::dlsym(with_exposed_provenance_mut(handle), name.as_ptr()) };
    assert!(!address.is_null(), "{name:?} is missing");
    // SAFETY: all functions of the source have this type.
    unsafe { std::mem::transmute::<*mut c_void, CFunction>(address) }
}

/// The libraries, one for each set of flags; nothing without a C compiler, and on other processors, where
/// these tests may run under emulation and the compiler is this machine's.
static FILES: LazyLock<Option<Vec<CString>>> = LazyLock::new(|| {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let flags: [&[&str]; 4] = [
        &["-O0"],
        &["-O2", "-fomit-frame-pointer"],
        &["-O2", "-fno-omit-frame-pointer"],
        &["-Os", "-fno-stack-protector", "-mno-red-zone"],
    ];
    let files = flags.iter().enumerate();
    files
        .map(|(at, flags)| compile(&format!("stacks-{at}"), flags))
        .collect()
});

/// Compiles [`SOURCE`] to a library with this name.
fn compile(name: &str, flags: &[&str]) -> Option<CString> {
    let mut compiler = Tool("cc").command("--version")?;
    // Not shared with another build's tests that run at the same time.
    let base = format!(
        "{}/{name}-{}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let (source, library) = (format!("{base}.c"), format!("{base}.so"));
    std::fs::write(&source, SOURCE).unwrap();
    compiler
        .args(flags)
        .args(["-g1", "-shared", "-fPIC", "-o", &library, &source]);
    let status = compiler.status().unwrap();
    assert!(status.success(), "{compiler:?}: {status}");
    Some(CString::new(library).unwrap())
}
