//! Cases that write snapshots while they run or at their end, named by the first argument, for
//! tests of the files and of what writing costs.

use std::hint::black_box;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use alloc_core::{Config, TraceAlloc, start_with, take_snapshot};
use alloc_tests::{high_water_mark, resident_memory, workloads};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// The exit status of every case, which differs from that of a crash.
const STATUS: u8 = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["return"] => std::mem::forget(vec![1_u8; 1000]),
        ["print"] => {
            std::mem::forget(vec![1_u8; 1000]);
            println!("the program's own");
        }
        ["work"] => work(),
        ["with-a-child"] => with_a_child(),
        ["both-ways", path] => both_ways(Path::new(path)),
        ["hold", callsites, folder, files] => {
            hold(number(callsites), Path::new(folder), number(files))
        }
        _ => panic!("no case {arguments:?}"),
    }
    ExitCode::from(STATUS)
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// Allocates while snapshots are requested often.
fn work() {
    for round in 0..30 {
        drop(black_box(vec![round; 100]));
        // SAFETY: the signal requests a snapshot if the environment says so, and is ignored
        // otherwise.
        unsafe { libc::raise(libc::SIGURG) };
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A child that writes to the same path.
fn with_a_child() {
    // The clock of file times may be a hundredth of a second behind the clock of the process start.
    std::thread::sleep(std::time::Duration::from_millis(30));
    let program = std::env::current_exe().expect("the path of this program");
    let status = Command::new(program).arg("return").status();
    assert_eq!(
        status.expect("it starts").code(),
        Some(i32::from(STATUS)),
        "the child"
    );
}

/// Takes a snapshot, writes it, and compares it with what is read back.
fn both_ways(path: &Path) {
    start_with(Config::default().threads(true)).expect("tracing starts");
    std::mem::forget(workloads::records(30_000));
    workloads::some_of_everything();
    std::thread::Builder::new()
        .name("größe".to_owned())
        .spawn(|| std::mem::forget(black_box(vec![1_u8; 333])))
        .expect("it starts")
        .join()
        .expect("it ends well");
    let tracked = alloc_core::track(7, 0x1000, 4096);
    tracked.expect("it is tracked");
    let snapshot = take_snapshot().expect("tracing is on");
    snapshot.dump(path).expect("the path can be written to");
    // The snapshot that was read back has the same callsites in the same order.
    let back = alloc_core::Snapshot::load(path).expect("a snapshot");
    let parts = |snapshot: &alloc_core::Snapshot| {
        let traces = snapshot.traces().iter();
        let parts = traces.map(|it| (it.counters, it.domain, it.thread.clone()));
        parts.collect::<Vec<_>>()
    };
    assert_eq!(parts(&back), parts(&snapshot));
    assert_eq!(back.traced_memory(), snapshot.traced_memory());
    assert_eq!(back.health(), snapshot.health());
    assert_eq!(back.command_line(), snapshot.command_line());
    assert_eq!(back.program(), snapshot.program());
    assert_eq!(back.traceback_limit(), snapshot.traceback_limit());
}

/// Holds 22 MiB and a block for each callsite until a folder has enough files. Prints the resident
/// memory, and its highest value since the program began to wait.
fn hold(callsites: usize, folder: &Path, files: usize) {
    let kept = vec![1_u8; 22 << 20];
    let mut blocks = Vec::with_capacity(callsites);
    (0..callsites).for_each(|callsite| blocks.push(branch(callsite, 15)));
    forget_high_water_mark();
    let count = || std::fs::read_dir(folder).expect("a folder").count();
    while count() < files {
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("{} {}", resident_memory(), high_water_mark());
    black_box((&kept, &blocks));
}

/// A block with a stack of its own for each `callsite`: its bits choose the calls, two frames each.
#[inline(never)]
fn branch(callsite: usize, bits: u32) -> Box<u64> {
    let block = match bits {
        0 => Box::new(callsite as u64),
        _ if callsite & 1 == 0 => step::<0>(callsite >> 1, bits - 1),
        _ => step::<1>(callsite >> 1, bits - 1),
    };
    black_box(block)
}

#[inline(never)]
fn step<const BIT: usize>(callsite: usize, bits: u32) -> Box<u64> {
    let block = branch(callsite, bits);
    // The constant keeps the linker from merging the two functions.
    black_box(BIT);
    block
}

/// Resets the high-water mark of resident memory to its current value.
fn forget_high_water_mark() {
    std::fs::write("/proc/self/clear_refs", "5").expect("/proc/self/clear_refs");
}
