//! A signal handler frees and allocates at any point of the program, while another thread stops the
//! world.
//!
//! `interrupted MODE OTHER`: the mode of tracing, and what the other thread does.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::*};
use std::thread;

use alloc_core::{Config, Scope, TraceAlloc, take_snapshot, traced_memory};
use alloc_tests::Bump;

#[global_allocator]
static ALLOC: TraceAlloc<Bump> = TraceAlloc::with_granule(Bump, 16);

type Block = [u64; 4];

/// Blocks for the handler to free.
static GIVEN: [AtomicPtr<Block>; 8] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 8];
/// Blocks that the handler has freed.
static FREED: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicBool = AtomicBool::new(false);

fn take(at: usize) -> Option<Box<Block>> {
    let block = GIVEN[at].swap(std::ptr::null_mut(), AcqRel);
    // SAFETY: the pointer is null, or from `Box::into_raw` in `main`; the swap hands it to one
    // owner.
    (!block.is_null()).then(|| unsafe { Box::from_raw(block) })
}

extern "C" fn on_signal(_: libc::c_int) {
    let freed = (0..GIVEN.len()).filter_map(take).count();
    FREED.fetch_add(freed as u64, Relaxed);
    drop(black_box(Box::new([1_u8; 200])));
}

fn main() {
    // SAFETY: `alarm` takes any number. No handler is installed, so the signal ends the process.
    unsafe { libc::alarm(300) };
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
    // SAFETY: the handler only uses atomics and an allocator that is async-signal-safe.
    unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
    // SAFETY: the function has no arguments and no preconditions.
    let main = unsafe { libc::pthread_self() };
    let stopper = thread::spawn(move || {
        for round in 0.. {
            // The system merges signals that follow each other too fast.
            if FREED.load(Relaxed) > 100 {
                break;
            }
            // SAFETY: the main thread is alive: it joins this one.
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
            // SAFETY: the pointer is from `Box::into_raw`, and the swap hands it to one owner.
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

/// A call that stops the world: no thread may be recording meanwhile.
fn act(what: &str, round: u64) {
    match what {
        "reset" => alloc_core::reset_peak(),
        // Starts often, so that not all blocks are from before the session.
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

/// Forks a child that allocates and ends.
fn fork() {
    // SAFETY: the child only allocates, from an allocator that has no lock.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: `alarm` takes any number. The signal ends a process that hangs.
        unsafe { libc::alarm(60) };
        drop(black_box(vec![1_u8; 100]));
        // SAFETY: the function takes any number.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the process is a child of this one, and `status` is a valid place.
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(status, 0, "the child hung or failed");
}
