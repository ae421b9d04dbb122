//! [`Process`]: a traced process that writes snapshots on a signal, or by its clock.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use alloc_core_snapshot::{Escaped, Snapshot};
use anyhow::{Context as _, Result, bail};

use super::source::{Found, Rules, Source, found};
use crate::process::{NoFile, Signal, Template, Traced};

/// A process that was started to write snapshots while it runs.
pub(super) struct Process {
    traced: Traced,
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

impl Process {
    pub(super) fn open(process: u32, every: f64, keeps: bool, rules: Rules) -> Result<Process> {
        let traced = Traced::find(process)?;
        let clock = traced.variable("ALLOC_TRACE_EVERY");
        let clock = clock.and_then(|it| it.parse().ok());
        let how = match (traced.signal("ALLOC_TRACE_SIGNAL"), clock) {
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
                 ALLOC_TRACE=128 ALLOC_TRACE_OUT=/tmp/heap-%p.pb.gz ALLOC_TRACE_SIGNAL=USR1 {name}",
                name = traced.name(),
            ),
        };
        Ok(Process {
            template: traced.template()?,
            traced,
            how,
            last: None,
            rules,
        })
    }

    /// Asks for a file, and reads it.
    fn request(&self, signal: Signal, removes: bool) -> Found {
        let file = self
            .traced
            .request(signal, &self.template, "snapshot", TIMEOUT);
        match file {
            Ok(path) => found(self.take(&path, removes)),
            Err(NoFile::Failed(why)) => Found::Failed(why),
            Err(NoFile::Ended) => self.ended(),
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
        Found::Ended(format!(
            "{} has ended: this is its last state",
            self.traced.title()
        ))
    }
}

impl Source for Process {
    fn next(&mut self) -> Found {
        let is_running = self.traced.is_running();
        match self.how {
            How::Signal { signal, removes } if is_running => self.request(signal, removes),
            How::Signal { .. } => self.ended(),
            How::Clock(_) => match self.template.newest() {
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
        format!("{}{clock}", self.traced.title())
    }
}
