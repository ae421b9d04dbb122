//! A program with one thread, for tests of the tracer's environment variables. Its argument names a
//! case.
//!
//! It prints its findings on standard output, one per line.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use alloc_core::TraceAlloc;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

fn main() {
    watchdog(60);
    let case = std::env::args().nth(1).expect("the name of a case");
    match case.as_str() {
        "unshare" => unshare(),
        "read" => wait(|| drop(std::io::stdin().read(&mut [0]))),
        "poll" => wait(|| until_end_of_input(|input| poll(input, -1))),
        "pause" => wait(|| {
            loop {
                // SAFETY: the function has no preconditions.
                unsafe { libc::pause() };
            }
        }),
        "sleep" => wait(|| std::thread::sleep(Duration::from_secs(60))),
        "join" => wait_with_a_companion(),
        "ask-and-end" => {
            raise(libc::SIGUSR1);
            std::hint::black_box(vec![1_u8; 100]);
        }
        "handle" => handle(),
        "count" => {
            count();
            wait_for_files(1);
            say("written");
        }
        "count-and-read" => {
            count();
            let mut byte = 0_u8;
            // SAFETY: the buffer has room for the byte that is read.
            unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
        }
        "allocate" => allocate(),
        "descriptors" => descriptors(),
        "close-descriptors" => close_descriptors(),
        "title" => title(),
        "move" => go_away(),
        "chroot" => chroot(),
        "fork-and-ask" => fork_and_ask(),
        "fork-and-count-threads" => fork_and_count_threads(),
        "exec" => exec(),
        "ask" => ask_for_one_more(),
        "reset-signals" => reset_signals(),
        "end" => {}
        other => panic!("no case {other}"),
    }
}

/// Ends the process by a signal if it hangs.
fn watchdog(seconds: u32) {
    // SAFETY: `alarm` takes any number. No handler is installed, so the signal ends the process.
    unsafe { libc::alarm(seconds) };
}

fn say(word: impl std::fmt::Display) {
    println!("{word}");
    std::io::stdout().flush().expect("standard output is read");
}

fn threads() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux");
    threads.count()
}

fn raise(signal: i32) {
    // SAFETY: the function takes any number.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

/// The files of the folder, without those that are being written.
fn files() -> BTreeSet<String> {
    let files = std::fs::read_dir(".").expect("a folder");
    let names = files.map(|it| it.expect("a file").file_name());
    let names = names.map(|it| it.into_string().expect("UTF-8"));
    names
        .filter(|it| it.ends_with(".pb.gz") && !it.starts_with('.'))
        .collect()
}

fn wait_for_files(count: usize) {
    while files().len() < count {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Calls `unshare`, which needs a process with one thread, as programs do in their first lines.
fn unshare() {
    // SAFETY: the function takes any number.
    let failed = unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0;
    let error = std::io::Error::last_os_error().raw_os_error();
    say(if failed && error == Some(libc::EINVAL) {
        "refused"
    } else {
        "done"
    });
    say(threads());
}

/// Prints the number of threads, and then only waits.
fn wait(how: impl FnOnce()) {
    say(threads());
    how();
}

/// Waits for a thread that is parked forever.
fn wait_with_a_companion() {
    let companion = std::thread::spawn(|| {
        loop {
            std::thread::park();
        }
    });
    say("waits");
    let _ = companion.join();
}

/// Prints the signals counted by a handler from before the first allocation, as in a program that
/// loads a library with the tracer later.
fn handle() {
    ask_for_one_more();
    say(HANDLED.load(Ordering::Relaxed));
}

static HANDLED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn handled(signal: i32) {
    if signal == libc::SIGUSR1 {
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_ALL: extern "C" fn() = handle_before_all;

extern "C" fn handle_before_all() {
    // SAFETY: a string that ends in a zero.
    if unsafe { libc::getenv(c"ALONE_HANDLES".as_ptr()) }.is_null() {
        return;
    }
    // SAFETY: a handler of the right type that does only what a handler may.
    unsafe { libc::signal(libc::SIGUSR1, handled as *const () as usize) };
}

fn until_end_of_input(wait: impl Fn(&mut libc::pollfd) -> bool) {
    let mut input = libc::pollfd {
        fd: 0,
        events: libc::POLLIN,
        revents: 0,
    };
    while !wait(&mut input) {}
}

fn poll(input: &mut libc::pollfd, milliseconds: i32) -> bool {
    // SAFETY: the pointer is to one `pollfd`.
    unsafe { libc::poll(input, 1, milliseconds) == 1 }
}

/// Computes without a system call, an allocation or a free until a signal interrupts it.
fn count() {
    static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);
    extern "C" fn interrupt(_: i32) {
        // The signal is raised on the thread that computes, so the tracer's handler interrupts the
        // computation.
        raise(libc::SIGUSR1);
        IS_INTERRUPTED.store(true, Ordering::Relaxed);
    }
    // SAFETY: a handler of the right type that does only what a handler may.
    unsafe { libc::signal(libc::SIGUSR2, interrupt as *const () as usize) };
    say(threads());
    while !IS_INTERRUPTED.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

/// Allocates until the first periodic snapshot, and then only waits.
fn allocate() {
    say(threads());
    let mut kept = Vec::new();
    while files().is_empty() {
        kept.push(Box::new([1_u8; 100]));
        std::thread::sleep(Duration::from_millis(1));
    }
    say("written");
    let _ = std::io::stdin().read(&mut [0]);
}

fn descriptors() {
    let open = std::fs::read_dir("/proc/self/fd").expect("Linux");
    let of = |it: std::fs::DirEntry| std::fs::read_link(it.path());
    // The descriptor that reads the folder is closed by the time it is inspected.
    let open = open.filter_map(|it| of(it.expect("an entry")).ok());
    let open = open.filter(|it| !it.starts_with("/proc"));
    say(open.count());
}

/// Closes all descriptors and then opens its own, as a daemon does at its start.
fn close_descriptors() {
    ask_for_one_more();
    // SAFETY: no object of this program owns one of the descriptors.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    let paths: Vec<String> = (0..4).map(|number| format!("data{number}")).collect();
    let mut own: Vec<_> = paths
        .iter()
        .map(|it| std::fs::File::create(it).expect("a file"))
        .collect();
    own.iter_mut()
        .for_each(|it| it.write_all(b"mine\n").expect("room"));
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"0123456789").expect("room");
    ask_for_one_more();
    let rows = || std::fs::read_to_string("live.csv").map_or(0, |it| it.lines().count());
    let before = rows();
    while rows() < before + 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // SAFETY: the only other threads are the tracer's, which hold no lock that the child takes.
    let child = unsafe { libc::fork() };
    if child == 0 {
        ask_for_one_more();
        let is_open = own
            .iter()
            // SAFETY: `F_GETFD` only reads the state of a descriptor.
            .all(|it| unsafe { libc::fcntl(it.as_raw_fd(), libc::F_GETFD) } >= 0);
        // SAFETY: the child ends at once and runs no destructor of its parent's.
        unsafe { libc::_exit(if is_open { 0 } else { 1 }) };
    }
    assert_eq!(status_of(child), 0, "the child's files are open");
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("it was written");
        assert_eq!(text, "mine\n", "{path}");
    }
    let mut bytes = [0; 32];
    let read = reader.read(&mut bytes).expect("ten bytes");
    assert_eq!(&bytes[..read], b"0123456789");
    say("kept");
}

fn status_of(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: the process is a child of this one, and `status` is a valid place.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status
}

/// Sets the title as every `setproctitle` does: it copies the environment away and writes the title
/// over the old place.
fn title() {
    unsafe extern "C" {
        static mut environ: *mut *mut libc::c_char;
    }
    // SAFETY: the process has one thread, so nothing changes the environment meanwhile.
    let strings = unsafe { environ };
    let mut old = Vec::new();
    for at in 0.. {
        // SAFETY: the list ends with a null pointer, where the loop stops.
        let string = unsafe { strings.wrapping_add(at).read() };
        if string.is_null() {
            break;
        }
        old.push(string);
    }
    let mut copies: Vec<*mut libc::c_char> = old
        .iter()
        // SAFETY: an entry of the environment is a string that ends in a zero.
        .map(|&it| unsafe { libc::strdup(it) })
        .collect();
    copies.push(std::ptr::null_mut());
    // SAFETY: the process has one thread, and the new list is leaked, so it stays valid.
    unsafe { environ = copies.leak().as_mut_ptr() };
    for string in old {
        // SAFETY: the entry is a string that ends in a zero.
        let len = unsafe { libc::strlen(string) };
        // SAFETY: the range has that many bytes, and the environment no longer points to it.
        unsafe { string.write_bytes(b'x', len) };
    }
}

/// Changes its folder, as a daemon does.
fn go_away() {
    std::env::set_current_dir("/").expect("a folder");
}

fn chroot() {
    std::fs::create_dir_all("jail").expect("a folder");
    let path = CString::new("jail").expect("no zero");
    // SAFETY: a path that ends in a zero.
    let failed = unsafe { libc::chroot(path.as_ptr()) } != 0;
    say(if failed { "refused" } else { "done" });
}

/// Requests a numbered snapshot, and waits until the file is there.
fn ask_for_one_more() {
    let before = files();
    raise(libc::SIGUSR1);
    while files().is_subset(&before) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Parent and child each request a snapshot at the same time, with the same path.
fn fork_and_ask() {
    // SAFETY: the only other threads are the tracer's, which hold no lock that the child takes.
    let child = unsafe { libc::fork() };
    raise(libc::SIGUSR1);
    wait_for_files(2);
    if child == 0 {
        // SAFETY: the child ends at once and runs no destructor of its parent's.
        unsafe { libc::_exit(0) };
    }
    assert_eq!(status_of(child), 0);
    say(child);
}

fn fork_and_count_threads() {
    ask_for_one_more();
    say(threads());
    // SAFETY: the only other threads are the tracer's, which hold no lock that the child takes.
    let child = unsafe { libc::fork() };
    if child == 0 {
        say(threads());
        // SAFETY: the child ends at once and runs no destructor of its parent's.
        unsafe { libc::_exit(0) };
    }
    assert_eq!(status_of(child), 0);
}

/// Continues as another program or the same program, under the same process id.
fn exec() {
    use std::os::unix::process::CommandExt as _;
    ask_for_one_more();
    let program = std::env::current_exe().expect("a path");
    let error = std::process::Command::new(program).arg("ask").exec();
    panic!("{error}");
}

/// Resets all signal handlers, as a daemon does.
fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: the default action is valid for each signal. A signal that cannot be changed is
        // left alone.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    say(threads());
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(1500) {
        std::hint::black_box(vec![1_u8; 100]);
    }
    wait_for_files(1);
    say("written");
}
