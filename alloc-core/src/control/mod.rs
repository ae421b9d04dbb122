//! On and off: the phase that every record looks at, and all that changes it.
//!
//! # The phase
//!
//! One word says whether to record, and changes whenever threads must take note of something: a new
//! session, a first companion, a peak that was reset. A thread whose own copy differs joins the new
//! phase before it records.
//!
//! The lowest bits of the word count the scopes that are alive, or a block of which is. So one look tells
//! that there is nothing to do at all. Scopes come and go without a lock, and phases do not care.
//!
//! The highest bit says that something is [asked for](ask) of the next thread that allocates or frees.
//!
//! # Standing still
//!
//! To clear the tables, or to go from one thread to several, nobody may be recording. Whoever holds
//! the control lock sets the phase to [`PAUSED`], makes every processor see it with one system call
//! ([`barrier`]), and waits until no thread is in the middle of a record. That takes microseconds; a
//! thread that wants to record meanwhile waits for the lock. So the hot path pays for this with one
//! load and two plain stores.
//!
//! A signal handler that interrupted a record must not wait while the phase is paused: the holder of the
//! lock may be waiting for that very record. Once all records are done the phase is [`STILL`]. From then on
//! nobody waits for a record, so a handler may wait for the lock; before, it goes on, and
//! [says so](ThreadState::use_tables), which the holder waits for as well. So do those who change what scopes
//! count by stack. See [`beside_record`].
//!
//! # Locks
//!
//! [`READERS`] keeps the tables from being cleared while a snapshot is read; [`CONTROL`] guards
//! everything else, in this order. Neither is ever taken by a record in the steady state. A fork holds both.

pub(crate) mod read_tables;
pub(crate) mod track;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;
use crate::capture::{self, CaptureMethod, MAX_FRAMES};
use crate::record::thread::{self, AtStage, Busy, Stage, ThreadState};
use crate::record::tracer::{DRAWN, TABLES};
use crate::system::arena;
use crate::system::sync::{
    AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
};
use crate::tables::blocks::Granule;
use crate::tables::callsites::MAX_CALLSITES;
use crate::tables::counters::{Company, HeldBack};
use crate::tables::sampling::Interval;
use crate::{
    Bytes, TracedMemory, environment::reporter, environment::startup, process, scope, system::hooks,
};
use Ordering::Relaxed;

/// Tracing is off. It looks like no phase that records.
pub(crate) const OFF: u64 = SAMPLED | COUNTED;
/// Nothing was ever recorded: the environment has not been read yet.
pub(crate) const UNSET: u64 = 1;
/// Nobody may begin a record until the holder of the control lock is done.
const PAUSED: u64 = 4;
/// The same, and no record is under way any more: the tables may change.
const STILL: u64 = 5;
/// In phases that record the low bits say how, the rest is a serial number: whether a thread is alone,
/// and whether a sample is recorded, or all, or whether only the heap is counted.
const FIRST_PHASE: u64 = 16;
const ALONE: u64 = 1;
const SAMPLED: u64 = 2;
const COUNTED: u64 = 8;
/// How many phases there are before their numbers begin again.
const PHASES: u64 = (1 << (63 - SCOPE_BITS)) / FIRST_PHASE - 1;

/// How many bits of the word, the lowest, count scopes.
const SCOPE_BITS: u32 = 24;
const SCOPES: u64 = (1 << SCOPE_BITS) - 1;
/// Bit of the word: see [`ask`].
const ASKED: u64 = 1 << 63;

static PHASE: AtomicU64 = AtomicU64::new(UNSET << SCOPE_BITS);
static CAPTURE_LIMIT: AtomicUsize = AtomicUsize::new(0);
static SAMPLE_EVERY: AtomicU64 = AtomicU64::new(0);
static TELLS_THREADS_APART: AtomicBool = AtomicBool::new(false);
static LABELS_SIZES: AtomicBool = AtomicBool::new(false);
/// Counts sessions: what a thread remembers of one means nothing in another.
static SESSION: AtomicU64 = AtomicU64::new(0);
/// What went wrong, if something did: the number of a [`Fault`].
static FAULT: AtomicU32 = AtomicU32::new(0);

#[inline(always)]
pub(crate) fn phase() -> u64 {
    // The acquire pairs with the release in `Control::publish`: a new phase's tables are seen.
    (PHASE.load(Ordering::Acquire) & !ASKED) >> SCOPE_BITS
}

/// Whether this is the phase, and nothing is asked for.
#[inline(always)]
pub(crate) fn is_undisturbed_at(phase: u64) -> bool {
    // The acquire as in `phase`.
    PHASE.load(Ordering::Acquire) >> SCOPE_BITS == phase
}

/// Has every thread call [`reporter::answer`] before its next record, until that is [done](unask).
///
/// May be called by a signal's handler. While it is asked for, no look at the word is what a thread took note of: so
/// the hot path pays nothing for it.
pub(crate) fn ask() {
    // The release shows why to the acquire in `unask`.
    PHASE.fetch_or(ASKED, Ordering::Release);
}

pub(crate) fn unask() {
    // The acquire pairs with the release in `ask`.
    PHASE.fetch_and(!ASKED, Ordering::Acquire);
}

pub(crate) fn is_asked() -> bool {
    PHASE.load(Relaxed) & ASKED != 0
}

pub(crate) fn scope_began() {
    PHASE.fetch_add(1, Relaxed);
}

pub(crate) fn scope_ended() {
    PHASE.fetch_sub(1, Relaxed);
}

/// Another phase, with as many scopes as there are, and what is asked for.
fn set_phase(phase: u64, order: Ordering) {
    let changed = |word: u64| Some(word & (ASKED | SCOPES) | phase << SCOPE_BITS);
    let _ = PHASE.fetch_update(order, Relaxed, changed);
}

/// Whether records are made, now or after a pause.
pub(crate) fn is_on() -> bool {
    !matches!(phase(), OFF | UNSET)
}

/// Whether there was a session, or is one.
pub(crate) fn was_ever_on() -> bool {
    SESSION.load(Relaxed) > 0
}

/// What there is to do about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Record it, as every block, with its stack. What is no phase that records counts as such.
    Whole,
    /// Record it if the sample draws it.
    Sampled,
    /// Count it, as every block.
    Counted,
    /// Nothing: tracing is off.
    Off,
}

/// One look at the word.
#[derive(Clone, Copy)]
pub(crate) struct Look(u64);

#[inline(always)]
pub(crate) fn look() -> Look {
    // The acquire as in `phase`.
    Look(PHASE.load(Ordering::Acquire))
}

impl Look {
    /// What is seen in this phase while there are no scopes.
    pub(crate) fn at(phase: u64) -> Look {
        Look(phase << SCOPE_BITS)
    }

    /// What is never seen: there is no such phase.
    pub(crate) const NEVER: Look = Look(0);

    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// Whether there is nothing to do: tracing is off, and neither a scope nor a block of one is alive.
    #[inline(always)]
    pub(crate) fn is_idle(self) -> bool {
        self.0 == OFF << SCOPE_BITS
    }

    /// Whether there are no scopes, and the session, if there is one, records every block, or counts it. What is no
    /// phase that records looks like one that records every block.
    ///
    /// NOTE: whoever is in a scope, or was given a block from one, sees so without any further order: the
    /// word was changed before, by this thread or by one that this thread learned of the block from.
    #[inline(always)]
    pub(crate) fn is_of_every_block(self) -> bool {
        self.0 & (SCOPES | SAMPLED << SCOPE_BITS) == 0
    }

    /// Whether it counts every block.
    #[inline(always)]
    pub(crate) fn only_counts(self) -> bool {
        self.0 & COUNTED << SCOPE_BITS != 0
    }

    /// Whether a scope is alive, or a block of one.
    #[inline(always)]
    pub(crate) fn sees_scopes(self) -> bool {
        self.0 & SCOPES != 0
    }

    /// The same while there are no scopes.
    pub(crate) fn without_scopes(self) -> Look {
        Look(self.0 & !SCOPES)
    }

    /// What tracing has to do about an event, whether there are scopes or not.
    #[inline(always)]
    pub(crate) fn how(self) -> How {
        let is = |flag: u64| self.0 & flag << SCOPE_BITS != 0;
        match (is(SAMPLED), is(COUNTED)) {
            (false, false) => How::Whole,
            (true, false) => How::Sampled,
            (false, true) => How::Counted,
            (true, true) => How::Off,
        }
    }
}

pub(crate) fn company(phase: u64) -> Company {
    if phase & ALONE != 0 {
        Company::Alone
    } else {
        Company::WithOthers
    }
}

/// The sampling interval, or `None` if every block is recorded.
#[inline(always)]
pub(crate) fn sampling() -> Option<Interval> {
    Interval::from_bytes(SAMPLE_EVERY.load(Relaxed))
}

/// A number that differs from run to run: the time.
pub(crate) fn seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |since| since.as_nanos() as u64 | 1)
}

/// Whether the session counts every block and captures no stacks.
pub(crate) fn only_counts() -> bool {
    capture_limit() == 0 && sampling().is_none()
}

/// Whether callsites of threads with different names are told apart.
pub(crate) fn tells_threads_apart() -> bool {
    TELLS_THREADS_APART.load(Relaxed)
}

/// Whether callsites are distinguished by the size class of their blocks.
pub(crate) fn labels_sizes() -> bool {
    LABELS_SIZES.load(Relaxed)
}

/// The number of the session.
pub(crate) fn session() -> u64 {
    SESSION.load(Relaxed)
}

/// Whether a record captures the user's line alone.
pub(crate) fn captures_line() -> bool {
    capture_limit() == 1 + LIBRARY_FRAMES
}

/// How many return addresses a record captures.
#[inline(always)]
pub(crate) fn capture_limit() -> usize {
    CAPTURE_LIMIT.load(Relaxed)
}

/// What an allocator knows of the distance between its blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GranuleHint {
    /// It is the system's: find out.
    System,
    /// At least so many bytes.
    Bytes(usize),
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
    frames: u16,
    max_callsites: u32,
    sample_every: u64,
    exact_peak: bool,
    threads: bool,
    sizes: bool,
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
        }
    }
}

/// Address space that tracing needs, of which most is never touched: 18 MiB of tables, a thread's own, and some to grow.
const ROOM: usize = 24 << 20;

impl Config {
    /// The most frames that can be kept.
    pub const MAX_FRAMES: u16 = 1000;

    /// Keeps `frames` frames of each stack, counted from the line that a block is charged to: at most
    /// [`MAX_FRAMES`](Self::MAX_FRAMES). The default is 128: it costs no more than 32
    /// where stacks are not as deep, and shows the line of a program below a runtime or a query engine.
    ///
    /// A frame is one of the machine's; functions that the compiler inlined into it come on top.
    ///
    /// With 1 a record looks no further than the line that it charges, and costs less: as `tracemalloc` does
    /// by default.
    ///
    /// With 0 no stacks are captured: the heap's current, peak and total are counted, exactly, at the
    /// lowest cost, and a snapshot has one trace, `<heap>`.
    pub fn frames(mut self, frames: u16) -> Config {
        self.frames = frames;
        self
    }

    /// Tells at most `callsites` callsites apart: from 1 to 1,048,576. The default is 262,144.
    ///
    /// When a quarter of them is in use, new ones keep their sixteen innermost frames only, from half
    /// on eight. Beyond the last, allocations are charged to one callsite that is shown as
    /// `<overflow>`, and counted. A callsite takes about 130 bytes and 8 more for each frame that the one
    /// before it does not share.
    pub fn max_callsites(mut self, callsites: u32) -> Config {
        self.max_callsites = callsites;
        self
    }

    /// Records a sample only: every byte allocated is drawn with a chance of one in `bytes`, and the
    /// block that it is in is recorded and counted for as many as it stands for. At most 64 MiB; 0,
    /// the default, records all.
    ///
    /// Sums are unbiased estimates, and [`Statistic::error`](crate::Statistic::error) tells how far
    /// off they may be. 512 KiB is what Go's and jemalloc's heap profiles use.
    pub fn sample_every(mut self, bytes: impl Into<Bytes>) -> Config {
        self.sample_every = bytes.into().get();
        self
    }

    /// Has the heap's peak exact when several threads allocate at once, too:
    /// [`TracedMemory::peak_error`](crate::TracedMemory::peak_error) stays zero.
    ///
    /// It costs what the default avoids: all threads write one shared total, at every allocation and
    /// every free. With one thread the peak is exact in any case, at no cost.
    pub fn exact_peak(mut self, exact: bool) -> Config {
        self.exact_peak = exact;
        self
    }

    /// Tells threads apart, by their names: what threads of different names allocate at one stack is two
    /// traces, each with [`Trace::thread`](crate::Trace::thread).
    ///
    /// By names and not by numbers, since threads come and go and their names stay: the eight workers
    /// of a runtime are one. The first thread is `main`, one without a name has that of the thread
    /// that made it, and the system keeps fifteen bytes of a name. Up to 1,024 names are told apart. A
    /// thread has the name that it had when it first allocated in a session: that given to
    /// [`std::thread::Builder`]. Without stacks, with [`frames(0)`](Self::frames), there is nothing
    /// to tell apart.
    pub fn threads(mut self, told_apart: bool) -> Config {
        self.threads = told_apart;
        self
    }

    /// Classes blocks by their own size: a stack that allocates blocks of different size classes is one
    /// trace for each class, with [`Trace::size_class`](crate::Trace::size_class).
    ///
    /// A class ends at a power of two: 17 to 32 bytes, say. Without it
    /// [`GroupBy::SizeClass`](crate::GroupBy::SizeClass) classes all blocks of a callsite by their mean
    /// size. With it the classes are exact, in each metric. A stack's own peak is then the sum of the
    /// peaks of its classes. It takes a callsite for each class that a stack allocates, and, in a full
    /// trace, up to a tenth more time. Without stacks, with [`frames(0)`](Self::frames), it has no effect.
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
    /// assert_eq!(classes[0].key.to_string(), "up to 8 KiB");
    /// assert_eq!((classes[0].size.get(), classes[0].count), (5000, 1));
    /// assert_eq!(classes[1].key.to_string(), "up to 128 B");
    /// # drop(buffers);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn sizes(mut self, classed: bool) -> Config {
        self.sizes = classed;
        self
    }

    /// The number of frames that a traceback keeps.
    pub fn traceback_limit(&self) -> u16 {
        self.frames
    }

    pub(crate) fn sampling(&self) -> Option<Interval> {
        Interval::from_bytes(self.sample_every)
    }

    fn how(&self) -> How {
        match (self.sampling(), self.frames) {
            (Some(_), _) => How::Sampled,
            (None, 0) => How::Counted,
            (None, _) => How::Whole,
        }
    }

    fn check(&self) -> Result<(), Error> {
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
        if self.max_callsites == 0 || self.max_callsites > MAX_CALLSITES {
            return Err(Error::invalid_config(format!(
                "the number of callsites must be from 1 to {MAX_CALLSITES}, found {}",
                self.max_callsites
            )));
        }
        Ok(())
    }
}

/// Frames captured beyond those that are kept: the standard library's between the allocator and
/// the user's line, and the tracer's own.
pub(crate) const LIBRARY_FRAMES: usize = 14;

const _: () = assert!(Config::MAX_FRAMES as usize + LIBRARY_FRAMES <= MAX_FRAMES);

/// What a broken tracer stopped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    OutOfMemory = 1,
    ForkWithinTracer = 2,
}

impl Fault {
    fn reason(number: u32) -> Option<&'static str> {
        match number {
            0 => None,
            2 => Some("a signal handler that interrupted the tracer forked this process"),
            _ => Some("the system had no memory left for the tracer's own tables"),
        }
    }
}

/// Stops recording for good and says so once: the numbers are no longer true. Callable from a
/// record.
pub(crate) fn give_up(fault: Fault) {
    let first = FAULT
        .compare_exchange(0, fault as u32, Relaxed, Relaxed)
        .is_ok();
    set_phase(OFF, Ordering::Release);
    if let (true, Some(reason)) = (first, Fault::reason(fault as u32)) {
        hooks::write_to_stderr(&["alloc-core: tracing stopped: ", reason, "\n"]);
    }
}

/// Why nothing is recorded now.
pub(crate) fn why_off() -> Error {
    check_fault().err().unwrap_or_else(Error::not_tracing)
}

fn check_fault() -> Result<(), Error> {
    Fault::reason(FAULT.load(Relaxed)).map_or(Ok(()), |reason| Err(Error::broken(reason)))
}

static READERS: Mutex<()> = Mutex::new(());
static CONTROL: Mutex<Control> = Mutex::new(Control {
    serial: 0,
    attached: 0,
    session: None,
    from_environment: false,
    granule: None,
    method: None,
});

/// What the control lock guards.
pub(crate) struct Control {
    /// Counts phases, so that no two are equal.
    serial: u64,
    /// How many threads have a state.
    attached: u32,
    /// The configuration, while tracing is on.
    session: Option<Config>,
    from_environment: bool,
    granule: Option<Granule>,
    method: Option<CaptureMethod>,
}

type Lock = MutexGuard<'static, Control>;

fn lock_readers() -> MutexGuard<'static, ()> {
    READERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock() -> Lock {
    CONTROL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether nobody may begin a record: wait, and look again.
pub(crate) fn is_paused(phase: u64) -> bool {
    matches!(phase, PAUSED | STILL)
}

/// Waits until a pause is over. Not for whoever holds the control lock.
pub(crate) fn wait() {
    drop(lock());
}

/// Runs `work` while the tables are sure to stay and nobody forks, beside a record of the calling thread, or within
/// one that a signal handler interrupted. `None` in a handler that interrupted the control of the tracer.
pub(crate) fn beside_record<R>(work: impl FnOnce() -> R) -> Option<R> {
    match (thread::current(), thread::stage()) {
        (_, Stage::Busy) => None,
        (Some(state), _) => Some(state.use_tables(|| phase() != STILL, wait, work)),
        (None, _) => {
            let _busy = Busy::begin();
            let _control = lock();
            Some(work())
        }
    }
}

impl Control {
    /// Runs `change` while no other thread records. The phase is [`STILL`] after; whoever calls
    /// this goes on to [`publish`](Self::publish) another.
    fn stand_still<R>(&mut self, change: impl FnOnce(&mut Control) -> R) -> R {
        set_phase(PAUSED, Ordering::SeqCst);
        barrier();
        wait_for_others(ThreadState::is_recording);
        set_phase(STILL, Ordering::SeqCst);
        // The fence pairs with that of `use_tables`.
        fence(Ordering::SeqCst);
        wait_for_others(ThreadState::uses_tables);
        change(self)
    }

    /// Lets threads record again, in a phase that none of them has joined.
    fn publish(&mut self) {
        TABLES.heap.set_threads(self.attached);
        self.serial += 1;
        let alone = if self.attached <= 1 { ALONE } else { 0 };
        let next = match &self.session {
            Some(config) => {
                let how = match config.how() {
                    How::Whole => 0,
                    How::Sampled => SAMPLED,
                    How::Counted | How::Off => COUNTED,
                };
                // NOTE: a thread would have to miss exactly as many phases as there are to take a new one
                // for an old one.
                (FIRST_PHASE * (1 + self.serial % PHASES)) | how | alone
            }
            None => OFF,
        };
        set_phase(next, Ordering::Release);
        if self.session.is_some() && reporter::waits_for_an_answer(company(next)) {
            ask();
        }
        if FAULT.load(Relaxed) != 0 {
            set_phase(OFF, Ordering::Release);
        }
    }

    /// Gives the calling thread a state.
    fn attach(&mut self) -> Option<&'static ThreadState> {
        let state = TABLES.threads.claim(capture::stack_bounds())?;
        if !hooks::call_at_thread_end(state) {
            TABLES.threads.give_back(state, &TABLES.events);
            return None;
        }
        self.attached += 1;
        self.detach_gone(2);
        // The first companion: whoever was alone must stop thinking so before this one records.
        // With more, only the share of each is new.
        if self.attached == 2 && self.session.is_some() {
            self.stand_still(|_| {
                TABLES.threads.claimed().for_each(ThreadState::fold_all);
            });
            self.publish();
        }
        TABLES.heap.set_threads(self.attached);
        thread::set(Some(state), Stage::Attached);
        Some(state)
    }

    /// Takes the calling thread's state away. It may go on allocating: see
    /// [`alone_with_the_tables`].
    fn detach(&mut self, state: &'static ThreadState) {
        thread::set(None, Stage::Gone);
        self.take_back(state);
        self.detach_gone(8);
    }

    /// Takes a state back whose thread does not record any more.
    fn take_back(&mut self, state: &'static ThreadState) {
        TABLES.threads.give_back(state, &TABLES.events);
        self.attached -= 1;
        if self.session.is_some() && self.attached <= 1 {
            self.publish();
        }
        TABLES.heap.set_threads(self.attached);
    }

    /// Takes back states of threads that are gone and did not say so, of the next so many.
    ///
    /// Whoever starts looks at more of them than it may leave behind, so there are never many, and the last thread is
    /// alone again.
    fn detach_gone(&mut self, states: usize) {
        for state in TABLES.threads.gone(states) {
            self.take_back(state);
        }
    }

    fn start(&mut self, config: Config) -> Result<(), Error> {
        let no_memory = || Error::out_of_memory("the tracer's tables");
        // What is reserved stays. A program that has no room for all of it keeps what it has for itself.
        if !arena::has_room(ROOM) {
            return Err(no_memory());
        }
        let granule = *self.granule.get_or_insert(Granule::SMALLEST);
        if !hooks::prepare() {
            return Err(Error::out_of_memory("a key for thread-local data"));
        }
        self.method = Some(capture::prepare());
        if config.frames == 1 {
            capture::prepare_for_line();
        }
        let index = match config.how() {
            How::Whole => TABLES.blocks.prepare(granule, true),
            How::Sampled => TABLES.blocks.prepare(granule, false),
            How::Counted | How::Off => TABLES.counted.prepare(granule),
        };
        index
            .and_then(|()| TABLES.callsites.prepare(config.max_callsites))
            .ok_or_else(no_memory)?;
        let captured = match config.frames {
            0 => 0,
            frames => usize::from(frames) + LIBRARY_FRAMES,
        };
        CAPTURE_LIMIT.store(captured, Relaxed);
        SESSION.fetch_add(1, Relaxed);
        SAMPLE_EVERY.store(config.sample_every, Relaxed);
        TELLS_THREADS_APART.store(config.threads, Relaxed);
        LABELS_SIZES.store(config.sizes, Relaxed);
        TABLES.heap.set_exact(config.exact_peak);
        self.session = Some(config);
        self.publish();
        Ok(())
    }

    /// Forgets everything that was recorded, and gives the memory back.
    fn clear(&mut self) {
        self.stand_still(|_| {
            // SAFETY: no thread records, none can begin to, and the readers' lock is held: see
            // `clear_all`. No id outlives this: cells are emptied here too.
            unsafe {
                TABLES.blocks.clear();
            }
            // SAFETY: as above.
            unsafe {
                TABLES.callsites.clear();
            }
            // SAFETY: as above.
            unsafe {
                TABLES.counted.clear();
            }
            DRAWN.clear();
            TABLES.threads.iter().for_each(ThreadState::clear);
            TABLES.events.clear();
            TABLES.heap.clear();
        });
    }
}

/// Waits until `is_busy` is true of no other thread.
fn wait_for_others(is_busy: impl Fn(&ThreadState) -> bool) {
    let own = thread::current().map_or(std::ptr::null(), std::ptr::from_ref);
    let others = TABLES.threads.claimed();
    for state in others.filter(|state| !std::ptr::eq(*state, own)) {
        let mut spins = 0_u32;
        while is_busy(state) {
            spins += 1;
            if spins < 100 {
                std::hint::spin_loop()
            } else {
                std::thread::yield_now()
            }
        }
    }
}

/// Makes the change of the phase visible to every processor that runs a thread of ours, and their
/// earlier stores to us: with it, [`fence_after_enter`] need not be a real fence.
///
/// `sys_membarrier` on Linux, and where a sandbox forbids it the revocation of a page's rights,
/// which interrupts the same processors. Elsewhere the hot path has the fence.
fn barrier() {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    hooks::interrupt_all_processors();
    fence(Ordering::SeqCst);
}

/// Orders the mark of a record before the load of the phase.
#[inline(always)]
pub(crate) fn fence_after_enter() {
    if cfg!(all(target_os = "linux", target_arch = "x86_64", not(miri))) {
        // PERF: the compiler must not reorder; the processor is dealt with by `barrier`. A real
        // fence would add some 6 ns to every record.
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The calling thread's state, claimed now if it has none. `None` at the thread's end, and where
/// there is no memory for it.
pub(crate) fn attached() -> Option<&'static ThreadState> {
    match thread::stage() {
        Stage::Attached => thread::current(),
        Stage::Busy => thread::current(),
        Stage::Gone | Stage::Apart => None,
        Stage::Fresh => {
            let _busy = Busy::begin();
            lock().attach()
        }
    }
}

/// Called at the end of each thread that has a state.
pub(crate) fn thread_ended(state: &'static ThreadState) {
    // One that it was started in.
    if let Some(scope) = thread::replace_scope(None) {
        scope.disown(1);
    }
    let _busy = Busy::begin();
    if let Some(slot) = thread::take_spare_slot() {
        slot.give_back();
    }
    lock().detach(state);
}

/// Runs `change` for a thread that has no state any more.
pub(crate) fn alone_with_the_tables<R>(change: impl FnOnce() -> Option<R>) -> Option<R> {
    let _busy = Busy::begin();
    let mut control = lock();
    control.session.as_ref()?;
    // A thread that is alone counts on being the only one to change the heap and to fold.
    let result = if control.attached <= 1 {
        control.stand_still(|_| {
            for state in TABLES.threads.claimed() {
                state.tell_peak();
            }
            change()
        })
    } else {
        change()
    };
    control.publish();
    result
}

/// Whether no allocator has called [`begin`] yet.
pub(crate) fn is_unset() -> bool {
    phase() == UNSET
}

/// The first call of all, from an allocator. `use_inner` uses the inner one.
pub(crate) fn begin(granule: GranuleHint, use_inner: impl FnOnce()) {
    if thread::stage() == Stage::Busy {
        return;
    }
    let _busy = Busy::begin();
    // NOTE: before anything else, so that what it has called around a fork is called within what we do: the handler
    // that was registered last comes first, and then has all stand still that holds the inner allocator's locks.
    use_inner();
    begin_once(granule);
    if !REPORTER_WAS_STARTED.swap(true, Relaxed) {
        // NOTE: without the lock, since this calls the C library, which may call back.
        reporter::start();
    }
}

static REPORTER_WAS_STARTED: AtomicBool = AtomicBool::new(false);

fn begin_once(granule: GranuleHint) {
    process::register_hooks();
    let mut control = lock();
    if phase() != UNSET {
        return;
    }
    control.granule = match granule {
        GranuleHint::System => hooks::granule_of_system(),
        GranuleHint::Bytes(bytes) => Granule::from_bytes(bytes),
    };
    let Some(config) = startup::config_from_environment() else {
        set_phase(OFF, Ordering::Release);
        return;
    };
    control.from_environment = true;
    match control.start(config) {
        Ok(()) => {}
        // The program runs without it, as it would.
        Err(error) if error.is_broken() => {
            control.from_environment = false;
            set_phase(OFF, Ordering::Release);
            hooks::write_to_stderr(&[
                "alloc-core: tracing could not be started: the system gave no memory for the tracer's tables\n",
            ]);
        }
        Err(error) => {
            startup::refuse(&["tracing could not be started: ", &error.to_string(), "\n"])
        }
    }
}

/// If the allocator is installed, and nothing was allocated yet, this calls [`begin`].
fn call_begin() {
    if is_unset() {
        // What is allocated here is not the program's.
        let _apart = AtStage::apart();
        drop(std::hint::black_box(Box::new(0_u8)));
    }
}

pub(crate) fn start_with(config: Config) -> Result<(), Error> {
    let _muted = thread::mute();
    call_begin();
    if is_unset() {
        return Err(Error::not_installed());
    }
    config.check()?;
    let _busy = Busy::begin();
    let mut control = lock();
    check_fault()?;
    match &control.session {
        None => control.start(config),
        Some(_) if control.from_environment => Ok(()),
        Some(running) if *running == config => Ok(()),
        Some(running) => Err(Error::already_tracing(running, &config)),
    }
}

/// Makes room for scopes, the first time.
pub(crate) fn prepare_scopes() -> Result<(), Error> {
    // The acquire pairs with the release below.
    if SCOPES_ARE_READY.load(Ordering::Acquire) {
        return Ok(());
    }
    if capture::is_for_the_test_harness() {
        prepare_scopes_with_stacks()?;
        scope::tell_printing();
    }
    prepare_scopes_now(scope::prepare, &SCOPES_ARE_READY)
}

/// Makes room for scopes that count by callsite, the first time.
pub(crate) fn prepare_scopes_with_stacks() -> Result<(), Error> {
    if STACKS_ARE_READY.load(Ordering::Acquire) {
        return Ok(());
    }
    capture::prepare_for_line();
    prepare_scopes_now(scope::prepare_stacks, &STACKS_ARE_READY)
}

#[cold]
fn prepare_scopes_now(
    prepare: impl FnOnce(Granule) -> Option<()>,
    ready: &AtomicBool,
) -> Result<(), Error> {
    let _muted = thread::mute();
    call_begin();
    if is_unset() {
        return Err(Error::not_installed());
    }
    let _busy = Busy::begin();
    let mut control = lock();
    let granule = *control.granule.get_or_insert(Granule::SMALLEST);
    if !hooks::prepare() {
        return Err(Error::out_of_memory("a key for thread-local data"));
    }
    control.method = Some(capture::prepare());
    if !ready.load(Relaxed) {
        prepare(granule).ok_or_else(|| Error::out_of_memory("scopes"))?;
        // The release shows what was prepared to the acquires above.
        ready.store(true, Ordering::Release);
    }
    Ok(())
}

static SCOPES_ARE_READY: AtomicBool = AtomicBool::new(false);
static STACKS_ARE_READY: AtomicBool = AtomicBool::new(false);

/// How often this process is a child of one that used the tracer.
pub(crate) fn forks() -> u32 {
    FORKS.load(Relaxed)
}

static FORKS: AtomicU32 = AtomicU32::new(0);

pub(crate) fn stop() {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    let _readers = lock_readers();
    let mut control = lock();
    if control.session.is_none() {
        return;
    }
    control.clear();
    control.session = None;
    control.from_environment = false;
    control.publish();
}

pub(crate) fn clear_traces() {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    let _readers = lock_readers();
    let mut control = lock();
    let Some(config) = control.session.take() else {
        return;
    };
    control.clear();
    if control.start(config).is_err() {
        give_up(Fault::OutOfMemory);
    }
}

pub(crate) fn reset_peak() {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    let _readers = lock_readers();
    let mut control = lock();
    if control.session.is_none() {
        return;
    }
    control.stand_still(|_| {
        // So that no thread goes on to hold back what is no part of the peak any more.
        TABLES.threads.claimed().for_each(ThreadState::fold_all);
        TABLES
            .callsites
            .iter()
            .for_each(|(_, callsite)| callsite.shared.reset_peak());
        TABLES.heap.reset_peak();
    });
    control.publish();
}

fn held_back() -> HeldBack {
    let states = TABLES.threads.iter().map(ThreadState::held_back);
    states.fold(HeldBack::NOTHING, HeldBack::plus)
}

/// Whether the heap has not shrunk since its peak. Where it is only counted, whoever is alone says so when it does.
pub(crate) fn is_rising() -> bool {
    TABLES.heap.rising() || only_counts() && TABLES.heap.is_at_peak(held_back().bytes)
}

pub(crate) fn traced_memory() -> TracedMemory {
    if is_on() {
        TracedMemory {
            sampled: sampling().is_some(),
            ..TABLES.heap.read(held_back)
        }
    } else {
        TracedMemory::default()
    }
}

/// The number of frames a traceback keeps, while tracing is on.
pub(crate) fn traceback_limit() -> Option<u16> {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    lock().session.as_ref().map(Config::traceback_limit)
}

pub(crate) fn capture_method() -> Option<CaptureMethod> {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    lock().method
}

pub(crate) fn tracer_memory() -> Bytes {
    let _muted = thread::mute();
    let _busy = Busy::begin();
    let _readers = lock_readers();
    let bytes = TABLES.blocks.resident()
        + TABLES.counted.resident()
        + TABLES.callsites.resident()
        + TABLES.threads.resident()
        + DRAWN.resident()
        + scope::resident()
        + capture::resident()
        + process::resident_names();
    Bytes::new(bytes as u64)
}

/// Runs `read` while the tables are there to be read, and other threads go on recording.
pub(crate) fn reading<R>(read: impl FnOnce(&Config) -> R) -> Result<R, Error> {
    let config = {
        let _busy = Busy::begin();
        let mut control = lock();
        control.detach_gone(64);
        control.session.clone()
    };
    // NOTE: between the two locks tracing may stop; then the tables are empty, not gone.
    let _readers = lock_readers();
    check_fault()?;
    match config {
        Some(config) if is_on() => Ok(read(&config)),
        _ => Err(Error::not_tracing()),
    }
}

/// What a fork holds on to, from before it to after.
pub(crate) struct Fork {
    _writing: MutexGuard<'static, ()>,
    _tracked: track::Held,
    _readers: MutexGuard<'static, ()>,
    control: Lock,
    busy: Busy,
}

/// Before a fork: nobody is in the middle of a record, and nobody holds a lock.
///
/// `None` in a signal handler that interrupted the control of the tracer: the thread may hold any of the locks.
pub(crate) fn before_fork() -> Option<Fork> {
    if thread::stage() == Stage::Busy {
        return None;
    }
    let writing = reporter::hold();
    let tracked = track::hold();
    let busy = Busy::begin();
    let readers = lock_readers();
    let mut control = lock();
    // NOTE: without a session, too: scopes that count by stack lock as well.
    control.stand_still(|_| ());
    Some(Fork {
        _writing: writing,
        _tracked: tracked,
        _readers: readers,
        control,
        busy,
    })
}

/// After a fork, in the parent.
pub(crate) fn after_fork_in_parent(fork: Fork) {
    let Fork {
        _writing,
        _tracked,
        _readers,
        mut control,
        busy,
    } = fork;
    control.publish();
    drop(control);
    drop(busy);
}

/// After a fork in the child, where [`before_fork`] could do nothing: what other threads were in the middle of stays so.
/// Nothing is recorded any more.
pub(crate) fn after_fork_unprepared() {
    FORKS.fetch_add(1, Relaxed);
    give_up(Fault::ForkWithinTracer);
}

/// After a fork, in the child: of all threads only the calling one is there. What the others had
/// counted stays counted.
pub(crate) fn after_fork_in_child(fork: Fork) {
    let Fork {
        _writing,
        _tracked,
        _readers,
        mut control,
        busy,
    } = fork;
    FORKS.fetch_add(1, Relaxed);
    capture::after_fork_in_child();
    let own = thread::current();
    for state in TABLES.threads.claimed() {
        if !own.is_some_and(|own| std::ptr::eq(own, state)) {
            TABLES.threads.give_back(state, &TABLES.events);
        }
    }
    if let Some(own) = own {
        own.is_of_this_thread();
    }
    control.attached = own.is_some().into();
    control.publish();
    drop(control);
    drop(_writing);
    reporter::start_in_child();
    drop(busy);
}
