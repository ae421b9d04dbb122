//! Programs that are killed leave snapshots behind that say what took their memory.
//!
//! `ALLOC_TESTS_KILLS=100` kills each of them a hundred times, and prints in how many runs a usable
//! file was left.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alloc_core::{Bytes, ChargeTo, Snapshot};
use alloc_tests::{Source, skip, status_of, wait_until};

const GROWS: &str = env!("CARGO_BIN_EXE_grows");
const MIB: u64 = 1 << 20;

/// The program, with its snapshots in a folder.
fn grows(how: &str, folder: &Path, when: &str) -> Command {
    let mut command = Command::new(GROWS);
    for (name, _) in std::env::vars().filter(|it| it.0.starts_with("ALLOC_TRACE")) {
        command.env_remove(name);
    }
    command
        .arg(how)
        .stderr(Stdio::null())
        .env("ALLOC_TRACE", "16")
        .env("ALLOC_TRACE_WHEN", when)
        .env("ALLOC_TRACE_KEEP", "12")
        .env("ALLOC_TRACE_OUT", folder.join("heap-%p.pb.gz"));
    command
}

/// Waits for the end of a program, however it ends.
fn wait(child: &mut Child) {
    let until = Instant::now() + Duration::from_secs(180);
    while child.try_wait().expect("it is ours").is_none() {
        if Instant::now() > until {
            let _ = child.kill();
            panic!("nothing ended it");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kills a program once it has so much resident memory.
fn kill_at(child: &mut Child, bytes: u64, signal: i32) {
    let resident = || status_of(child.id(), "VmRSS:").unwrap_or(0);
    wait_until("more memory", || resident() >= bytes);
    // SAFETY: both arguments are integers.
    unsafe { libc::kill(child.id() as i32, signal) };
}

/// The snapshots of a folder that can be read, oldest first.
fn snapshots(folder: &Path) -> Vec<Snapshot> {
    let files = std::fs::read_dir(folder).expect("a folder");
    let paths = files.map(|it| it.expect("a file").path());
    // Each is whole: none gets its name before.
    let load = |path| Snapshot::load(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut all: Vec<Snapshot> = paths.map(load).collect();
    all.sort_by_key(Snapshot::taken_at);
    all
}

/// Whether the last snapshot names the line that grew, and has most of the memory.
fn names(how: &str, folder: &Path, least: u64) -> bool {
    let all = snapshots(folder);
    let [first, .., last] = &all[..] else {
        return false;
    };
    let text = alloc_report::oom(last, first, 3).paragraph();
    let comment = match how {
        "requests" => "// the request",
        "thread" => "// the result",
        "cache" => "// the cache",
        "log" => "// the log",
        _ => "// the buffer",
    };
    let source = Source {
        file: "tests/programs/grows.rs",
        text: include_str!("../programs/grows.rs"),
    };
    let line = source.line_with(comment);
    let expected = format!("grows.rs:{line} grew by");
    let is_labelled = how != "requests" || text.contains("the label search by");
    let has_most = last.traced_memory().current >= Bytes::new(least);
    let is_named = text.contains(&expected) && is_labelled && has_most;
    if !is_named {
        eprintln!("{how}: expected {expected:?}, found\n{text}");
    }
    is_named
}

/// How often each way is tried.
fn rounds() -> usize {
    let rounds = std::env::var("ALLOC_TESTS_KILLS").ok();
    rounds.map_or(2, |it| it.parse().expect("a number"))
}

/// Tries a way to be killed, and counts the runs that left what says why.
fn check(way: &str, how: &str, when: &str, least: u64, kill: impl Fn(&mut Command)) {
    let mut named = 0;
    for _ in 0..rounds() {
        let folder = tempfile::tempdir().expect("a folder");
        kill(&mut grows(how, folder.path(), when));
        named += usize::from(names(how, folder.path(), least));
    }
    if rounds() > 2 {
        println!("{way}, {how}: {named} of {}", rounds());
    }
    assert!(
        named * 100 >= rounds() * 95,
        "{way}, {how}: {named} of {}",
        rounds()
    );
}

#[test]
fn what_is_killed_from_outside_is_named() {
    check("SIGKILL", "cache", "growth=20%", 200 * MIB, |command| {
        let mut child = command.spawn().expect("it starts");
        kill_at(&mut child, 400 * MIB, libc::SIGKILL);
        wait(&mut child);
    });
}

#[test]
fn what_is_asked_to_end_is_named() {
    check("SIGTERM", "requests", "step=50MiB", 200 * MIB, |command| {
        let mut child = command.spawn().expect("it starts");
        kill_at(&mut child, 400 * MIB, libc::SIGTERM);
        wait(&mut child);
    });
}

#[test]
fn what_has_no_more_address_space_is_named() {
    let least = 200 * MIB;
    check(
        "RLIMIT_AS",
        "log",
        "limit=50%,growth=30%",
        least,
        |command| {
            let limit = || {
                let limit = libc::rlimit {
                    rlim_cur: 600 * MIB,
                    rlim_max: 600 * MIB,
                };
                // SAFETY: the pointer is valid for the call.
                match unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            };
            // SAFETY: the closure calls one function that is async-signal-safe.
            unsafe { command.pre_exec(limit) };
            wait(&mut command.spawn().expect("it starts"));
        },
    );
}

#[test]
fn what_a_watcher_ends_is_named() {
    check("SIGABRT", "thread", "growth=20%", 200 * MIB, |command| {
        let mut child = command.spawn().expect("it starts");
        kill_at(&mut child, 400 * MIB, libc::SIGABRT);
        wait(&mut child);
    });
}

/// The kernel's own killer, in a control group, where the machine lets one.
#[test]
fn what_the_kernel_kills_is_named() {
    let Some(group) = group(400 * MIB) else {
        return skip("no control group can be made here");
    };
    check(
        "cgroup",
        "buffer",
        "limit=40%,growth=20%",
        64 * MIB,
        |command| {
            let processes = group.join("cgroup.procs");
            // SAFETY: between fork and exec in a process with other threads, only a file is written.
            unsafe { command.pre_exec(move || std::fs::write(&processes, "0")) };
            wait(&mut command.spawn().expect("it starts"));
        },
    );
    let _ = std::fs::remove_dir(&group);
}

/// Makes a control group with a limit on its memory, of version 2 or 1.
fn group(limit: u64) -> Option<PathBuf> {
    let made = |root: &str, file: &str| -> Option<PathBuf> {
        let group = Path::new(root).join(format!("alloc-tests-{}", std::process::id()));
        std::fs::create_dir(&group).ok()?;
        // NOTE: a folder that is no group takes any file.
        let is_group = group.join(file).exists();
        if !is_group || std::fs::write(group.join(file), limit.to_string()).is_err() {
            let _ = std::fs::remove_dir(&group);
            return None;
        }
        Some(group)
    };
    let version_2 = || made("/sys/fs/cgroup", "memory.max");
    let version_1 = || made("/sys/fs/cgroup/memory", "memory.limit_in_bytes");
    version_2().or_else(version_1)
}

/// A snapshot says why it was written, and how much memory there was.
#[test]
fn a_snapshot_says_why_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = grows("log", folder.path(), "step=30MiB")
        .spawn()
        .expect("it starts");
    kill_at(&mut child, 200 * MIB, libc::SIGKILL);
    wait(&mut child);
    let all = snapshots(folder.path());
    assert!((3..=12).contains(&all.len()), "{} files", all.len());
    for snapshot in &all {
        let reason = &snapshot.metadata()["reason"];
        assert!(reason.starts_with("the heap grew from "), "{reason}");
        let counted: u64 = snapshot.metadata()["memory.current"]
            .parse()
            .expect("a number");
        assert!(counted > snapshot.traced_memory().current.get() / 2);
    }
    let grown = all.windows(2).map(|it| {
        let [before, after] = [&it[0], &it[1]].map(|it| it.traced_memory().current.get());
        after.saturating_sub(before)
    });
    assert!(grown.into_iter().all(|it| it >= 29 * MIB));
    let top = all[all.len() - 1].traces();
    assert!(
        top.iter()
            .any(|it| it.traceback.charged(ChargeTo::Caller).line() > 0)
    );
}

#[test]
fn a_wrong_condition_ends_the_program_at_its_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = grows("log", folder.path(), "limit=200%");
    let output = command.stderr(Stdio::piped()).output().expect("it runs");
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        message.contains("ALLOC_TRACE_WHEN: expected conditions") && message.contains("limit=200%"),
        "{message}"
    );
}
