//! [`ThreadState`]: the recording state of one thread.

use std::cell::{Cell as Own, UnsafeCell};

use super::Events;
use crate::capture::Walker;
use crate::system::hooks;
use crate::system::sync::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::Relaxed,
};
use crate::tables::callsites::Recent;
use crate::tables::counted::MappedRange;
use crate::tables::counters::{Account, Cell, Sums};
use crate::tables::growing::Growing;
use crate::tables::open_gap::OpenGap;
use crate::tables::tally::Tally;
use crate::tables::unmapped_ranges::Range;
use crate::tables::{frees, lifetimes};

/// Number of callsites that a thread counts without folding, as long as their ids do not collide:
/// few at first, more when needed.
const FEW_CELLS: usize = 64;

const MOST_CELLS: usize = 8192;

/// One thread's counters, walker and flags. A thread touches only what it needs: 64 bytes for each
/// callsite up to [`MOST_CELLS`], 832 for each cached stack up to 256 of them, and some pages.
///
/// # Who may do what
///
/// Only the owner, the thread that claimed the state, changes it, with plain loads and stores.
/// Other threads read the counters for a snapshot. The one exception is
/// [`Control::stop_the_world`](crate::control::Control::stop_the_world): while the owner is known
/// not to record, the holder of the control lock may change everything.
///
/// # Lifetime
///
/// A thread claims a state at its first record and gives it back at its end, folded and empty; the
/// next thread reuses it. States are never freed, so there are as many as threads have run at the
/// same time.
#[repr(C, align(64))]
pub(crate) struct ThreadState {
    pub(super) cells: Growing<Cell, FEW_CELLS, MOST_CELLS>,
    pub(super) mode: AtomicU32,
    pub(super) claimed: AtomicBool,
    /// The last generation of the tracer that the thread joined. [`Account`] and ceiling belong to
    /// it.
    pub(super) generation: AtomicU64,
    /// The [gate](crate::record::gate) word of that generation without scopes, in the one field
    /// that matches the session's mode: exact, counting only, sampling, or exact with more than
    /// stacks. The other fields hold a value that the gate never has.
    pub(super) recording: AtomicU64,
    pub(super) counting: AtomicU64,
    pub(super) drawing: AtomicU64,
    pub(super) extending: AtomicU64,
    /// Bytes until the next sampled one.
    pub(super) until_sample: AtomicI64,
    pub(super) ceiling: AtomicI64,
    /// The last session that the thread took part in.
    pub(super) session: AtomicU64,
    /// Number of frames that the walker captures.
    pub(super) frames: AtomicUsize,
    /// The session's settings, cached next to other fields that a record reads: the sampling
    /// interval or zero, whether stacks are captured, whether only the user's line is, and whether
    /// blocks are only counted.
    pub(super) sample_every: AtomicU64,
    pub(super) captures: AtomicBool,
    pub(super) captures_line: AtomicBool,
    pub(super) only_counts: AtomicBool,
    /// The [tag](crate::tables::callsite_tag::CallsiteTag) of this thread's callsites without the
    /// size class, as a word, and its salt.
    pub(super) tag: AtomicU64,
    pub(super) tag_salt: AtomicU64,
    /// The size class of the last capture, and the salt of the whole tag.
    pub(super) size_class: AtomicU8,
    pub(super) salt: AtomicU64,
    /// Why the next capture updates the tag: [`STALE_LABEL`](super::join::STALE_LABEL) or
    /// [`TAGS_SIZES`](super::join::TAGS_SIZES); zero if it need not.
    pub(super) tag_updates: AtomicU8,
    pub(crate) account: Account,
    /// The gap and the range between two gaps where a session that only counts last met blocks: see
    /// [`Counted`](crate::tables::counted::Counted).
    pub(super) gap: Own<Range>,
    pub(super) outside: Own<MappedRange>,
    /// The gap again, open as long as no block is excluded.
    pub(crate) open_gap: OpenGap,
    pub(crate) tally: Tally,
    pub(super) random: AtomicU64,
    /// What the thread holds back of a session that records lifetimes: bytes that the clock does
    /// not count yet, and deaths.
    pub(super) uncounted_bytes: AtomicU64,
    pub(super) deaths: lifetimes::Pending,
    /// What the thread freed and holds back, in a session that counts who frees.
    pub(super) counts_frees: AtomicBool,
    pub(super) frees: frees::Pending,
    pub(super) copies: Sums<32>,
    /// Whether the session measures the usable sizes of blocks, and what the thread holds back of
    /// them: those of blocks that were allocated, and of blocks that were freed.
    pub(super) measures: AtomicBool,
    pub(super) usable: [Sums<128>; 2],
    pub(crate) events: Events,
    /// Nesting depth of table uses outside a record: how many have begun, and how many of those
    /// found that they may go on.
    pub(super) uses_begun: AtomicU32,
    pub(super) uses: AtomicU32,
    /// Number of destructor rounds by which the thread's end was deferred, so that other
    /// destructors run first.
    pub(super) tls_destructor_rounds: AtomicU32,
    /// The system's id of the thread.
    pub(super) thread: AtomicI32,
    pub(super) next: AtomicPtr<ThreadState>,
    /// The next state in the free list. NOTE: only under the control lock.
    pub(super) next_free: AtomicPtr<ThreadState>,
    pub(super) recent: Recent,
    pub(super) walker: UnsafeCell<Walker>,
}

// SAFETY: all fields are atomics except `walker`, `gap` and `outside`. Only the owner touches
// those, and only while it records: see `walker`.
unsafe impl Sync for ThreadState {}

impl ThreadState {
    /// Stores that the state belongs to the calling thread.
    pub(crate) fn is_of_this_thread(&self) {
        self.thread.store(hooks::thread_id(), Relaxed);
    }

    /// Clears all counts. NOTE: only while the owner is stopped.
    pub(crate) fn clear(&self) {
        for cell in self.cells.iter().filter(|cell| cell.callsite() != 0) {
            cell.empty_for(0, 0);
        }
        self.tally.empty(0);
        self.account.clear();
        self.clear_lifetimes();
        self.frees.clear();
        self.clear_sums();
        self.events.clear();
    }
}
