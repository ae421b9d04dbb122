//! [`Process`]: a traced process that writes snapshots on a signal, or by its clock.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloc_core_snapshot::{Escaped, Snapshot};
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::source::{Found, Rules, Source, found};
use super::template::Template;

/// A process that was started to write snapshots while it runs.
pub(super) struct Process {
    process: u32,
    name: String,
    template: Template,
    how: How,
    /// The number of the newest file that was read.
    last: Option<u32>,
    rules: Rules,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// On request. `removes`: the files that the requests lead to are removed.
    Signal { signal: Signal, removes: bool },
    /// Every so many seconds.
    Clock(f64),
}

/// How long a process may take to write a snapshot.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often the folder is listed meanwhile.
const TICK: Duration = Duration::from_millis(20);

const SIGNALS: [(&str, Signal); 9] = [
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("HUP", Signal::HUP),
    ("QUIT", Signal::QUIT),
    ("ALRM", Signal::ALARM),
    ("WINCH", Signal::WINCH),
    ("URG", Signal::URG),
    ("IO", Signal::IO),
    ("PROF", Signal::PROF),
];

impl Process {
    pub(super) fn open(process: u32, every: f64, keeps: bool, rules: Rules) -> Result<Process> {
        let Some(name) = running(process) else {
            bail!("expected a running process, found none with the id {process}");
        };
        let place = proc(process);
        let environment = fs::read(place.join("environ"))
            .with_context(|| format!("cannot read the environment of {name} ({process})"))?;
        let variables = variables(&environment);
        let variable = |name: &str| variables.get(name).filter(|it| !it.is_empty());
        let clock = variable("ALLOC_TRACE_EVERY").and_then(|it| it.parse().ok());
        let signal = variable("ALLOC_TRACE_SIGNAL").and_then(|it| signal(it));
        let how = match (signal, clock) {
            (signal, Some(seconds)) if signal.is_none() || seconds <= every => How::Clock(seconds),
            (Some(signal), clock) => How::Signal {
                signal,
                // NOTE: with a clock, a new file may be one that others wait for.
                removes: !keeps && clock.is_none(),
            },
            _ => bail!(
                "expected a process that writes snapshots while it runs, found {name} ({process}) \
                 without ALLOC_TRACE_SIGNAL and ALLOC_TRACE_EVERY; its allocator must be \
                 alloc_core::TraceAlloc, and it must be started like this: \
                 ALLOC_TRACE=128 ALLOC_TRACE_OUT=/tmp/heap-%p.pb.gz ALLOC_TRACE_SIGNAL=USR1 {name}"
            ),
        };
        // NOTE: the folder in which the process began, as far as a shell has said so.
        let beginning = match variable("PWD") {
            Some(folder) => PathBuf::from(folder),
            None => fs::read_link(place.join("cwd")).unwrap_or_default(),
        };
        let path = variable("ALLOC_TRACE_OUT").map(String::as_str);
        let mut template =
            Template::of(path, inner_id(process), &beginning).map_err(anyhow::Error::msg)?;
        let root = place.join("root");
        if fs::read_link(&root).is_ok_and(|it| it != Path::new("/")) {
            let folder = template.folder.strip_prefix("/");
            template.folder = root.join(folder.unwrap_or(&template.folder));
        }
        Ok(Process {
            process,
            name,
            template,
            how,
            last: None,
            rules,
        })
    }

    /// The newest file of the process, and its number.
    fn newest(&self) -> Option<(u32, PathBuf)> {
        let entries = fs::read_dir(&self.template.folder).into_iter().flatten();
        let numbered = entries.flatten().filter_map(|it| {
            let number = self.template.number(it.file_name().to_str()?)?;
            Some((number, it.path()))
        });
        numbered.max()
    }

    /// Sends the signal, and waits for the file.
    ///
    /// Nothing is sent to a process that does not catch the signal, which would end it.
    fn request(&mut self, signal: Signal, removes: bool) -> Found {
        if !catches(self.process, signal) {
            return Found::Failed(format!(
                "{} does not catch the signal, which would end it: it has no \
                 alloc_core::TraceAlloc, or has become another program",
                self.name()
            ));
        }
        let before = self.newest().map(|it| it.0);
        let Some(process) = Pid::from_raw(self.process as i32) else {
            return Found::Ended(format!("{} has ended", self.name()));
        };
        if let Err(error) = kill_process(process, signal) {
            return Found::Failed(format!("cannot send a signal to {}: {error}", self.name()));
        }
        let start = Instant::now();
        loop {
            match self.newest() {
                Some((number, path)) if Some(number) > before => {
                    return found(self.take(&path, removes));
                }
                _ if running(self.process).is_none() => return self.ended(),
                _ if start.elapsed() > TIMEOUT => {
                    return Found::Failed(format!(
                        "{} wrote no snapshot to {} within {} s",
                        self.name(),
                        Escaped(&self.template.folder.display().to_string()),
                        TIMEOUT.as_secs(),
                    ));
                }
                _ => std::thread::sleep(TICK),
            }
        }
    }

    /// Reads a file, and removes it at once: nothing is left if the user quits meanwhile.
    fn take(&self, path: &Path, removes: bool) -> Result<Box<Snapshot>> {
        let name = || {
            let path = path.display().to_string();
            format!("cannot read the snapshot {}", Escaped(&path))
        };
        let file = File::open(path).with_context(name)?;
        if removes {
            // NOTE: a file that cannot be removed is no harm.
            let _ = fs::remove_file(path);
        }
        self.rules
            .read(Box::new(BufReader::new(file)))
            .with_context(name)
    }

    fn ended(&self) -> Found {
        Found::Ended(format!("{} has ended: this is its last state", self.name()))
    }
}

impl Source for Process {
    fn next(&mut self) -> Found {
        let is_running = running(self.process).as_ref() == Some(&self.name);
        match self.how {
            How::Signal { signal, removes } if is_running => self.request(signal, removes),
            How::Signal { .. } => self.ended(),
            How::Clock(_) => match self.newest() {
                Some((number, path)) if Some(number) > self.last => {
                    self.last = Some(number);
                    found(self.rules.load(&path))
                }
                _ if !is_running => self.ended(),
                _ => Found::Unchanged,
            },
        }
    }

    fn name(&self) -> String {
        let clock = match self.how {
            How::Clock(seconds) => format!(", which writes a snapshot every {seconds} s"),
            How::Signal { .. } => String::new(),
        };
        format!("{} (process {}){clock}", self.name, self.process)
    }
}

fn proc(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}"))
}

/// A field of the status of a process.
fn status(process: u32, field: &str) -> Option<String> {
    let status = fs::read_to_string(proc(process).join("status")).ok()?;
    let mut lines = status.lines();
    let value = lines.find_map(|it| it.strip_prefix(field)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The name of a process; `None` if it has ended, even if its parent has not noticed.
fn running(process: u32) -> Option<String> {
    let state = status(process, "State")?;
    let has_ended = state.starts_with(['Z', 'X']);
    let name = status(process, "Name").filter(|_| !has_ended)?;
    Some(Escaped(&name).to_string())
}

/// The id that a process has for itself, as in a container.
fn inner_id(process: u32) -> u32 {
    let ids = status(process, "NSpid");
    let inner = ids.and_then(|it| it.split_whitespace().last()?.parse().ok());
    inner.unwrap_or(process)
}

/// Whether a process has a handler for a signal.
fn catches(process: u32, signal: Signal) -> bool {
    let caught = status(process, "SigCgt");
    let caught = caught.and_then(|it| u64::from_str_radix(&it, 16).ok());
    caught.is_some_and(|it| it >> (signal.as_raw() - 1) & 1 == 1)
}

fn signal(name: &str) -> Option<Signal> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    let known = SIGNALS.iter().find(|(known, _)| *known == name);
    known.map(|(_, signal)| *signal)
}

/// The variables of the tracer, and the folder.
fn variables(environment: &[u8]) -> BTreeMap<String, String> {
    let variables = environment.split(|it| *it == 0).filter_map(|it| {
        let (name, value) = str::from_utf8(it).ok()?.split_once('=')?;
        let is_ours = name.starts_with("ALLOC_TRACE") || name == "PWD";
        is_ours.then(|| (name.to_owned(), value.to_owned()))
    });
    // NOTE: the first of two is the one that counts, as for getenv.
    let mut first = BTreeMap::new();
    for (name, value) in variables {
        first.entry(name).or_insert(value);
    }
    first
}
