//! Forks while other threads are in the middle of whatever locks the tracer has; each child uses them all.
//!
//! `forks WHAT`: what the other threads do. The inner allocator has a lock of its own, which it holds around forks, and
//! registers that when it is first used, as jemalloc does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_core::{Config, GroupBy, Scope, TraceAlloc, take_snapshot};

struct Locked;

struct Lock(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: made to be shared.
unsafe impl Sync for Lock {}

static LOCK: Lock = Lock(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
static REGISTERED: Once = Once::new();

unsafe extern "C" fn lock() {
    // SAFETY: a mutex that is never destroyed.
    unsafe { libc::pthread_mutex_lock(LOCK.0.get()) };
}

unsafe extern "C" fn unlock() {
    // SAFETY: as above, taken by this thread.
    unsafe { libc::pthread_mutex_unlock(LOCK.0.get()) };
}

fn register() {
    // SAFETY: three functions that do not unwind.
    REGISTERED.call_once(|| unsafe {
        libc::pthread_atfork(Some(lock), Some(unlock), Some(unlock));
    });
}

/// Runs `work` with the lock taken.
fn locked<R>(work: impl FnOnce() -> R) -> R {
    register();
    // SAFETY: it has no conditions.
    unsafe { lock() };
    let result = work();
    // SAFETY: taken just above.
    unsafe { unlock() };
    result
}

// SAFETY: the system's allocator, one call at a time.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        locked(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        locked(|| unsafe { System.dealloc(block, layout) });
    }
}

#[global_allocator]
static ALLOC: TraceAlloc<Locked> = TraceAlloc::new(Locked);

static DONE: AtomicBool = AtomicBool::new(false);
/// How often the other threads did what they do.
static TURNS: AtomicUsize = AtomicUsize::new(0);

fn main() {
    // SAFETY: a number; no handler is installed, so the signal ends the process.
    unsafe { libc::alarm(60) };
    let what = std::env::args().nth(1).expect("what the others do");
    let config = Config::default().threads(what == "threads");
    if !matches!(what.as_str(), "scopes" | "environment") {
        alloc_core::start_with(config).expect("tracing starts");
    }
    assert_eq!(alloc_core::is_tracing(), what != "scopes");
    let scope = matches!(what.as_str(), "scopes" | "traced-scopes" | "reading")
        .then(|| Scope::enter_with_stacks().expect("a scope"));
    let handle = scope.as_ref().map(Scope::handle);
    let others = [(); 2].map(|()| {
        let (what, handle) = (what.clone(), handle.clone());
        thread::spawn(move || {
            let turn = || {
                act(&what);
                TURNS.fetch_add(1, Relaxed);
            };
            let work = || {
                while !DONE.load(Relaxed) {
                    turn();
                }
            };
            match &handle {
                Some(handle) if what == "reading" => {
                    let read = || drop(handle.snapshot());
                    while !DONE.load(Relaxed) {
                        read();
                        turn();
                    }
                }
                Some(handle) => handle.run(work),
                None => work(),
            }
        })
    });
    let rounds = if what == "names" { 15 } else { 150 };
    for round in 0..rounds {
        let before = TURNS.load(Relaxed);
        // SAFETY: the child does what the tracer says it may: it allocates, and asks.
        let child = unsafe { libc::fork() };
        if child == 0 {
            in_child(&what);
        }
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: a child of ours, and room for its status.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0, "round {round}: the child hung or failed");
        // However few processors there are, the others go on.
        while TURNS.load(Relaxed) == before {
            thread::yield_now();
        }
    }
    DONE.store(true, Relaxed);
    others
        .into_iter()
        .for_each(|it| it.join().expect("it ends well"));
}

fn act(what: &str) {
    match what {
        "scopes" | "traced-scopes" | "reading" | "environment" => drop(black_box(vec![0_u8; 64])),
        "names" => drop(take_snapshot().map(|it| it.statistics(GroupBy::Line))),
        "tracking" => {
            let address = TURNS.load(Relaxed);
            alloc_core::track(1, address, 10).expect("it is tracked");
            alloc_core::untrack(1, address).expect("it is tracked");
        }
        "threads" => thread::scope(|threads| {
            threads.spawn(|| drop(black_box(Box::new(1))));
        }),
        _ => unreachable!("{what}"),
    }
}

/// Uses all that another thread of the parent may have been in the middle of.
fn in_child(what: &str) -> ! {
    // SAFETY: a number; what hangs is ended by the signal.
    unsafe { libc::alarm(10) };
    drop(black_box(vec![1_u8; 100]));
    if alloc_core::is_tracing() {
        alloc_core::track(1, 0x1000, 10).expect("it is tracked");
        let snapshot = take_snapshot().expect("tracing is on");
        // Names take long.
        assert!(what != "names" || !snapshot.statistics(GroupBy::Line).is_empty());
        alloc_core::reset_peak();
    }
    let scope = Scope::enter_with_stacks().expect("a scope");
    drop(black_box(vec![1_u8; 100]));
    assert_eq!(scope.usage().expect("it is exact").allocated.bytes, 100);
    drop(scope.snapshot().expect("it is exact"));
    // SAFETY: a number.
    unsafe { libc::_exit(0) };
}
