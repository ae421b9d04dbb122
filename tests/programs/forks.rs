//! Forks while other threads hold the tracer's locks. Each child takes all of those locks.
//!
//! `forks WHAT`: what the other threads do. The inner allocator has a lock, which it holds around
//! forks. It registers its fork handlers on first use, as jemalloc does.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use alloc_core::{Config, GroupBy, Scope, TraceAlloc, take_snapshot};

struct Locked;

struct Lock(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: a pthread mutex may be shared between threads.
unsafe impl Sync for Lock {}

static LOCK: Lock = Lock(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
static REGISTERED: Once = Once::new();

unsafe extern "C" fn lock() {
    // SAFETY: the mutex is a static and is never destroyed.
    unsafe { libc::pthread_mutex_lock(LOCK.0.get()) };
}

unsafe extern "C" fn unlock() {
    // SAFETY: the mutex is a static, and this thread holds it.
    unsafe { libc::pthread_mutex_unlock(LOCK.0.get()) };
}

fn register() {
    // SAFETY: the three functions do not unwind.
    REGISTERED.call_once(|| unsafe {
        libc::pthread_atfork(Some(lock), Some(unlock), Some(unlock));
    });
}

/// Runs `work` with the lock taken.
fn locked<R>(work: impl FnOnce() -> R) -> R {
    register();
    // SAFETY: `lock` may be called at any time.
    unsafe { lock() };
    let result = work();
    // SAFETY: this thread took the lock two lines above.
    unsafe { unlock() };
    result
}

// SAFETY: all memory comes from the system's allocator, whose contract is the same.
unsafe impl GlobalAlloc for Locked {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        locked(|| unsafe { System.alloc(layout) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        locked(|| unsafe { System.dealloc(block, layout) });
    }
}

#[global_allocator]
static ALLOC: TraceAlloc<Locked> = TraceAlloc::new(Locked);

static DONE: AtomicBool = AtomicBool::new(false);
/// Rounds that the other threads have completed.
static TURNS: AtomicUsize = AtomicUsize::new(0);

fn main() {
    // SAFETY: `alarm` takes any number. No handler is installed, so the signal ends the process.
    unsafe { libc::alarm(300) };
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
        // SAFETY: the child only does what the tracer allows in a child: it allocates and reads.
        let child = unsafe { libc::fork() };
        if child == 0 {
            in_child(&what);
        }
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: the process is a child of this one, and `status` is a valid place.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0, "round {round}: the child hung or failed");
        // Lets the other threads make progress, also on one processor.
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

/// Takes every lock that another thread of the parent may have held at the fork.
fn in_child(what: &str) -> ! {
    // SAFETY: `alarm` takes any number. The signal ends a process that hangs.
    unsafe { libc::alarm(60) };
    drop(black_box(vec![1_u8; 100]));
    if alloc_core::is_tracing() {
        alloc_core::track(1, 0x1000, 10).expect("it is tracked");
        let snapshot = take_snapshot().expect("tracing is on");
        // Finding names takes long.
        assert!(what != "names" || !snapshot.statistics(GroupBy::Line).is_empty());
        alloc_core::reset_peak();
    }
    let scope = Scope::enter_with_stacks().expect("a scope");
    drop(black_box(vec![1_u8; 100]));
    assert_eq!(scope.usage().expect("it is exact").allocated.bytes, 100);
    drop(scope.snapshot().expect("it is exact"));
    // SAFETY: the function takes any number.
    unsafe { libc::_exit(0) };
}
