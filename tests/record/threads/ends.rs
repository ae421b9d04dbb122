//! The end of a thread: its thread-locals, and the state that the tracer takes back.

use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_core::{Amount, start, take_snapshot, traced_memory};
use alloc_tests::at_function;

use crate::{block_of_640, checked_snapshot};

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
    let snapshot = checked_snapshot();
    let held = at_function(&snapshot, "block_of_640");
    assert_eq!(
        (held.current.blocks, held.total),
        (0, Amount::new(12_800, 20))
    );
    let left = at_function(&snapshot, "at_the_end");
    assert_eq!(
        (left.current, left.total),
        (Amount::new(4000, 20), Amount::new(8000, 40))
    );
    LEFT_BEHIND.lock().unwrap().clear();
    assert_eq!(
        at_function(&checked_snapshot(), "at_the_end").current,
        Amount::default()
    );
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

/// In each round of destructors frees the block of the round before and allocates another.
unsafe extern "C" fn next_round(block: *mut libc::c_void) {
    // SAFETY: from `block_of_c`.
    unsafe { dealloc(block.cast(), OF_C) };
    let next = block_of_c();
    LAST.store(next, Relaxed);
    ROUNDS.fetch_add(1, Relaxed);
    let key = KEY.load(Relaxed) as libc::pthread_key_t;
    // SAFETY: a key that was created, and never deleted.
    unsafe { libc::pthread_setspecific(key, next.cast()) };
}

/// Destructors that run after the tracer let the thread go are passed through: the block that was
/// recorded is taken off, the one that is allocated then is not recorded.
pub(crate) fn c_thread_locals_at_a_thread_s_end() {
    let mut key = 0;
    // SAFETY: room for a key, and a function of the right type.
    let failed = unsafe { libc::pthread_key_create(&mut key, Some(next_round)) };
    assert_eq!(failed, 0);
    KEY.store(key as usize, Relaxed);
    start().unwrap();
    let thread = thread::spawn(move || {
        let block = block_of_c();
        // SAFETY: a key that was created just now.
        unsafe { libc::pthread_setspecific(key, block.cast()) };
    });
    thread.join().unwrap();
    // As many as POSIX promises and glibc has.
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

/// A thread whose first block comes in the last round of its destructors is not told of its end: no other is called
/// after. Its state is taken back all the same.
pub(crate) fn threads_that_first_allocate_when_all_is_over() {
    start().unwrap();
    static KEY: AtomicUsize = AtomicUsize::new(0);
    /// Asks to be called again, and allocates in the last round.
    unsafe extern "C" fn at_end(round: *mut libc::c_void) {
        let round = round.addr();
        if round < 4 {
            let next = std::ptr::without_provenance(round + 1);
            // SAFETY: the key was made, and the value is a number.
            unsafe { libc::pthread_setspecific(KEY.load(Relaxed) as libc::pthread_key_t, next) };
        } else {
            drop(black_box(Box::new([0_u8; 24])));
        }
    }
    extern "C" fn work(_: *mut libc::c_void) -> *mut libc::c_void {
        let first = std::ptr::without_provenance(1);
        // SAFETY: as above.
        unsafe { libc::pthread_setspecific(KEY.load(Relaxed) as libc::pthread_key_t, first) };
        std::ptr::null_mut()
    }
    let mut key = 0;
    // SAFETY: room for a key, and a function of the right type.
    let failed = unsafe { libc::pthread_key_create(&mut key, Some(at_end)) };
    assert_eq!(failed, 0);
    KEY.store(key as usize, Relaxed);
    let run = || {
        let mut thread = std::mem::MaybeUninit::uninit();
        let (place, none) = (thread.as_mut_ptr(), std::ptr::null());
        // SAFETY: room for a thread, and a function that allocates nothing of Rust's.
        let failed = unsafe { libc::pthread_create(place, none, work, std::ptr::null_mut()) };
        assert_eq!(failed, 0);
        // SAFETY: it was made.
        let thread = unsafe { thread.assume_init() };
        // SAFETY: nobody else waits for it.
        unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    };
    (0..10).for_each(|_| run());
    let before = alloc_core::tracer_memory().get();
    (0..500).for_each(|_| run());
    let after = alloc_core::tracer_memory().get();
    assert!(after < before + (256 << 10), "{before}, {after}");
    // And this thread is alone again, so that the peak is exact: a snapshot looks for more of those that are gone.
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
