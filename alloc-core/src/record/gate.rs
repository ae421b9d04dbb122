//! The gate: one word that says what to do about an event, which every record looks at.
//!
//! # The generation
//!
//! The word changes whenever threads must take note of something: a new session, a first companion,
//! a peak that was reset. A thread whose own copy differs joins the new generation before it
//! records.
//!
//! The lowest bits of the word count the scopes that are alive, or a block of which is. So one look
//! shows that there is nothing to do at all. Scopes come and go without a lock, and generations do
//! not care.
//!
//! The highest bit says that something is [asked for](ask) of the next thread that allocates or
//! frees.
//!
//! | bits | meaning |
//! | --- | --- |
//! | 0 to 23 | scopes that are alive, or of which a block is |
//! | 24 | the thread is alone |
//! | 25 | a sample is recorded |
//! | 26 | more of each block is recorded: its birth, its usable size, who frees it |
//! | 27 | blocks are only counted; with bit 25, tracing is off |
//! | 28 to 62 | the serial number of the generation; zero in those that do not record |
//! | 63 | an answer is pending: see [`ask`] |

use once_cell::race::OnceRef;

use crate::Error;
use crate::system::hooks;
use crate::system::sync::{AtomicU32, AtomicU64, Ordering, compiler_fence, fence};
use crate::tables::counters::Concurrency;
use Ordering::Relaxed;

/// Tracing is off. It looks like no generation that records.
pub(crate) const OFF: u64 = SAMPLED | COUNTED;

/// Nothing was ever recorded: the environment has not been read yet.
pub(crate) const UNSET: u64 = 1;

/// The world is stopping: no thread may begin a record until the holder of the control lock is
/// done.
pub(crate) const PAUSED: u64 = 4;

/// The world is stopped: no record is under way, so the tables may change.
pub(crate) const STILL: u64 = 5;

/// In generations that record the low bits say how, the rest is a serial number: whether a thread
/// is alone, and whether a sample is recorded, or all, or whether only the heap is counted.
pub(crate) const FIRST_GENERATION: u64 = 16;

pub(crate) const ALONE: u64 = 1;

pub(crate) const SAMPLED: u64 = 2;

/// NOTE: also the number of [`PAUSED`], which no fast path records in.
pub(crate) const EXTENDED: u64 = 4;

pub(crate) const COUNTED: u64 = 8;

/// How many generations there are before their numbers begin again.
pub(crate) const GENERATIONS: u64 = (1 << (63 - SCOPE_BITS)) / FIRST_GENERATION - 1;

/// How many bits of the word, the lowest, count scopes.
const SCOPE_BITS: u32 = 24;

const SCOPES: u64 = (1 << SCOPE_BITS) - 1;

/// Bit of the word: see [`ask`].
const ASKED: u64 = 1 << 63;

static GATE: AtomicU64 = AtomicU64::new(UNSET << SCOPE_BITS);

#[inline(always)]
pub(crate) fn generation() -> u64 {
    // The acquire pairs with the release in `set_generation`: a new generation's tables are seen.
    (GATE.load(Ordering::Acquire) & !ASKED) >> SCOPE_BITS
}

/// Whether this is the generation, and no answer is pending.
#[inline(always)]
pub(crate) fn is_undisturbed_at(generation: u64) -> bool {
    // The acquire as in `generation`.
    GATE.load(Ordering::Acquire) >> SCOPE_BITS == generation
}

/// Whether records are made, now or after a pause.
pub(crate) fn is_on() -> bool {
    !matches!(generation(), OFF | UNSET)
}

/// Whether no thread may begin a record: wait, and load the word again.
pub(crate) fn is_paused(generation: u64) -> bool {
    matches!(generation, PAUSED | STILL)
}

/// What a session does about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Record it, as every block, with its stack. What is no generation that records counts as
    /// such.
    Whole,
    /// Record it if the sample draws it.
    Sampled,
    /// Count it, as every block.
    Counted,
    /// Nothing: tracing is off.
    Off,
}

/// The word as it was at one load.
#[derive(Clone, Copy)]
pub(crate) struct GateWord(u64);

#[inline(always)]
pub(crate) fn gate_word() -> GateWord {
    // The acquire as in `generation`.
    GateWord(GATE.load(Ordering::Acquire))
}

impl GateWord {
    /// What is seen in this generation while there are no scopes.
    pub(crate) fn at(generation: u64) -> GateWord {
        GateWord(generation << SCOPE_BITS)
    }

    /// What is never seen: there is no such generation.
    pub(crate) const NEVER: GateWord = GateWord(0);

    pub(crate) fn word(self) -> u64 {
        self.0
    }

    /// Whether there is nothing to do: tracing is off, and neither a scope nor a block of one is
    /// alive.
    #[inline(always)]
    pub(crate) fn is_idle(self) -> bool {
        self.0 == OFF << SCOPE_BITS
    }

    /// Whether there are no scopes, and the session, if there is one, records every block, or
    /// counts it. What is no generation that records looks like one that records every block.
    ///
    /// NOTE: relaxed order is enough for scopes. A thread that is in one, or has a block of one,
    /// changed the word itself or received the block from a thread that did.
    #[inline(always)]
    pub(crate) fn is_exact(self) -> bool {
        self.0 & (SCOPES | SAMPLED << SCOPE_BITS) == 0
    }

    /// Whether the session does something else about every block than to record it with its stack.
    #[inline(always)]
    pub(crate) fn is_special(self) -> bool {
        self.0 & (COUNTED | EXTENDED) << SCOPE_BITS != 0
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

    /// The word without its count of scopes.
    pub(crate) fn without_scopes(self) -> GateWord {
        GateWord(self.0 & !SCOPES)
    }

    /// What tracing has to do about an event, whether there are scopes or not.
    #[inline(always)]
    pub(crate) fn how(self) -> Mode {
        let is = |flag: u64| self.0 & flag << SCOPE_BITS != 0;
        match (is(SAMPLED), is(COUNTED)) {
            (false, false) => Mode::Whole,
            (true, false) => Mode::Sampled,
            (false, true) => Mode::Counted,
            (true, true) => Mode::Off,
        }
    }
}

pub(crate) fn concurrency(generation: u64) -> Concurrency {
    if generation & ALONE != 0 {
        Concurrency::Single
    } else {
        Concurrency::Multi
    }
}

/// Has every thread call [`answer`] before its next record, until that is [done](unask).
///
/// Async-signal-safe. The bit makes the word differ from the one that a thread joined, so the fast
/// path fails and costs nothing more.
pub(crate) fn ask() {
    // The release shows why to the acquire in `unask`.
    GATE.fetch_or(ASKED, Ordering::Release);
}

pub(crate) fn unask() {
    // The acquire pairs with the release in `ask`.
    GATE.fetch_and(!ASKED, Ordering::Acquire);
}

pub(crate) fn is_asked() -> bool {
    GATE.load(Relaxed) & ASKED != 0
}

pub(crate) fn scope_began() {
    GATE.fetch_add(1, Relaxed);
}

pub(crate) fn scope_ended() {
    GATE.fetch_sub(1, Relaxed);
}

/// Sets the generation, and keeps the count of scopes and the bit of [`ask`].
pub(crate) fn set_generation(generation: u64, order: Ordering) {
    let changed = |word: u64| Some(word & (ASKED | SCOPES) | generation << SCOPE_BITS);
    let _ = GATE.fetch_update(order, Relaxed, changed);
}

/// Orders the mark of a record before the load of the generation.
#[inline(always)]
pub(crate) fn fence_after_enter() {
    if cfg!(all(target_os = "linux", target_arch = "x86_64", not(miri))) {
        // PERF: the compiler must not reorder; the processor is dealt with by `control::barrier`. A
        // real fence would add some 6 ns to every record.
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// The function that [`answer`] calls. Neither `set` nor `get` blocks.
static ANSWER: OnceRef<'static, fn()> = OnceRef::new();

/// Registers what a thread calls before its next record while something is [asked for](ask).
pub(crate) fn register_answer(answer: &'static fn()) {
    let _ = ANSWER.set(answer);
}

/// Calls what was [registered](register_answer), if an answer is pending.
pub(crate) fn answer() {
    if let Some(answer) = ANSWER.get().filter(|_| is_asked()) {
        answer();
    }
}

/// What went wrong, if something did: the number of a [`Fault`].
static FAULT: AtomicU32 = AtomicU32::new(0);

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
    set_generation(OFF, Ordering::Release);
    if let (true, Some(reason)) = (first, Fault::reason(fault as u32)) {
        hooks::write_to_stderr(&["alloc-core: tracing stopped: ", reason, "\n"]);
    }
}

/// Why nothing is recorded now.
pub(crate) fn why_off() -> Error {
    check_fault().err().unwrap_or_else(Error::not_tracing)
}

pub(crate) fn check_fault() -> Result<(), Error> {
    Fault::reason(FAULT.load(Relaxed)).map_or(Ok(()), |reason| Err(Error::broken(reason)))
}

/// Whether the tracer broke down.
pub(crate) fn is_broken() -> bool {
    FAULT.load(Relaxed) != 0
}
