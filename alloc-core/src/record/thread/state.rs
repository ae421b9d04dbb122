//! [`ThreadState`]: what one thread keeps for itself.

use std::cell::{Cell as Own, UnsafeCell};

use super::Events;
use crate::capture::Walker;
use crate::system::hooks;
use crate::system::sync::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::Relaxed,
};
use crate::tables::callsites::Recent;
use crate::tables::counted::MappedRange;
use crate::tables::counters::{Account, Cell};
use crate::tables::gaps::Range;
use crate::tables::growing::Growing;
use crate::tables::open_gap::OpenGap;
use crate::tables::tally::Tally;

/// How many callsites a thread counts without folding, as long as their ids do not collide: few at
/// first, and many once there are many.
const FEW_CELLS: usize = 64;

const MOST_CELLS: usize = 8192;

/// One thread's counters, walker and flags, of which a thread touches what it needs: 64 bytes for
/// each callsite up to [`MOST_CELLS`], 832 for each stack that is remembered, up to 256 of them,
/// and some pages.
///
/// # Who may do what
///
/// Only the owner, the thread that claimed the state, changes it, with plain loads and stores;
/// others read the counters for a snapshot. The one exception is
/// [`Control::stop_the_world`](crate::control::Control::stop_the_world): while the owner is known
/// not to record, the holder of the control lock may change everything.
///
/// # Its life
///
/// A thread claims a state at its first record and gives it back at its end, folded and empty; the
/// next thread takes it over. States are never freed, so there are as many as there were threads
/// at once.
#[repr(C, align(64))]
pub(crate) struct ThreadState {
    pub(super) cells: Growing<Cell, FEW_CELLS, MOST_CELLS>,
    pub(super) mode: AtomicU32,
    pub(super) claimed: AtomicBool,
    /// The last generation of the tracer that the thread saw: [`Account`] and ceiling belong to it.
    pub(super) generation: AtomicU64,
    /// What the [gate](crate::record::gate) holds in that generation while there are no scopes, if
    /// its session records every block, if it only counts, and if it takes a sample; else what is
    /// never seen.
    pub(super) recording: AtomicU64,
    pub(super) counting: AtomicU64,
    pub(super) drawing: AtomicU64,
    /// How many bytes from here on to the next one that is drawn for the sample.
    pub(super) until_sample: AtomicI64,
    pub(super) ceiling: AtomicI64,
    /// The last session of the tracer that the thread took part in.
    pub(super) session: AtomicU64,
    /// How many frames its walker shows.
    pub(super) frames: AtomicUsize,
    /// The session's choices, kept where a record looks anyway: the sampling interval or zero,
    /// whether stacks are captured, and if so, the user's line alone, and whether blocks are
    /// counted and nothing else.
    pub(super) sample_every: AtomicU64,
    pub(super) captures: AtomicBool,
    pub(super) captures_line: AtomicBool,
    pub(super) labels_sizes: AtomicBool,
    pub(super) only_counts: AtomicBool,
    /// What tells this thread's callsites apart from others', as a word, and its salt.
    pub(super) label: AtomicU64,
    pub(super) salt: AtomicU64,
    pub(crate) account: Account,
    /// A gap, and what lies between two, where a session that only counts met blocks: see
    /// [`Counted`](crate::tables::counted::Counted).
    pub(super) gap: Own<Range>,
    pub(super) outside: Own<MappedRange>,
    /// The gap again, as long as no block is left out.
    pub(crate) open_gap: OpenGap,
    pub(crate) tally: Tally,
    pub(super) random: AtomicU64,
    pub(crate) events: Events,
    /// How many uses of the tables are under way beside a record, each within the one before: those
    /// that began, and those of them that found that they may.
    pub(super) uses_begun: AtomicU32,
    pub(super) uses: AtomicU32,
    /// How often the end of the thread was put off, for other destructors to run before.
    pub(super) tls_destructor_rounds: AtomicU32,
    /// The thread, as the system names it.
    pub(super) thread: AtomicI32,
    pub(super) next: AtomicPtr<ThreadState>,
    /// The next that is nobody's, while this one is. NOTE: only under the control lock.
    pub(super) next_free: AtomicPtr<ThreadState>,
    pub(super) recent: Recent,
    pub(super) walker: UnsafeCell<Walker>,
}

// SAFETY: all fields are atomics but the walker, which only the owner touches, and only while it
// records: see `walker`; and `gap` and `outside`, of which the same is true.
unsafe impl Sync for ThreadState {}

impl ThreadState {
    /// Notes that it is the calling thread's.
    pub(crate) fn is_of_this_thread(&self) {
        self.thread.store(hooks::thread_id(), Relaxed);
    }

    /// Forgets all that was counted. NOTE: only while the owner stands still.
    pub(crate) fn clear(&self) {
        for cell in self.cells.iter().filter(|cell| cell.callsite() != 0) {
            cell.empty_for(0, 0);
        }
        self.tally.empty(0);
        self.account.clear();
        self.events.clear();
    }
}
