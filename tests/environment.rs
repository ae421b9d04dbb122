//! What the environment asks of a traced program while it runs: snapshots by the clock and on a signal, a
//! sample, the heap's numbers as they go.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use alloc_core::{Bytes, GroupBy, Snapshot};
use alloc_tests::program;

const TRACED: &str = env!("CARGO_BIN_EXE_traced");

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("environment-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The files of a folder, sorted by name.
fn files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("a folder");
    let name = |it: std::io::Result<std::fs::DirEntry>| it.expect("a file").file_name();
    let mut names: Vec<String> = files
        .map(|it| name(it).into_string().expect("a name in UTF-8"))
        .filter(|it| !it.ends_with(".tmp"))
        .collect();
    names.sort_unstable();
    names
}

/// A program that holds a hundred blocks of a thousand bytes until it is told to end.
struct Holding(Child);

impl Holding {
    fn start(folder: &Path, variables: &[(&str, &str)]) -> Holding {
        let mut command = Command::new(TRACED);
        command
            .arg("hold")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .envs(variables.iter().copied());
        let mut child = command.spawn().expect("the program starts");
        // It says so when it holds them.
        let mut byte = [0];
        let stdout = child.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(stdout, &mut byte).expect("a byte");
        Holding(child)
    }

    fn signal(&self, signal: i32) {
        // SAFETY: two numbers.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, signal) }, 0);
    }

    /// Waits until there are files, which takes as long as the machine is busy.
    fn wait_for(&self, what: &str, mut is_there: impl FnMut() -> bool) {
        let start = Instant::now();
        while !is_there() {
            assert!(start.elapsed() < Duration::from_secs(60), "no {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(mut self) -> Output {
        drop(self.0.stdin.take());
        self.0.wait_with_output().expect("the program ends")
    }
}

fn held(path: &Path) -> (u64, u64) {
    let snapshot = Snapshot::load(path).expect("a snapshot");
    let statistics = snapshot.statistics(GroupBy::Function);
    let boxes = statistics
        .iter()
        .find(|it| it.key.to_string().contains("thousand_bytes"))
        .unwrap_or_else(|| panic!("no boxes in {statistics:?}"));
    (boxes.size.get(), boxes.count)
}

#[test]
fn snapshots_by_the_clock_are_numbered() {
    let folder = folder("every");
    let program = Holding::start(
        &folder,
        &[
            ("ALLOC_TRACE", "8"),
            ("ALLOC_TRACE_EVERY", "0.02"),
            ("ALLOC_TRACE_OUT", "heap-%p.pb.gz"),
        ],
    );
    let name = |number| format!("heap-{}.{number:04}.pb.gz", program.0.id());
    let last = format!("heap-{}.pb.gz", program.0.id());
    program.wait_for("third snapshot", || files(&folder).contains(&name(3)));
    let (third, last) = (folder.join(name(3)), folder.join(last));
    assert!(!last.exists());
    let output = program.end();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(held(&third), (100_000, 100));
    assert!(last.exists(), "and one at the end");
    assert!(Snapshot::load(&last).unwrap().is_at_exit());
    assert!(!Snapshot::load(&third).unwrap().is_at_exit());
    // The thread that writes them is none of the program's: alone, its peak is exact.
    assert_eq!(
        Snapshot::load(third).unwrap().traced_memory().peak_error,
        Bytes::ZERO
    );
}

#[test]
fn a_signal_asks_for_a_snapshot() {
    let folder = folder("signal");
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_SIGNAL", "SIGUSR1")];
    let program = Holding::start(&folder, &variables);
    assert!(files(&folder).is_empty());
    for number in 1..=3 {
        program.signal(libc::SIGUSR1);
        let name = format!("alloc-trace-{}-{number:04}.pb.gz", program.0.id());
        program.wait_for(&name, || files(&folder).contains(&name));
        assert_eq!(held(&folder.join(&name)), (100_000, 100));
    }
    assert!(program.end().status.success());
    assert_eq!(
        files(&folder).len(),
        3,
        "none at the end unless it is asked for"
    );
}

#[test]
fn a_signal_interrupts_nothing() {
    // A thousand of them, while the program allocates and reads.
    let folder = folder("storm");
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_SIGNAL", "USR2")];
    let program = Holding::start(&folder, &variables);
    for _ in 0..1000 {
        program.signal(libc::SIGUSR2);
    }
    program.wait_for("snapshot", || !files(&folder).is_empty());
    let output = program.end();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn forked_children_write_their_own() {
    let folder = folder("fork");
    let output = Command::new(TRACED)
        .arg("fork-and-hold")
        .current_dir(&folder)
        .env("ALLOC_TRACE", "8")
        .env("ALLOC_TRACE_EVERY", "0.01")
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    let child = String::from_utf8(output.stdout).expect("UTF-8");
    let of_child = format!("alloc-trace-{}-", child.trim());
    assert!(
        files(&folder).iter().any(|it| it.starts_with(&of_child)),
        "{child}"
    );
}

#[test]
fn a_sample_of_the_environment_s() {
    let folder = folder("sample");
    let path = folder.join("heap.pb.gz");
    for (sample, bytes) in [("4096", 4096), ("1KiB", 1024)] {
        let variables = [
            ("ALLOC_TRACE_SAMPLE", Path::new(sample)),
            ("ALLOC_TRACE_OUT", &path),
        ];
        let output = program(TRACED, &["return"], &variables);
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        let snapshot = Snapshot::load(&path).expect("a snapshot");
        assert_eq!(snapshot.sampled_every(), Some(Bytes::new(bytes)));
        assert_eq!(snapshot.traceback_limit(), 128);
    }
    // Off is off, whatever else is said.
    let off = [
        ("ALLOC_TRACE", Path::new("0")),
        ("ALLOC_TRACE_SAMPLE", Path::new("1KiB")),
    ];
    let output = program(TRACED, &["state"], &off);
    assert_eq!(output.stdout, b"None\n");
}

#[test]
fn the_heap_s_numbers_as_they_go() {
    let folder = folder("live");
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_LIVE", "live.csv")];
    let program = Holding::start(&folder, &variables);
    let rows = || std::fs::read_to_string(folder.join("live.csv")).unwrap_or_default();
    program.wait_for("twelve rows", || rows().lines().count() >= 12);
    assert!(program.end().status.success());
    let rows = rows();
    let row =
        |line: &str| -> Vec<Option<f64>> { line.split(',').map(|it| it.parse().ok()).collect() };
    let rows: Vec<_> = rows.lines().map(row).collect();
    for pair in rows.windows(2) {
        assert_eq!(pair[0].len(), 5);
        assert!(pair[0][0] < pair[1][0], "time passes: {pair:?}");
        let (heap, peak) = (pair[1][1].unwrap(), pair[1][2].unwrap());
        assert!(
            (100_000.0..200_000.0).contains(&heap) && peak >= heap,
            "{pair:?}"
        );
    }
    // Totals come with the first and with each tenth after.
    assert!(rows[0][3].is_some() && rows[1][3].is_none(), "{rows:?}");
    assert!(rows[10][3].unwrap() >= 100_000.0 && rows[10][4].unwrap() >= 100.0);
}

#[test]
fn wrong_values_end_the_program_and_say_what_was_expected() {
    #[track_caller]
    fn check(variable: &str, value: &str, expected: &str) {
        let output = program(TRACED, &["state"], &[(variable, Path::new(value))]);
        assert_eq!(output.status.code(), Some(2), "{variable}={value}");
        assert!(output.stdout.is_empty());
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        let whole = format!("alloc-core: {variable}: expected {expected}; found \"{value}\"\n");
        assert_eq!(message, whole);
    }
    let signals = "USR1, USR2, HUP, QUIT, ALRM, WINCH, URG, IO or PROF";
    check(
        "ALLOC_TRACE_EVERY",
        "0",
        "a number of seconds from 0.01 to 1000000",
    );
    check(
        "ALLOC_TRACE_EVERY",
        "1s",
        "a number of seconds from 0.01 to 1000000",
    );
    check("ALLOC_TRACE_SIGNAL", "KILL", signals);
    check("ALLOC_TRACE_SIGNAL", "10", signals);
    let bytes = "a number of bytes from 1 to 64MiB, as 524288 or 512KiB";
    check("ALLOC_TRACE_SAMPLE", "0", bytes);
    check("ALLOC_TRACE_SAMPLE", "1GiB", bytes);
}
