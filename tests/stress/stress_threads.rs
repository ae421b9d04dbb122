//! Many threads at once, with signals, forks, snapshots and scopes. The numbers of each callsite
//! are exact whenever all threads rest.
//!
//! It is short unless `STRESS_SECONDS` or `STRESS_ROUNDS` is set. `STRESS_SEED` repeats the random
//! numbers, but not the order of threads. A round that takes more than a minute ends the process
//! and prints the stacks of all threads.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::{Barrier, mpsc};
use std::thread;

use alloc_core::{
    Config, GroupBy, Scope, ScopeHandle, TraceAlloc, take_snapshot, traced_memory, untraced,
};
use alloc_tests::{Bump, Random, Stress};

/// An allocator that a signal handler may use.
#[global_allocator]
static ALLOC: TraceAlloc<Bump> = TraceAlloc::with_granule(Bump, 16);

const WORKERS: usize = 4;
/// How often all threads rest in a round.
const RESTS: usize = 3;

alloc_tests::sites!();

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("a small size")
}

#[derive(Clone, Copy)]
struct Block {
    address: usize,
    size: usize,
    site: usize,
}

impl Block {
    fn grow(self, site: usize, size: usize) -> usize {
        // SAFETY: the block is live and has that layout; sizes are small and not zero.
        unsafe { GROW[site](self.address as *mut u8, layout(self.size), size) as usize }
    }
}

/// The live blocks and the total of all threads, by callsite.
#[derive(Default)]
struct Truth {
    bytes: [AtomicI64; SITES],
    blocks: [AtomicI64; SITES],
    total: [AtomicU64; SITES],
}

impl Truth {
    fn born(&self, block: Block) {
        self.bytes[block.site].fetch_add(block.size as i64, Relaxed);
        self.blocks[block.site].fetch_add(1, Relaxed);
        self.total[block.site].fetch_add(1, Relaxed);
    }

    fn died(&self, block: Block) {
        self.bytes[block.site].fetch_sub(block.size as i64, Relaxed);
        self.blocks[block.site].fetch_sub(1, Relaxed);
    }
}

static TRUTH: Truth = Truth {
    bytes: [const { AtomicI64::new(0) }; SITES],
    blocks: [const { AtomicI64::new(0) }; SITES],
    total: [const { AtomicU64::new(0) }; SITES],
};

/// Blocks for other threads or signal handlers to free.
static MAILBOX: [AtomicPtr<Block>; 16] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 16];

/// Puts a block into the mailbox, and returns the one it replaces. It takes a node from `nodes`, so
/// that it allocates nothing.
#[expect(clippy::vec_box, reason = "each node is handed over on its own")]
fn post(nodes: &mut Vec<Box<Block>>, block: Block, at: usize) -> Option<Block> {
    let mut node = nodes.pop()?;
    *node = block;
    let before = MAILBOX[at % MAILBOX.len()].swap(Box::into_raw(node), AcqRel);
    (!before.is_null()).then(|| {
        // SAFETY: from `Box::into_raw` above, and taken once.
        let node = unsafe { Box::from_raw(before) };
        let block = *node;
        nodes.push(node);
        block
    })
}

extern "C" fn on_signal(_: libc::c_int) {
    for place in &MAILBOX {
        let node = place.swap(std::ptr::null_mut(), AcqRel);
        if !node.is_null() {
            // SAFETY: the swap hands the node to this handler. The node leaks, because a handler
            // could not free it untraced.
            let block = unsafe { *node };
            free(block);
        }
    }
    // The block is skipped in the middle of a record. Otherwise it is recorded, and freed right
    // away.
    // SAFETY: the layout is not empty.
    let block = unsafe { alloc(layout(24)) };
    // SAFETY: from just above.
    unsafe { dealloc(block, layout(24)) };
    HANDLED.fetch_add(1, Relaxed);
}

static HANDLED: AtomicU64 = AtomicU64::new(0);

fn free(block: Block) {
    // SAFETY: the block is live and has that layout, and this thread is its only owner.
    unsafe { dealloc(block.address as *mut u8, layout(block.size)) };
    TRUTH.died(block);
}

fn make(site: usize, size: usize) -> Block {
    let address = MAKE[site](layout(size), false) as usize;
    let block = Block {
        address,
        size,
        site,
    };
    TRUTH.born(block);
    block
}

fn main() {
    let mut stress = untraced(|| Stress::from_environment("stress_threads", 4));
    let handler: extern "C" fn(libc::c_int) = on_signal;
    // SAFETY: the handler only uses atomics and an allocator that is async-signal-safe.
    unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
    while let Some(seed) = untraced(|| stress.next_round()) {
        round(seed);
    }
    println!("{} signals", HANDLED.load(Relaxed));
    println!("test result: 1 passed; 0 failed");
}

/// Watches a round. If it does not end, prints the stacks of all threads and ends the process.
fn watch(seed: u64) -> mpsc::Sender<()> {
    let (done, wait) = mpsc::channel::<()>();
    let look = move || {
        let minute = std::time::Duration::from_secs(60);
        if wait.recv_timeout(minute) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("STRESS_SEED={seed}: a round takes more than a minute");
            let gdb = std::process::Command::new("gdb")
                .args(["-q", "-batch", "-ex", "thread apply all bt 16", "-p"])
                .arg(std::process::id().to_string())
                .status();
            eprintln!("gdb: {gdb:?}");
            std::process::abort();
        }
    };
    thread::spawn(look);
    done
}

static RESTING: AtomicBool = AtomicBool::new(false);
static ENDS: AtomicBool = AtomicBool::new(false);

fn round(seed: u64) {
    let mut random = Random::new(seed);
    let watch = untraced(|| watch(seed));
    let config = match random.below(4) {
        0 => Config::default().frames(1),
        1 => Config::default().exact_peak(true),
        2 => Config::default().threads(true),
        _ => Config::default(),
    };
    alloc_core::start_with(config.clone()).expect("it starts");
    for site in 0..SITES {
        assert_eq!(TRUTH.blocks[site].load(Relaxed), 0);
        TRUTH.total[site].store(0, Relaxed);
    }
    ENDS.store(false, Relaxed);
    let (arrive, leave) = untraced(|| (Barrier::new(WORKERS + 1), Barrier::new(WORKERS + 1)));
    let threads: [AtomicUsize; WORKERS] = Default::default();
    thread::scope(|scope| {
        let mut handles = untraced(|| Vec::with_capacity(WORKERS));
        for (worker, id) in threads.iter().enumerate() {
            let (arrive, leave) = (&arrive, &leave);
            handles.push(scope.spawn(move || {
                // SAFETY: the function has no arguments and no preconditions.
                id.store(unsafe { libc::pthread_self() } as usize, Release);
                work(seed ^ (worker as u64 + 1) << 40, arrive, leave);
            }));
        }
        for rest in 0..RESTS {
            while threads.iter().any(|it| it.load(Acquire) == 0) {
                thread::yield_now();
            }
            RESTING.store(false, Release);
            for _ in 0..150 {
                let signalled = threads[random.below(WORKERS)].load(Acquire);
                // SAFETY: the thread belongs to this scope, and ends only after the last rest.
                unsafe { libc::pthread_kill(signalled as libc::pthread_t, libc::SIGUSR1) };
                disturb(&mut random);
            }
            ENDS.store(rest + 1 == RESTS, Release);
            RESTING.store(true, Release);
            arrive.wait();
            check(seed, &config);
            RESTING.store(rest + 1 == RESTS, Release);
            leave.wait();
        }
        // NOTE: the threads are joined, because a scope does not wait for their last frees.
        for handle in handles.drain(..) {
            handle.join().expect("it ends well");
        }
        untraced(|| drop(handles));
    });
    // Frees the blocks that are still in the mailbox.
    on_signal(0);
    check(seed, &config);
    alloc_core::stop();
    untraced(|| drop(watch));
}

/// Makes a random call that another thread of a program may make at any moment.
fn disturb(random: &mut Random) {
    match random.below(40) {
        0..12 => alloc_core::reset_peak(),
        12..14 => untraced(|| drop(take_snapshot())),
        14 => fork(),
        15..18 => drop(black_box(traced_memory())),
        18..20 => {
            let short = || free(make(0, 100));
            untraced(|| thread::spawn(short))
                .join()
                .expect("it ends well");
        }
        20 => late_thread(),
        21..24 => {
            let scope = Scope::enter_with_stacks().expect("a scope");
            free(make(1, 200));
            assert_eq!(scope.usage().expect("it is exact").allocated.bytes, 200);
        }
        _ => thread::yield_now(),
    }
}

/// Forks a child that allocates, reads and ends.
fn fork() {
    // SAFETY: the child only does what the tracer allows in a child.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: `alarm` takes any number. The signal ends a process that hangs.
        unsafe { libc::alarm(60) };
        drop(black_box(Box::new(1)));
        let memory = traced_memory();
        let snapshot = take_snapshot().expect("tracing is on");
        let is_right = snapshot.traced_memory().current == memory.current;
        // SAFETY: the function takes any number.
        unsafe { libc::_exit(if is_right { 0 } else { 3 }) };
    }
    let mut status = 0;
    // SAFETY: the process is a child of this one, and `status` is a valid place.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0, "the child hung or failed");
}

/// Runs a thread whose first allocation is in the last round of its destructors.
fn late_thread() {
    static KEY: AtomicUsize = AtomicUsize::new(usize::MAX);
    unsafe extern "C" fn at_end(round: *mut c_void) {
        if round.addr() == 4 {
            return free(make(2, 48));
        }
        let next = std::ptr::without_provenance(round.addr() + 1);
        // SAFETY: the key was created.
        unsafe { libc::pthread_setspecific(KEY.load(Relaxed) as libc::pthread_key_t, next) };
    }
    extern "C" fn work(_: *mut c_void) -> *mut c_void {
        // SAFETY: the key was created.
        unsafe {
            let key = KEY.load(Relaxed) as libc::pthread_key_t;
            libc::pthread_setspecific(key, std::ptr::without_provenance(1));
        }
        std::ptr::null_mut()
    }
    if KEY.load(Relaxed) == usize::MAX {
        let mut key = 0;
        // SAFETY: `key` is a valid place, and the function has the right type.
        unsafe { libc::pthread_key_create(&mut key, Some(at_end)) };
        KEY.store(key as usize, Relaxed);
    }
    let mut thread = std::mem::MaybeUninit::uninit();
    let none = std::ptr::null_mut();
    // SAFETY: `thread` is a valid place, and the function has the right type and ignores its
    // argument.
    let failed = unsafe { libc::pthread_create(thread.as_mut_ptr(), std::ptr::null(), work, none) };
    assert_eq!(failed, 0);
    // SAFETY: `pthread_create` succeeded and wrote it.
    let thread = unsafe { thread.assume_init() };
    // SAFETY: the thread is joinable, and no other thread joins it.
    unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
}

/// The work of a thread, until the last rest.
fn work(seed: u64, arrive: &Barrier, leave: &Barrier) {
    let mut random = Random::new(seed);
    let mut live: Vec<Block> = untraced(|| Vec::with_capacity(256));
    let mut nodes: Vec<Box<Block>> = untraced(|| {
        let node = || {
            Box::new(Block {
                address: 0,
                size: 0,
                site: 0,
            })
        };
        (0..4_000).map(|_| node()).collect()
    });
    let handle = ScopeHandle::new().expect("a scope");
    loop {
        while !RESTING.load(Acquire) {
            let (site, size) = (random.below(SITES), 16 + random.below(2_000));
            match random.below(20) {
                0..8 if live.len() < live.capacity() => live.push(make(site, size)),
                8..10 if !live.is_empty() => {
                    let at = random.below(live.len());
                    let old = live[at];
                    let address = old.grow(site, size);
                    TRUTH.died(old);
                    live[at] = Block {
                        address,
                        size,
                        site,
                    };
                    TRUTH.born(live[at]);
                }
                10..12 => {
                    let block = make(site, size);
                    if nodes.is_empty() {
                        free(block);
                    } else if let Some(before) = post(&mut nodes, block, random.below(64)) {
                        free(before);
                    }
                }
                12 => {
                    let block = handle.run(|| make(site, size));
                    free(block);
                }
                13 => {
                    let scope = Scope::enter_with_stacks().expect("a scope");
                    let block = make(site, size);
                    assert!(scope.usage().expect("it is exact").current.blocks >= 1);
                    drop(scope);
                    free(block);
                }
                _ if !live.is_empty() => {
                    let at = random.below(live.len());
                    free(live.swap_remove(at));
                }
                _ => {}
            }
        }
        let ends = ENDS.load(Acquire);
        if ends {
            live.drain(..).for_each(free);
            untraced(|| drop(std::mem::take(&mut live)));
            untraced(|| drop(std::mem::take(&mut nodes)));
        }
        // Signals are blocked while the threads rest, so that no handler changes the numbers.
        hold_back(true);
        arrive.wait();
        leave.wait();
        hold_back(false);
        if ends {
            break;
        }
    }
}

/// Blocks the signal of the handler, or unblocks it.
fn hold_back(signals: bool) {
    // SAFETY: all zeros are a valid `sigset_t`.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is a valid place.
    unsafe { libc::sigemptyset(&mut set) };
    // SAFETY: `set` was initialized above.
    unsafe { libc::sigaddset(&mut set, libc::SIGUSR1) };
    let how = if signals {
        libc::SIG_BLOCK
    } else {
        libc::SIG_UNBLOCK
    };
    // SAFETY: `set` is valid, and a null pointer asks for no old value.
    let failed = unsafe { libc::pthread_sigmask(how, &set, std::ptr::null_mut()) };
    assert_eq!(failed, 0);
}

/// Checks, while all threads rest, that every callsite has the numbers of the threads.
fn check(seed: u64, config: &Config) {
    untraced(|| {
        let snapshot = take_snapshot().expect("tracing is on");
        let memory = traced_memory();
        assert_eq!(snapshot.traced_memory().current, memory.current);
        let sum = alloc_tests::sum_of(&snapshot, |_| true);
        assert_eq!(
            sum.current.bytes, memory.current,
            "STRESS_SEED={seed}, {config:?}"
        );
        for (site, names) in NAMES.iter().enumerate() {
            let found = alloc_tests::sum_of(&snapshot, |trace| {
                let has = |names: &[&str]| {
                    trace.traceback.iter().any(|frame| {
                        let name = frame.function().and_then(|it| it.rsplit("::").next());
                        name.is_some_and(|it| names.contains(&it))
                    })
                };
                // The stack of a handler continues to the interrupted function.
                has(&names[..]) && !has(&["on_signal"])
            });
            let expected = (
                TRUTH.bytes[site].load(Relaxed) as u64,
                TRUTH.blocks[site].load(Relaxed) as u64,
                TRUTH.total[site].load(Relaxed),
            );
            let found = (
                found.current.bytes.get(),
                found.current.blocks,
                found.total.blocks,
            );
            assert_eq!(
                found, expected,
                "STRESS_SEED={seed}, {config:?}, site {site}"
            );
        }
        assert_eq!(
            snapshot.health().lost_blocks,
            0,
            "STRESS_SEED={seed}, {config:?}"
        );
        black_box(snapshot.statistics(GroupBy::Function));
    });
}
