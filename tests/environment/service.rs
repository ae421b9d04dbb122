//! Environment variables cost a program neither descriptors nor a thread until they are needed, and
//! have no effect on programs with more rights than their user.

use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use alloc_core::Snapshot;
use alloc_tests::skip;

const ALONE: &str = env!("CARGO_BIN_EXE_alone");
const TRACED: &str = env!("CARGO_BIN_EXE_traced");

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("service-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The files of a folder, sorted by name, without those that are being written.
fn files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("a folder");
    let names = files.map(|it| it.expect("a file").file_name());
    let names = names.map(|it| it.into_string().expect("UTF-8"));
    let mut names: Vec<String> = names
        .filter(|it| !it.starts_with('.') && !it.ends_with(".tmp"))
        .collect();
    names.sort_unstable();
    names
}

/// A command for the program in a folder, with variables of the tracer.
fn command(folder: &Path, case: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(ALONE);
    command.arg(case).current_dir(folder);
    for unset in ["", "_OUT", "_EVERY", "_SIGNAL", "_KEEP", "_LIVE", "_SAMPLE"] {
        command.env_remove(format!("ALLOC_TRACE{unset}"));
    }
    command.envs(variables.iter().copied());
    command
}

fn run(folder: &Path, case: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = command(folder, case, variables);
    command.output().expect("the program starts")
}

#[track_caller]
fn said(output: &Output) -> Vec<&str> {
    assert!(output.status.success(), "{output:?}");
    let text = str::from_utf8(&output.stdout).expect("UTF-8");
    text.lines().collect()
}

const SIGNAL: [(&str, &str); 2] = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_SIGNAL", "USR1")];
const EVERY_MINUTE: [(&str, &str); 2] = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_EVERY", "60")];
const EVERY_SECOND: [(&str, &str); 2] = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_EVERY", "1")];

/// A program that runs until its input ends.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(folder: &Path, case: &str, variables: &[(&str, &str)]) -> Running {
        let mut command = command(folder, case, variables);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Running { child, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("UTF-8");
        line.trim_end().to_owned()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the process is a child of this one that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Waits until the program sleeps.
    fn wait_until_asleep(&self) {
        let stat = format!("/proc/{}/stat", self.child.id());
        let is_asleep = || {
            let stat = std::fs::read_to_string(&stat).expect("it runs");
            stat.rsplit(") ")
                .next()
                .is_some_and(|it| it.starts_with('S'))
        };
        while !is_asleep() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn wait_for_files(&mut self, folder: &Path, count: usize) {
        while files(folder).len() < count {
            let ended = self.child.try_wait().expect("a child");
            assert_eq!(ended, None, "before there were {count} files");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_program_has_no_thread_of_the_tracer_s_until_one_is_needed() {
    let folder = folder("unshare");
    for variables in [SIGNAL, EVERY_MINUTE, EVERY_SECOND] {
        let output = run(&folder, "unshare", &variables);
        assert_eq!(said(&output), ["done", "1"], "{variables:?}");
    }
}

#[test]
fn a_signal_gives_a_snapshot_of_a_program_that_waits() {
    for case in ["read", "poll", "pause", "sleep"] {
        let folder = folder(&format!("wait-{case}"));
        let mut program = Running::start(&folder, case, &SIGNAL);
        assert_eq!(program.line(), "1");
        for count in 1..=3 {
            program.wait_until_asleep();
            program.signal(libc::SIGUSR1);
            program.wait_for_files(&folder, count);
        }
        for file in files(&folder) {
            Snapshot::load(folder.join(file)).expect("a snapshot");
        }
    }
}

#[test]
fn a_signal_gives_a_snapshot_of_a_program_whose_threads_wait() {
    let folder = folder("join");
    let mut program = Running::start(&folder, "join", &SIGNAL);
    assert_eq!(program.line(), "waits");
    for count in 1..=3 {
        program.wait_until_asleep();
        program.signal(libc::SIGUSR1);
        program.wait_for_files(&folder, count);
    }
}

#[test]
fn a_program_that_ends_while_its_thread_starts_ends_well() {
    for _ in 0..10 {
        let folder = folder("ask-and-end");
        let variables = [&SIGNAL[..], &[("ALLOC_TRACE_OUT", "heap.pb.gz")]].concat();
        let output = run(&folder, "ask-and-end", &variables);
        assert!(output.status.success(), "{output:?}");
        // At most, the program may report the snapshot before its end.
        let said = String::from_utf8_lossy(&output.stderr);
        let wrote = |line: &str| line.starts_with("alloc-core: wrote ");
        assert!(said.lines().all(wrote), "{said}");
        let left = std::fs::read_dir(&folder).expect("a folder");
        for file in left.map(|it| it.expect("a file").path()) {
            Snapshot::load(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
}

#[test]
fn an_earlier_signal_handler_still_runs() {
    let folder = folder("handle");
    let variables = [&SIGNAL[..], &[("ALONE_HANDLES", "1")]].concat();
    assert_eq!(said(&run(&folder, "handle", &variables)), ["1"]);
}

#[test]
fn a_signal_gives_a_snapshot_of_a_program_that_computes_at_its_next_allocation() {
    let folder = folder("compute");
    let mut program = Running::start(&folder, "count", &SIGNAL);
    assert_eq!(program.line(), "1");
    program.signal(libc::SIGUSR2);
    assert_eq!(program.line(), "written");
    assert_eq!(files(&folder).len(), 1);
}

#[test]
fn a_signal_gives_a_snapshot_of_a_program_that_computes_and_then_only_waits() {
    let folder = folder("compute-and-wait");
    let mut program = Running::start(&folder, "count-and-read", &SIGNAL);
    assert_eq!(program.line(), "1");
    program.signal(libc::SIGUSR2);
    program.wait_for_files(&folder, 1);
}

#[test]
fn the_clock_ticks_though_the_thread_starts_late() {
    let folder = folder("clock");
    let mut program = Running::start(&folder, "allocate", &EVERY_SECOND);
    assert_eq!(program.line(), "1");
    assert_eq!(program.line(), "written");
    // The clock keeps ticking while the program waits.
    program.wait_for_files(&folder, 3);
}

#[test]
fn the_clock_needs_no_signal() {
    let folder = folder("reset-signals");
    let output = run(&folder, "reset-signals", &EVERY_SECOND);
    assert_eq!(said(&output), ["1", "written"]);
}

#[test]
fn a_child_has_no_thread_of_the_tracer_s_until_one_is_needed() {
    let folder = folder("child");
    let output = run(&folder, "fork-and-count-threads", &SIGNAL);
    assert_eq!(said(&output), ["2", "1"]);
}

#[test]
fn the_tracer_holds_no_descriptor() {
    let folder = folder("descriptors");
    let all = [&SIGNAL[..], &EVERY_SECOND, &[("ALLOC_TRACE_LIVE", "live")]].concat();
    let without = run(&folder, "descriptors", &[]);
    let with = run(&folder, "descriptors", &all);
    assert_eq!(said(&without), said(&with));
}

#[test]
fn descriptors_that_the_program_closes_and_uses_again_are_its_own() {
    let folder = folder("close-descriptors");
    let variables = [&SIGNAL[..], &[("ALLOC_TRACE_LIVE", "live.csv")]].concat();
    let output = run(&folder, "close-descriptors", &variables);
    assert_eq!(said(&output), ["kept"]);
}

#[test]
fn live_rows_are_added_to_what_is_there() {
    let folder = folder("live");
    let path = folder.join("live.csv");
    std::fs::write(&path, "what was there\n").expect("a file");
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_LIVE", "live.csv")];
    let program = Running::start(&folder, "read", &variables);
    let rows = || std::fs::read_to_string(&path).unwrap_or_default();
    while rows().lines().count() < 3 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(rows().starts_with("what was there\n"));
    // A file that is removed, as by log rotation, is created again.
    std::fs::remove_file(&path).expect("it is there");
    while rows().lines().count() < 2 {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(program);
}

#[test]
fn a_title_changes_nothing() {
    let folder = folder("title");
    let path = folder.join("heap.pb.gz");
    let out = path.to_str().expect("UTF-8");
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_OUT", out)];
    let output = run(&folder, "title", &variables);
    assert!(
        said(&output).is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    assert_eq!(files(&folder), ["heap.pb.gz"]);
    Snapshot::load(path).expect("a snapshot");
}

#[test]
fn a_relative_path_begins_where_the_program_began() {
    let folder = folder("move");
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_OUT", "./heap.pb.gz")];
    let output = run(&folder, "move", &variables);
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(files(&folder), ["heap.pb.gz"]);
}

#[test]
fn an_unreachable_path_is_reported() {
    let folder = folder("chroot");
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_OUT", "heap.pb.gz")];
    let output = run(&folder, "chroot", &variables);
    if said(&output) == ["refused"] {
        return skip("this user may not change the root folder");
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let path = folder.join("heap.pb.gz");
    assert!(
        message.contains("no snapshot written") && message.contains(path.to_str().expect("UTF-8")),
        "{message}"
    );
}

/// A copy of a program that every user may run, in a folder that every user may write to.
struct Privileged(PathBuf);

impl Privileged {
    fn new(name: &str) -> Privileged {
        let name = format!("alloc-tests-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).expect("ours");
        alloc_tests::copy_program(TRACED, folder.join("program"));
        Privileged(folder)
    }

    fn program(&self) -> PathBuf {
        self.0.join("program")
    }

    /// Runs the program as the user nobody, and returns the files that it leaves in the folder.
    fn run_as_nobody(&self) -> Vec<String> {
        let command = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(self.program())
            .arg("return")
            .current_dir(&self.0)
            .env("ALLOC_TRACE", "8")
            .env("ALLOC_TRACE_OUT", "heap.pb.gz")
            .output();
        let output = command.expect("setpriv is there");
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        let left = files(&self.0).into_iter();
        left.filter(|it| it != "program").collect()
    }
}

impl Drop for Privileged {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether the test can give a program rights: it runs as root, and `setpriv` is installed.
fn can_give_rights() -> bool {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
    is_root && Command::new("setpriv").arg("--version").output().is_ok()
}

#[test]
fn a_program_with_more_rights_than_its_user_ignores_the_environment() {
    if !can_give_rights() {
        return skip("it takes root and setpriv to give a program rights");
    }
    let program = Privileged::new("setuid");
    assert_eq!(program.run_as_nobody(), ["heap.pb.gz"]);
    std::fs::remove_file(program.0.join("heap.pb.gz")).expect("it is there");
    let mode = PermissionsExt::from_mode(0o4755);
    std::fs::set_permissions(program.program(), mode).expect("ours");
    assert!(program.run_as_nobody().is_empty());
}

#[test]
fn a_program_with_capabilities_of_its_file_ignores_the_environment() {
    if !can_give_rights() {
        return skip("it takes root and setpriv to give a program rights");
    }
    let program = Privileged::new("capabilities");
    // Version two, effective: CAP_NET_RAW, bit 13 of the first word, is permitted.
    let words = [0x0200_0001_u32, 1 << 13, 0, 0, 0];
    let value: Vec<u8> = words.iter().flat_map(|it| it.to_le_bytes()).collect();
    let path = std::ffi::CString::new(program.program().as_os_str().as_bytes()).expect("no zero");
    let name = c"security.capability".as_ptr();
    // SAFETY: both strings end in a zero, and the length is that of the value.
    let failed =
        unsafe { libc::setxattr(path.as_ptr(), name, value.as_ptr().cast(), value.len(), 0) } != 0;
    if failed {
        return skip("the file system keeps no capabilities");
    }
    assert!(program.run_as_nobody().is_empty());
}

#[test]
fn processes_with_one_path_number_their_snapshots_separately() {
    let folder = folder("fork-one-path");
    let variables = [&SIGNAL[..], &[("ALLOC_TRACE_OUT", "heap.pb.gz")]].concat();
    let output = run(&folder, "fork-and-ask", &variables);
    let child = said(&output)[0].parse().expect("a number");
    let numbered: Vec<String> = files(&folder)
        .into_iter()
        .filter(|it| it != "heap.pb.gz")
        .collect();
    assert_eq!(numbered, ["heap.0001.pb.gz", "heap.0002.pb.gz"]);
    let load = |name: &String| Snapshot::load(folder.join(name)).expect("a snapshot");
    let processes: Vec<u32> = numbered.iter().map(|it| load(it).process_id()).collect();
    assert_ne!(processes[0], processes[1]);
    assert!(processes.contains(&child), "{processes:?}");
}

#[test]
fn a_program_after_exec_continues_the_numbering() {
    for out in ["%p", "heap-%p-%n", "a-%t-%p"] {
        let folder = folder("exec");
        let out = format!("{out}.pb.gz");
        let variables = [&SIGNAL[..], &[("ALLOC_TRACE_OUT", out.as_str())]].concat();
        let output = run(&folder, "exec", &variables);
        assert!(output.status.success(), "{output:?}");
        let files = files(&folder);
        assert_eq!(files.len(), 3, "two, and one at the end: {files:?}");
    }
}

#[test]
fn a_numbered_snapshot_replaces_no_file() {
    let folder = folder("taken");
    let taken = folder.join("heap.0001.pb.gz");
    std::fs::write(&taken, "mine").expect("a file");
    let variables = [&SIGNAL[..], &[("ALLOC_TRACE_OUT", "heap.pb.gz")]].concat();
    let output = run(&folder, "ask", &variables);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(std::fs::read(&taken).expect("it is there"), b"mine");
    assert_eq!(
        files(&folder),
        ["heap.0001.pb.gz", "heap.0002.pb.gz", "heap.pb.gz"]
    );
}

#[test]
fn a_path_may_name_the_time_and_the_host() {
    let folder = folder("placeholders");
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_OUT", "%h,%t,.pb.gz")];
    let output = run(&folder, "end", &variables);
    assert!(output.status.success(), "{output:?}");
    let files = files(&folder);
    let fields: Vec<&str> = files[0].split(',').collect();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("Linux");
    assert_eq!(fields[0], host.trim_end());
    let pattern: String = fields[1]
        .chars()
        .map(|it| if it.is_ascii_digit() { '0' } else { it })
        .collect();
    assert_eq!(pattern, "00000000T000000Z");
}

#[test]
fn a_name_that_is_too_long_is_reported() {
    let folder = folder("long");
    let check = |name: &str, expected: &str| {
        let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_OUT", name)];
        let output = run(&folder, "end", &variables);
        assert!(output.status.success(), "{output:?}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains(expected), "{message}");
    };
    check(
        &"a".repeat(300),
        "expected names of at most 255 bytes in the path, found one of 300: ",
    );
    let long = "a".repeat(200) + "/";
    check(
        &long.repeat(30),
        "expected a path of at most 4095 bytes, found one of ",
    );
    assert!(files(&folder).is_empty());
}
