//! Heap graphs where something is in the way: the program goes on, nothing waits past a deadline,
//! and the error or the result says what is missing.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use alloc_core::{
    Config, Error, GraphOptions, HeapGraph, TraceAlloc, heap_graph, heap_graph_with, start,
    start_with,
};

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![
    // This test is first: later ones have a signal.
    without_a_free_signal_there_is_an_error,
    without_a_session_that_has_all_stacks_there_is_an_error,
    a_path_that_cannot_be_written_is_an_error,
    a_thread_that_blocks_signals_is_missed_and_lives_on,
    a_thread_in_a_vfork_is_missed_and_lives_on,
    pages_that_cannot_be_read_are_left_out,
    hundreds_of_threads_stop,
    threads_that_start_and_end_meanwhile_do_not_disturb,
    forks_meanwhile_do_not_disturb,
    a_killed_clone_is_an_error_and_leaves_nothing,
    the_program_s_own_waits_do_not_see_the_clone,
    no_call_of_the_standard_library_is_interrupted,
    a_file_that_may_not_grow_is_an_error,
    without_memory_for_the_index_there_is_an_error,
    a_forbidden_clone_is_an_error,
];

/// A folder of its own for each test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("graph-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Folder(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("app.heapgraph")
    }

    #[track_caller]
    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Takes a graph that must be whole but for threads that are missed.
#[track_caller]
fn take(path: &Path) -> HeapGraph {
    let taken = heap_graph(path).unwrap();
    assert!(taken.blocks > 0 && taken.bytes.get() > 0, "{taken:?}");
    assert_eq!(
        std::fs::metadata(path).unwrap().len(),
        taken.file_size.get()
    );
    taken
}

#[track_caller]
fn check_error(result: Result<HeapGraph, Error>, parts: &[&str]) {
    let error = result.unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "expected {part:?} in {error:?}");
    }
}

fn without_a_session_that_has_all_stacks_there_is_an_error() {
    let folder = Folder::new("sessions");
    check_error(
        heap_graph(folder.file()),
        &["tracing is on", "found it off"],
    );
    for config in [
        Config::default().frames(0),
        Config::default().sample_every(1000),
    ] {
        start_with(config).unwrap();
        check_error(heap_graph(folder.file()), &["needs stacks of every block"]);
        alloc_core::stop();
    }
    assert!(folder.is_empty());
}

fn a_path_that_cannot_be_written_is_an_error() {
    start().unwrap();
    check_error(
        heap_graph("/no/such/folder/app.heapgraph"),
        &["cannot write /no/such/folder/app.heapgraph", "No such file"],
    );
    check_error(
        heap_graph("/proc/app.heapgraph"),
        &["cannot write /proc/app.heapgraph"],
    );
}

/// A thread that runs until it is told to end.
struct Worker {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread that calls `work` again and again, after `begin` was called once.
    fn start(
        begin: impl FnOnce() + Send + 'static,
        mut work: impl FnMut() + Send + 'static,
    ) -> Worker {
        let ends = Arc::new(AtomicBool::new(false));
        let began = Arc::new(AtomicBool::new(false));
        let (own, has_begun) = (ends.clone(), began.clone());
        let thread = thread::spawn(move || {
            begin();
            has_begun.store(true, Relaxed);
            while !own.load(Relaxed) {
                work();
            }
        });
        while !began.load(Relaxed) {
            thread::yield_now();
        }
        Worker {
            ends,
            thread: Some(thread),
        }
    }

    fn end(mut self) {
        self.ends.store(true, Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn nap() {
    thread::sleep(Duration::from_millis(1));
}

fn block_signals(how: libc::c_int) {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `all` has room for a set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` was filled.
    let failed = unsafe { libc::pthread_sigmask(how, all.as_ptr(), std::ptr::null_mut()) };
    assert_eq!(failed, 0);
}

fn a_thread_that_blocks_signals_is_missed_and_lives_on() {
    start().unwrap();
    let folder = Folder::new("blocked");
    let worker = Worker::start(|| block_signals(libc::SIG_BLOCK), nap);
    for _ in 0..3 {
        let options = GraphOptions::default().deadline(Duration::from_millis(20));
        let taken = heap_graph_with(folder.file(), &options).unwrap();
        assert_eq!((taken.threads, taken.threads_missed), (0, 1));
        assert!(taken.pause >= Duration::from_millis(20), "{taken:?}");
    }
    worker.end();

    // The signals of earlier rounds arrive when nobody waits for them any more.
    let worker = Worker::start(
        || block_signals(libc::SIG_BLOCK),
        || {
            nap();
            block_signals(libc::SIG_UNBLOCK);
        },
    );
    let taken = take(&folder.file());
    assert_eq!(taken.threads + taken.threads_missed, 1);
    worker.end();
    assert_eq!(take(&folder.file()).threads_missed, 0);
}

fn a_thread_in_a_vfork_is_missed_and_lives_on() {
    start().unwrap();
    let folder = Folder::new("vfork");
    let worker = Worker::start(
        || {},
        || {
            // The thread waits in the kernel until the child ends.
            let status = std::process::Command::new("/bin/sleep").arg("0.3").status();
            assert!(status.unwrap().success());
        },
    );
    let waits_in_vfork = Worker::start(
        || {},
        || {
            let flags = libc::CLONE_VFORK | libc::SIGCHLD;
            // SAFETY: the child has a copy of the memory, only sleeps, and ends.
            let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
            if child == 0 {
                let time = libc::timespec {
                    tv_sec: 0,
                    tv_nsec: 300_000_000,
                };
                // SAFETY: the time is valid; no remainder is written.
                unsafe { libc::syscall(libc::SYS_nanosleep, &raw const time, 0) };
                // SAFETY: ends the child alone.
                unsafe { libc::syscall(libc::SYS_exit_group, 0) };
            }
            assert!(child > 0);
            let mut status = 0;
            // SAFETY: `status` has room for the answer.
            unsafe { libc::waitpid(child as i32, &mut status, 0) };
        },
    );
    thread::sleep(Duration::from_millis(50));
    let options = GraphOptions::default().deadline(Duration::from_millis(20));
    let missed: u64 = (0..5)
        .map(|_| {
            heap_graph_with(folder.file(), &options)
                .unwrap()
                .threads_missed
        })
        .sum();
    assert!(missed > 0);
    waits_in_vfork.end();
    worker.end();
    assert_eq!(take(&folder.file()).threads_missed, 0);
}

const PAGE: usize = 4096;

fn pages_that_cannot_be_read_are_left_out() {
    start().unwrap();
    let folder = Folder::new("protected");
    let kept = Box::new(7_u64);
    let mut block = vec![&raw const *kept; 64 * PAGE / 8];
    let whole = take(&folder.file());
    assert!(whole.edges >= 64 * 512, "{whole:?}");

    let start = block.as_mut_ptr().addr().next_multiple_of(PAGE) + 8 * PAGE;
    let place = start as *mut libc::c_void;
    for (advice, undo) in [
        (libc::MADV_DONTFORK, libc::MADV_DOFORK),
        (libc::MADV_WIPEONFORK, libc::MADV_KEEPONFORK),
    ] {
        // SAFETY: the pages are within the block; the advice changes nothing here.
        assert_eq!(unsafe { libc::madvise(place, 16 * PAGE, advice) }, 0);
        let taken = take(&folder.file());
        assert!(taken.edges <= whole.edges - 16 * 512, "{taken:?}");
        assert_eq!(taken.bytes.get(), whole.bytes.get());
        // SAFETY: as above.
        assert_eq!(unsafe { libc::madvise(place, 16 * PAGE, undo) }, 0);
    }
    // SAFETY: the pages are within the block, and nothing reads them now.
    let protected = unsafe { libc::mprotect(place, 16 * PAGE, libc::PROT_NONE) };
    assert_eq!(protected, 0);
    let taken = take(&folder.file());
    // SAFETY: the pages are within the block.
    let undone = unsafe { libc::mprotect(place, 16 * PAGE, libc::PROT_READ | libc::PROT_WRITE) };
    assert_eq!(undone, 0);
    // The rest of the block is not scanned.
    assert!(
        taken.edges >= 7 * 512 && taken.edges <= whole.edges - 16 * 512,
        "{taken:?}"
    );
    assert!(take(&folder.file()).edges >= 64 * 512);
    black_box((&block, &kept));
}

fn hundreds_of_threads_stop() {
    start().unwrap();
    let folder = Folder::new("many");
    let ends = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..400)
        .map(|_| {
            let ends = ends.clone();
            thread::Builder::new()
                .stack_size(128 << 10)
                .spawn(move || {
                    let own = black_box(Box::new(1_u64));
                    while !ends.load(Relaxed) {
                        thread::park_timeout(Duration::from_millis(50));
                    }
                    drop(own);
                })
                .unwrap()
        })
        .collect();
    let options = GraphOptions::default().deadline(Duration::from_secs(10));
    let taken = heap_graph_with(folder.file(), &options).unwrap();
    assert_eq!((taken.threads, taken.threads_missed), (400, 0));
    ends.store(true, Relaxed);
    threads.into_iter().for_each(|it| it.join().unwrap());
}

fn threads_that_start_and_end_meanwhile_do_not_disturb() {
    start().unwrap();
    let folder = Folder::new("short");
    let starts_others = || {
        Worker::start(
            || {},
            || {
                thread::spawn(|| drop(black_box(vec![1_u8; 1000])))
                    .join()
                    .unwrap()
            },
        )
    };
    let workers: Vec<_> = (0..3).map(|_| starts_others()).collect();
    // A thread that ends before it takes the signal is not waited for.
    let options = GraphOptions::default().deadline(Duration::from_secs(20));
    for _ in 0..50 {
        let taken = heap_graph_with(folder.file(), &options).unwrap();
        assert_eq!(taken.threads_missed, 0);
    }
    workers.into_iter().for_each(Worker::end);
}

fn forks_meanwhile_do_not_disturb() {
    start().unwrap();
    let folder = Folder::new("forks");
    let forks = Worker::start(
        || {},
        || {
            // SAFETY: the child only ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: ends the child alone.
                unsafe { libc::_exit(7) };
            }
            let mut status = 0;
            // SAFETY: `status` has room for the answer.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(libc::WEXITSTATUS(status), 7);
        },
    );
    for _ in 0..20 {
        take(&folder.file());
    }
    forks.end();

    // A child takes a graph of its own.
    // SAFETY: the child takes a graph, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let taken = heap_graph(folder.file());
        // SAFETY: ends the child alone.
        unsafe {
            libc::_exit(if taken.is_ok_and(|it| it.blocks > 0) {
                0
            } else {
                1
            })
        };
    }
    check_child(child);
}

#[track_caller]
fn check_child(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: `status` has room for the answer.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status));
    assert_eq!((signal, libc::WEXITSTATUS(status)), (None, 0));
}

/// The children of the threads of this process.
fn children() -> Vec<libc::pid_t> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let lists =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .map(|it| it.parse().unwrap())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn a_killed_clone_is_an_error_and_leaves_nothing() {
    start().unwrap();
    let folder = Folder::new("killed");
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let kept: Vec<Box<u64>> = (0..200_000).map(Box::new).collect();
    let killed = Arc::new(AtomicUsize::new(0));
    let counted = killed.clone();
    let killer = Worker::start(
        || {},
        move || {
            for child in children() {
                // SAFETY: the arguments are numbers. The clone is not reaped while it is listed.
                unsafe { libc::kill(child, libc::SIGKILL) };
                counted.fetch_add(1, Relaxed);
            }
        },
    );
    let mut failed = 0;
    for _ in 0..5 {
        if let Err(error) = heap_graph(folder.file()) {
            let error = error.to_string();
            assert!(error.contains("killed"), "{error}");
            failed += 1;
        }
    }
    killer.end();
    assert!(failed > 0 && killed.load(Relaxed) > 0);
    let _ = std::fs::remove_file(folder.file());
    assert!(folder.is_empty() && children().is_empty());
    assert_eq!(open(), before);

    let options = GraphOptions::default().timeout(Duration::ZERO);
    check_error(
        heap_graph_with(folder.file(), &options),
        &["took longer than 0ns"],
    );
    assert!(folder.is_empty() && children().is_empty());
    take(&folder.file());
    drop(kept);
}

static CHILDREN_ENDED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_child(_: libc::c_int) {
    CHILDREN_ENDED.fetch_add(1, Relaxed);
}

fn the_program_s_own_waits_do_not_see_the_clone() {
    start().unwrap();
    let folder = Folder::new("waits");
    // SAFETY: the handler only counts.
    unsafe { libc::signal(libc::SIGCHLD, on_child as *const () as usize) };
    let waits = Worker::start(
        || {},
        || {
            let mut status = 0;
            // SAFETY: `status` has room for the answer.
            let child = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
            assert_eq!(child, -1);
            assert_eq!(
                io::Error::last_os_error().raw_os_error(),
                Some(libc::ECHILD)
            );
        },
    );
    for _ in 0..5 {
        take(&folder.file());
    }
    waits.end();
    assert_eq!(CHILDREN_ENDED.load(Relaxed), 0);
    // SAFETY: the default action.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

fn no_call_of_the_standard_library_is_interrupted() {
    start().unwrap();
    let folder = Folder::new("interrupted");
    let (mut reader, mut writer) = io::pipe().unwrap();
    let reads = thread::spawn(move || {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        byte[0]
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepts = thread::spawn(move || listener.accept().unwrap().0.read(&mut [0]).unwrap());
    let sleeps = thread::spawn(|| {
        let began = Instant::now();
        thread::sleep(Duration::from_millis(300));
        began.elapsed()
    });
    let waits = {
        let pair = Arc::new((std::sync::Mutex::new(false), std::sync::Condvar::new()));
        let own = pair.clone();
        let thread = thread::spawn(move || {
            let mut done = own.0.lock().unwrap();
            while !*done {
                done = own.1.wait(done).unwrap();
            }
        });
        (pair, thread)
    };
    thread::sleep(Duration::from_millis(20));
    for _ in 0..10 {
        assert_eq!(take(&folder.file()).threads_missed, 0);
    }
    writer.write_all(&[42]).unwrap();
    assert_eq!(reads.join().unwrap(), 42);
    let mut connection = std::net::TcpStream::connect(address).unwrap();
    take(&folder.file());
    connection.write_all(&[1]).unwrap();
    assert_eq!(accepts.join().unwrap(), 1);
    assert!(sleeps.join().unwrap() >= Duration::from_millis(300));
    *waits.0.0.lock().unwrap() = true;
    waits.0.1.notify_all();
    waits.1.join().unwrap();
}

/// Runs `limit` in a child of a fork, and there takes a graph, which must fail with an error that
/// has these parts, and leave nothing.
#[track_caller]
fn check_error_in_child(name: &str, limit: impl FnOnce(), parts: &[&str]) {
    if !alloc_core::is_tracing() {
        start().unwrap();
    }
    let folder = Folder::new(name);
    // SAFETY: the child has one thread, which takes a graph and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        limit();
        let error =
            heap_graph(folder.file()).map_or_else(|it| it.to_string(), |it| format!("{it:?}"));
        let has_all = parts.iter().all(|part| error.contains(part)) && folder.is_empty();
        if !has_all {
            eprintln!("expected {parts:?} in {error:?}");
        }
        // SAFETY: ends the child alone.
        unsafe { libc::_exit(i32::from(!has_all)) };
    }
    check_child(child);
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: the limit is valid.
    assert_eq!(unsafe { libc::setrlimit(resource, &limit) }, 0);
}

fn a_file_that_may_not_grow_is_an_error() {
    start().unwrap();
    // The clone fails, and then this process, which adds the snapshot.
    let kept: Vec<Box<u64>> = (0..10_000).map(Box::new).collect();
    check_error_in_child(
        "full",
        || limit(libc::RLIMIT_FSIZE, 1000),
        &["cannot write", "could not write the file", "File too large"],
    );
    drop(kept);
    check_error_in_child(
        "full",
        || limit(libc::RLIMIT_FSIZE, 1000),
        &["cannot write", "File too large"],
    );
}

fn without_memory_for_the_index_there_is_an_error() {
    check_error_in_child(
        "memory",
        || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
            limit(libc::RLIMIT_AS, pages * PAGE as u64 + (1 << 20));
        },
        &["could not"],
    );
}

fn a_forbidden_clone_is_an_error() {
    const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    check_error_in_child(
        "seccomp",
        || {
            let mut steps = [
                step(LOAD_NUMBER, 0, 0, 0),
                step(IF_EQUAL, 0, 1, libc::SYS_clone as u32),
                step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
                step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
            ];
            let filter = libc::sock_fprog {
                len: 4,
                filter: steps.as_mut_ptr(),
            };
            // SAFETY: the arguments are numbers.
            let first = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
            // SAFETY: the filter lives during the call.
            let second = unsafe {
                libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const filter,
                )
            };
            assert_eq!((first, second), (0, 0));
        },
        &["Operation not permitted"],
    );
}

fn without_a_free_signal_there_is_an_error() {
    check_error_in_child(
        "signals",
        || {
            for signal in libc::SIGRTMIN()..=libc::SIGRTMAX() {
                // SAFETY: to ignore a signal is always possible.
                unsafe { libc::signal(signal, libc::SIG_IGN) };
            }
        },
        &["expected a real-time signal without a handler, found none"],
    );
}
