//! A program that locks its memory: the lock does not make the tracer's reserved memory resident.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;

use alloc_core::{TraceAlloc, start, tracer_memory};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    memory_that_is_locked_from_the_start,
    memory_that_is_locked_later
];

/// Runs eight threads that allocate, and returns the tracer's memory while they live.
fn with_eight_threads(then: impl FnOnce()) -> u64 {
    let (ready, done) = (Barrier::new(9), Barrier::new(9));
    thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let kept = black_box(Box::new([0_u8; 100]));
                ready.wait();
                done.wait();
                drop(kept);
            });
        }
        ready.wait();
        then();
        let memory = tracer_memory().get();
        done.wait();
        memory
    })
}

fn lock(flags: libc::c_int) -> bool {
    // SAFETY: the function takes any number.
    let is_locked = unsafe { libc::mlockall(flags) } == 0;
    if !is_locked {
        alloc_tests::skip("the system does not let this process lock its memory");
    }
    is_locked
}

fn memory_that_is_locked_from_the_start() {
    if lock(libc::MCL_CURRENT | libc::MCL_FUTURE) {
        start().unwrap();
        let memory = with_eight_threads(|| {});
        assert!(memory < 3 << 20, "{memory}");
        alloc_core::stop();
        // SAFETY: the function has no arguments and no preconditions.
        unsafe { libc::munlockall() };
    }
}

/// The bound is documented at the tracer's `arena`.
fn memory_that_is_locked_later() {
    start().unwrap();
    let mut is_locked = false;
    let memory = with_eight_threads(|| is_locked = lock(libc::MCL_CURRENT));
    let most = (20 << 20) + 9 * ((11 << 20) / 10);
    assert!(!is_locked || memory < most, "{memory}");
}
