//! Environment variables for a program that runs: periodic snapshots, snapshots on a signal,
//! sampling, and live numbers of the heap.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use alloc_core::{Bytes, Filter, GroupBy, Snapshot};
use alloc_tests::{program, wait_until};

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

/// A program that holds a hundred blocks of a thousand bytes until its input ends.
struct Holding(Child);

impl Holding {
    fn start(folder: &Path, variables: &[(&str, &str)]) -> Holding {
        let mut command = Command::new(TRACED);
        command
            .arg("hold")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .envs(variables.iter().copied());
        let mut child = command.spawn().expect("the program starts");
        // The program prints a byte when it holds them.
        let mut byte = [0];
        let stdout = child.stdout.as_mut().expect("a pipe");
        std::io::Read::read_exact(stdout, &mut byte).expect("a byte");
        Holding(child)
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the process is a child of this one that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, signal) }, 0);
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
fn a_file_that_the_process_writes_has_labels_lifetimes_and_who_freed() {
    let folder = folder("labels");
    let path = folder.join("heap.pb.gz");
    let variables = [
        ("ALLOC_TRACE", "8"),
        ("ALLOC_TRACE_OUT", "heap.pb.gz"),
        ("ALLOC_TRACE_THREADS", "1"),
        ("ALLOC_TRACE_LIFETIMES", "1"),
        ("ALLOC_TRACE_FREES", "1"),
        ("ALLOC_TRACE_SLACK", "1"),
        ("ALLOC_TRACE_EXACT_GRAPH", "1"),
    ];
    let mut program = Command::new(TRACED);
    program.arg("labels").current_dir(&folder).envs(variables);
    assert!(program.status().unwrap().success());
    let snapshot = Snapshot::load(&path).unwrap();
    let slack = |it: &alloc_core::Trace| it.slack.unwrap().total.get();
    assert!(snapshot.traces().iter().map(slack).sum::<u64>() > 0);
    for path in ["request", "request > größe"] {
        let filter = Filter::include("*")
            .label(path)
            .function("*thousand_bytes*");
        let boxes = snapshot.filter_traces(&[filter.all_frames(true)]);
        let boxes = &boxes.statistics(GroupBy::Thread)[0];
        assert_eq!((boxes.size.get(), boxes.count), (100_000, 100), "{path}");
        assert_eq!(boxes.key.to_string(), "main");
        let lifetimes = boxes.lifetimes.as_ref().unwrap();
        let counts = (lifetimes.live.count(), lifetimes.freed.count());
        assert_eq!(counts, (100, 0), "{path}");
        let slack = boxes.slack.unwrap();
        assert_eq!(slack.current, slack.total, "all are live");
    }
    let mut freed = 0;
    for trace in snapshot.traces() {
        let by = trace.freed_by.as_ref().unwrap();
        let blocks: u64 = by.iter().map(|it| it.amount.blocks).sum();
        assert_eq!(blocks, trace.counters.freed().blocks, "{trace}");
        assert!(by.iter().all(|it| it.thread.as_deref() == Some("main")));
        freed += blocks;
    }
    assert!(freed > 0);
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
    wait_until("a third snapshot", || files(&folder).contains(&name(3)));
    let (third, last) = (folder.join(name(3)), folder.join(last));
    assert!(!last.exists());
    let output = program.end();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(held(&third), (100_000, 100));
    assert!(last.exists(), "and one at the end");
    assert!(Snapshot::load(&last).unwrap().is_at_exit());
    assert!(!Snapshot::load(&third).unwrap().is_at_exit());
    // The thread that writes them is not the program's. The program has one thread, so its peak is
    // exact.
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
        wait_until(&name, || files(&folder).contains(&name));
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
    // Sends a thousand signals while the program allocates and reads.
    let folder = folder("storm");
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_SIGNAL", "USR2")];
    let program = Holding::start(&folder, &variables);
    for _ in 0..1000 {
        program.signal(libc::SIGUSR2);
    }
    wait_until("a snapshot", || !files(&folder).is_empty());
    let output = program.end();
    assert!(output.status.success(), "{output:?}");
    // The output only says where the snapshots are.
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let prefix = format!("alloc-core: wrote {}/alloc-trace-", folder.display());
    assert!(said.lines().all(|it| it.starts_with(&prefix)), "{said}");
}

#[test]
fn a_snapshot_on_a_signal_says_where_it_is() {
    let folder = folder("signal-says");
    let variables = [
        ("ALLOC_TRACE", "8"),
        ("ALLOC_TRACE_SIGNAL", "USR1"),
        ("ALLOC_TRACE_OUT", "heap.pb.gz"),
    ];
    let mut program = Holding::start(&folder, &variables);
    program.signal(libc::SIGUSR1);
    // The message comes after the file is complete.
    let stderr = program.0.stderr.take().expect("a pipe");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stderr), &mut line).expect("UTF-8");
    let path = folder.join("heap.0001.pb.gz");
    assert_eq!(line, format!("alloc-core: wrote {}\n", path.display()));
    assert_eq!(held(&path), (100_000, 100));
    assert!(program.end().status.success());
}

#[test]
fn a_signal_to_a_program_that_is_not_traced_is_answered() {
    let folder = folder("signal-off");
    let program = Holding::start(&folder, &[("ALLOC_TRACE_SIGNAL", "USR1")]);
    program.signal(libc::SIGUSR1);
    let output = program.end();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stderr).expect("UTF-8"),
        "alloc-core: ALLOC_TRACE_SIGNAL: nothing is traced yet: set ALLOC_TRACE=128 as well, unless the \
         program calls alloc_core::start()\n\
         alloc-core: ALLOC_TRACE_SIGNAL: no snapshot written: tracing is off; with ALLOC_TRACE=128 it is on \
         from the start\n"
    );
}

#[test]
fn only_the_newest_snapshots_are_kept() {
    let folder = folder("keep");
    std::fs::write(folder.join("heap.0002.pb.gz"), "mine").expect("a file");
    let program = Holding::start(
        &folder,
        &[
            ("ALLOC_TRACE", "8"),
            ("ALLOC_TRACE_EVERY", "0.02"),
            ("ALLOC_TRACE_KEEP", "2"),
            ("ALLOC_TRACE_OUT", "heap.pb.gz"),
        ],
    );
    wait_until("a fifth file", || folder.join("heap.0005.pb.gz").exists());
    assert!(program.end().status.success());
    let files = files(&folder);
    let numbered: Vec<_> = files.iter().filter(|it| *it != "heap.pb.gz").collect();
    assert_eq!(
        numbered.len(),
        3,
        "the newest two, and what was there: {files:?}"
    );
    assert_eq!(files[0], "heap.0002.pb.gz");
    assert_eq!(std::fs::read(folder.join(&files[0])).unwrap(), b"mine");
    assert_eq!(held(&folder.join(&files[1])), (100_000, 100));
}

#[test]
fn the_configuration_has_variables() {
    let folder = folder("config");
    let check = |variables: &[(&str, &str)], expected: &str| {
        let all = [&[("ALLOC_TRACE", "8")], variables].concat();
        let all: Vec<_> = all
            .iter()
            .map(|(name, it)| (*name, Path::new(*it)))
            .collect();
        let output = program(TRACED, &["configuration"], &all);
        assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), expected);
        assert!(output.stderr.is_empty());
    };
    check(&[], "false false false false\n");
    check(&[("ALLOC_TRACE_THREADS", "0")], "false false false false\n");
    let all = [
        ("ALLOC_TRACE_THREADS", "1"),
        ("ALLOC_TRACE_SIZES", "1"),
        ("ALLOC_TRACE_EXACT_PEAK", "1"),
        ("ALLOC_TRACE_MAX_CALLSITES", "1"),
    ];
    check(&all, "true true true true\n");
    let path = folder.join("heap.pb.gz");
    let variables = [
        ("ALLOC_TRACE", Path::new("8")),
        ("ALLOC_TRACE_THREADS", Path::new("1")),
        ("ALLOC_TRACE_OUT", &path),
    ];
    assert_eq!(
        program(TRACED, &["return"], &variables).status.code(),
        Some(5)
    );
    let snapshot = Snapshot::load(&path).expect("a snapshot");
    let boxes = snapshot
        .traces()
        .iter()
        .max_by_key(|it| it.counters.current.bytes);
    assert_eq!(boxes.and_then(|it| it.thread.as_deref()), Some("main"));
}

/// Checks the messages that a program gets, which starts nevertheless.
#[track_caller]
fn check_messages(case: &str, variables: &[(&str, &str)], expected: &str) {
    let folder = folder(case);
    let mut program = Command::new(TRACED);
    program
        .arg("state")
        .current_dir(&folder)
        .envs(variables.iter().copied());
    let output = program.output().expect("the program starts");
    assert!(output.status.success(), "{output:?}");
    let expected = expected.replace("FOLDER", &folder.display().to_string());
    assert_eq!(String::from_utf8(output.stderr).expect("UTF-8"), expected);
}

#[test]
fn settings_without_effect_are_reported_at_the_start() {
    check_messages(
        "out-alone",
        &[("ALLOC_TRACE_OUT", "heap.pb.gz")],
        "alloc-core: ALLOC_TRACE_OUT: nothing is traced yet: set ALLOC_TRACE=128 as well, unless the program \
         calls alloc_core::start()\n",
    );
    check_messages(
        "off",
        &[("ALLOC_TRACE_OUT", "heap.pb.gz"), ("ALLOC_TRACE", "0")],
        "",
    );
    check_messages(
        "threads-alone",
        &[("ALLOC_TRACE_THREADS", "1")],
        "alloc-core: ALLOC_TRACE_THREADS: has no effect without ALLOC_TRACE or ALLOC_TRACE_SAMPLE\n",
    );
    check_messages(
        "lifetimes-alone",
        &[("ALLOC_TRACE_LIFETIMES", "1")],
        "alloc-core: ALLOC_TRACE_LIFETIMES: has no effect without ALLOC_TRACE or ALLOC_TRACE_SAMPLE\n",
    );
    check_messages(
        "lifetimes-of-a-sample",
        &[
            ("ALLOC_TRACE_LIFETIMES", "1"),
            ("ALLOC_TRACE_SAMPLE", "1KiB"),
        ],
        "alloc-core: ALLOC_TRACE_LIFETIMES: has no effect with ALLOC_TRACE_SAMPLE: lifetimes need every block\n",
    );
    check_messages(
        "frees-alone",
        &[("ALLOC_TRACE_FREES", "1")],
        "alloc-core: ALLOC_TRACE_FREES: has no effect without ALLOC_TRACE or ALLOC_TRACE_SAMPLE\n",
    );
    check_messages(
        "frees-of-a-sample",
        &[("ALLOC_TRACE_FREES", "1"), ("ALLOC_TRACE_SAMPLE", "1KiB")],
        "alloc-core: ALLOC_TRACE_FREES: has no effect with ALLOC_TRACE_SAMPLE: who frees needs every block\n",
    );
    check_messages(
        "slack-alone",
        &[("ALLOC_TRACE_SLACK", "1")],
        "alloc-core: ALLOC_TRACE_SLACK: has no effect without ALLOC_TRACE or ALLOC_TRACE_SAMPLE\n",
    );
    check_messages(
        "slack-of-a-sample",
        &[("ALLOC_TRACE_SLACK", "1"), ("ALLOC_TRACE_SAMPLE", "1KiB")],
        "alloc-core: ALLOC_TRACE_SLACK: has no effect with ALLOC_TRACE_SAMPLE: slack needs every block\n",
    );
    check_messages(
        "exact-graph-of-a-sample",
        &[
            ("ALLOC_TRACE_EXACT_GRAPH", "1"),
            ("ALLOC_TRACE_SAMPLE", "1KiB"),
        ],
        "alloc-core: ALLOC_TRACE_EXACT_GRAPH: has no effect with ALLOC_TRACE_SAMPLE: a heap graph needs every \
         block\n",
    );
    check_messages(
        "sizes-alone",
        &[("ALLOC_TRACE_SIZES", "1")],
        "alloc-core: ALLOC_TRACE_SIZES: has no effect without ALLOC_TRACE or ALLOC_TRACE_SAMPLE\n",
    );
}

#[test]
fn a_variable_that_is_not_known_is_named() {
    let traced = ("ALLOC_TRACE", "8");
    check_messages(
        "misspelled",
        &[traced, ("ALLOC_TRACE_EVRY", "1")],
        "alloc-core: ALLOC_TRACE_EVRY: did you mean ALLOC_TRACE_EVERY?\n",
    );
    check_messages(
        "unknown",
        &[
            traced,
            ("ALLOC_TRACE_COLOUR", "1"),
            ("ALLOC_TRACER_HOME", "/"),
        ],
        "alloc-core: ALLOC_TRACE_COLOUR: no variable of the tracer has this name\n",
    );
}

#[test]
fn an_unreachable_path_is_reported_at_the_start() {
    #[track_caller]
    fn check(case: &str, variable: &str, path: &str, expected: &str) {
        // Tracing is off at the end, so there is no snapshot of the end.
        let variables = [("ALLOC_TRACE_SAMPLE", "1MiB"), (variable, path)];
        let folder = folder(case);
        let mut program = Command::new(TRACED);
        program.arg("stop").current_dir(&folder).envs(variables);
        std::fs::write(folder.join("file"), "").expect("a file");
        let output = program.output().expect("the program starts");
        assert!(output.status.success(), "{output:?}");
        let expected = expected.replace("FOLDER", &folder.display().to_string());
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(said.lines().next().unwrap_or_default(), expected);
    }
    let out = "ALLOC_TRACE_OUT";
    check(
        "reach-none",
        out,
        "no/such/heap.pb.gz",
        "alloc-core: ALLOC_TRACE_OUT: nothing can be written there: there is no folder FOLDER/no/such",
    );
    check(
        "reach-numbered",
        "ALLOC_TRACE_LIVE",
        "no/such-%p.csv",
        "alloc-core: ALLOC_TRACE_LIVE: nothing can be written there: there is no folder FOLDER/no",
    );
    check(
        "reach-file",
        out,
        "file/heap.pb.gz",
        "alloc-core: ALLOC_TRACE_OUT: nothing can be written there: this is no folder: FOLDER/file",
    );
    check(
        "reach-folder",
        out,
        "/tmp",
        "alloc-core: ALLOC_TRACE_OUT: nothing can be written there: there is a folder with this name: /tmp",
    );
    let long = "n".repeat(300);
    let named = format!(
        "alloc-core: ALLOC_TRACE_OUT: nothing can be written there: the name is too long: FOLDER/{long}"
    );
    check("reach-long", out, &long, &named);
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
fn the_environment_sets_the_sampling_interval() {
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
    // Tracing that is off stays off with any other variable.
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
    wait_until("twelve rows", || rows().lines().count() >= 12);
    assert!(program.end().status.success());
    let rows = rows();
    let row =
        |line: &str| -> Vec<Option<f64>> { line.split(',').map(|it| it.parse().ok()).collect() };
    let rows: Vec<_> = rows.lines().map(row).collect();
    for pair in rows.windows(2) {
        assert_eq!(pair[0].len(), 6);
        assert!(pair[0][0] < pair[1][0], "time passes: {pair:?}");
        let (heap, peak) = (pair[1][1].unwrap(), pair[1][2].unwrap());
        assert!(
            (100_000.0..200_000.0).contains(&heap) && peak >= heap,
            "{pair:?}"
        );
    }
    // The first row has totals, and each tenth row after it.
    assert!(rows[0][3].is_some() && rows[1][3].is_none(), "{rows:?}");
    assert!(rows[10][3].unwrap() >= 100_000.0 && rows[10][4].unwrap() >= 100.0);
    // The same rows have the tracer's own memory.
    assert!(rows[10][5].unwrap() >= 4096.0 && rows[1][5].is_none());
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
    check(
        "ALLOC_TRACE_KEEP",
        "0",
        "a number of snapshots from 1 to 1000000",
    );
    check(
        "ALLOC_TRACE_THREADS",
        "yes",
        "1 to group by thread name, or 0 not to",
    );
    check(
        "ALLOC_TRACE_SIZES",
        "true",
        "1 to class blocks by their own size, or 0 not to",
    );
    check(
        "ALLOC_TRACE_LIFETIMES",
        "yes",
        "1 to record how long blocks live, or 0 not to",
    );
    check("ALLOC_TRACE_SLACK", "2", "1 to measure slack, or 0 not to");
    check(
        "ALLOC_TRACE_EXACT_GRAPH",
        "yes",
        "1 for heap graphs with exact sizes and ages, or 0 for the default",
    );
    check(
        "ALLOC_TRACE_FREES",
        "on",
        "1 to count who frees whose memory, or 0 not to",
    );
    check(
        "ALLOC_TRACE_EXACT_PEAK",
        "2",
        "1 for an exact peak, or 0 for the default",
    );
    check(
        "ALLOC_TRACE_MAX_CALLSITES",
        "1048577",
        "a number of callsites from 1 to 1000000",
    );
}
