//! The end of a thread: its thread-locals, and the state that the tracer reclaims.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_core::{Amount, start, take_snapshot, traced_memory};
use alloc_tests::at_function;

use crate::{block_of_640, check, checked_snapshot};

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

pub(crate) fn rust_thread_locals_at_a_thread_s_end() {
    start().unwrap();
    for _ in 0..10 {
        let thread = thread::spawn(|| {
            HELD.set(Some(AtTheEnd(block_of_640())));
            ALSO_HELD.with_borrow_mut(|held| held.push(AtTheEnd(block_of_640())));
        });
        thread.join().unwrap();
    }
    check("block_of_640", (0, 0), (12_800, 20));
    check("at_the_end", (4000, 20), (8000, 40));
    LEFT_BEHIND.lock().unwrap().clear();
    check("at_the_end", (0, 0), (8000, 40));
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

/// Frees the block of the round before and allocates another, in each round of destructors.
unsafe extern "C" fn next_round(block: *mut libc::c_void) {
    // SAFETY: from `block_of_c`.
    unsafe { dealloc(block.cast(), OF_C) };
    let next = block_of_c();
    LAST.store(next, Relaxed);
    ROUNDS.fetch_add(1, Relaxed);
    let key = KEY.load(Relaxed) as libc::pthread_key_t;
    // SAFETY: the key was created, and is never deleted.
    unsafe { libc::pthread_setspecific(key, next.cast()) };
}

/// Destructors that run after the tracer has released the thread bypass it: a recorded block is
/// subtracted, and a new block is not recorded.
pub(crate) fn c_thread_locals_at_a_thread_s_end() {
    let mut key = 0;
    // SAFETY: `key` is a valid place, and the function has the right type.
    let failed = unsafe { libc::pthread_key_create(&mut key, Some(next_round)) };
    assert_eq!(failed, 0);
    KEY.store(key as usize, Relaxed);
    start().unwrap();
    let thread = thread::spawn(move || {
        let block = block_of_c();
        // SAFETY: the key was created above.
        unsafe { libc::pthread_setspecific(key, block.cast()) };
    });
    thread.join().unwrap();
    // POSIX promises four rounds, and glibc has as many.
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

/// The tracer is not called at the end of a thread whose first allocation is in the last round of
/// its destructors. It reclaims the thread's state anyway.
pub(crate) fn threads_that_first_allocate_in_their_last_destructor() {
    start().unwrap();
    static KEY: AtomicUsize = AtomicUsize::new(0);
    /// Requests another round, and allocates in the last one.
    unsafe extern "C" fn at_end(round: *mut libc::c_void) {
        let round = round.addr();
        if round < 4 {
            let next = std::ptr::without_provenance(round + 1);
            // SAFETY: the key was created, and the value is a number.
            unsafe { libc::pthread_setspecific(KEY.load(Relaxed) as libc::pthread_key_t, next) };
        } else {
            drop(black_box(Box::new([0_u8; 24])));
        }
    }
    extern "C" fn work(_: *mut libc::c_void) -> *mut libc::c_void {
        let first = std::ptr::without_provenance(1);
        // SAFETY: the key was created, and the value is a number.
        unsafe { libc::pthread_setspecific(KEY.load(Relaxed) as libc::pthread_key_t, first) };
        std::ptr::null_mut()
    }
    let mut key = 0;
    // SAFETY: `key` is a valid place, and the function has the right type.
    let failed = unsafe { libc::pthread_key_create(&mut key, Some(at_end)) };
    assert_eq!(failed, 0);
    KEY.store(key as usize, Relaxed);
    let run = || {
        let mut thread = std::mem::MaybeUninit::uninit();
        let (place, none) = (thread.as_mut_ptr(), std::ptr::null());
        // SAFETY: `place` is valid, and the function has the right type and ignores its argument.
        let failed = unsafe { libc::pthread_create(place, none, work, std::ptr::null_mut()) };
        assert_eq!(failed, 0);
        // SAFETY: `pthread_create` succeeded and wrote it.
        let thread = unsafe { thread.assume_init() };
        // SAFETY: the thread is joinable, and no other thread joins it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    };
    (0..10).for_each(|_| run());
    let before = alloc_core::tracer_memory().get();
    (0..500).for_each(|_| run());
    let after = alloc_core::tracer_memory().get();
    assert!(after < before + (256 << 10), "{before}, {after}");
    // This thread is alone again, so its peaks are exact once the tracer has noticed. Each snapshot
    // looks for more threads that have ended.
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
