//! Heap graphs that a signal requests.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use alloc_core::Snapshot;
use alloc_report::Graph;

const TRACED: &str = env!("CARGO_BIN_EXE_traced");

/// A program that holds a hundred blocks of a thousand bytes until its input ends.
struct Holding(Child);

impl Holding {
    fn start(folder: &Path, variables: &[(&str, &str)]) -> Holding {
        let mut child = Command::new(TRACED)
            .arg("hold")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .envs(variables.iter().copied())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.as_mut().expect("a pipe");
        // The program prints a byte when it holds them.
        stdout.read_exact(&mut [0]).expect("a byte");
        Holding(child)
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the process is a child of this one that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, signal) }, 0);
    }

    /// The next line on standard error.
    fn line(&mut self) -> String {
        let stderr = self.0.stderr.as_mut().expect("a pipe");
        let mut line = String::new();
        // NOTE: the program writes a line at a time, and waits for the next signal.
        BufReader::with_capacity(1, stderr)
            .read_line(&mut line)
            .expect("UTF-8");
        line
    }

    fn end(mut self) -> Output {
        drop(self.0.stdin.take());
        self.0.wait_with_output().expect("the program ends")
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn each_signal_has_its_kind_of_file() {
    let folder = folder();
    let variables = [
        ("ALLOC_TRACE", "8"),
        ("ALLOC_TRACE_SIGNAL", "USR1"),
        ("ALLOC_TRACE_GRAPH_SIGNAL", "USR2"),
        ("ALLOC_TRACE_OUT", "heap.pb.gz"),
    ];
    let mut program = Holding::start(folder.path(), &variables);
    let path = |name: &str| folder.path().canonicalize().unwrap().join(name);
    for (signal, name) in [
        (libc::SIGUSR2, "heap.0001.heapgraph"),
        (libc::SIGUSR1, "heap.0002.pb.gz"),
        (libc::SIGUSR2, "heap.0003.heapgraph"),
    ] {
        program.signal(signal);
        let expected = format!("alloc-core: wrote {}\n", path(name).display());
        assert_eq!(program.line(), expected);
    }
    assert!(program.end().status.success());

    let graph = Graph::load(path("heap.0003.heapgraph")).unwrap();
    let boxes = graph.blocks().filter(|it| graph.block(*it).size == 1000);
    assert_eq!(boxes.count(), 100);
    assert!(graph.facts().threads_missed == 0);
    assert!(Snapshot::load(path("heap.0002.pb.gz")).is_ok());
}

#[test]
fn without_a_path_it_is_next_to_where_snapshots_are() {
    let folder = folder();
    let variables = [("ALLOC_TRACE", "8"), ("ALLOC_TRACE_GRAPH_SIGNAL", "URG")];
    let mut program = Holding::start(folder.path(), &variables);
    program.signal(libc::SIGURG);
    let line = program.line();
    let name = format!("/alloc-trace-{}-0001.heapgraph\n", program.0.id());
    assert!(line.ends_with(&name), "{line}");
    assert!(program.end().status.success());
}

#[test]
fn a_sample_has_no_graph_and_the_program_goes_on() {
    let folder = folder();
    let variables = [
        ("ALLOC_TRACE_SAMPLE", "4KiB"),
        ("ALLOC_TRACE_GRAPH_SIGNAL", "USR2"),
    ];
    let mut program = Holding::start(folder.path(), &variables);
    program.signal(libc::SIGUSR2);
    let line = program.line();
    assert!(
        line.starts_with("alloc-core: no heap graph written: ") && line.contains("every block"),
        "{line}"
    );
    assert!(program.end().status.success());
    assert!(folder.path().read_dir().unwrap().next().is_none());
}

#[test]
fn a_wrong_signal_ends_the_program_at_its_start() {
    #[track_caller]
    fn check(variables: &[(&str, &str)], message: &str) {
        let output = Command::new(TRACED)
            .arg("state")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), message);
    }
    check(
        &[("ALLOC_TRACE_GRAPH_SIGNAL", "KILL")],
        "alloc-core: ALLOC_TRACE_GRAPH_SIGNAL: expected USR1, USR2, HUP, QUIT, ALRM, WINCH, URG, IO or PROF; \
         found \"KILL\"\n",
    );
    check(
        &[
            ("ALLOC_TRACE_GRAPH_SIGNAL", "USR1"),
            ("ALLOC_TRACE_SIGNAL", "SIGUSR1"),
        ],
        "alloc-core: ALLOC_TRACE_GRAPH_SIGNAL: expected another signal than that of ALLOC_TRACE_SIGNAL, found \
         the same\n",
    );
}
