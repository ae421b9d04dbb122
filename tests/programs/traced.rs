//! Cases with the tracer, named by the first argument, for tests that look at a process from
//! outside.
//!
//! A case panics if it finds an error.

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use alloc_core::{Config, Snapshot, TraceAlloc, start, take_snapshot, traced_memory};
use alloc_tests::{at_function, high_water_mark, resident_files, sum_of, workloads};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() -> ExitCode {
    let case = std::env::args().nth(1).expect("the name of a case");
    match case.as_str() {
        "state" => println!("{:?}", alloc_core::traceback_limit()),
        "configuration" => configuration(),
        "stop" => alloc_core::stop(),
        "start-with-another-limit" => start_with_another_limit(),
        "nothing-whatsoever" => start().expect("tracing starts"),
        "some-of-everything" => some_of_everything(),
        "grow-a-little" => {
            start().expect("tracing starts");
            workloads::moves_of_a_growing_vec(1 << 16);
        }
        "grow" => println!("{}", workloads::moves_of_a_growing_vec(64 << 20)),
        "records" => records(),
        "return" => {
            std::mem::forget(hundred_boxes());
            return ExitCode::from(5);
        }
        "labels" => {
            let _request = alloc_core::Label::enter("request");
            std::mem::forget(hundred_boxes());
            std::mem::forget(alloc_core::Label::new("größe").run(hundred_boxes));
            return ExitCode::SUCCESS;
        }
        "exit" => {
            std::mem::forget(hundred_boxes());
            std::process::exit(6);
        }
        "exit-on-a-thread" => {
            std::mem::forget(hundred_boxes());
            let thread = std::thread::spawn(|| std::process::exit(7));
            let _ = thread.join();
        }
        "panic" => {
            let _boxes = hundred_boxes();
            panic!("on purpose");
        }
        "hold" => {
            let _boxes = hundred_boxes();
            print!("!");
            std::io::Write::flush(&mut std::io::stdout()).expect("standard output is read");
            let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
        }
        "hold-more" => hold_more(),
        "fork-and-hold" => fork_and_hold(),
        "start-late" => {
            start().expect("tracing starts");
            std::mem::forget(hundred_boxes());
        }
        "dump" => dump(),
        "collections" => collections::dump(),
        "fork" => fork_keeps_tracing(),
        "fork-while-others-allocate" => fork_while_others_allocate(200),
        "fork-on-a-thread" => std::thread::spawn(|| fork_while_others_allocate(50))
            .join()
            .expect("the thread's checks hold"),
        other => panic!("no case {other}"),
    }
    ExitCode::SUCCESS
}

/// A block that tests find by the name of this function.
#[inline(never)]
fn thousand_bytes() -> Box<[u8; 1000]> {
    Box::new(black_box([0; 1000]))
}

fn hundred_boxes() -> [Box<[u8; 1000]>; 100] {
    std::array::from_fn(|_| thousand_bytes())
}

/// Holds another MiB for each byte of its input, and answers with a byte.
fn hold_more() {
    use std::io::{Read as _, Write as _};
    let mut held = Vec::new();
    for byte in std::io::stdin().lock().bytes() {
        byte.expect("standard input is read");
        held.push(black_box(vec![1_u8; 1 << 20]));
        print!("!");
        std::io::stdout().flush().expect("standard output is read");
    }
}

/// Prints the id of a child that lives until it has written its own snapshot.
fn fork_and_hold() {
    // SAFETY: this is the only thread except the tracer's, which does not exist in the child.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let boxes = hundred_boxes();
        // A child continues the numbers of its parent, so its first file may have any number.
        let prefix = format!("alloc-trace-{}-", std::process::id());
        let is_there = || {
            let files = std::fs::read_dir(".").expect("the folder");
            let mut names = files.map(|it| it.expect("a file").file_name());
            names.any(|it| {
                let name = it.to_string_lossy();
                name.starts_with(&prefix) && name.ends_with(".pb.gz")
            })
        };
        let patience = std::iter::repeat_n(std::time::Duration::from_millis(10), 6_000);
        let came = patience.into_iter().any(|it| {
            std::thread::sleep(it);
            is_there()
        });
        drop(boxes);
        // SAFETY: the child ends at once and runs no destructor of its parent's.
        unsafe { libc::_exit(i32::from(!came)) };
    }
    let mut status = 0;
    // SAFETY: the process is a child of this one, and `status` is a valid place.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    println!("{child}");
}

/// Allocates on several threads, and prints numbers that depend on the tracer's configuration.
fn configuration() {
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                for _ in 0..50 {
                    drop(hundred_boxes());
                }
            });
        }
    });
    std::mem::forget(hundred_boxes());
    let snapshot = take_snapshot().expect("tracing is on");
    let has_names = snapshot.traces().iter().any(|it| it.thread.is_some());
    let has_sizes = snapshot.traces().iter().any(|it| it.size_class.is_some());
    let is_exact = snapshot.traced_memory().peak_error == 0;
    let has_overflowed = snapshot.health().overflowed > 0;
    println!("{has_names} {has_sizes} {is_exact} {has_overflowed}");
}

fn start_with_another_limit() {
    assert_eq!(alloc_core::traceback_limit(), Some(15));
    // The environment wins over the program's configuration, without an error.
    alloc_core::start_with(Config::default().frames(3)).expect("no conflict");
    assert_eq!(alloc_core::traceback_limit(), Some(15));
}

fn some_of_everything() {
    start().expect("tracing starts");
    workloads::some_of_everything();
    let snapshot = take_snapshot().expect("tracing is on");
    alloc_core::stop();
    let sum = sum_of(&snapshot, |_| true);
    println!(
        "{} {} {}",
        sum.total.blocks,
        sum.total.bytes.get(),
        sum.reallocations
    );
}

fn records() {
    start().expect("tracing starts");
    let records = workloads::records(110 << 20);
    let live = traced_memory().current;
    let tables = alloc_core::tracer_memory();
    let system = [high_water_mark(), resident_files()];
    println!(
        "{} {} {live} {tables}",
        system[0],
        system[1],
        live = live.get(),
        tables = tables.get()
    );
    std::mem::forget(records);
}

/// Writes a snapshot to the path in the second argument, and prints the expected numbers.
fn dump() {
    start().expect("tracing starts");
    let boxes = hundred_boxes();
    let more = vec![0_u8; black_box(50_000)];
    let path = std::env::args_os().nth(2).expect("a path");
    let snapshot = take_snapshot().expect("tracing is on");
    snapshot.dump(&path).expect("the path can be written to");
    alloc_core::stop();
    let sum = sum_of(&snapshot, |_| true);
    println!("{} {}", sum.current.bytes.get(), sum.current.blocks);
    println!("{} {}", sum.total.bytes.get(), sum.total.blocks);
    drop((boxes, more));
}

/// Ends the process by a signal if it hangs.
fn watchdog(seconds: u32) {
    // SAFETY: `alarm` takes any number. No handler is installed, so the signal ends the process.
    unsafe { libc::alarm(seconds) };
}

/// Runs `child` in a forked child, and returns its exit status: 0 if `child` returns true.
fn in_a_child(child: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child may allocate, which the system's malloc allows after a fork. It takes no
    // lock of the standard library that another thread may hold.
    let process = unsafe { libc::fork() };
    if process == 0 {
        watchdog(60);
        let status = if child() { 0 } else { 1 };
        // SAFETY: `_exit` runs none of the parent's exit handlers.
        unsafe { libc::_exit(status) };
    }
    assert!(process > 0, "fork failed");
    let mut status = 0;
    // SAFETY: the process is a child of this one, and `status` is a valid place.
    let waited = unsafe { libc::waitpid(process, &mut status, 0) };
    assert_eq!(waited, process);
    status
}

#[inline(never)]
fn block_of_the_child() -> Box<[u8; 640]> {
    Box::new(black_box([0; 640]))
}

/// A child continues with the parent's numbers, and the parent does not see the child's.
fn fork_keeps_tracing() {
    watchdog(300);
    start().expect("tracing starts");
    let mut boxes = Vec::from(hundred_boxes());
    let before = traced_memory();
    let status = in_a_child(|| {
        boxes.truncate(40);
        let own = block_of_the_child();
        let Ok(snapshot) = take_snapshot() else {
            return false;
        };
        let inherited = at_function(&snapshot, "thousand_bytes");
        let sum = sum_of(&snapshot, |_| true);
        let expected = before.current.get() - 60_000 + 640;
        let is_right = inherited.current.blocks == 40
            && inherited.total.blocks == 100
            && at_function(&snapshot, "block_of_the_child").current.blocks == 1
            && sum.current.bytes == expected
            && traced_memory().current == expected
            && traced_memory().peak == before.peak
            && sum.at_peak.bytes == before.peak
            && traced_memory().peak_error == 0;
        drop(own);
        is_right
    });
    assert_eq!(status, 0, "the child's status");
    assert_eq!(traced_memory(), before);
    let snapshot = take_snapshot().expect("tracing is on");
    assert_eq!(at_function(&snapshot, "block_of_the_child").total.blocks, 0);
}

#[inline(never)]
fn block_of_another_thread(size: usize) {
    let layout = Layout::from_size_align(size, 8).expect("a small size");
    // SAFETY: the size is not zero.
    let block = black_box(unsafe { alloc(layout) });
    // SAFETY: from `alloc` with that layout.
    unsafe { dealloc(block, layout) };
}

fn fork_while_others_allocate(forks: usize) {
    watchdog(300);
    start().expect("tracing starts");
    static DONE: AtomicBool = AtomicBool::new(false);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            std::thread::spawn(|| {
                let mut size = 1;
                while !DONE.load(Ordering::Relaxed) {
                    block_of_another_thread(size);
                    size = size % 3000 + 7;
                }
            })
        })
        .collect();
    // Symbols are found here once, and children inherit them.
    assert!(take_snapshot().is_ok_and(|it| !it.traces().is_empty()));
    for fork in 0..forks {
        let status = in_a_child(|| {
            let own = block_of_the_child();
            // One thread is left, so a peak above the error is exact.
            let large = vec![0_u8; black_box(10 << 20)];
            let memory = traced_memory();
            let is_exact = memory.peak == memory.current && memory.peak_error == 0;
            drop(large);
            // Finding names takes long.
            let is_right = fork % 40 != 0 || take_snapshot().is_ok_and(|it| is_whole(&it));
            drop(own);
            is_exact && is_right && alloc_core::is_tracing()
        });
        assert_eq!(status, 0, "the status of child {fork}");
    }
    DONE.store(true, Ordering::Relaxed);
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("no thread panics"));
    let snapshot = take_snapshot().expect("tracing is on");
    let others = at_function(&snapshot, "block_of_another_thread");
    assert_eq!(others.current.blocks, 0);
    assert!(others.total.blocks > 0);
    assert_eq!(
        sum_of(&snapshot, |_| true).current.bytes,
        traced_memory().current
    );
}

/// Checks in a child with one thread that the parts add up, and that its own block is there.
fn is_whole(snapshot: &Snapshot) -> bool {
    sum_of(snapshot, |_| true).current.bytes == traced_memory().current
        && at_function(snapshot, "block_of_the_child").current.blocks == 1
}

/// Blocks that the standard library allocates for the program.
mod collections {
    use super::{Config, black_box, take_snapshot};

    #[inline(never)]
    fn vector() -> Vec<u64> {
        let mut vector = Vec::new();
        vector.reserve_exact(375_000);
        vector
    }

    #[inline(never)]
    fn boxes() -> (Box<[u8; 1_000_000]>, Box<[u8]>) {
        (
            Box::new(black_box([0; 1_000_000])),
            vec![0; 1_000_000].into_boxed_slice(),
        )
    }

    struct Text(String);

    impl From<usize> for Text {
        #[inline(never)]
        fn from(length: usize) -> Text {
            Text("x".repeat(length))
        }
    }

    pub(super) fn dump() {
        let path = std::env::args().nth(2).expect("a path");
        alloc_core::start_with(Config::default()).expect("tracing starts");
        let kept = black_box((vector(), boxes(), Text::from(1_000_000).0));
        let snapshot = take_snapshot().expect("tracing is on");
        drop(kept);
        snapshot.dump(&path).expect("a file");
    }
}
