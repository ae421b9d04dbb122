//! The command `run`.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;

use alloc_core::{GroupBy, Snapshot};

use crate::set_up::{MIB, ROLE, SNAPSHOTS, files, folder, memory, record, snapshots, succeeds};
use crate::support::{check_error, check_failure, command, run, stdout, text};

pub(crate) fn a_recording_is_complete() {
    let folder = folder();
    // A percent sign is special in the path template of the tracer.
    let recording = folder.path().join("100%n");
    let output = record(folder.path(), "hold", "--every 0.2 -o 100%n")
        .env(SNAPSHOTS, &recording)
        .output()
        .expect("the command runs");
    // Standard output belongs to the program.
    assert_eq!(succeeds(&output), "output of the program\n");
    let shown = text(&output.stderr);
    assert!(shown.contains("heap at most 40.0 MiB"), "{shown}");
    assert!(
        shown.contains("Written to 100%n.")
            && shown.contains("alloc-report/tests/recording/main.rs"),
        "{shown}"
    );

    check_memory(&recording);
    check_snapshots(&recording);
    check_commands(folder.path());
}

/// `memory.csv` has the heap, its peak, the tracer and the resident memory.
fn check_memory(recording: &Path) {
    let rows = memory(recording);
    let last = rows.iter().rfind(|it| it.heap > 0).expect("a heap");
    let held = 10 * MIB as u64;
    let range = |bytes| bytes..bytes + 200_000;
    assert!(range(held).contains(&last.heap), "{last:?}");
    assert!(range(4 * held).contains(&last.peak), "{last:?}");
    assert!(rows.iter().any(|it| it.tracer > 4096), "{rows:?}");
    assert!(rows.iter().any(|it| it.rss >= held), "{rows:?}");
    let mut page_counts = rows.iter().filter(|it| it.uss > 0 && it.rss > 0);
    assert!(
        page_counts.any(|it| it.uss <= it.pss && it.pss <= it.rss),
        "{rows:?}"
    );
}

fn check_snapshots(recording: &Path) {
    let snapshots = snapshots(recording);
    assert!(snapshots.len() >= 3, "{snapshots:?}");
    let first = Snapshot::load(&snapshots[0]).expect("a snapshot");
    let top = &first.statistics(GroupBy::Line)[0];
    assert_eq!((top.size.get(), top.count), (10 * MIB as u64, 1), "{top}");

    let of_one_process = format!(
        "check {} {}",
        snapshots[0].display(),
        snapshots[1].display()
    );
    let checked = run(recording, &of_one_process);
    assert!(
        text(&checked.stdout).ends_with(
            "note: both snapshots are of one process, in which allocations and the peak only grow: \
             to see whether it leaks, use --metric current\n"
        ),
        "{checked:?}"
    );
}

/// Each command finds the recording by its name.
fn check_commands(folder: &Path) {
    let list = stdout(folder, "list");
    assert!(
        list.starts_with("  0  100%n  ") && list.lines().count() == 1,
        "{list}"
    );
    let path = folder.display();
    let elsewhere = stdout(&std::env::temp_dir(), &format!("list {path}"));
    assert!(elsewhere.contains("/100%n  "), "{elsewhere}");
    let last = stdout(folder, "top 100%n --sort at-peak -n 1");
    assert!(
        last.contains("40.0 MiB") && last.contains("recording/main.rs"),
        "{last}"
    );
    let ends = stdout(folder, "diff 100%n --sort at-peak");
    assert!(ends.contains("40.0 MiB (+30.0 MiB)"), "{ends}");

    let picture = stdout(folder, "timeline 100%n -o x.html");
    assert_eq!(picture, "Written to x.html\n");
    let page = fs::read_to_string(folder.join("x.html")).expect("a page");
    for part in [
        "<svg",
        "peak 40.0 MiB",
        "alloc-report/tests/recording/main.rs",
        "const data",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    let peak = stdout(folder, "peak 100%n");
    assert!(
        peak.starts_with("100%n  heap 40.0 MiB, resident "),
        "{peak}"
    );
}

pub(crate) fn a_child_of_the_program_is_measured() {
    let folder = folder();
    let program = std::env::current_exe().expect("a path");
    let output = command(folder.path(), "run -o a -- sh -c")
        .arg(format!("{:?}; exit 3", program.display().to_string()))
        .env(ROLE, "hold")
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let shown = text(&output.stderr);
    assert!(shown.contains("heap at most 40.0 MiB"), "{shown}");
    let held = 10 * MIB as u64;
    let rows = memory(&folder.path().join("a"));
    // The resident memory is that of the child, not of the shell.
    assert!(
        rows.iter().any(|it| it.heap >= held && it.rss >= held),
        "{rows:?}"
    );
}

pub(crate) fn the_exit_status_is_that_of_the_program() {
    let folder = folder();
    let seven = record(folder.path(), "seven", "-o a")
        .output()
        .expect("the command runs");
    assert_eq!(seven.status.code(), Some(7), "{seven:?}");
    let aborted = record(folder.path(), "abort", "-o b")
        .output()
        .expect("the command runs");
    assert_eq!(aborted.status.code(), Some(128 + 6), "{aborted:?}");
    assert!(
        text(&aborted.stderr).contains("killed by signal 6"),
        "{aborted:?}"
    );
}

pub(crate) fn signals_are_forwarded() {
    let folder = folder();
    let mut running = record(folder.path(), "signal", "-o a")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let stdout = running.stdout.as_mut().expect("a pipe");
    stdout.read_exact(&mut [0]).expect("the program is ready");
    let process = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("it is there");
    let output = running.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(128 + 15), "{output:?}");
    assert!(
        text(&output.stderr).contains("killed by signal 15"),
        "{output:?}"
    );
}

pub(crate) fn without_the_allocator_only_resident_memory_is_recorded() {
    let folder = folder();
    let output = run(folder.path(), "run -o a -- sleep 0.4");
    assert_eq!(succeeds(&output), "");
    let shown = text(&output.stderr);
    assert!(
        shown.contains("sleep does not have alloc_core::TraceAlloc"),
        "{shown}"
    );
    assert!(memory(&folder.path().join("a")).iter().any(|it| it.rss > 0));
    stdout(folder.path(), "timeline a -o x.svg");
    let svg = fs::read_to_string(folder.path().join("x.svg")).expect("a picture");
    assert!(svg.contains("class=\"resident\"") && !svg.contains("as the tracer counts it"));
}

pub(crate) fn errors_name_what_was_expected() {
    let folder = folder();
    let path = folder.path();
    check_error(
        path,
        "run -- /no/such/program",
        "cannot start /no/such/program: No such file or directory (os error 2)",
    );
    assert!(files(path).is_empty(), "no folder is left");
    check_failure(path, "run", 2, "PROGRAM");
    check_failure(
        path,
        "run --every 0 -- true",
        2,
        "expected a number of seconds from 0.01 to 1000000",
    );
    check_failure(path, "run --frames 0 -- true", 2, "1..=1000");
    check_failure(
        path,
        "run --sample 1GiB -- true",
        2,
        "expected a number of bytes from 1 to 64MiB, such as 512KiB",
    );
    fs::write(path.join("file"), "").expect("a file");
    check_error(
        path,
        "run -o . -- true",
        "expected an empty or a new folder, found files in .; --force replaces a recording",
    );
    check_error(
        path,
        "timeline",
        "expected the number of one of the 0 recordings in this folder, found -1",
    );
    check_failure(
        path,
        "timeline nowhere",
        1,
        "expected a recording by alloc-report run, found none at nowhere",
    );
    check_failure(
        path,
        "timeline file -o x.svg",
        1,
        "cannot read the snapshot file: expected a heap profile in pprof's format",
    );
    check_error(
        path,
        "peak",
        "expected a recording in this folder, found none; alloc-report run makes one",
    );
}

pub(crate) fn the_options_configure_the_tracer() {
    let folder = folder();
    let options = "--threads --sizes --exact-peak --max-callsites 1000 --keep 2 --every 0.1 \
                   --sample 1KiB -o a";
    let output = record(folder.path(), "hold", options)
        .output()
        .expect("the command runs");
    succeeds(&output);
    let snapshots = snapshots(&folder.path().join("a"));
    assert_eq!(
        snapshots.len(),
        3,
        "the newest two, and the last: {snapshots:?}"
    );
    let last = Snapshot::load(snapshots.last().expect("three")).expect("a snapshot");
    assert_eq!(last.sampled_every(), Some(1024.into()));
    let threads = last.traces().iter().map(|it| it.thread.as_deref());
    assert!(threads.flatten().any(|it| it == "main"));
    assert!(last.traces().iter().all(|it| it.size_class.is_some()));
    // A recording of another program, without a sample.
    let other = folder.path().join("other");
    fs::copy(std::env::current_exe().expect("a path"), &other).expect("a copy");
    let mut exact = command(folder.path(), "run -o b --");
    let exact = exact.arg(&other).env(ROLE, "seven").output();
    assert_eq!(exact.expect("the command runs").status.code(), Some(7));
    let compared = run(folder.path(), "check b a -n 0");
    assert_eq!(compared.status.code(), Some(3), "{compared:?}");
    let compared = text(&compared.stdout);
    for note in [
        "note: the snapshots come from different programs, ",
        "note: sampled every 1024 B on average: all numbers are estimates\n",
    ] {
        assert!(compared.contains(note), "{compared}");
    }
}
