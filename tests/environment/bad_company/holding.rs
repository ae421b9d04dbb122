//! A program that holds memory on request, and what its recorder does meanwhile.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use alloc_core::Snapshot;
use alloc_tests::status_of;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_traced");

/// The program `traced` as it holds more and more blocks. Its messages are in a file.
pub(crate) struct Holding {
    child: Child,
    messages: tempfile::NamedTempFile,
}

impl Holding {
    /// Starts it, with snapshots at a path.
    pub(crate) fn start(out: &Path, variables: &[(&str, &str)]) -> Holding {
        Holding::start_as(Command::new(PROGRAM), out, variables)
    }

    pub(crate) fn start_as(
        mut command: Command,
        out: &Path,
        variables: &[(&str, &str)],
    ) -> Holding {
        for (name, _) in std::env::vars().filter(|it| it.0.starts_with("ALLOC_TRACE")) {
            command.env_remove(name);
        }
        let messages = tempfile::NamedTempFile::new().expect("a file");
        let child = command
            .arg("hold-more")
            .env("ALLOC_TRACE", "16")
            .env("ALLOC_TRACE_OUT", out)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(messages.reopen().expect("a file"))
            .spawn()
            .expect("it starts");
        let mut holding = Holding { child, messages };
        holding.hold_more();
        holding
    }

    /// Lets it hold another MiB, and waits until it does.
    pub(crate) fn hold_more(&mut self) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(b"+").expect("it reads");
        let output = self.child.stdout.as_mut().expect("a pipe");
        output.read_exact(&mut [0]).expect("it answers");
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: the process is a child of this one that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.process() as i32, signal) }, 0);
    }

    /// What the tracer said.
    pub(crate) fn messages(&self) -> String {
        fs::read_to_string(self.messages.path()).expect("UTF-8")
    }

    /// How often it said so.
    pub(crate) fn count(&self, message: &str) -> usize {
        self.messages().matches(message).count()
    }

    pub(crate) fn resident(&self) -> u64 {
        status_of(self.process(), "VmRSS:").expect("it runs")
    }

    /// Waits until a condition holds, for up to a minute on a busy machine.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !holds() {
            let messages = self.messages();
            assert!(Instant::now() < until, "no {what}; it said {messages:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the tracer said so as often as that.
    #[track_caller]
    pub(crate) fn wait_for_message(&self, message: &str, times: usize) {
        self.wait_for(message, || self.count(message) >= times);
    }

    /// Ends it, and checks that it ends well.
    #[track_caller]
    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}: {}", self.messages());
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The numbered snapshots of a folder, by their numbers. All of them can be read, and nothing else
/// is there.
#[track_caller]
pub(crate) fn snapshots(folder: &Path) -> Vec<(u32, Snapshot)> {
    let mut all: Vec<(u32, Snapshot)> = files(folder)
        .into_iter()
        .filter_map(|path| {
            let name = path.file_name()?.to_str().expect("UTF-8").to_owned();
            // NOTE: of a file that is being written, or removed between two looks.
            let number = name.strip_prefix("heap-")?.strip_suffix(".pb.gz")?;
            let file = File::open(&path).ok()?;
            let snapshot = Snapshot::read_from(file);
            let snapshot = snapshot.unwrap_or_else(|error| panic!("{name}: {error}"));
            Some((number.parse().expect("a number"), snapshot))
        })
        .collect();
    all.sort_by_key(|it| it.0);
    all
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries.map(|it| it.expect("an entry").path()).collect()
}

/// The highest number of the snapshots in a folder.
pub(crate) fn newest(folder: &Path) -> Option<u32> {
    snapshots(folder).last().map(|it| it.0)
}
