//! `graph --pid`: a heap graph of a running process.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::set_up::{ROLE, folder};
use crate::support::{check_failure, run, text};

/// A traced process, killed at the end of a test.
struct Traced(Child);

impl Traced {
    fn start(folder: &Path, variables: &[(&str, &str)]) -> Traced {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .current_dir(folder)
            .env("PWD", folder)
            .env(ROLE, "signal")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this binary starts");
        // The program prints a byte when it is ready.
        let stdout = child.stdout.as_mut().expect("a pipe");
        stdout.read_exact(&mut [0]).expect("a byte");
        Traced(child)
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn a_running_process_is_asked_for_a_graph() {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return;
    }
    let folder = folder();
    let variables = [
        ("ALLOC_TRACE", "32"),
        ("ALLOC_TRACE_OUT", "heap-%p.pb.gz"),
        ("ALLOC_TRACE_GRAPH_SIGNAL", "USR2"),
    ];
    let traced = Traced::start(folder.path(), &variables);
    let id = traced.0.id();
    for number in 1..=2 {
        let output = run(folder.path(), &format!("graph --pid {id} roots"));
        let path = folder
            .path()
            .join(format!("heap-{id}.000{number}.heapgraph"));
        assert_eq!(text(&output.stderr), format!("wrote {}\n", path.display()));
        let roots = text(&output.stdout);
        assert!(
            roots.contains("2,048.0 KiB") && roots.contains(" in recording::play"),
            "{roots}"
        );
        assert!(path.exists());
    }
}

pub(crate) fn a_process_that_writes_no_graphs_is_an_error() {
    let folder = folder();
    let traced = Traced::start(folder.path(), &[("ALLOC_TRACE", "32")]);
    let id = traced.0.id();
    let expected = format!(
        "found recording-{{}} ({id}) without ALLOC_TRACE_GRAPH_SIGNAL; its allocator must be \
         alloc_core::TraceAlloc"
    );
    let (_, expected) = expected.split_once("{} ").expect("a name before");
    check_failure(folder.path(), &format!("graph --pid {id}"), 1, expected);
    drop(traced);
    let expected = format!("expected a running process, found none with the id {id}");
    check_failure(folder.path(), &format!("graph --pid {id}"), 1, &expected);
    check_failure(folder.path(), "graph", 2, "<FILE>");
}
