//! Names its own frames under difficulties: its file is deleted or replaced, its root is another
//! folder, a fork interrupts, or memory is short.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use alloc_core::{GroupBy, TraceAlloc, start, take_snapshot};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

#[inline(never)]
fn kept() -> Vec<Vec<u8>> {
    (0..50).map(|it| black_box(vec![it; 1000])).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let path = || Path::new(&arguments[2]);
    let own = std::env::current_exe().expect("its path");
    start().expect("tracing starts");
    // The first capture on the main thread reads the bounds of its stack from /proc.
    drop(kept());
    match arguments[1].as_str() {
        "as it is" => {}
        "deleted" => std::fs::remove_file(own).expect("its file"),
        "replaced" => std::fs::rename(path(), own).expect("another file"),
        #[cfg(unix)]
        "chroot" => std::os::unix::fs::chroot(path()).expect("it may"),
        "memory" => return memory(),
        #[cfg(unix)]
        "forks" => return forks(),
        "dump" => {
            let blocks = kept();
            let snapshot = take_snapshot().expect("a snapshot");
            snapshot.dump(path()).expect("a file");
            snapshot
                .dump_with(path().with_extension("named"), alloc_core::Names::Symbols)
                .expect("a file");
            return drop(blocks);
        }
        other => panic!("{other}"),
    }
    let blocks = kept();
    let snapshot = take_snapshot().expect("a snapshot");
    let line = snapshot.statistics(GroupBy::Line);
    println!("{}", line[0].key);
    if let Some(missing) = snapshot.missing_debug_info() {
        println!("{missing}");
    }
    drop(blocks);
}

/// Prints by how much resident memory grows when names are found, and how much the tracer reports.
fn memory() {
    let blocks = kept();
    let resident = || alloc_core::resident_memory().expect("it is known");
    let (before, own_before) = (resident(), alloc_core::tracer_memory());
    let snapshot = take_snapshot().expect("a snapshot");
    assert!(!snapshot.traces().is_empty());
    drop(snapshot);
    let (after, own_after) = (resident(), alloc_core::tracer_memory());
    println!("{}", after.rss.get().saturating_sub(before.rss.get()));
    println!("{}", own_after.get().saturating_sub(own_before.get()));
    drop(blocks);
}

/// Forks while other threads find names, and finds the same names in the children.
#[cfg(unix)]
fn forks() {
    static DONE: AtomicBool = AtomicBool::new(false);
    static ROUNDS: AtomicUsize = AtomicUsize::new(0);
    let blocks = kept();
    let shared = std::sync::Arc::new(std::sync::Mutex::new(take_snapshot().expect("a snapshot")));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let shared = shared.clone();
            std::thread::spawn(move || {
                while !DONE.load(Ordering::Relaxed) {
                    let snapshot = take_snapshot().expect("a snapshot");
                    if let Ok(mut shared) = shared.try_lock() {
                        *shared = snapshot.clone();
                    }
                    assert!(snapshot.traces().iter().any(is_kept));
                    ROUNDS.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for _ in 0..20 {
        let round = ROUNDS.load(Ordering::Relaxed);
        while ROUNDS.load(Ordering::Relaxed) == round {
            std::thread::yield_now();
        }
        // SAFETY: the child only allocates, which glibc allows after a fork, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: `alarm` takes any number. The signal ends a child that hangs.
            unsafe { libc::alarm(60) };
            let is_right = take_snapshot().is_ok_and(|it| it.traces().iter().any(is_kept));
            // SAFETY: the function has no preconditions.
            unsafe { libc::_exit(i32::from(!is_right)) };
        }
        let mut status = 0;
        // SAFETY: `status` is a valid place.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the status of a child");
    }
    DONE.store(true, Ordering::Relaxed);
    threads
        .into_iter()
        .for_each(|it| it.join().expect("it ends"));
    drop(blocks);
    println!("done");
}

#[cfg(unix)]
fn is_kept(trace: &alloc_core::Trace) -> bool {
    let frame = trace.traceback.charged(alloc_core::ChargeTo::Caller);
    frame.function().is_some_and(|it| it.contains("kept")) && frame.line() > 0
}
