//! [`Snapshot`]: what every callsite held at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use once_cell::race::OnceBox;

use crate::error::Error;
use crate::file::Names;
use crate::missing::Missing;
use crate::modules::Module;
use crate::origin::{self, Origin};
use crate::process;
use crate::recorded::{Recorded, RecordedCallsite};
use crate::sampling::Interval;
use crate::symbolizer::Search;
use crate::symbols::{Gap, Symbols};
use crate::traceback::{ChargeTo, Traceback};
use crate::types::Types;
use crate::utc;
use crate::{Bytes, Counters, Frame, Health, Metric, TracedMemory};

/// A callsite: a traceback, and what was allocated there.
///
/// It prints as in `tracemalloc`: `src/cache.rs:41: 12.1 KiB`, the bytes being those live.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trace {
    /// The stack that allocated.
    pub traceback: Traceback,
    /// What it allocated.
    pub counters: Counters,
    /// The domain of the memory: 0 for the Rust heap, else as [`track`](https://docs.rs/alloc-core/latest/alloc_core/fn.track.html) was told.
    pub domain: u32,
    /// The name of the thread that allocated, if the session [told threads apart](https://docs.rs/alloc-core/latest/alloc_core/struct.Config.html#method.threads).
    pub thread: Option<Arc<str>>,
    /// The size of the largest blocks of its size class, a power of two, if blocks were
    /// [classed by their own size](https://docs.rs/alloc-core/latest/alloc_core/struct.Config.html#method.sizes) or the profile has their size.
    pub size_class: Option<Bytes>,
    /// The type that the blocks were allocated for, as a person would write it, if debug information or the
    /// functions' names tell it.
    pub type_name: Option<Arc<str>>,
}

impl Trace {
    /// A callsite with these counters, on the Rust heap, of whatever thread.
    pub fn new(traceback: Traceback, counters: Counters) -> Trace {
        Trace {
            traceback,
            counters,
            domain: 0,
            thread: None,
            size_class: None,
            type_name: None,
        }
    }

    /// The same in another domain.
    pub fn with_domain(mut self, domain: u32) -> Trace {
        self.domain = domain;
        self
    }

    /// The same on a thread of this name.
    pub fn with_thread(mut self, name: impl Into<Arc<str>>) -> Trace {
        self.thread = Some(name.into());
        self
    }

    /// The same with blocks of at most so many bytes each, in a class that ends at the next power of two.
    pub fn with_block_size(mut self, size: impl Into<Bytes>) -> Trace {
        self.size_class = Some(class_of(size.into()));
        self
    }

    /// The same with blocks of a type.
    pub fn with_type(mut self, name: impl Into<Arc<str>>) -> Trace {
        self.type_name = Some(name.into());
        self
    }

    /// The type's name, or what stands for it.
    pub(crate) fn type_or_unknown(&self) -> &str {
        self.type_name.as_deref().unwrap_or("<unknown>")
    }

    /// The thread's name, or what stands for it.
    pub(crate) fn thread_name(&self) -> &str {
        self.thread.as_deref().unwrap_or("<thread not recorded>")
    }
}

/// The end of the size class of blocks of `size` bytes: the next power of two.
pub(crate) fn class_of(size: Bytes) -> Bytes {
    match size.get() {
        0 => Bytes::default(),
        size => size.checked_next_power_of_two().unwrap_or(u64::MAX).into(),
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.traceback.charged(ChargeTo::Caller);
        write!(f, "{frame}: {}", self.counters.current.bytes)
    }
}

/// All callsites and their counters, read at one moment, owned: what happens later does not change
/// it.
///
/// # What taking one costs
///
/// [`take_snapshot`](https://docs.rs/alloc-core/latest/alloc_core/fn.take_snapshot.html) copies counters and addresses, some tenths of a
/// microsecond for each callsite. Names and lines are looked up when they are first asked for, from the debug information
/// of the program and its libraries. That takes some tenths of a second, and memory that is given back, and counted
/// by [`tracer_memory`](https://docs.rs/alloc-core/latest/alloc_core/fn.tracer_memory.html) meanwhile: some 10 MiB for a program with 12 MiB of `.debug_info`, of which
/// an index grows with the program; and what compressed sections unpack to, such as those of debug files of a
/// distribution's C library, 20 MiB. Files
/// are written without it, and named by whoever reads them. The memory of a snapshot itself is not traced.
///
/// # What the numbers mean
///
/// With one thread allocating, the parts add up: the callsites' current to the heap's current, their
/// shares at the peak to the heap's peak. While other threads allocate, each callsite is read at a
/// moment of its own.
pub struct Snapshot {
    /// What the tables held; without callsites, if `named` was there from the start.
    recorded: Recorded,
    /// NOTE: whoever asks first looks the names up, and two at once both do: nobody waits for one who may be gone
    /// after a fork.
    named: OnceBox<Named>,
    /// Whether `recorded` is of this process, and not from a file.
    is_here: bool,
    charge_to: ChargeTo,
    /// The crates that are passed over beside those that always are.
    skipped: Arc<[Box<str>]>,
    /// How many traces filters have left out.
    filtered_out: u64,
    pub(crate) about: About,
}

/// The callsites with their names.
#[derive(Clone, Debug, Default)]
struct Named {
    traces: Vec<Trace>,
    gaps: Vec<Gap>,
    unverified: Vec<String>,
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

/// What a snapshot tells of the process it was taken in.
#[derive(Clone, Debug)]
pub struct About {
    /// When it was taken.
    pub taken_at: SystemTime,
    /// The process id; 0 if it is not known.
    pub process_id: u32,
    /// Whether the program was ending.
    pub is_at_exit: bool,
    /// The path of the program; empty if it is not known.
    pub program: String,
    /// Its arguments, its own name first.
    pub command_line: Vec<String>,
    /// The program and its libraries, the program first.
    pub modules: Vec<Module>,
    /// What was noted about the snapshot.
    pub metadata: BTreeMap<String, String>,
    /// What a file from elsewhere leaves out.
    pub unknown: Unknown,
}

/// What a file from elsewhere does not tell, so that there are zeros instead.
#[derive(Clone, Debug, Default)]
pub struct Unknown {
    pub metrics: Vec<Metric>,
    /// How many blocks there are.
    pub blocks: bool,
    /// How much there was at any moment: only what changed between two.
    pub levels: bool,
}

impl Default for About {
    fn default() -> About {
        About {
            taken_at: SystemTime::UNIX_EPOCH,
            process_id: 0,
            is_at_exit: false,
            program: String::new(),
            command_line: Vec::new(),
            modules: Vec::new(),
            metadata: BTreeMap::new(),
            unknown: Unknown::default(),
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
    /// The heap's current and peak are the sums of what the callsites hold now and held at the peak.
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

    /// A snapshot from a file with addresses: each frame of these traces is one, to be named.
    pub(crate) fn unnamed(traces: Vec<Trace>, mut recorded: Recorded, about: About) -> Snapshot {
        for trace in traces {
            let start = recorded.addresses.len();
            let calls = trace.traceback.iter().map(Frame::address);
            // What stands for no stack has no address.
            let calls = calls.filter(|call| *call != 0);
            let returns = calls.map(|call| usize::try_from(call).unwrap_or(0).saturating_add(1));
            recorded.addresses.extend(returns);
            recorded.callsites.push(RecordedCallsite {
                stack: start..recorded.addresses.len(),
                stack_end: trace.traceback.end(),
                counters: trace.counters,
                domain: trace.domain,
                thread: trace.thread,
                size_class: trace.size_class,
            });
        }
        let mut snapshot = Snapshot::of_parts(Vec::new(), recorded, about);
        snapshot.named = OnceBox::new();
        snapshot
    }

    /// All callsites that allocated since tracing began, in no particular order.
    ///
    /// Names are looked up when this is first called, in the files of the program and its libraries, if these are here and
    /// of the same build; what has no name is `program+0x1f3a` then, and
    /// [`missing_debug_info`](Self::missing_debug_info) says why. [`name`](Self::name) looks further.
    pub fn traces(&self) -> &[Trace] {
        &self.named().traces
    }

    fn named(&self) -> &Named {
        self.named.get_or_init(|| {
            let _muted = process::mute();
            Box::new(self.look_up(&Search::default()))
        })
    }

    fn look_up(&self, search: &Search) -> Named {
        let mut symbols = self.symbols(search);
        let tracebacks = symbols.tracebacks(&self.recorded);
        Named {
            gaps: std::mem::take(&mut symbols.gaps),
            unverified: std::mem::take(&mut symbols.unverified),
            traces: self.with_tracebacks(tracebacks),
        }
    }

    fn symbols<'a>(&'a self, search: &'a Search) -> Symbols<'a> {
        match self.is_here {
            true => Symbols::of_this_process(&self.about.modules, search),
            false => Symbols::of_file(&self.about.modules, search),
        }
    }

    fn with_tracebacks(&self, tracebacks: Vec<Traceback>) -> Vec<Trace> {
        let callsites = tracebacks.into_iter().zip(&self.recorded.callsites);
        let mut types = Types::default();
        callsites
            .map(|(traceback, callsite)| Trace {
                type_name: types.of(&traceback),
                traceback,
                counters: callsite.counters,
                domain: callsite.domain,
                thread: callsite.thread.clone(),
                size_class: callsite.size_class,
            })
            .collect()
    }

    /// The frames that are charged of other stacks of the same process.
    #[doc(hidden)]
    pub fn charged(&self, recorded: &Recorded) -> Vec<Frame> {
        self.symbols(&Search::default()).charged(recorded)
    }

    /// The same snapshot with no more of each stack than the frame that is charged by [`ChargeTo::Caller`]: for the
    /// statistics that look at no other, which names far fewer addresses.
    #[doc(hidden)]
    pub fn charged_only(&self) -> Snapshot {
        let _muted = process::mute();
        let charged = self.charged(&self.recorded);
        let tracebacks = charged.into_iter().map(|frame| Traceback::new(vec![frame]));
        let traces = self.with_tracebacks(tracebacks.collect());
        let recorded = Recorded {
            addresses: Vec::new(),
            callsites: Vec::new(),
            ..self.recorded.clone()
        };
        Snapshot::of_parts(traces, recorded, self.about.clone())
    }

    /// Looks the names of frames up now, also where `search` says. What was named before stays as it is.
    ///
    /// It is for files that were written with addresses, as the tracer writes them. A file whose build id is another
    /// than that of what ran is not taken.
    ///
    /// ```
    /// use alloc_core::{Snapshot, SymbolSearch};
    ///
    /// let mut snapshot = Snapshot::from_traces(vec![], 32);
    /// snapshot.name(&SymbolSearch {
    ///     folders: vec!["/srv/symbols".into()],
    ///     ..SymbolSearch::default()
    /// });
    /// assert!(snapshot.is_named());
    /// ```
    pub fn name(&mut self, search: &Search) {
        let _muted = process::mute();
        self.named.get_or_init(|| Box::new(self.look_up(search)));
    }

    /// Whether names have been looked up, or were there from the start.
    pub fn is_named(&self) -> bool {
        self.named.get().is_some()
    }

    /// The files that names were taken from although nothing tells whether they are of the build that ran.
    pub fn unverified_files(&self) -> &[String] {
        &self.named().unverified
    }

    /// Whether the numbers of a metric are known. A heap profile from elsewhere may lack some, and has zeros
    /// instead: Go's know no peaks, jemalloc's only what is live.
    pub fn knows(&self, metric: Metric) -> bool {
        !self.about.unknown.metrics.contains(&metric)
    }

    /// Whether numbers of blocks are known, and not only bytes.
    pub fn knows_blocks(&self) -> bool {
        !self.about.unknown.blocks
    }

    /// The whole heap at that moment.
    pub fn traced_memory(&self) -> TracedMemory {
        self.recorded.heap
    }

    /// How many frames of a stack were kept.
    pub fn traceback_limit(&self) -> u16 {
        self.recorded.traceback_limit
    }

    /// How many bytes lie between two that were drawn, on average, if this is a
    /// [sample](https://docs.rs/alloc-core/latest/alloc_core/struct.Config.html#method.sample_every): then all numbers are estimates.
    pub fn sampled_every(&self) -> Option<Bytes> {
        self.recorded.sampling.map(|it| Bytes::new(it.bytes()))
    }

    pub(crate) fn sampling(&self) -> Option<Interval> {
        self.recorded.sampling
    }

    /// What was cut, skipped or ignored.
    pub fn health(&self) -> Health {
        self.recorded.health
    }

    /// The same snapshot, with another rule for the line that blocks are charged to.
    pub fn charge_to(mut self, rule: ChargeTo) -> Snapshot {
        self.charge_to = rule;
        self
    }

    /// The rule for the line that blocks are charged to.
    pub fn charged_to(&self) -> ChargeTo {
        self.charge_to
    }

    /// The crates that [`ChargeTo::Caller`] passes over beside the standard library: collections
    /// and allocators, which allocate for whoever calls them. [`skip_crates`](Self::skip_crates)
    /// adds to them.
    pub const PASSED_OVER: &[&str] = origin::PASSED_OVER;

    /// The same snapshot, with more crates whose frames are passed over when the line to charge is
    /// looked for.
    ///
    /// ```
    /// use alloc_core::{Counters, Frame, Snapshot, Trace, Traceback};
    ///
    /// let place = "/home/me/.cargo/registry/src/i-1/my-arena-0.3.0/src/lib.rs";
    /// let traceback = Traceback::new(vec![
    ///     Frame::new(Some("my_arena::Arena<T>::grow"), Some(place), 80, 9),
    ///     Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9),
    /// ]);
    /// let trace = Trace::new(traceback.clone(), Counters::default());
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// assert_eq!(snapshot.charged_frame(&traceback).line(), 80);
    ///
    /// let snapshot = snapshot.skip_crates(["my-arena"]);
    /// assert_eq!(snapshot.charged_frame(&traceback).line(), 41);
    /// ```
    pub fn skip_crates<T: AsRef<str>>(mut self, crates: impl IntoIterator<Item = T>) -> Snapshot {
        let _muted = process::mute();
        let added = crates.into_iter().map(|name| name.as_ref().into());
        self.skipped = self.skipped.iter().cloned().chain(added).collect();
        self
    }

    /// The same snapshot, with blocks charged as in another one.
    pub fn charge_like(mut self, other: &Snapshot) -> Snapshot {
        self.charge_to = other.charge_to;
        self.skipped = other.skipped.clone();
        self
    }

    /// The crates that are passed over beside [`PASSED_OVER`](Self::PASSED_OVER).
    pub fn skipped_crates(&self) -> impl ExactSizeIterator<Item = &str> {
        self.skipped.iter().map(|name| &**name)
    }

    /// The frame of a traceback that its blocks are charged to, by this snapshot's rule and with
    /// its crates passed over.
    pub fn charged_frame<'a>(&self, traceback: &'a Traceback) -> &'a Frame {
        traceback.charged_beyond(self.charge_to, &self.skipped)
    }

    /// How many traces [`filter_traces`](Self::filter_traces) left out.
    pub fn filtered_out(&self) -> u64 {
        self.filtered_out
    }

    pub(crate) fn set_filtered_out(&mut self, traces: u64) {
        self.filtered_out = traces;
    }

    /// What was noted about the snapshot: by [`set_metadata`](Self::set_metadata), and by nobody else.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.about.metadata
    }

    /// Notes something about the snapshot, such as the revision of the program or the request that it
    /// was busy with. [`dump`](Self::dump) and [`load`](Self::load) keep it.
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
    pub fn taken_at_utc(&self) -> Option<String> {
        let _muted = process::mute();
        let since = self.taken_at().duration_since(SystemTime::UNIX_EPOCH);
        let since = since.ok().filter(|since| !since.is_zero())?;
        Some(utc::to_sentence(since))
    }

    /// Whether it was written when the program ended, as `ALLOC_TRACE_OUT` asks for: little is live
    /// by then.
    pub fn is_at_exit(&self) -> bool {
        self.about.is_at_exit
    }

    /// Notes that it was taken when the program ended.
    #[doc(hidden)]
    pub fn set_at_exit(&mut self) {
        self.about.is_at_exit = true;
    }

    /// The metric that tells the most of this snapshot, to be shown first.
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
    pub fn program(&self) -> &str {
        &self.about.program
    }

    /// The arguments that the program was started with, its own name first.
    pub fn command_line(&self) -> &[String] {
        &self.about.command_line
    }

    /// The process id; 0 if it is not known.
    pub fn process_id(&self) -> u32 {
        self.about.process_id
    }

    /// What keeps lines from being shown, if something does for half of the callsites or more, and how to get
    /// them.
    pub fn missing_debug_info(&self) -> Option<MissingDebugInfo> {
        let _muted = process::mute();
        let charged = |trace: &Trace| trace.traceback.charged(ChargeTo::Caller).clone();
        let frames = self.traces().iter().map(charged);
        let without_line: Vec<MissingDebugInfo> = frames
            .filter(|frame| frame.file().is_none() && frame.origin() == Origin::Unknown)
            .filter(|frame| frame.function().is_some_and(|name| !name.starts_with('<')))
            .map(|frame| MissingDebugInfo(self.why_without_line(&frame)))
            .collect();
        // NOTE: some functions never have lines, such as those of a C library.
        let is_half = 2 * without_line.len() >= self.traces().len();
        let worst = without_line
            .into_iter()
            .max_by_key(MissingDebugInfo::has_no_names);
        worst.filter(|_| is_half)
    }

    fn why_without_line(&self, frame: &Frame) -> Why {
        let has_no_name = frame.function().is_some_and(|name| name.contains("+0x"));
        let call = frame.address().saturating_sub(1);
        let gaps = &self.named().gaps;
        match gaps.iter().find(|it| it.addresses.contains(&call)) {
            Some(gap) => Why::File(gap.why.clone()),
            None if has_no_name => Why::Stripped,
            None => Why::NoDebugInfo,
        }
    }

    /// Writes the snapshot to a file, in the format that [`load`](Self::load) and all readers of
    /// pprof profiles understand: a gzip'd `profile.proto`.
    ///
    /// Of a snapshot that was taken in this process it has the address of each call, and the path and the build
    /// id of each program and library, by which readers find functions and lines: so writing reads no debug
    /// information, and takes up little memory. One that was made or loaded with names has these, and
    /// [`dump_with`](Self::dump_with) writes them in any case.
    ///
    /// The file appears whole or not at all, and keeps its mode. A link is followed, and stays. A pipe, a device or a
    /// socket is written through; so is a descriptor of the process, such as `/dev/stdout`. Where nothing can be
    /// created beside a file, it is written in place.
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io), with the path and what the system said.
    pub fn dump(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.dump_with(path, Names::Addresses)
    }

    /// Writes the snapshot to a file as [`dump`](Self::dump) does, with names or without.
    ///
    /// # Errors
    ///
    /// As [`dump`](Self::dump).
    pub fn dump_with(&self, path: impl AsRef<Path>, names: Names) -> Result<(), Error> {
        let _muted = process::mute();
        crate::file::dump(self, path.as_ref(), names)
            .map_err(|error| error.about("cannot write", path.as_ref()))
    }

    /// Reads a snapshot from a file that [`dump`](Self::dump) wrote, or a heap profile in pprof's
    /// format from elsewhere, packed with gzip or not. Addresses are named by [`traces`](Self::traces).
    ///
    /// Reading takes up at most sixteen times the size of the unpacked profile, and 4 MiB beside, in time
    /// that grows with the size, whatever the file holds. A file unpacks to at most 250 times its size and 1 MiB
    /// beside, and to at most 512 MiB. So a file from somebody else can be read; one that would take more is refused.
    ///
    /// ```no_run
    /// let snapshot = alloc_core::Snapshot::load("heap.pb.gz")?;
    /// for trace in snapshot.traces() {
    ///     println!("{trace}");
    /// }
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io) if the file cannot be read,
    /// [`is_invalid_file`](Error::is_invalid_file) if it is something else, or cut off, or damaged, or tells what
    /// [changed](Self::read_difference).
    pub fn load(path: impl AsRef<Path>) -> Result<Snapshot, Error> {
        let _muted = process::mute();
        crate::file::load(path.as_ref()).map_err(|error| error.about("cannot read", path.as_ref()))
    }

    /// Writes what [`dump`](Self::dump) would write.
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io), with what the writer said.
    pub fn write_to(&self, writer: impl std::io::Write) -> Result<(), Error> {
        let _muted = process::mute();
        crate::file::write(self, writer, Names::Addresses)
    }

    /// Reads what [`dump`](Self::dump) wrote.
    ///
    /// ```
    /// use alloc_core::Snapshot;
    ///
    /// let mut file = Vec::new();
    /// Snapshot::from_traces(vec![], 32).write_to(&mut file)?;
    /// assert_eq!(Snapshot::read_from(&file[..])?.traceback_limit(), 32);
    ///
    /// let error = Snapshot::read_from(&b"something else"[..]).unwrap_err();
    /// assert!(error.is_invalid_file());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn read_from(reader: impl std::io::Read) -> Result<Snapshot, Error> {
        let _muted = process::mute();
        crate::file::read(reader)
    }

    /// Reads a heap profile of what changed between two moments, as Go's `/debug/pprof/heap?seconds=30` and
    /// `go tool pprof -proto -diff_base OLD NEW` make them: what was added, and what was taken away.
    ///
    /// The first minus the second is what changed, which is what the crate `alloc-report` shows of the two as new
    /// and old. Neither tells how much there was: see [`is_difference`](Self::is_difference).
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and [`is_invalid_file`](Error::is_invalid_file) if the profile is of one moment.
    pub fn read_difference(reader: impl std::io::Read) -> Result<(Snapshot, Snapshot), Error> {
        let _muted = process::mute();
        crate::file::read_difference(reader)
    }

    /// Whether this is a part of what [changed](Self::read_difference) between two moments, and does not tell how
    /// much there was at either.
    pub fn is_difference(&self) -> bool {
        self.about.unknown.levels
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

/// Why a snapshot names functions or addresses where lines were expected.
///
/// It prints as a sentence that says what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingDebugInfo(Why);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// As the file tells that was looked at.
    File(Missing),
    /// As names tell that came with the snapshot.
    Stripped,
    NoDebugInfo,
}

impl MissingDebugInfo {
    fn has_no_names(&self) -> bool {
        match &self.0 {
            Why::File(missing) => missing.has_no_names(),
            Why::Stripped => true,
            Why::NoDebugInfo => false,
        }
    }
}

impl fmt::Display for MissingDebugInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::File(missing) => missing.fmt(f),
            Why::Stripped => f.write_str(
                "no names and lines: the program was stripped; put `strip = false` and \
                 `debug = 1` under [profile.release] in Cargo.toml",
            ),
            Why::NoDebugInfo => f.write_str(
                "no lines: the program was built without debug information; put \
                 `debug = 1` under [profile.release] in Cargo.toml",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(frames: &[(&str, &str)], expected: Option<bool>) {
        let frames = frames.iter().map(|&(function, file)| {
            Frame::new(Some(function), Some(file).filter(|it| !it.is_empty()), 1, 1)
        });
        let trace = Trace::new(Traceback::new(frames.collect()), Counters::default());
        let snapshot = Snapshot::from_traces(vec![trace], 8);
        let missing = snapshot.missing_debug_info();
        assert_eq!(missing.map(|missing| missing.has_no_names()), expected);
    }

    #[test]
    fn lines_are_missed_where_the_charged_frame_has_none() {
        let push = (
            "alloc::vec::Vec<T>::push",
            "/rustc/5/library/alloc/src/vec/mod.rs",
        );
        check(&[push, ("demo::fill", "src/fill.rs")], None);
        check(
            &[push, ("demo::fill", ""), ("demo::main", "src/main.rs")],
            Some(false),
        );
        check(
            &[("demo+0x1f3a", ""), ("libc.so.6+0x2724a", "")],
            Some(true),
        );
        check(&[("<overflow>", "")], None);
        check(&[push, ("main", ""), ("_start", "")], None);
    }
}
