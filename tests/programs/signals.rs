//! A signal handler allocates and frees while the program is in the middle of a record.
//!
//! No malloc allows that, so memory comes from an inner allocator that does.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use alloc_core::{TraceAlloc, start, take_snapshot, traced_memory};
use alloc_tests::{Bump, at_function, sum_of};

#[global_allocator]
static ALLOC: TraceAlloc<Bump> = TraceAlloc::with_granule(Bump, 16);

/// Runs of the handler.
static RUNS: AtomicU64 = AtomicU64::new(0);

extern "C" fn on_signal(_: libc::c_int) {
    block_of_the_handler();
    RUNS.fetch_add(1, Relaxed);
}

#[inline(never)]
fn block_of_the_handler() {
    let block = Box::new(black_box([0_u8; 200]));
    drop(black_box(block));
}

#[inline(never)]
fn block_of_the_program(number: u64) -> Box<[u64; 4]> {
    Box::new(black_box([number; 4]))
}

fn main() {
    // SAFETY: `alarm` takes any number. No handler is installed, so the signal ends the process.
    unsafe { libc::alarm(300) };
    start().expect("tracing starts");
    let handler: extern "C" fn(libc::c_int) = on_signal;
    // SAFETY: the handler only uses atomics and an allocator that is async-signal-safe.
    unsafe { libc::signal(libc::SIGPROF, handler as *const () as libc::sighandler_t) };
    set_interval(100);
    const BLOCKS: u64 = 2_000_000;
    let mut kept: [Option<Box<[u64; 4]>>; 64] = [const { None }; 64];
    for number in 0..BLOCKS {
        kept[number as usize % 64] = Some(block_of_the_program(number));
    }
    set_interval(0);

    let snapshot = take_snapshot().expect("tracing is on");
    let program = at_function(&snapshot, "block_of_the_program");
    assert_eq!(
        (program.total.blocks, program.total.bytes.get()),
        (BLOCKS, 32 * BLOCKS)
    );
    assert_eq!(
        (program.current.blocks, program.current.bytes.get()),
        (64, 64 * 32)
    );
    let (runs, handler) = (
        RUNS.load(Relaxed),
        at_function(&snapshot, "block_of_the_handler"),
    );
    assert_eq!(handler.current.blocks, 0);
    assert_eq!(handler.total.bytes, 200 * handler.total.blocks);
    // An allocation in the middle of a record is skipped, and the skip is counted.
    assert!(handler.total.blocks <= runs);
    assert!(handler.total.blocks + snapshot.health().skipped >= runs);
    assert_eq!(snapshot.health().lost_blocks, 0);
    assert_eq!(
        sum_of(&snapshot, |_| true).current.bytes,
        traced_memory().current
    );
    println!(
        "{runs} {} {}",
        handler.total.blocks,
        snapshot.health().skipped
    );
}

/// Raises the signal after every `microseconds` of processor time; 0 turns the timer off.
fn set_interval(microseconds: libc::suseconds_t) {
    let interval = libc::timeval {
        tv_sec: 0,
        tv_usec: microseconds,
    };
    let timer = libc::itimerval {
        it_interval: interval,
        it_value: interval,
    };
    // SAFETY: `timer` is valid, and a null pointer asks for no old value.
    let failed = unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut()) };
    assert_eq!(failed, 0);
}
