//! [`Snapshot`]: the counters of all callsites at one moment.
//!
//! In: recorded data, or a file. Out: traces with names, and data about the process. It never reads
//! the tables.

mod about;
mod charge;
mod confidential;
mod files;
mod graph;
mod missing_debug_info;
mod naming;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use once_cell::race::OnceBox;

use crate::process;
use crate::recorded::Recorded;
use crate::sampling::Interval;
use crate::stack::origin::Origin;
use crate::stack::traceback::ChargeTo;
use crate::utc;
use crate::{Bytes, Counters, Health, Metric, Residence, TracedMemory};

pub use about::{ALLOCATOR_PREFIX, About, Run, Unknown};
pub use missing_debug_info::MissingDebugInfo;
use naming::Named;
pub use trace::{LABEL_SEPARATOR, Trace};
pub(crate) use trace::{NO_LABEL, NO_THREAD, class_of};

/// All callsites and their counters at one moment. A snapshot owns its data, so later events do not
/// change it.
///
/// # What taking one costs
///
/// `take_snapshot` copies counters and addresses, which takes some tenths of a microsecond for each
/// callsite. Names and lines are looked up on first use, from the debug information of the program
/// and its libraries. That takes some tenths of a second and temporary memory, which
/// `tracer_memory` counts meanwhile: some 10 MiB for a program with 12 MiB of `.debug_info`,
/// including an index that grows with the program, plus the unpacked size of compressed sections:
/// 20 MiB for the debug files of a distribution's C library. Writing a file reads no debug
/// information; the file's reader looks names up. The memory of a snapshot itself is not traced.
///
/// # What the numbers mean
///
/// If a single thread allocates, the parts add up: the callsites' current amounts to the heap's
/// current, and their shares at the peak to the heap's peak. While other threads allocate, each
/// callsite is read at a slightly different moment.
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
    /// The content of the tables; without callsites if `named` was there from the start.
    recorded: Recorded,
    /// NOTE: the first use looks the names up. Two threads at once both do so, since a thread must
    /// not wait for another that may be gone after a fork.
    named: OnceBox<Named>,
    /// Whether `recorded` was recorded in this process rather than read from a file.
    is_here: bool,
    charge_to: ChargeTo,
    /// The crates that are skipped in addition to those that always are.
    skipped: Arc<[Box<str>]>,
    /// How many traces the filters have left out.
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
    /// A snapshot of data recorded in this process. Names are looked up on first use.
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

    /// A snapshot of these callsites, from another tool or for a test.
    ///
    /// The heap's current and peak are the sums of the callsites' current amounts and of their
    /// amounts at the peak.
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

    /// A snapshot from a file of another tool that has names.
    #[doc(hidden)]
    pub fn of_named(
        traces: Vec<Trace>,
        sampling: Option<Interval>,
        limit: u16,
        about: About,
    ) -> Snapshot {
        let mut snapshot = Snapshot::from_traces(traces, limit);
        snapshot.recorded.sampling = sampling;
        snapshot.recorded.heap.sampled = sampling.is_some();
        snapshot.about = about;
        snapshot
    }

    /// A snapshot from a file of another tool that has addresses. Names are looked up on first use.
    #[doc(hidden)]
    pub fn of_addresses(recorded: Recorded, about: About) -> Snapshot {
        let mut snapshot = Snapshot::of_this_process(recorded, about);
        snapshot.is_here = false;
        snapshot
    }

    /// A copy of this snapshot with fewer traces.
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

    /// The recorded data, if the snapshot was taken in this process.
    #[doc(hidden)]
    pub fn recorded(&self) -> &Recorded {
        &self.recorded
    }

    /// Whether a metric is known. A heap profile from another tool may lack metrics, which are zero
    /// then: Go's profiles have no peaks, and jemalloc's have only live memory.
    ///
    /// ```
    /// use alloc_core::{Metric, Snapshot};
    ///
    /// assert!(Snapshot::from_traces(vec![], 32).knows(Metric::Peak));
    /// ```
    pub fn knows(&self, metric: Metric) -> bool {
        !self.about.unknown.metrics.contains(&metric)
    }

    /// Whether numbers of blocks are known in addition to bytes.
    ///
    /// ```
    /// assert!(alloc_core::Snapshot::from_traces(vec![], 32).knows_blocks());
    /// ```
    pub fn knows_blocks(&self) -> bool {
        !self.about.unknown.blocks
    }

    /// Whether each callsite's blocks have their mean age, as another tool recorded it.
    #[doc(hidden)]
    pub fn has_mean_ages(&self) -> bool {
        self.about.unknown.spread_of_ages
    }

    /// Whether it is known how many bytes [reallocations copied](Counters::copied).
    ///
    /// It is not in files of other tools and of earlier versions, nor in a session without stacks
    /// that records every block.
    ///
    /// ```
    /// assert!(alloc_core::Snapshot::from_traces(vec![], 32).knows_copied());
    /// ```
    pub fn knows_copied(&self) -> bool {
        let only_counts = self.traceback_limit() == 0 && self.sampling().is_none();
        !self.about.unknown.copied && !only_counts
    }

    /// The totals of the whole heap.
    ///
    /// ```
    /// use alloc_core::{Snapshot, TracedMemory};
    ///
    /// assert_eq!(Snapshot::from_traces(vec![], 32).traced_memory(), TracedMemory::default());
    /// ```
    pub fn traced_memory(&self) -> TracedMemory {
        self.recorded.heap
    }

    /// Where the resident memory of the process goes, if the snapshot was asked for it
    /// (`take_snapshot_with_residence`).
    ///
    /// ```
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).residence(), None);
    /// ```
    pub fn residence(&self) -> Option<Residence> {
        self.recorded.residence
    }

    /// Sets where the resident memory of the process goes.
    ///
    /// ```
    /// use alloc_core::{Bytes, Residence, Snapshot};
    ///
    /// let mut residence = Residence::default();
    /// residence.resident = Bytes::mib(5);
    /// let mut snapshot = Snapshot::from_traces(vec![], 32);
    /// snapshot.set_residence(residence);
    /// assert_eq!(snapshot.residence(), Some(residence));
    /// ```
    pub fn set_residence(&mut self, residence: Residence) {
        self.recorded.residence = Some(residence);
    }

    /// What the allocators of the process said of their own memory, if the snapshot has a
    /// [`residence`](Self::residence): the allocator, what it counts, and the bytes.
    ///
    /// glibc counts all of its arenas together. Its free bytes may be in pages that were given back to
    /// the system.
    ///
    /// ```
    /// let mut snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// snapshot.set_metadata("allocator.glibc.free", "4096");
    /// let numbers: Vec<_> = snapshot.allocator_numbers().collect();
    /// assert_eq!(numbers, [("glibc", "free", alloc_core::Bytes::kib(4))]);
    /// ```
    pub fn allocator_numbers(&self) -> impl Iterator<Item = (&str, &str, Bytes)> {
        self.metadata().iter().filter_map(|(key, value)| {
            let (allocator, what) = key.strip_prefix(ALLOCATOR_PREFIX)?.split_once('.')?;
            Some((allocator, what, Bytes::new(value.parse().ok()?)))
        })
    }

    /// The maximum number of frames in a traceback.
    ///
    /// ```
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).traceback_limit(), 32);
    /// ```
    pub fn traceback_limit(&self) -> u16 {
        self.recorded.traceback_limit
    }

    /// The mean distance in bytes between two samples, if this is a sample
    /// (`Config::sample_every`). All numbers are estimates then.
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

    /// The snapshot's metadata. Only [`set_metadata`](Self::set_metadata) adds entries.
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

    /// Adds metadata, such as the revision of the program or the request that it is processing.
    /// [`dump`](Self::dump) and [`load`](Self::load) keep it.
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

    /// The time of the snapshot.
    pub fn taken_at(&self) -> SystemTime {
        self.about.taken_at
    }

    /// How long after an earlier snapshot it was taken. `None` if it was taken before that, or if a
    /// time is unknown.
    ///
    /// Of two snapshots of one process it is right even if the clock was set in between.
    ///
    /// ```
    /// # #[global_allocator]
    /// # static ALLOC: alloc_core::TraceAlloc = alloc_core::TraceAlloc::system();
    /// alloc_core::start()?;
    /// let earlier = alloc_core::take_snapshot()?;
    /// let later = alloc_core::take_snapshot()?;
    /// assert!(later.time_since(&earlier).is_some());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn time_since(&self, earlier: &Snapshot) -> Option<Duration> {
        match (self.run(), earlier.run()) {
            (Some(run), Some(other)) if run.began == other.began => {
                run.uptime.checked_sub(other.uptime)
            }
            _ => {
                let is_known = earlier.taken_at() > SystemTime::UNIX_EPOCH;
                let time = self.taken_at().duration_since(earlier.taken_at());
                time.ok().filter(|_| is_known)
            }
        }
    }

    /// Which run of a program it is of, if that is known.
    #[doc(hidden)]
    pub fn run(&self) -> Option<Run> {
        Some(self.about.run).filter(|it| !it.began.is_zero())
    }

    /// The time of the snapshot in UTC, to the second: `2026-01-31 23:59:59 UTC`. `None` if it is
    /// unknown.
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

    /// Whether the snapshot was written when the program ended, as requested with
    /// `ALLOC_TRACE_OUT`. Little is live at that moment.
    ///
    /// ```
    /// assert!(!alloc_core::Snapshot::from_traces(vec![], 32).is_at_exit());
    /// ```
    pub fn is_at_exit(&self) -> bool {
        self.about.is_at_exit
    }

    /// Marks the snapshot as written when the program ended.
    #[doc(hidden)]
    pub fn set_at_exit(&mut self) {
        self.about.is_at_exit = true;
    }

    /// The metric to show first.
    ///
    /// It is what was live at the peak for a snapshot written [when the program
    /// ended](Self::is_at_exit), what was ever allocated for a snapshot [without](Self::knows) live
    /// amounts, what was live at the peak for one that has nothing else, and what is live for all
    /// others.
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
        } else if self.knows(Metric::Total) || !self.knows(Metric::AtPeak) {
            Metric::Total
        } else {
            Metric::AtPeak
        }
    }

    /// The path of the program; empty if unknown.
    ///
    /// ```
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).program(), "");
    /// ```
    pub fn program(&self) -> &str {
        &self.about.program
    }

    /// The identity of the program's build: GNU's build id in hexadecimal; without one,
    /// `fingerprint-` and a hash of its code. `None` if neither is known.
    ///
    /// ```
    /// // A snapshot that was made by hand is of no program.
    /// assert_eq!(alloc_core::Snapshot::from_traces(vec![], 32).build_id(), None);
    /// ```
    pub fn build_id(&self) -> Option<&str> {
        let program = self.about.modules.first()?;
        (!program.build_id.is_empty()).then_some(program.build_id.as_str())
    }

    /// The program's arguments, starting with its name.
    ///
    /// ```
    /// assert!(alloc_core::Snapshot::from_traces(vec![], 32).command_line().is_empty());
    /// ```
    pub fn command_line(&self) -> &[String] {
        &self.about.command_line
    }

    /// The process id; 0 if unknown.
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
