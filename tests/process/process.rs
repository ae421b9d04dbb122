//! The process from outside: its environment, its exit, its children and its signals.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;

use alloc_core::{Amount, Counters, Frame, GroupBy, Metric, Snapshot, Statistic};
use alloc_tests::{Folder, at_function, program};

const TRACED: &str = env!("CARGO_BIN_EXE_traced");

/// Runs a case of the traced program with `ALLOC_TRACE` set.
fn with_trace(case: &str, value: &str) -> Output {
    program(TRACED, &[case], &[("ALLOC_TRACE", Path::new(value))])
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("the program prints UTF-8")
}

#[track_caller]
fn assert_succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        text(&output.stderr)
    );
}

#[track_caller]
fn check_limit(value: &str, limit: &str) {
    let output = with_trace("state", value);
    assert_succeeded(&output);
    assert_eq!(text(&output.stdout), limit, "ALLOC_TRACE={value}");
}

// Numbered tests are those of CPython's `tracemalloc`: see the table in `alloc_core::tracemalloc`.
#[test]
fn t34_env_var_disabled_by_default() {
    let unset = program(TRACED, &["state"], &[]);
    assert_eq!(text(&unset.stdout), "None\n");
}

#[test]
fn t36_env_var_disabled() {
    check_limit("0", "None\n");
    check_limit("", "None\n");
}

#[test]
fn t37_env_var_enabled_at_startup() {
    check_limit("1", "Some(1)\n");
}

#[test]
fn t38_env_limit() {
    check_limit("10", "Some(10)\n");
    check_limit("15", "Some(15)\n");
    check_limit("1000", "Some(1000)\n");
}

/// Line mode walks to the first frame that certainly belongs to the user. It must charge the same
/// line as whole stacks.
#[test]
fn one_frame_charges_the_same_lines_as_whole_stacks() {
    let folder = Folder::new("one-frame");
    let [one, whole] = ["1", "32"].map(|frames| {
        let path = folder.path().join(frames);
        let variables = [
            ("ALLOC_TRACE", Path::new(frames)),
            ("ALLOC_TRACE_OUT", &path),
        ];
        assert_succeeded(&program(TRACED, &["records"], &variables));
        Snapshot::load(&path).expect("a snapshot")
    });
    let lines = |snapshot: &Snapshot| -> BTreeMap<String, Counters> {
        let statistics = snapshot.statistics_by(GroupBy::Line, Metric::Total);
        // The sum of the callsites' peaks depends on the number of callsites.
        let counters = |it: &Statistic| Counters {
            peak: Amount::default(),
            ..it.counters
        };
        let line = |it: &Statistic| (it.key.to_string(), counters(it));
        statistics.iter().map(line).collect()
    };
    let (of_one, of_whole) = (lines(&one), lines(&whole));
    assert!(of_whole.len() > 5, "{of_whole:?}");
    assert_eq!(of_one, of_whole);
    assert!(
        one.traces()
            .iter()
            .all(|trace| trace.traceback.is_truncated())
    );
    assert!(one.traces().len() <= whole.traces().len());
}

#[test]
fn t39_env_var_invalid() {
    for value in [
        "-1",
        "abc",
        "1001",
        "1073741824",
        " 5",
        "5 ",
        "+5",
        "1.0",
        "99999999999999999999",
    ] {
        let output = with_trace("state", value);
        assert_eq!(output.status.code(), Some(2), "ALLOC_TRACE={value}");
        assert!(output.stdout.is_empty());
        let message = text(&output.stderr);
        assert!(message.contains("ALLOC_TRACE"), "{message}");
        assert!(
            message.contains("expected a number of frames from 1 to 1000"),
            "{message}"
        );
        assert!(message.contains(&format!("found \"{value}\"")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let not_utf8 = Path::new(OsStr::from_bytes(b"\xFF\xFE"));
    let output = program(TRACED, &["state"], &[("ALLOC_TRACE", not_utf8)]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_environment_wins_over_the_program() {
    assert_succeeded(&with_trace("start-with-another-limit", "15"));
}

/// The snapshots in a folder, with their names.
fn snapshots(folder: &Folder) -> Vec<(String, Snapshot)> {
    let load = |name: String| {
        let snapshot = Snapshot::load(folder.path().join(&name)).unwrap();
        (name, snapshot)
    };
    folder.names().into_iter().map(load).collect()
}

/// Checks that a process that ends in order leaves a snapshot and keeps its exit status.
#[track_caller]
fn check_snapshot_at_end(case: &str, trace: &str, status: i32, live: u64) {
    let folder = Folder::new(case);
    let template = folder.path().join("100%%-%p.pb.gz");
    let variables = [
        ("ALLOC_TRACE", Path::new(trace)),
        ("ALLOC_TRACE_OUT", &template),
    ];
    let output = program(TRACED, &[case], &variables);
    assert_eq!(
        output.status.code(),
        Some(status),
        "{}",
        text(&output.stderr)
    );
    assert!(
        !text(&output.stderr).contains("alloc-core"),
        "{}",
        text(&output.stderr)
    );
    let snapshots = snapshots(&folder);
    assert_eq!(snapshots.len(), 1);
    let (name, snapshot) = &snapshots[0];
    assert_eq!(*name, format!("100%-{}.pb.gz", snapshot.process_id()));
    assert!(
        snapshot.program().ends_with("traced"),
        "{}",
        snapshot.program()
    );
    assert_eq!(
        snapshot.command_line().last().map(String::as_str),
        Some(case)
    );
    let boxes = at_function(snapshot, "thousand_bytes");
    assert_eq!(boxes.total, Amount::new(100_000, 100));
    assert_eq!(boxes.current, Amount::new(live * 1000, live));
    // The tracer's memory is not part of the program's heap.
    for trace in snapshot.traces() {
        let is_tracer = |frame: &Frame| {
            let file = frame.file().map_or("", |path| path.full());
            file.contains("alloc-core/src/environment/startup.rs")
        };
        assert!(!trace.traceback.iter().any(is_tracer), "{trace}");
    }
}

#[test]
fn a_snapshot_is_written_when_main_returns() {
    check_snapshot_at_end("return", "12", 5, 100);
}

#[test]
fn a_snapshot_is_written_by_process_exit() {
    check_snapshot_at_end("exit", "12", 6, 100);
}

#[test]
fn a_snapshot_is_written_by_process_exit_on_another_thread() {
    check_snapshot_at_end("exit-on-a-thread", "12", 7, 100);
}

#[test]
fn a_snapshot_is_written_after_a_panic_in_main() {
    check_snapshot_at_end("panic", "12", 101, 0);
}

#[test]
fn a_snapshot_is_written_if_the_program_started_tracing() {
    check_snapshot_at_end("start-late", "0", 0, 100);
}

#[test]
fn without_tracing_there_is_nothing_to_write() {
    let folder = Folder::new("off");
    let template = folder.path().join("off.pb.gz");
    let output = program(TRACED, &["return"], &[("ALLOC_TRACE_OUT", &template)]);
    assert_eq!(output.status.code(), Some(5));
    assert!(snapshots(&folder).is_empty());
}

#[test]
fn a_wrong_alloc_trace_out_ends_the_program_before_it_begins() {
    for template in ["/tmp/%d.pb.gz", "/tmp/100%", "%p%q"] {
        let variables = [
            ("ALLOC_TRACE", Path::new("1")),
            ("ALLOC_TRACE_OUT", Path::new(template)),
        ];
        let output = program(TRACED, &["return"], &variables);
        assert_eq!(output.status.code(), Some(2), "ALLOC_TRACE_OUT={template}");
        let message = text(&output.stderr);
        assert!(
            message.contains("ALLOC_TRACE_OUT: expected a path in which %p is"),
            "{message}"
        );
        assert!(!Path::new(template).exists());
    }
}

#[test]
fn a_path_that_cannot_be_written_is_reported_and_changes_nothing() {
    for path in ["/no/such/folder/snapshot.pb.gz", "/proc/snapshot.pb.gz"] {
        let variables = [
            ("ALLOC_TRACE", Path::new("1")),
            ("ALLOC_TRACE_OUT", Path::new(path)),
        ];
        let output = program(TRACED, &["return"], &variables);
        assert_eq!(output.status.code(), Some(5));
        let message = text(&output.stderr);
        assert!(
            message.contains("ALLOC_TRACE_OUT: no snapshot written"),
            "{message}"
        );
        assert!(message.contains(path), "{message}");
    }
}

#[track_caller]
fn check_case(case: &str) {
    let output = program(TRACED, &[case], &[]);
    assert_ne!(output.status.signal(), Some(libc::SIGALRM), "{case} hung");
    assert_succeeded(&output);
}

#[test]
fn t14_fork() {
    check_case("fork");
}

#[test]
fn a_fork_while_other_threads_allocate_never_hangs() {
    check_case("fork-while-others-allocate");
}

#[test]
fn a_thread_that_forks_is_the_child_s_only_one() {
    check_case("fork-on-a-thread");
}

#[test]
fn a_signal_handler_that_allocates_interrupts_records() {
    let output = program(env!("CARGO_BIN_EXE_signals"), &[], &[]);
    assert_ne!(
        output.status.signal(),
        Some(libc::SIGALRM),
        "the program hung"
    );
    assert_succeeded(&output);
    let runs = text(&output.stdout)
        .split(' ')
        .next()
        .and_then(|runs| runs.parse().ok());
    // The timer is as coarse as the system's clock tick of 1 to 10 ms, and the program runs for
    // about a second.
    assert!(
        runs.is_some_and(|runs: u64| runs >= 10),
        "{}",
        text(&output.stdout)
    );
}

/// No child of a fork finds a lock of the tracer taken, no matter what other threads were doing.
#[test]
fn children_of_a_fork_find_no_lock_taken() {
    for what in [
        "scopes",
        "traced-scopes",
        "reading",
        "names",
        "tracking",
        "threads",
    ] {
        check_forks(what, &[]);
    }
}

/// A handler that calls `exit` ends the program as it would without the tracer, no matter what it
/// interrupts.
#[test]
fn a_handler_may_end_the_program() {
    let folder = Folder::new("exit-in-handler");
    let path = folder.path().join("heap");
    let variables = [("ALLOC_TRACE", Path::new("16")), ("ALLOC_TRACE_OUT", &path)];
    for run in 0..30 {
        let (after, threads) = ((2_000 + run * 37).to_string(), (run % 3).to_string());
        let arguments = ["churn", &after, &threads];
        let program = program(
            env!("CARGO_BIN_EXE_exits_in_handler"),
            &arguments,
            &variables,
        );
        assert_succeeded(&program);
        let message = text(&program.stderr);
        let is_said = message.contains("a signal handler called exit");
        assert!(path.exists() || is_said, "{message}");
    }
    let _ = std::fs::remove_file(&path);
    // The handler interrupts a wait, so no allocation is in progress.
    let arguments = ["wait", "20000", "0"];
    let program = program(
        env!("CARGO_BIN_EXE_exits_in_handler"),
        &arguments,
        &variables,
    );
    assert_succeeded(&program);
    let snapshot = Snapshot::load(&path).expect("a snapshot");
    assert!(snapshot.traced_memory().current >= 1000);
}

/// The inner allocator's fork handlers run within the tracer's, although tracing begins before its
/// first use.
#[test]
fn an_inner_allocator_may_register_handlers_of_forks_when_it_is_first_used() {
    check_forks("environment", &[("ALLOC_TRACE", Path::new("8"))]);
}

fn check_forks(what: &str, environment: &[(&str, &Path)]) {
    let output = program(env!("CARGO_BIN_EXE_forks"), &[what], environment);
    let hung = output.status.signal() == Some(libc::SIGALRM);
    assert!(!hung, "{what}: the program hung");
    assert_succeeded(&output);
}

/// A handler that interrupts a record never waits for a thread that waits for that record.
#[test]
fn a_signal_handler_that_frees_interrupts_records_while_others_stop_the_world() {
    for [mode, other] in [
        ["traced", "reset"],
        ["traced", "fork"],
        ["traced", "threads"],
        ["counted", "clear"],
        ["counted", "snapshots"],
        ["scoped", "fork"],
        ["traced-scoped", "reset"],
        ["traced-scoped", "fork"],
    ] {
        let output = program(env!("CARGO_BIN_EXE_interrupted"), &[mode, other], &[]);
        let hung = output.status.signal() == Some(libc::SIGALRM);
        assert!(!hung, "{mode}, {other}: the program hung");
        assert_succeeded(&output);
    }
}

#[test]
fn stacks_are_whole_where_segments_have_holes_between_them() {
    assert_succeeded(&program(env!("CARGO_BIN_EXE_holes"), &[], &[]));
}
