//! [`Snapshot`]: what every callsite held at one moment.
//!
//! In: what was recorded, or a file. Out: traces with names, and what is known of the process.
//! Never: a look at the tables.

mod about;
mod charge;
mod files;
mod missing_debug_info;
mod naming;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use once_cell::race::OnceBox;

use crate::process;
use crate::recorded::Recorded;
use crate::sampling::Interval;
use crate::stack::origin::Origin;
use crate::stack::traceback::ChargeTo;
use crate::utc;
use crate::{Bytes, Counters, Health, Metric, TracedMemory};

pub use about::{About, Unknown};
pub use missing_debug_info::MissingDebugInfo;
use naming::Named;
pub(crate) use trace::class_of;
pub use trace::{LABEL_SEPARATOR, Trace};

/// All callsites and their counters, read at one moment, owned: what happens later does not change
/// it.
///
/// # What taking one costs
///
/// `take_snapshot` copies counters and addresses, some tenths of a microsecond for each callsite.
/// Names and lines are looked up on first use, from the debug information of the program and its
/// libraries. That takes some tenths of a second, and memory that is given back, and counted by
/// `tracer_memory` meanwhile: some 10 MiB for a program with 12 MiB of `.debug_info`, including an
/// index that grows with the program, plus the unpacked size of compressed sections: 20 MiB for the
/// debug files of a distribution's C library. Writing a file reads no
/// debug information; the file's reader looks names up.
/// The memory of a snapshot itself is not traced.
///
/// # What the numbers mean
///
/// With one thread allocating, the parts add up: the callsites' current to the heap's current,
/// their shares at the peak to the heap's peak. While other threads allocate, each callsite is read
/// at a moment of its own.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, GroupBy, Snapshot, Trace, Traceback};
///
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let counters = Counters { current: Amount::new(100, 2), ..Counters::default() };
/// let trace = Trace::new(Traceback::new(vec![frame]), counters);
/// let snapshot = Snapshot::from_traces(vec![trace], 32);
/// let top = &snapshot.statistics(GroupBy::Line)[0];
/// assert_eq!(top.to_string(), "src/cache.rs:41: size=100 B, count=2, average=50 B");
/// ```
pub struct Snapshot {
    /// What the tables held; without callsites, if `named` was there from the start.
    recorded: Recorded,
    /// NOTE: whoever asks first looks the names up, and two at once both do: nobody waits for one
    /// who may be gone after a fork.
    named: OnceBox<Named>,
    /// Whether `recorded` is of this process, and not from a file.
    is_here: bool,
    charge_to: ChargeTo,
    /// The crates that are passed over in addition to those that always are.
    skipped: Arc<[Box<str>]>,
    /// How many traces filters have left out.
    filtered_out: u64,
    pub(crate) about: About,
}

impl Clone for Snapshot {
    fn clone(&self) -> Snapshot {
        let named = self.named.get().cloned();
        Snapshot {
            recorded: self.recorded.clone(),
            named: named.map_or_else(OnceBox::new, |it| OnceBox::with_value(Box::new(it))),
            is_here: self.is_here,
            charge_to: self.charge_to,
            skipped: self.skipped.clone(),
            filtered_out: self.filtered_out,
            about: self.about.clone(),
        }
    }
}

impl Snapshot {
    /// What was recorded in this process, to be named when names are first needed.
    #[doc(hidden)]
    pub fn of_this_process(recorded: Recorded, about: About) -> Snapshot {
        Snapshot {
            recorded,
            named: OnceBox::new(),
            is_here: true,
            charge_to: ChargeTo::default(),
            skipped: Arc::default(),
            filtered_out: 0,
            about,
        }
    }

    /// A snapshot of these callsites, as from another tool or for a test.
    ///
    /// The heap's current and peak are the sums of what the callsites hold now and held at the
    /// peak.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, Snapshot, Trace, Traceback};
    ///
    /// let (current, at_peak) = (Amount::new(100, 2), Amount::new(300, 4));
    /// let counters = Counters { current, at_peak, ..Counters::default() };
    /// let trace = Trace::new(Traceback::new(vec![]), counters);
    /// let heap = Snapshot::from_traces(vec![trace], 32).traced_memory();
    /// assert_eq!((heap.current.get(), heap.peak.get()), (100, 300));
    /// ```
    pub fn from_traces(traces: Vec<Trace>, traceback_limit: u16) -> Snapshot {
        let sum = |part: fn(&Counters) -> Bytes| -> Bytes {
            traces.iter().map(|trace| part(&trace.counters)).sum()
        };
        let current = sum(|counters| counters.current.bytes);
        let heap = TracedMemory {
            current,
            peak: sum(|counters| counters.at_peak.bytes).max(current),
            peak_error: Bytes::ZERO,
            sampled: false,
        };
        let recorded = Recorded {
            heap,
            traceback_limit,
            ..Recorded::default()
        };
        Snapshot::of_parts(traces, recorded, About::default())
    }

    /// This snapshot with fewer traces.
    pub(crate) fn with_traces(&self, traces: Vec<Trace>) -> Snapshot {
        let sum = |part: fn(&Counters) -> Bytes| -> Bytes {
            traces.iter().map(|trace| part(&trace.counters)).sum()
        };
        let heap = TracedMemory {
            current: sum(|counters| counters.current.bytes),
            peak: sum(|counters| counters.at_peak.bytes),
            ..self.recorded.heap
        };
        let left_out = self.traces().len() - traces.len();
        let recorded = Recorded {
            heap: if left_out > 0 {
                heap
            } else {
                self.recorded.heap
            },
            traceback_limit: self.recorded.traceback_limit,
            health: self.recorded.health,
            sampling: self.recorded.sampling,
            ..Recorded::default()
        };
        let mut fewer = Snapshot::of_parts(traces, recorded, self.about.clone());
        fewer.charge_to = self.charge_to;
        fewer.skipped = self.skipped.clone();
        fewer.filtered_out = self.filtered_out + left_out as u64;
        fewer
    }

    pub(crate) fn of_parts(traces: Vec<Trace>, recorded: Recorded, about: About) -> Snapshot {
        Snapshot {
            recorded,
            named: OnceBox::with_value(Box::new(Named {
                traces,
                ..Named::default()
            })),
            is_here: false,
            charge_to: ChargeTo::default(),
            skipped: Arc::default(),
            filtered_out: 0,
            about,
        }
    }

    /// What the tables held, if it was taken in this process.
    #[doc(hidden)]
    pub fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// Whether the numbers of a metric are known. A heap profile from elsewhere may lack some, and
    /// has zeros instead: Go's know no peaks, jemalloc's only what is live.
    ///
    /// ```
    /// use alloc_core::{Metric, Snapshot};
    ///
    /// assert!(Snapshot::from_traces(vec![], 32).knows(Metric::Peak));
    /// ```
    pub fn knows(&self, metric: Metric) -> bool {
        !self.about.unknown.metrics.contains(&metric)
    }

    /// Whether numbers of blocks are known, and not only bytes.
    ///
    /// ```
    /// assert!(alloc_core::Snapshot::from_traces(vec![], 32).knows_blocks());
    /// ```
    pub fn knows_blocks(&self) -> bool {
        !self.about.unknown.blocks
    }

    /// The whole heap at that moment.
    ///
    /// ```
    /// use alloc_core::{Snapshot, TracedMemory};
    ///
    /// assert_eq!(Snapshot::from_traces(vec![], 32).traced_memory(), TracedMemory::default());
    /// ```
    pub fn traced_memory(&self) -> TracedMemory {
        self.recorded.heap
    }

    /// How many frames of a stack were kept.
    ///
    /// ```
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).traceback_limit(), 32);
    /// ```
    pub fn traceback_limit(&self) -> u16 {
        self.recorded.traceback_limit
    }

    /// The mean distance in bytes between two samples, if this is a sample
    /// (`Config::sample_every`): then all numbers are estimates.
    ///
    /// ```
    /// // Every allocation was recorded.
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).sampled_every(), None);
    /// ```
    pub fn sampled_every(&self) -> Option<Bytes> {
        self.recorded.sampling.map(|it| Bytes::new(it.bytes()))
    }

    pub(crate) fn sampling(&self) -> Option<Interval> {
        self.recorded.sampling
    }

    /// What was cut, skipped or ignored.
    ///
    /// ```
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).health().skipped, 0);
    /// ```
    pub fn health(&self) -> Health {
        self.recorded.health
    }

    /// How many traces [`filter_traces`](Self::filter_traces) left out.
    ///
    /// ```
    /// use alloc_core::{Counters, Filter, Snapshot, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default());
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// assert_eq!(snapshot.filter_traces(&[Filter::include("src/*")]).filtered_out(), 1);
    /// ```
    pub fn filtered_out(&self) -> u64 {
        self.filtered_out
    }

    pub(crate) fn set_filtered_out(&mut self, traces: u64) {
        self.filtered_out = traces;
    }

    /// What was noted about the snapshot: by [`set_metadata`](Self::set_metadata), and by nobody
    /// else.
    ///
    /// ```
    /// let mut snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// assert!(snapshot.metadata().is_empty());
    /// snapshot.set_metadata("request", "/search");
    /// assert_eq!(snapshot.metadata()["request"], "/search");
    /// ```
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.about.metadata
    }

    /// Notes something about the snapshot, such as the revision of the program or the request that
    /// it was busy with. [`dump`](Self::dump) and [`load`](Self::load) keep it.
    ///
    /// ```
    /// use alloc_core::Snapshot;
    ///
    /// let mut snapshot = Snapshot::from_traces(vec![], 32);
    /// snapshot.set_metadata("revision", "1c4e7d");
    ///
    /// let mut file = Vec::new();
    /// snapshot.write_to(&mut file)?;
    /// assert_eq!(Snapshot::read_from(&file[..])?.metadata()["revision"], "1c4e7d");
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn set_metadata(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let _muted = process::mute();
        self.about.metadata.insert(key.into(), value.into());
    }

    /// When it was taken.
    pub fn taken_at(&self) -> SystemTime {
        self.about.taken_at
    }

    /// When it was taken, in UTC and to the second: `2026-01-31 23:59:59 UTC`. Nothing if it is not
    /// known.
    ///
    /// ```
    /// // A snapshot that was made by hand was taken at no time.
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).taken_at_utc(), None);
    /// ```
    pub fn taken_at_utc(&self) -> Option<String> {
        let _muted = process::mute();
        let since = self.taken_at().duration_since(SystemTime::UNIX_EPOCH);
        let since = since.ok().filter(|since| !since.is_zero())?;
        Some(utc::to_sentence(since))
    }

    /// Whether it was written when the program ended, as `ALLOC_TRACE_OUT` asks for: little is live
    /// by then.
    ///
    /// ```
    /// assert!(!alloc_core::Snapshot::from_traces(vec![], 32).is_at_exit());
    /// ```
    pub fn is_at_exit(&self) -> bool {
        self.about.is_at_exit
    }

    /// Notes that it was taken when the program ended.
    #[doc(hidden)]
    pub fn set_at_exit(&mut self) {
        self.about.is_at_exit = true;
    }

    /// The metric to show first.
    ///
    /// Of one that was written [when the program ended](Self::is_at_exit) it is what was live at
    /// the peak, of one that [does not know](Self::knows) what is live, what was ever allocated,
    /// and of others what is live.
    ///
    /// ```
    /// use alloc_core::{Metric, Snapshot};
    ///
    /// assert_eq!(Snapshot::from_traces(vec![], 32).first_metric(), Metric::Current);
    /// ```
    pub fn first_metric(&self) -> Metric {
        if self.is_at_exit() && self.knows(Metric::AtPeak) {
            Metric::AtPeak
        } else if self.knows(Metric::Current) {
            Metric::Current
        } else {
            Metric::Total
        }
    }

    /// The path of the program; empty if it is not known.
    ///
    /// ```
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).program(), "");
    /// ```
    pub fn program(&self) -> &str {
        &self.about.program
    }

    /// The arguments that the program was started with, its own name first.
    ///
    /// ```
    /// assert!(alloc_core::Snapshot::from_traces(vec![], 32).command_line().is_empty());
    /// ```
    pub fn command_line(&self) -> &[String] {
        &self.about.command_line
    }

    /// The process id; 0 if it is not known.
    ///
    /// ```
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).process_id(), 0);
    /// ```
    pub fn process_id(&self) -> u32 {
        self.about.process_id
    }

    /// The folders that short paths are relative to.
    pub(crate) fn roots(&self) -> BTreeSet<Arc<str>> {
        let frames = self
            .traces()
            .iter()
            .flat_map(|trace| trace.traceback.iter());
        frames
            .filter(|frame| frame.origin() == Origin::Workspace)
            .filter_map(|frame| frame.file())
            .filter_map(|file| file.full().strip_suffix(file.short())?.strip_suffix('/'))
            .map(Into::into)
            .collect()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("program", &self.about.program)
            .field("heap", &self.recorded.heap)
            .field("traceback_limit", &self.recorded.traceback_limit)
            .finish_non_exhaustive()
    }
}
