//! What `#[profile]` does at run time: a call of a function in a scope of its own.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::scope::{Scope, ScopeHandle, Usage};
use crate::snapshot::snapshot::Snapshot;
use crate::{Bytes, Counters, control, record::thread};

/// A function with the attribute.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Its path.
    pub name: &'static str,
    /// The file that it stands in.
    pub file: &'static str,
    /// The line of the attribute.
    pub line: u32,
    /// The line where the function ends.
    pub last_line: u32,
    /// Where to say it.
    pub output: Output,
    /// How often it was called.
    pub calls: &'static AtomicU64,
}

/// Where to say what a call allocated.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// On standard error.
    Print,
    /// As an event of the crate `tracing`.
    #[cfg(feature = "tracing")]
    Event,
}

/// A call under way.
#[must_use]
#[derive(Debug)]
pub struct Profile(Option<(Site, Scope)>);

impl Profile {
    /// Begins a call; does nothing where tracing is off.
    #[inline]
    pub fn begin(site: Site) -> Profile {
        if !control::is_on() {
            return Profile(None);
        }
        Profile::begin_traced(site)
    }

    #[cold]
    fn begin_traced(site: Site) -> Profile {
        Profile(Scope::enter_with_stacks().ok().map(|scope| (site, scope)))
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        if let Some((site, scope)) = self.0.take() {
            let (usage, snapshot) = (scope.usage(), scope.snapshot());
            drop(scope);
            if let (Ok(usage), Ok(snapshot)) = (usage, snapshot) {
                site.tell(usage, &snapshot);
            }
        }
    }
}

/// Runs a future as a call of an async function; what it allocates is counted wherever it is polled.
pub async fn profile_future<F: Future>(site: Site, future: F) -> F::Output {
    let handle = control::is_on()
        .then(ScopeHandle::with_stacks)
        .and_then(Result::ok);
    let Some(handle) = handle else {
        return future.await;
    };
    let value = handle.instrument(future).await;
    if let (Ok(usage), Ok(snapshot)) = (handle.usage(), handle.snapshot()) {
        site.tell(usage, &snapshot);
    }
    value
}

impl Site {
    fn tell(&self, usage: Usage, snapshot: &Snapshot) {
        let _muted = thread::mute();
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        match self.output {
            Output::Print => eprint!("{}", self.table(call, usage, snapshot)),
            #[cfg(feature = "tracing")]
            Output::Event => tracing::info!(
                target: "alloc_core::profile",
                function = self.name,
                call,
                allocated = usage.allocated.bytes.get(),
                allocations = usage.allocated.blocks,
                held = usage.current.bytes.get(),
                peak = usage.peak.bytes.get(),
                "{}",
                self.table(call, usage, snapshot)
            ),
        }
    }

    /// What the call allocated, and what of it each line of the function did, with what it called.
    fn table(&self, call: u64, usage: Usage, snapshot: &Snapshot) -> String {
        let mut text = String::new();
        // NOTE: writing to a string does not fail.
        let _ = self.write(&mut text, call, usage, snapshot);
        text
    }

    fn write(
        &self,
        text: &mut String,
        call: u64,
        usage: Usage,
        snapshot: &Snapshot,
    ) -> fmt::Result {
        writeln!(
            text,
            "{} at {}:{}, call {call}: {usage}",
            self.name, self.file, self.line
        )?;
        let lines = self.lines(snapshot);
        if lines.is_empty() {
            return Ok(());
        }
        writeln!(
            text,
            "  line  allocated       held       peak  count  source"
        )?;
        for (line, (counters, source)) in lines {
            let bytes = |bytes: Bytes| match bytes {
                Bytes::ZERO => "·".to_owned(),
                bytes => bytes.to_string(),
            };
            writeln!(
                text,
                "{line:>6} {:>10} {:>10} {:>10} {:>6}  {source}",
                bytes(counters.total.bytes),
                bytes(counters.current.bytes),
                bytes(counters.peak.bytes),
                counters.total.blocks,
            )?;
        }
        Ok(())
    }

    /// Each line of the function that a stack passes: once for each stack.
    fn lines(&self, snapshot: &Snapshot) -> BTreeMap<u32, (Counters, String)> {
        let mut lines: BTreeMap<u32, (Counters, String)> = BTreeMap::new();
        for trace in snapshot.traces() {
            let mut seen = HashSet::new();
            for frame in trace.traceback.iter() {
                let Some(file) = frame.file() else {
                    continue;
                };
                // What the attribute itself put around the function is on the attribute's line.
                let is_here = frame.line() > self.line
                    && frame.line() <= self.last_line
                    && is_same_file(file.full(), self.file);
                if is_here && seen.insert(frame.line()) {
                    let read = || file.read_line(frame.line()).unwrap_or_default();
                    let line = lines
                        .entry(frame.line())
                        .or_insert_with(|| (Counters::default(), read()));
                    line.0 += trace.counters;
                }
            }
        }
        lines
    }
}

/// Whether both are one file: one may be relative to the folder that the compiler ran in.
fn is_same_file(full: &str, given: &str) -> bool {
    full == given
        || full
            .strip_suffix(given)
            .is_some_and(|folder| folder.ends_with(['/', '\\']))
}
