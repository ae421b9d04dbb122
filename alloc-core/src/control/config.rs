//! [`Config`]: how to trace.

use crate::Bytes;
use crate::Error;
use crate::capture::{LIBRARY_FRAMES, MAX_FRAMES};
use crate::record::gate::Mode;
use crate::tables::callsites::MAX_CALLSITES;
use crate::tables::sampling::Interval;

/// What an allocator knows about the distance between its blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GranuleHint {
    /// The inner allocator is the system's: detect its granule.
    System,
    /// At least this many bytes.
    Bytes(usize),
}

/// What is known of the inner allocator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knowledge {
    pub(crate) granule: GranuleHint,
    /// Whether it gives the usable sizes of its blocks.
    pub(crate) usable_sizes: bool,
}

/// How to trace: passed to [`start_with`](crate::start_with).
///
/// ```
/// use alloc_core::Config;
///
/// let config = Config::default().frames(8);
/// assert_eq!(config.traceback_limit(), 8);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(super) frames: u16,
    pub(super) max_callsites: u32,
    pub(super) sample_every: u64,
    pub(super) exact_peak: bool,
    pub(super) threads: bool,
    pub(super) sizes: bool,
    pub(super) lifetimes: bool,
    pub(super) frees: bool,
    pub(super) slack: bool,
    pub(super) exact_graph: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            frames: 128,
            max_callsites: 1 << 18,
            sample_every: 0,
            exact_peak: false,
            threads: false,
            sizes: false,
            lifetimes: false,
            frees: false,
            slack: false,
            exact_graph: false,
        }
    }
}

/// Address space that tracing needs, most of which is never touched: 18 MiB of tables, one thread's
/// state, and room to grow.
pub(super) const ROOM: usize = 24 << 20;

impl Config {
    /// The most frames that a stack can keep.
    ///
    /// ```
    /// assert_eq!(alloc_core::Config::MAX_FRAMES, 1000);
    /// ```
    pub const MAX_FRAMES: u16 = 1000;

    /// Keeps `frames` frames of each stack, counted from the line that a block is charged to: at
    /// most [`MAX_FRAMES`](Self::MAX_FRAMES). The default is 128. It costs no more than 32 where
    /// stacks are not as deep, and shows the line of a program below a runtime or a query engine.
    ///
    /// A frame is a machine frame; functions that the compiler inlined into it come on top.
    ///
    /// With 1 a record captures only the line that it charges, and costs less: the default of
    /// Python's `tracemalloc`.
    ///
    /// With 0 no stacks are captured: the heap's current, peak and total are counted, exactly, at
    /// the lowest cost, and a snapshot has one trace, `<heap>`.
    ///
    /// ```
    /// assert_eq!(alloc_core::Config::default().frames(1).traceback_limit(), 1);
    /// ```
    pub fn frames(mut self, frames: u16) -> Config {
        self.frames = frames;
        self
    }

    /// Distinguishes at most `callsites` callsites: from 1 to 1,000,000. The default is 262,144.
    ///
    /// When a quarter of them is in use, new ones keep only their sixteen innermost frames, from
    /// half on only eight. After the last, allocations are charged to one callsite that is shown as
    /// `<overflow>`, and counted. A callsite takes about 130 bytes and 8 more for each frame that
    /// it does not share with the previous one.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let config = alloc_core::Config::default().max_callsites(0);
    /// assert!(alloc_core::start_with(config).unwrap_err().is_invalid_config());
    /// ```
    pub fn max_callsites(mut self, callsites: u32) -> Config {
        self.max_callsites = callsites;
        self
    }

    /// Records only a sample: every byte allocated is drawn with a probability of one in `bytes`,
    /// and the block that contains it is recorded with the weight of all the blocks it stands for.
    /// At most 64 MiB; 0, the default, records all.
    ///
    /// Sums are unbiased estimates, and [`Statistic::error`](crate::Statistic::error) gives their
    /// standard error. 512 KiB is the default of Go's and jemalloc's heap profiles.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Bytes, Config};
    ///
    /// alloc_core::start_with(Config::default().sample_every(Bytes::kib(512)))?;
    /// assert_eq!(alloc_core::take_snapshot()?.sampled_every(), Some(Bytes::kib(512)));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn sample_every(mut self, bytes: impl Into<Bytes>) -> Config {
        self.sample_every = bytes.into().get();
        self
    }

    /// Makes the heap's peak exact even when several threads allocate at once:
    /// [`TracedMemory::peak_error`](crate::TracedMemory::peak_error) stays zero.
    ///
    /// It costs what the default avoids: all threads write one shared total, at every allocation
    /// and every free. With one thread the peak is always exact, at no cost.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// alloc_core::start_with(alloc_core::Config::default().exact_peak(true))?;
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| vec![0_u8; 1000]);
    ///     threads.spawn(|| vec![0_u8; 1000]);
    /// });
    /// assert_eq!(alloc_core::traced_memory().peak_error, 0);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn exact_peak(mut self, exact: bool) -> Config {
        self.exact_peak = exact;
        self
    }

    /// Distinguishes threads by name: allocations of threads with different names at one stack
    /// become two traces, each with [`Trace::thread`](crate::Trace::thread).
    ///
    /// Names, not numbers: threads come and go, but their names stay, so the eight workers of a
    /// runtime are one. The first thread is `main`. A thread without a name has the name of the
    /// thread that made it. The system keeps fifteen bytes of a name. Up to 1,024 names are
    /// distinguished. A thread keeps the name that it had when it first allocated in a session: the
    /// one given to [`std::thread::Builder`]. Without stacks, with [`frames(0)`](Self::frames),
    /// this has no effect.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Config, Filter};
    ///
    /// alloc_core::start_with(Config::default().threads(true))?;
    /// let worker = std::thread::Builder::new().name("worker".into());
    /// let kept = worker.spawn(|| vec![0_u8; 1000])?.join().unwrap();
    /// let snapshot = alloc_core::take_snapshot()?;
    /// let workers = snapshot.filter_traces(&[Filter::include("*").thread("worker")]);
    /// assert!(workers.traced_memory().current >= kept.len() as u64);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn threads(mut self, distinguished: bool) -> Config {
        self.threads = distinguished;
        self
    }

    /// Classes blocks by their own size: a stack that allocates blocks of different size classes
    /// becomes one trace for each class, with [`Trace::size_class`](crate::Trace::size_class).
    ///
    /// A class ends at a power of two: 17 to 32 bytes, say. Without this option
    /// [`GroupBy::SizeClass`](crate::GroupBy::SizeClass) classes all blocks of a callsite by their
    /// mean size. With it the classes are exact, in each metric. A stack's own peak is then the sum
    /// of the peaks of its classes. It takes a callsite for each class that a stack allocates.
    /// Without stacks, with [`frames(0)`](Self::frames), it has no effect.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Config, Filter, GroupBy};
    ///
    /// alloc_core::start_with(Config::default().sizes(true))?;
    /// let buffers: Vec<Vec<u8>> = [100, 100, 5000].map(Vec::with_capacity).into();
    /// let snapshot = alloc_core::take_snapshot()?;
    ///
    /// let classes = snapshot.statistics(GroupBy::SizeClass);
    /// assert_eq!(classes[0].key.to_string(), "up to 8192 B");
    /// assert_eq!((classes[0].size.get(), classes[0].count), (5000, 1));
    /// assert_eq!(classes[1].key.to_string(), "up to 128 B");
    /// # drop(buffers);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn sizes(mut self, classed: bool) -> Config {
        self.sizes = classed;
        self
    }

    /// Records how long blocks live: for each callsite, how old its blocks became that were freed,
    /// and how old those are that live, in [`Trace::lifetimes`](crate::Trace::lifetimes).
    ///
    /// A lifetime is counted in time and in bytes that the program allocated meanwhile. The latter
    /// is the same from run to run if one thread allocates. A reallocation ends the life of the old
    /// block, as it does in all counters. Time comes from the processor's counter where that ticks
    /// at one rate, else from the system's monotonic clock.
    ///
    /// It takes eight bytes more for each place where a block can start, a quarter of the heap with
    /// 32-byte granules, and a kilobyte for each callsite. It needs stacks of every block.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Config, Filter};
    ///
    /// alloc_core::start_with(Config::default().lifetimes(true))?;
    /// for _ in 0..100 {
    ///     drop(std::hint::black_box(vec![0_u8; 4000]));
    /// }
    /// let snapshot = alloc_core::take_snapshot()?;
    /// let largest = snapshot.traces().iter().max_by_key(|it| it.counters.total.bytes).unwrap();
    /// let lifetimes = largest.lifetimes.as_ref().unwrap();
    /// assert_eq!(lifetimes.freed.count(), 100);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn lifetimes(mut self, recorded: bool) -> Config {
        self.lifetimes = recorded;
        self
    }

    /// Counts who frees the blocks of each callsite: how much was freed in which label, in
    /// [`Trace::freed_by`](crate::Trace::freed_by). With [`threads`](Self::threads) also on which
    /// thread, by name.
    ///
    /// [`Snapshot::frees`](crate::Snapshot::frees) makes a table of it: labels against labels, or
    /// threads against threads. A reallocation frees the old block, as it does in all counters. Up
    /// to 262,143 pairs of a callsite and who frees its blocks are distinguished; what goes beyond
    /// is `<not recorded>` there. It takes 12 KiB for each thread and 40 bytes for each pair, and
    /// needs stacks of every block. A snapshot stops all threads for some microseconds.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::{Config, Label};
    ///
    /// alloc_core::start_with(Config::default().frees(true))?;
    /// let parsed = Label::new("parse").run(|| std::hint::black_box(vec![0_u8; 4000]));
    /// Label::new("answer").run(|| drop(parsed));
    ///
    /// let snapshot = alloc_core::take_snapshot()?;
    /// let mut traces = snapshot.traces().iter();
    /// let parse = traces.find(|it| it.label.as_deref() == Some("parse")).unwrap();
    /// let freed_by = parse.freed_by.as_ref().unwrap();
    /// assert_eq!(freed_by[0].label.as_deref(), Some("answer"));
    /// assert_eq!(freed_by[0].amount.bytes, 4000);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn frees(mut self, counted: bool) -> Config {
        self.frees = counted;
        self
    }

    /// Measures slack: for each callsite, how many more bytes its blocks have than it asked for, in
    /// [`Trace::slack`](crate::Trace::slack).
    ///
    /// An allocator rounds sizes up: glibc gives 40 bytes for 25. The usable size of a block comes
    /// from the inner allocator, when the block is recorded and again before it is freed. It does
    /// not contain the allocator's own headers.
    ///
    /// [`TraceAlloc::system`](crate::TraceAlloc::system) knows usable sizes on Linux and macOS.
    /// Around another allocator,
    /// [`with_usable_size`](crate::TraceAlloc::with_usable_size) gives the function. Without one, the
    /// session does not start. It needs stacks of every block.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::Config;
    ///
    /// alloc_core::start_with(Config::default().slack(true))?;
    /// let kept: Vec<u8> = std::hint::black_box(Vec::with_capacity(100_001));
    /// let snapshot = alloc_core::take_snapshot()?;
    /// let largest = snapshot.traces().iter().max_by_key(|it| it.counters.total.bytes).unwrap();
    /// assert!(largest.slack.unwrap().current > 0);
    /// # drop(kept);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn slack(mut self, measured: bool) -> Config {
        self.slack = measured;
        self
    }

    /// Keeps the exact size and the time of each block, so that a [heap
    /// graph](crate::heap_graph) has exact sizes and ages.
    ///
    /// Without it, a graph has no ages, and the sizes of blocks of 1 KiB or more are within 1/32,
    /// while those of a callsite add up to its exact sum. An age is the time since the block was
    /// allocated or last reallocated, in steps of about six milliseconds. It takes eight bytes for
    /// each granule of the heap, a quarter of it for blocks of 32 bytes. It needs stacks of every
    /// block.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// use alloc_core::Config;
    ///
    /// alloc_core::start_with(Config::default().exact_graph(true))?;
    /// assert!(alloc_core::start_with(Config::default().frames(0).exact_graph(true)).is_err());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn exact_graph(mut self, exact: bool) -> Config {
        self.exact_graph = exact;
        self
    }

    /// The number of frames that a traceback keeps.
    ///
    /// ```
    /// assert_eq!(alloc_core::Config::default().traceback_limit(), 128);
    /// ```
    pub fn traceback_limit(&self) -> u16 {
        self.frames
    }

    pub(crate) fn has_lifetimes(&self) -> bool {
        self.lifetimes
    }

    pub(crate) fn counts_frees(&self) -> bool {
        self.frees
    }

    pub(crate) fn has_slack(&self) -> bool {
        self.slack
    }

    /// Whether more of each block is recorded than its stack.
    pub(super) fn is_extended(&self) -> bool {
        self.lifetimes || self.slack || self.frees || self.exact_graph
    }

    pub(crate) fn sampling(&self) -> Option<Interval> {
        Interval::from_bytes(self.sample_every)
    }

    pub(super) fn how(&self) -> Mode {
        match (self.sampling(), self.frames) {
            (Some(_), _) => Mode::Sampled,
            (None, 0) => Mode::Counted,
            (None, _) => Mode::Whole,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        if self.frames > Config::MAX_FRAMES {
            return Err(Error::invalid_config(format!(
                "the number of frames must be from 0 to {}, found {}",
                Config::MAX_FRAMES,
                self.frames
            )));
        }
        if self.sample_every > Interval::MOST {
            return Err(Error::invalid_config(format!(
                "the bytes from one sample to the next must be from 0 to {}, found {}",
                Interval::MOST,
                self.sample_every
            )));
        }
        for (what, wanted) in [
            ("lifetimes need", self.lifetimes),
            ("slack needs", self.slack),
            ("an exact graph needs", self.exact_graph),
        ] {
            if wanted && self.how() != Mode::Whole {
                return Err(Error::invalid_config(format!(
                    "{what} stacks of every block: expected at least one frame and no sample"
                )));
            }
        }
        if self.frees && self.how() != Mode::Whole {
            return Err(Error::invalid_config(
                "who frees needs stacks of every block: expected at least one frame and no sample"
                    .to_owned(),
            ));
        }
        if self.max_callsites == 0 || self.max_callsites > MAX_CALLSITES {
            return Err(Error::invalid_config(format!(
                "the number of callsites must be from 1 to {MAX_CALLSITES}, found {}",
                self.max_callsites
            )));
        }
        Ok(())
    }
}

const _: () = assert!(Config::MAX_FRAMES as usize + LIBRARY_FRAMES <= MAX_FRAMES);
