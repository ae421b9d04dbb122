//! A system that gives the process no more memory.

use std::fs;
use std::path::Path;

use alloc_tests::status_of;

use crate::holding::{Holding, newest, snapshots};

/// With these, the memory for a snapshot is set aside.
const RECORDER: [(&str, &str); 3] = [
    ("ALLOC_TRACE_WHEN", "growth=10000%"),
    ("ALLOC_TRACE_KEEP", "5"),
    ("ALLOC_TRACE_SIGNAL", "USR1"),
];
/// The message of a snapshot that was asked for.
const WROTE: &str = "alloc-core: wrote ";

/// Starts a program that has written a snapshot.
fn start(folder: &Path, variables: &[(&str, &str)]) -> Holding {
    let program = Holding::start(&folder.join("heap-%n.pb.gz"), variables);
    program.signal(libc::SIGUSR1);
    program.wait_for_message(WROTE, 1);
    program
}

/// Permits the program no more address space than it has.
fn limit_to_what_it_has(program: &Holding) {
    let now = status_of(program.process(), "VmSize:").expect("it runs");
    let limit = libc::rlimit {
        rlim_cur: now,
        rlim_max: libc::RLIM_INFINITY,
    };
    let process = program.process() as i32;
    // SAFETY: the first pointer is valid for the call, and the other may be null.
    let set = unsafe { libc::prlimit(process, libc::RLIMIT_AS, &limit, std::ptr::null_mut()) };
    assert_eq!(set, 0);
}

#[test]
fn a_recorder_needs_no_memory_of_the_system() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = start(folder.path(), &RECORDER);
    limit_to_what_it_has(&program);
    for times in 2..8 {
        program.signal(libc::SIGUSR1);
        program.wait_for_message(WROTE, times);
    }
    let (_, last) = snapshots(folder.path()).pop().expect("a snapshot");
    assert!(last.traced_memory().current > 1 << 20);
    program.end();
}

/// What sets no memory aside says that there is none, so the test above can fail.
#[test]
fn without_a_recorder_a_snapshot_needs_memory_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = start(folder.path(), &RECORDER[2..]);
    limit_to_what_it_has(&program);
    program.signal(libc::SIGUSR1);
    program.wait_for_message("no snapshot written", 1);
    assert_eq!(newest(folder.path()), Some(1), "the last one stays");
    program.end();
}

/// The page faults of the writer thread so far: pages that the kernel had to give it.
fn faults(program: &Holding) -> u64 {
    let tasks = format!("/proc/{0}/task", program.process());
    let tasks = fs::read_dir(tasks).expect("it runs");
    let threads = tasks.map(|it| it.expect("a thread").path());
    let of_writer = threads
        .filter(|it| !it.ends_with(program.process().to_string()))
        .map(|it| fs::read_to_string(it.join("stat")).expect("it runs"));
    let faults = of_writer.map(|stat| {
        let (_, fields) = stat.rsplit_once(") ").expect("its name");
        let faults = fields.split(' ').nth(7).expect("minor faults");
        faults.parse::<u64>().expect("a number")
    });
    faults.sum()
}

#[test]
fn a_recorder_touches_no_new_page() {
    let of = |variables: &[(&str, &str)]| {
        let folder = tempfile::tempdir().expect("a folder");
        let program = start(folder.path(), variables);
        let mut each = Vec::new();
        for times in 2..6 {
            let before = faults(&program);
            program.signal(libc::SIGUSR1);
            program.wait_for_message(WROTE, times);
            each.push(faults(&program) - before);
        }
        program.end();
        each
    };
    let (with, without) = (of(&RECORDER), of(&RECORDER[2..]));
    println!("{with:?} page faults, and {without:?} without memory that is set aside");
    assert!(with.iter().all(|it| *it <= 16), "{with:?}");
    assert!(without.iter().all(|it| *it > 50), "{without:?}");
}
