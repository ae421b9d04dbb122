//! [`Traced`]: a process that a signal asks for files, such as snapshots and heap graphs.
//!
//! In: a process id. Out: the path of the file that the process wrote. All that is known of it is
//! in `/proc`: its environment names the signals and the files.

mod template;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloc_core_snapshot::Escaped;
use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, kill_process};

pub(crate) use rustix::process::Signal;
pub(crate) use template::Template;

/// A running process, and the variables that it was started with.
pub(crate) struct Traced {
    process: u32,
    name: String,
    variables: BTreeMap<String, String>,
}

/// Why a process wrote no file.
pub(crate) enum NoFile {
    /// The next request may lead to one.
    Failed(String),
    /// There will be none.
    Ended,
}

/// How often the folder is listed while a file is awaited.
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

impl Traced {
    pub(crate) fn find(process: u32) -> Result<Traced> {
        let Some(name) = running(process) else {
            bail!("expected a running process, found none with the id {process}");
        };
        let environment = fs::read(proc(process).join("environ"))
            .with_context(|| format!("cannot read the environment of {name} ({process})"))?;
        Ok(Traced {
            process,
            name,
            variables: variables(&environment),
        })
    }

    /// The name of the program, and the id.
    pub(crate) fn title(&self) -> String {
        format!("{} (process {})", self.name, self.process)
    }

    /// The name of the program.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?;
        Some(value.as_str()).filter(|it| !it.is_empty())
    }

    /// The signal that a variable names.
    pub(crate) fn signal(&self, variable: &str) -> Option<Signal> {
        signal(self.variable(variable)?)
    }

    /// The snapshots that the process writes.
    pub(crate) fn template(&self) -> Result<Template> {
        let place = proc(self.process);
        // NOTE: the folder in which the process began, as far as a shell has said so.
        let beginning = match self.variable("PWD") {
            Some(folder) => PathBuf::from(folder),
            None => fs::read_link(place.join("cwd")).unwrap_or_default(),
        };
        let path = self.variable("ALLOC_TRACE_OUT");
        let mut template =
            Template::of(path, inner_id(self.process), &beginning).map_err(anyhow::Error::msg)?;
        let root = place.join("root");
        if fs::read_link(&root).is_ok_and(|it| it != Path::new("/")) {
            let folder = template.folder.strip_prefix("/");
            template.folder = root.join(folder.unwrap_or(&template.folder));
        }
        Ok(template)
    }

    /// Whether the process still runs this program.
    pub(crate) fn is_running(&self) -> bool {
        running(self.process).as_ref() == Some(&self.name)
    }

    /// Sends a signal, and waits for a newer file of the template.
    ///
    /// Nothing is sent to a process that does not catch the signal, which would end it.
    pub(crate) fn request(
        &self,
        signal: Signal,
        template: &Template,
        what: &str,
        timeout: Duration,
    ) -> Result<PathBuf, NoFile> {
        if !catches(self.process, signal) {
            return Err(NoFile::Failed(format!(
                "{} does not catch the signal, which would end it: it has no \
                 alloc_core::TraceAlloc, or has become another program",
                self.title()
            )));
        }
        let before = template.newest().map(|it| it.0);
        let process = Pid::from_raw(self.process as i32).ok_or(NoFile::Ended)?;
        if let Err(error) = kill_process(process, signal) {
            let title = self.title();
            return Err(NoFile::Failed(format!(
                "cannot send a signal to {title}: {error}"
            )));
        }
        let start = Instant::now();
        loop {
            match template.newest() {
                Some((number, path)) if Some(number) > before => return Ok(path),
                _ if running(self.process).is_none() => return Err(NoFile::Ended),
                _ if start.elapsed() > timeout => {
                    return Err(NoFile::Failed(format!(
                        "{} wrote no {what} to {} within {} s",
                        self.title(),
                        Escaped(&template.folder.display().to_string()),
                        timeout.as_secs(),
                    )));
                }
                _ => std::thread::sleep(TICK),
            }
        }
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
