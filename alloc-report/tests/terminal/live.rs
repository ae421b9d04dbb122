//! `live`: processes, addresses and files, on a terminal and without one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use tempfile::TempDir;

use crate::ROLE;
use crate::screen::Screen;
use crate::support::{command, run, text};

/// A traced process, killed at the end of a test.
struct Traced {
    child: Child,
    folder: TempDir,
}

impl Traced {
    /// Starts this binary in a role, with variables of the tracer.
    fn start(role: &str, variables: &[(&str, &str)]) -> Traced {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .current_dir(folder.path())
            .env("PWD", folder.path())
            .env(ROLE, role)
            .env("ALLOC_TRACE", "32")
            .env("ALLOC_TRACE_OUT", "heap-%p.pb.gz")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = [0];
        child.stdout.take().unwrap().read_exact(&mut said).unwrap();
        Traced { child, folder }
    }

    fn live(&self, options: &str) -> Screen {
        let arguments = format!("live {} {options}", self.child.id());
        Screen::start(command(self.folder.path(), &arguments), 100, 30)
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let names = entries.map(|it| it.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const BY_SIGNAL: &[(&str, &str)] = &[("ALLOC_TRACE_SIGNAL", "USR1")];

/// Waits until the heap has grown, and the line that grows is marked.
#[track_caller]
fn grows(screen: &mut Screen) {
    screen.wait_for("● live");
    screen.wait("growth", |it| {
        let mut lines = it.lines();
        it.contains(" growth +") && lines.any(|it| it.contains("▲") && it.contains("grow"))
    });
}

pub(crate) fn a_process_is_watched_by_signals() {
    let traced = Traced::start("grow", BY_SIGNAL);
    let mut screen = traced.live("--every 0.3");
    grows(&mut screen);
    screen.press(" ");
    let paused = screen.wait_for("‖ paused");
    let heap = |it: &str| {
        let line = it.lines().find(|it| it.starts_with("heap ")).unwrap();
        line[..16].trim().to_owned()
    };
    std::thread::sleep(Duration::from_millis(1000));
    let later = screen.wait_for("‖ paused");
    assert_eq!(heap(&later), heap(&paused));
    screen.press(" ");
    screen.wait("more", |it| {
        it.contains("● live") && heap(it) != heap(&paused)
    });
    screen.press("q");
    assert_eq!(screen.end(), 0);
}

pub(crate) fn a_process_is_watched_by_its_clock() {
    let traced = Traced::start("grow", &[("ALLOC_TRACE_EVERY", "0.2")]);
    let mut screen = traced.live("--every 0.3");
    grows(&mut screen);
    screen.press("q");
    assert_eq!(screen.end(), 0);
    assert!(traced.files().len() > 1, "{:?}", traced.files());
}

pub(crate) fn what_is_requested_is_removed_unless_it_is_kept() {
    for (options, is_kept) in [("", false), ("--keep", true)] {
        let traced = Traced::start("grow", BY_SIGNAL);
        let arguments = format!("live {} {options}", traced.child.id());
        let output = run(traced.folder.path(), &arguments);
        assert_eq!(text(&output.stderr), "");
        assert_eq!(!traced.files().is_empty(), is_kept, "{options}");
    }
}

pub(crate) fn the_end_of_a_process_leaves_its_last_state() {
    let mut traced = Traced::start("end", BY_SIGNAL);
    let mut screen = traced.live("--every 0.2");
    screen.wait_for("3072 KiB");
    drop(traced.child.stdin.take());
    traced.child.wait().unwrap();
    let text = screen.wait_for("■ ended");
    assert!(text.contains("has ended: this is its last state"), "{text}");
    assert!(text.contains("3072 KiB"), "{text}");
    screen.press("q");
    assert_eq!(screen.end(), 0);
}

/// A snapshot of a line that holds so many bytes.
fn snapshot(bytes: u64) -> Snapshot {
    let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
    let amount = Amount::new(bytes, 1);
    let counters = Counters {
        current: amount,
        peak: amount,
        at_peak: amount,
        total: amount,
        reallocations: 0,
        ..Counters::default()
    };
    let trace = Trace::new(Traceback::new(vec![frame]), counters);
    Snapshot::from_traces(vec![trace], 32)
}

/// Serves a profile that grows by 100 bytes at each request. Returns the address.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for (request, stream) in (1..).zip(listener.incoming()) {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                head.push(byte[0]);
            }
            let mut body = Vec::new();
            snapshot(request * 100).write_to(&mut body).unwrap();
            let is_it = head.starts_with(b"GET /debug/pprof/heap HTTP/1.1\r\n");
            let status = if is_it { "200 OK" } else { "404 Not Found" };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&body).unwrap();
        }
    });
    address
}

pub(crate) fn an_address_is_watched() {
    let address = serve();
    let here = Path::new(".");
    let arguments = format!("live {address} --every 0.2");
    let mut screen = Screen::start(command(here, &arguments), 80, 24);
    screen.wait_for("growth +200 B");
    screen.press("q");
    assert_eq!(screen.end(), 0);
    let output = run(here, &format!("live http://{address}/metrics"));
    let expected = format!(
        "error: http://{address}/metrics has no profile (404); GET must return one in pprof's \
         format\n"
    );
    assert_eq!(text(&output.stderr), expected);
    assert_eq!(output.status.code(), Some(1));
}

pub(crate) fn the_newest_of_several_files_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let write = |number: u64| {
        let path = folder.path().join(format!("heap-7.000{number}.pb.gz"));
        snapshot(number * 100).dump(path).unwrap();
    };
    write(1);
    let mut screen = Screen::start(
        command(folder.path(), "live heap-*.pb.gz --every 0.1"),
        80,
        24,
    );
    screen.wait_for("now 100 B");
    write(2);
    screen.wait_for("now 200 B");
    write(3);
    let text = screen.wait_for("now 300 B");
    assert!(text.contains("growth +200 B"), "{text}");
    screen.press("q");
    assert_eq!(screen.end(), 0);
}

pub(crate) fn without_a_terminal_one_table_is_printed() {
    let traced = Traced::start("end", BY_SIGNAL);
    let start = Instant::now();
    let output = run(
        traced.folder.path(),
        &format!("live {} -n 1", traced.child.id()),
    );
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    let table = text(&output.stdout);
    let first = table.lines().find(|it| it.starts_with("1 ")).unwrap();
    assert!(
        first.contains("3,072.0 KiB") && first.contains("main.rs"),
        "{table}"
    );
    assert!(start.elapsed() < Duration::from_secs(60));
}

pub(crate) fn a_process_that_is_not_traced_is_an_error() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let id = child.id();
    // The name is that of this binary until the other one runs.
    std::thread::sleep(Duration::from_millis(200));
    let output = run(Path::new("."), &format!("live {id}"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        text(&output.stderr),
        format!(
            "error: expected a process that writes snapshots while it runs, found sleep ({id}) \
             without ALLOC_TRACE_SIGNAL and ALLOC_TRACE_EVERY; its allocator must be \
             alloc_core::TraceAlloc, and it must be started like this: ALLOC_TRACE=128 \
             ALLOC_TRACE_OUT=/tmp/heap-%p.pb.gz ALLOC_TRACE_SIGNAL=USR1 sleep\n"
        )
    );
    assert_eq!(output.status.code(), Some(1));
    let output = run(Path::new("."), &format!("live {id}"));
    let expected = format!("error: expected a running process, found none with the id {id}\n");
    assert_eq!(text(&output.stderr), expected);
    // With the variables, but without the allocator: the signal would end it, and is not sent.
    let mut child = Command::new("sleep")
        .arg("60")
        .env("ALLOC_TRACE_SIGNAL", "USR1")
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let output = run(Path::new("."), &format!("live {}", child.id()));
    let error = text(&output.stderr).to_owned();
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(error.contains("does not catch the signal"), "{error}");
}
