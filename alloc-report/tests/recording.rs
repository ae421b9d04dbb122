//! `alloc-report run` and what reads its recordings. The program that is run is this one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::Duration;

use alloc_core::{GroupBy, Snapshot, TraceAlloc};
use tempfile::TempDir;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

const ROLE: &str = "RECORDING_ROLE";
/// Where the program that is run waits for two snapshots, however long they take.
const SNAPSHOTS: &str = "RECORDING_SNAPSHOTS";
const MIB: usize = 1 << 20;

type Test = (&'static str, fn());

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(ROLE) {
        return play(&role);
    }
    let tests: &[Test] = &[
        ("a_recording_has_all", a_recording_has_all),
        (
            "a_program_that_another_starts_is_followed",
            a_program_that_another_starts,
        ),
        ("the_status_is_the_program_s", the_status_is_the_program_s),
        ("signals_are_passed_on", signals_are_passed_on),
        (
            "without_the_allocator_there_is_resident_memory",
            without_the_allocator,
        ),
        ("what_cannot_be_is_said", what_cannot_be_is_said),
        (
            "recordings_are_listed_and_removed",
            recordings_are_listed_and_removed,
        ),
        ("clean_asks", clean_asks),
        ("nothing_is_overwritten", nothing_is_overwritten),
        (
            "the_configuration_is_passed_on",
            the_configuration_is_passed_on,
        ),
        ("a_timeline_of_snapshots", a_timeline_of_snapshots),
        (
            "damaged_recordings_are_errors",
            damaged_recordings_are_errors,
        ),
    ];
    let names: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with('-'))
        .collect();
    if std::env::args().any(|it| it == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    for (name, test) in tests {
        if names.is_empty() || names.iter().any(|it| name.contains(it.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// What the program does that is run.
fn play(role: &str) -> ExitCode {
    match role {
        "hold" => {
            println!("the program's own");
            let kept = vec![1_u8; 10 * MIB];
            std::thread::sleep(Duration::from_millis(700));
            if let Some(folder) = std::env::var_os(SNAPSHOTS) {
                while snapshots(folder.as_ref()).len() < 2 {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            drop(vec![2_u8; 30 * MIB]);
            std::thread::sleep(Duration::from_millis(300));
            // So that it is there whenever the last sample is taken.
            std::mem::forget(kept);
        }
        "seven" => return ExitCode::from(7),
        "abort" => std::process::abort(),
        "signal" => {
            // Ready; then whatever comes.
            print!("!");
            std::io::stdout().flush().expect("somebody reads");
            std::thread::sleep(Duration::from_secs(60));
        }
        other => panic!("no role {other}"),
    }
    ExitCode::SUCCESS
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alloc-report"));
    command
        .current_dir(folder)
        .args(arguments)
        .env_remove("CLICOLOR_FORCE");
    command
}

fn report(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments)
        .output()
        .expect("the command runs")
}

/// `alloc-report run` on this program in a role.
fn run(folder: &Path, role: &str, options: &[&str]) -> Command {
    let program = std::env::current_exe().expect("a path");
    let mut arguments = vec!["run"];
    arguments.extend(options);
    arguments.push("--");
    let mut command = command(folder, &arguments);
    command.arg(program).env(ROLE, role);
    command
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("UTF-8")
}

#[track_caller]
fn succeeds(output: &Output) -> &str {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[track_caller]
fn fails(output: &Output, status: i32, message: &str) {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    let error = text(&output.stderr);
    assert!(error.contains(message), "{error}");
}

fn a_recording_has_all() {
    let folder = folder();
    // A percent sign means something to the program's own template.
    let recording = folder.path().join("100%n");
    let output = run(folder.path(), "hold", &["--every", "0.2", "-o", "100%n"])
        .env(SNAPSHOTS, &recording)
        .output()
        .expect("the command runs");
    // Standard output is the program's own.
    assert_eq!(succeeds(&output), "the program's own\n");
    let shown = text(&output.stderr);
    assert!(shown.contains("heap at most 40.0 MiB"), "{shown}");
    assert!(
        shown.contains("Written to 100%n.") && shown.contains("alloc-report/tests/recording.rs"),
        "{shown}"
    );

    let mut rows = csv_rows(&recording);
    let row = rows
        .iter()
        .rfind(|it| it[1] > 0.0)
        .expect("rows with a heap");
    let held = (10 * MIB) as f64;
    assert!(row[1] >= held && row[1] < held + 2e5, "{row:?}");
    assert!(
        row[2] >= 4.0 * held && row[2] < 4.0 * held + 2e5,
        "the peak: {row:?}"
    );
    assert!(rows.iter().any(|it| it[8] > 4096.0), "the tracer's own");
    rows.retain(|it| it[5] > 0.0);
    assert!(rows.iter().any(|it| it[5] >= held), "resident");
    assert!(
        rows.iter()
            .any(|it| it[7] > 0.0 && it[7] <= it[6] && it[6] <= it[5]),
        "uss, pss, rss"
    );

    let snapshots = snapshots(&recording);
    assert!(snapshots.len() >= 3, "{snapshots:?}");
    let first = Snapshot::load(&snapshots[0]).expect("a snapshot");
    let top = &first.statistics(GroupBy::Line)[0];
    assert_eq!((top.size.get(), top.count), (10 * MIB as u64, 1), "{top}");

    // Each command finds it, whatever it is called.
    let list = report(folder.path(), &["list"]);
    let list = succeeds(&list);
    assert!(
        list.starts_with("  0  100%n  ") && list.lines().count() == 1,
        "{list}"
    );
    let elsewhere = report(
        &std::env::temp_dir(),
        &["list", text(folder.path().as_os_str().as_encoded_bytes())],
    );
    assert!(succeeds(&elsewhere).contains("/100%n  "), "{elsewhere:?}");
    let last = report(
        folder.path(),
        &["top", "100%n", "--sort", "at-peak", "-n", "1"],
    );
    let last = succeeds(&last);
    assert!(
        last.contains("40.0 MiB") && last.contains("recording.rs"),
        "{last}"
    );
    let ends = report(folder.path(), &["diff", "100%n", "--sort", "at-peak"]);
    let ends = succeeds(&ends);
    assert!(ends.contains("40.0 MiB (+30.0 MiB)"), "{ends}");

    let picture = report(folder.path(), &["timeline", "100%n", "-o", "x.html"]);
    assert_eq!(succeeds(&picture), "Written to x.html\n");
    let page = fs::read_to_string(folder.path().join("x.html")).expect("a page");
    for part in [
        "<svg",
        "peak 40.0 MiB",
        "alloc-report/tests/recording.rs",
        "const data",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    let peak = report(folder.path(), &["peak", "100%n"]);
    assert!(
        succeeds(&peak).starts_with("100%n  heap 40.0 MiB, resident "),
        "{peak:?}"
    );
}

/// The rows of `memory.csv`, with zeros for what is empty.
fn csv_rows(recording: &Path) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(recording.join("memory.csv")).expect("a file");
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(
            "seconds,heap_bytes,heap_peak_bytes,total_bytes,total_blocks,rss_bytes,pss_bytes,uss_bytes,tracer_bytes"
        )
    );
    let number = |it: &str| {
        if it.is_empty() {
            0.0
        } else {
            it.parse().expect("a number")
        }
    };
    lines
        .map(|line| line.split(',').map(number).collect())
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = entries.map(|it| it.expect("a file").path()).collect();
    files.sort_unstable();
    files
}

fn snapshots(recording: &Path) -> Vec<PathBuf> {
    let mut files = files(recording);
    files.retain(|it| it.to_string_lossy().contains("heap-"));
    files
}

fn a_program_that_another_starts() {
    let folder = folder();
    let program = std::env::current_exe().expect("a path");
    let output = command(folder.path(), &["run", "-o", "a", "--", "sh", "-c"])
        .arg(format!("{:?}; exit 3", program.display().to_string()))
        .env(ROLE, "hold")
        .output()
        .expect("the command runs");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let shown = text(&output.stderr);
    assert!(shown.contains("heap at most 40.0 MiB"), "{shown}");
    let held = (10 * MIB) as f64;
    let rows = csv_rows(&folder.path().join("a"));
    // Its resident memory is seen, and not the shell's.
    assert!(
        rows.iter().any(|it| it[1] >= held && it[5] >= held),
        "{rows:?}"
    );
}

fn the_status_is_the_program_s() {
    let folder = folder();
    let seven = run(folder.path(), "seven", &["-o", "a"])
        .output()
        .expect("the command runs");
    assert_eq!(seven.status.code(), Some(7), "{seven:?}");
    let aborted = run(folder.path(), "abort", &["-o", "b"])
        .output()
        .expect("the command runs");
    assert_eq!(aborted.status.code(), Some(128 + 6), "{aborted:?}");
    assert!(
        text(&aborted.stderr).contains("ended by signal 6"),
        "{aborted:?}"
    );
}

fn signals_are_passed_on() {
    let folder = folder();
    let mut running = run(folder.path(), "signal", &["-o", "a"])
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
        text(&output.stderr).contains("ended by signal 15"),
        "{output:?}"
    );
}

fn without_the_allocator() {
    let folder = folder();
    let output = report(folder.path(), &["run", "-o", "a", "--", "sleep", "0.4"]);
    assert_eq!(succeeds(&output), "");
    let shown = text(&output.stderr);
    assert!(
        shown.contains("sleep does not have alloc_core::TraceAlloc"),
        "{shown}"
    );
    assert!(
        csv_rows(&folder.path().join("a"))
            .iter()
            .any(|it| it[5] > 0.0)
    );
    succeeds(&report(folder.path(), &["timeline", "a", "-o", "x.svg"]));
    let svg = fs::read_to_string(folder.path().join("x.svg")).expect("a picture");
    assert!(svg.contains("class=\"resident\"") && !svg.contains("as the tracer counts it"));
}

fn what_cannot_be_is_said() {
    let folder = folder();
    let path = folder.path();
    fails(
        &report(path, &["run", "--", "/no/such/program"]),
        1,
        "cannot start /no/such/program",
    );
    assert!(files(path).is_empty(), "no folder is left");
    fails(&report(path, &["run"]), 2, "PROGRAM");
    fails(
        &report(path, &["run", "--every", "0", "--", "true"]),
        2,
        "expected a number of seconds from 0.01 to 1000000",
    );
    fails(
        &report(path, &["run", "--frames", "0", "--", "true"]),
        2,
        "1..=1000",
    );
    fs::write(path.join("file"), "").expect("a file");
    fails(
        &report(path, &["run", "-o", ".", "--", "true"]),
        1,
        "expected a folder that is empty or not there",
    );
    fails(
        &report(path, &["timeline"]),
        1,
        "expected the number of a recording in this folder, of which there are 0, found -1",
    );
    fails(
        &report(path, &["timeline", "nowhere"]),
        1,
        "expected a folder that alloc-report run wrote, found none in nowhere",
    );
    fails(
        &report(path, &["timeline", "file", "-o", "x.svg"]),
        1,
        "cannot read the snapshot file: expected a heap profile in pprof's format",
    );
    fails(
        &report(path, &["peak"]),
        1,
        "expected a recording in this folder, found none",
    );
}

fn recordings_are_listed_and_removed() {
    let folder = folder();
    let path = folder.path();
    assert!(succeeds(&report(path, &["list"])).starts_with("No recordings"));
    for name in ["alloc-trace-1", "alloc-trace-2"] {
        succeeds(&report(path, &["run", "-o", name, "--", "sleep", "0.1"]));
    }
    let list = report(path, &["list"]);
    let lines: Vec<&str> = succeeds(&list).lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("  0  alloc-trace-1") && lines[1].ends_with("sleep 0.1"),
        "{lines:?}"
    );
    assert!(succeeds(&report(path, &["peak", "-2"])).starts_with("alloc-trace-1  heap ?"));

    let dry = report(path, &["clean", "--dry-run"]);
    assert_eq!(
        succeeds(&dry),
        "would remove alloc-trace-1\nwould remove alloc-trace-2\n"
    );
    assert_eq!(files(path).len(), 2);
    // A folder with something of the user's own stays.
    fs::write(path.join("alloc-trace-2/notes"), "mine").expect("a file");
    fails(
        &report(path, &["clean", "1"]),
        1,
        "there are files in it that alloc-report did not write",
    );
    assert!(path.join("alloc-trace-2/notes").exists());
    assert_eq!(
        succeeds(&report(path, &["clean", "0"])),
        "removed alloc-trace-1\n"
    );
    assert_eq!(files(path).len(), 1);
}

/// What `clean` says where this is the answer to its question.
fn cleaned(folder: &Path, answer: &str) -> Output {
    let mut clean = command(folder, &["clean"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut stdin = clean.stdin.take().expect("a pipe");
    stdin.write_all(answer.as_bytes()).expect("it is read");
    drop(stdin);
    clean.wait_with_output().expect("it ends")
}

fn clean_asks() {
    let folder = folder();
    let path = folder.path();
    let record = |name| succeeds(&report(path, &["run", "-o", name, "--", "true"])).len();
    record("a");
    record("b");
    let question = "a  true\nb  true\nRemove these recordings? [y/N] ";
    for (answer, end) in [("n\n", ""), ("\n", ""), ("", "\n")] {
        let refused = cleaned(path, answer);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert_eq!(
            text(&refused.stderr),
            format!("{question}{end}error: nothing was removed; clean --all does not ask\n")
        );
        assert_eq!(files(path).len(), 2);
    }
    let agreed = cleaned(path, "y\n");
    assert_eq!(text(&agreed.stderr), question);
    assert_eq!(succeeds(&agreed), "removed a\nremoved b\n");
    assert!(files(path).is_empty());
    record("c");
    assert_eq!(succeeds(&report(path, &["clean", "--all"])), "removed c\n");
    assert_eq!(
        succeeds(&report(path, &["clean"])),
        "No recordings in this folder.\n"
    );
}

fn nothing_is_overwritten() {
    let folder = folder();
    let path = folder.path();
    let mine = |name: &str| fs::write(path.join(name), "mine").expect("a file");
    succeeds(&report(path, &["run", "-o", "a", "--", "sleep", "0.3"]));
    for arguments in [
        &["timeline", "a"][..],
        &["timeline", "a", "-o", "x.html"],
        &["run", "-o", "b", "--report", "r.txt", "--", "true"],
        &["man", "pages"],
    ] {
        let file = match arguments {
            [.., "x.html"] => "x.html",
            ["timeline", ..] => "timeline.svg",
            ["man", ..] => "pages/alloc-report.1",
            _ => "r.txt",
        };
        let _ = fs::create_dir(path.join("pages"));
        mine(file);
        let message = format!(
            "error: expected a path where no file is, found one at {file}; --force replaces it\n"
        );
        let refused = report(path, arguments);
        assert_eq!(text(&refused.stderr), message);
        assert_eq!(refused.status.code(), Some(1));
        assert_eq!(fs::read(path.join(file)).expect("a file"), b"mine");
        let forced = [&arguments[..1], &["--force"], &arguments[1..]].concat();
        succeeds(&report(path, &forced));
        assert_ne!(fs::read(path.join(file)).expect("a file"), b"mine");
    }
    let shown = fs::read_to_string(path.join("r.txt")).expect("a file");
    assert!(shown.ends_with("Written to b.\n"), "{shown}");

    // A recording is replaced, and nothing else that is in its folder.
    let again = ["run", "-o", "a", "--", "true"];
    fails(
        &report(path, &again),
        1,
        "expected a folder that is empty or not there, found files in a; --force replaces a recording",
    );
    let forced = ["run", "--force", "-o", "a", "--", "true"];
    succeeds(&report(path, &forced));
    assert!(succeeds(&report(path, &["list"])).contains("  true\n"));
    mine("a/notes");
    fails(&report(path, &forced), 1, "found files in a");
    assert_eq!(fs::read(path.join("a/notes")).expect("a file"), b"mine");
    assert!(path.join("a/memory.csv").exists());
}

fn the_configuration_is_passed_on() {
    let folder = folder();
    let options = [
        "--threads",
        "--exact-peak",
        "--max-callsites",
        "1000",
        "--keep",
        "2",
        "--every",
        "0.1",
        "--sample",
        "1KiB",
        "-o",
        "a",
    ];
    let output = run(folder.path(), "hold", &options)
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
    // Another program, of which nothing is left out.
    let other = folder.path().join("other");
    fs::copy(std::env::current_exe().expect("a path"), &other).expect("a copy");
    let mut exact = command(folder.path(), &["run", "-o", "b", "--"]);
    let exact = exact.arg(&other).env(ROLE, "seven").output();
    assert_eq!(exact.expect("the command runs").status.code(), Some(7));
    let compared = report(folder.path(), &["check", "b", "a", "-n", "0"]);
    assert_eq!(compared.status.code(), Some(3), "{compared:?}");
    let compared = text(&compared.stdout);
    for note in [
        "note: the snapshots are of two programs, ",
        "note: a sample, drawn every 1024 B on average: all numbers are estimates\n",
    ] {
        assert!(compared.contains(note), "{compared}");
    }
    fails(
        &report(folder.path(), &["run", "--sample", "1GiB", "--", "true"]),
        2,
        "expected a number of bytes from 1 to 64MiB, as 524288 or 512KiB",
    );
}

fn a_timeline_of_snapshots() {
    let folder = folder();
    alloc_core::start().expect("tracing starts");
    let mut kept = Vec::new();
    let names = ["a.pb.gz", "b.pb.gz"];
    for name in names {
        kept.push(vec![1_u8; 3 * MIB]);
        let snapshot = alloc_core::take_snapshot().expect("it is on");
        snapshot
            .dump(folder.path().join(name))
            .expect("it is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    alloc_core::stop();
    drop(kept);
    // In whatever order.
    succeeds(&report(
        folder.path(),
        &["timeline", "b.pb.gz", "a.pb.gz", "-o", "x.svg"],
    ));
    let svg = fs::read_to_string(folder.path().join("x.svg")).expect("a picture");
    assert!(
        svg.contains(">recording alloc-report/tests/recording.rs:")
            && svg.contains("at most 6144 KiB"),
        "{svg}"
    );
    succeeds(&report(
        folder.path(),
        &["timeline", "a.pb.gz", "b.pb.gz", "-o", "y.svg"],
    ));
    let sorted = fs::read_to_string(folder.path().join("y.svg")).expect("a picture");
    assert_eq!(svg, sorted);
    fails(
        &report(folder.path(), &["timeline", "a.pb.gz", "-o", "x.png"]),
        1,
        "expected a name that ends with .svg or .html, found x.png",
    );
}

fn damaged_recordings_are_errors() {
    let folder = folder();
    let path = folder.path();
    succeeds(&report(path, &["run", "-o", "a", "--", "sleep", "0.3"]));
    let memory = path.join("a/memory.csv");
    let whole = fs::read_to_string(&memory).expect("a file");
    // As if the command was killed in the middle of a row.
    fs::write(&memory, whole.trim_end().to_owned() + "\n17").expect("a file");
    succeeds(&report(path, &["peak", "a"]));
    fs::write(&memory, whole.replace("seconds", "minutes")).expect("a file");
    fails(&report(path, &["peak", "a"]), 1, "memory.csv");
    fs::write(path.join("a/run.json"), "{").expect("a file");
    fails(
        &report(path, &["timeline", "a"]),
        1,
        "cannot read a/run.json",
    );
}
