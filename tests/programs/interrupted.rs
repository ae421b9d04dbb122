//! A signal handler that frees and allocates, wherever the program is, while another thread stops the world.
//!
//! `interrupted MODE OTHER`: how blocks are followed, and what the other thread does.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::*};
use std::thread;

use alloc_core::{Config, Scope, TraceAlloc, take_snapshot, traced_memory};
use alloc_tests::Bump;

#[global_allocator]
static ALLOC: TraceAlloc<Bump> = TraceAlloc::with_granule(Bump, 16);

type Block = [u64; 4];

/// Blocks of the program that the handler is to free.
static GIVEN: [AtomicPtr<Block>; 8] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 8];
/// How many it freed.
static FREED: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicBool = AtomicBool::new(false);

fn take(at: usize) -> Option<Box<Block>> {
    let block = GIVEN[at].swap(std::ptr::null_mut(), AcqRel);
    // SAFETY: null, or from `Box::into_raw` in `main`, and taken once.
    (!block.is_null()).then(|| unsafe { Box::from_raw(block) })
}

extern "C" fn on_signal(_: libc::c_int) {
    let freed = (0..GIVEN.len()).filter_map(take).count();
    FREED.fetch_add(freed as u64, Relaxed);
    drop(black_box(Box::new([1_u8; 200])));
}

fn main() {
    // SAFETY: a number; no handler is installed, so the signal ends the process.
    unsafe { libc::alarm(60) };
    let argument = |at: usize| std::env::args().nth(at).expect("two arguments");
    let (mode, other) = (argument(1), argument(2));
    let config = match mode.as_str() {
        "counted" => Config::default().frames(0),
        _ => Config::default(),
    };
    if mode != "scoped" {
        alloc_core::start_with(config).expect("tracing starts");
    }
    let scope = mode
        .ends_with("scoped")
        .then(|| Scope::enter_with_stacks().expect("a scope"));
    let handler: extern "C" fn(libc::c_int) = on_signal;
    // SAFETY: the handler uses atomics and an allocator that is made for it.
    unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
    // SAFETY: a call without arguments.
    let main = unsafe { libc::pthread_self() };
    let stopper = thread::spawn(move || {
        for round in 0.. {
            // Signals that come too fast are one signal.
            if FREED.load(Relaxed) > 100 {
                break;
            }
            // SAFETY: the main thread, which waits for this one.
            unsafe { libc::pthread_kill(main, libc::SIGUSR1) };
            act(&other, round);
        }
        DONE.store(true, Relaxed);
    });
    let mut round = 0;
    while !DONE.load(Relaxed) {
        let block = Box::into_raw(Box::new(black_box([round as u64; 4])));
        let before = GIVEN[round % GIVEN.len()].swap(block, AcqRel);
        if !before.is_null() {
            // SAFETY: from `Box::into_raw`, and taken once.
            drop(unsafe { Box::from_raw(before) });
        }
        round += 1;
    }
    stopper.join().expect("it ends well");
    if mode != "scoped" {
        let snapshot = take_snapshot().expect("tracing is on");
        let memory = traced_memory();
        assert_eq!(snapshot.traced_memory().current, memory.current);
        assert!(memory.current < 1 << 20, "{memory:?}");
    }
    drop(scope);
}

/// Something for which nobody may be recording.
fn act(what: &str, round: u64) {
    match what {
        "reset" => alloc_core::reset_peak(),
        // Often for its own sake, so that not all blocks are from before.
        "clear" => alloc_core::clear_traces(),
        "threads" => thread::spawn(|| drop(black_box(Box::new(1))))
            .join()
            .expect("it ends well"),
        "snapshots" if round.is_multiple_of(8) => drop(take_snapshot()),
        "snapshots" => alloc_core::reset_peak(),
        "fork" if round.is_multiple_of(8) => fork(),
        "fork" => alloc_core::reset_peak(),
        _ => unreachable!("{what}"),
    }
}

/// The child allocates and ends.
fn fork() {
    // SAFETY: the child does what a child of many threads may: it allocates where that is made for it.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: a number; what hangs is ended by the signal.
        unsafe { libc::alarm(5) };
        drop(black_box(vec![1_u8; 100]));
        // SAFETY: a number.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, and room for its status.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0, "the child hung or failed");
}
