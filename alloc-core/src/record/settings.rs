//! The settings of the session, as a record and a snapshot need them.

use crate::capture::LIBRARY_FRAMES;
use crate::system::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use crate::tables::sampling::Interval;

/// What a session records.
pub(crate) struct Settings {
    /// Number of return addresses that a record captures.
    pub(crate) capture_limit: usize,
    /// Bytes from one sample to the next; zero if every block is recorded.
    pub(crate) sample_every: u64,
    pub(crate) distinguishes_threads: bool,
    pub(crate) distinguishes_sizes: bool,
    pub(crate) ages: bool,
    pub(crate) counts_frees: bool,
    pub(crate) measures: bool,
    pub(crate) keeps_origins: bool,
}

/// Begins a session with these settings. NOTE: only under the control lock.
pub(crate) fn begin_session(settings: &Settings) {
    CAPTURE_LIMIT.store(settings.capture_limit, Relaxed);
    SESSION.fetch_add(1, Relaxed);
    SAMPLE_EVERY.store(settings.sample_every, Relaxed);
    DISTINGUISHES_THREADS.store(settings.distinguishes_threads, Relaxed);
    DISTINGUISHES_SIZES.store(settings.distinguishes_sizes, Relaxed);
    AGES.store(settings.ages, Relaxed);
    COUNTS_FREES.store(settings.counts_frees, Relaxed);
    MEASURES.store(settings.measures, Relaxed);
    KEEPS_ORIGINS.store(settings.keeps_origins, Relaxed);
}

static CAPTURE_LIMIT: AtomicUsize = AtomicUsize::new(0);

static SAMPLE_EVERY: AtomicU64 = AtomicU64::new(0);

static DISTINGUISHES_THREADS: AtomicBool = AtomicBool::new(false);

static DISTINGUISHES_SIZES: AtomicBool = AtomicBool::new(false);

static AGES: AtomicBool = AtomicBool::new(false);

static COUNTS_FREES: AtomicBool = AtomicBool::new(false);

static MEASURES: AtomicBool = AtomicBool::new(false);

static KEEPS_ORIGINS: AtomicBool = AtomicBool::new(false);

/// Number of the session. What a thread caches of one session is invalid in another.
static SESSION: AtomicU64 = AtomicU64::new(0);

/// The sampling interval, or `None` if every block is recorded.
#[inline(always)]
pub(crate) fn sampling() -> Option<Interval> {
    Interval::from_bytes(SAMPLE_EVERY.load(Relaxed))
}

/// A number that differs from run to run, made from the time.
pub(crate) fn seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |since| since.as_nanos() as u64 | 1)
}

/// Whether the session counts every block and captures no stacks.
pub(crate) fn only_counts() -> bool {
    capture_limit() == 0 && sampling().is_none()
}

/// Whether callsites of threads with different names are distinguished.
pub(crate) fn distinguishes_threads() -> bool {
    DISTINGUISHES_THREADS.load(Relaxed)
}

/// Whether callsites are distinguished by the size class of their blocks.
pub(crate) fn distinguishes_sizes() -> bool {
    DISTINGUISHES_SIZES.load(Relaxed)
}

/// Whether the session records how long blocks live.
pub(crate) fn ages() -> bool {
    AGES.load(Relaxed)
}

/// Whether the session counts who frees the blocks of each callsite.
pub(crate) fn counts_frees() -> bool {
    COUNTS_FREES.load(Relaxed)
}

/// Whether the session measures the usable sizes of blocks.
pub(crate) fn measures() -> bool {
    MEASURES.load(Relaxed)
}

/// Whether the session keeps the time and the exact size of each block.
pub(crate) fn keeps_origins() -> bool {
    KEEPS_ORIGINS.load(Relaxed)
}

/// Whether the session records more of each block than its stack.
pub(crate) fn extends() -> bool {
    ages() || measures() || counts_frees() || keeps_origins()
}

/// The number of the session.
pub(crate) fn session() -> u64 {
    SESSION.load(Relaxed)
}

/// Whether a session has ever begun.
pub(crate) fn was_ever_on() -> bool {
    SESSION.load(Relaxed) > 0
}

/// Whether a record captures only the user's line.
pub(crate) fn captures_line() -> bool {
    capture_limit() == 1 + LIBRARY_FRAMES
}

/// Number of return addresses that a record captures.
#[inline(always)]
pub(crate) fn capture_limit() -> usize {
    CAPTURE_LIMIT.load(Relaxed)
}
