//! The run-time part of `#[profile]`: each call of the function gets its own scope.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::scope::{Scope, ScopeHandle, Usage};
use crate::snapshot::snapshot::Snapshot;
use crate::{Bytes, Counters, control, record::thread};

/// A function with the attribute.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The function's path.
    pub name: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the attribute.
    pub line: u32,
    /// The line where the function ends.
    pub last_line: u32,
    /// Where the table goes.
    pub output: Output,
    /// The number of calls so far.
    pub calls: &'static AtomicU64,
}

/// Where a call's table goes.
#[derive(Clone, Copy, Debug)]
pub enum Output {
    /// Standard error.
    Print,
    /// An event of the crate `tracing`.
    #[cfg(feature = "tracing")]
    Event,
}

/// A call in progress. Dropping it reports what the call allocated.
#[must_use]
#[derive(Debug)]
pub struct Profile(Option<(Site, Scope)>);

impl Profile {
    /// Begins a call. Does nothing if tracing is off.
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
                site.report(usage, &snapshot);
            }
        }
    }
}

/// Runs a future as one call of an async function. Its allocations count on every thread that
/// polls it.
pub async fn profile_future<F: Future>(site: Site, future: F) -> F::Output {
    let handle = control::is_on()
        .then(ScopeHandle::with_stacks)
        .and_then(Result::ok);
    let Some(handle) = handle else {
        return future.await;
    };
    let value = handle.instrument(future).await;
    if let (Ok(usage), Ok(snapshot)) = (handle.usage(), handle.snapshot()) {
        site.report(usage, &snapshot);
    }
    value
}

impl Site {
    fn report(&self, usage: Usage, snapshot: &Snapshot) {
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

    /// Formats what the call allocated in total, and by line of the function, callees included.
    fn table(&self, call: u64, usage: Usage, snapshot: &Snapshot) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
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

    /// Sums the stacks by the function's lines that they pass through. A recursive stack counts
    /// once for each line.
    fn lines(&self, snapshot: &Snapshot) -> BTreeMap<u32, (Counters, String)> {
        let mut lines: BTreeMap<u32, (Counters, String)> = BTreeMap::new();
        for trace in snapshot.traces() {
            let mut seen = HashSet::new();
            for frame in trace.traceback.iter() {
                let Some(file) = frame.file() else {
                    continue;
                };
                // The code that the attribute generates is on the attribute's own line.
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

/// Whether two paths name one file. `given` may be relative to the folder that the compiler ran in.
fn is_same_file(full: &str, given: &str) -> bool {
    full == given
        || full
            .strip_suffix(given)
            .is_some_and(|folder| folder.ends_with(['/', '\\']))
}
