//! What each thread keeps for itself, and the list of all threads that keep something.

use std::cell::{Cell as Own, UnsafeCell};
use std::ptr::{self, NonNull};

use crate::capture::{StackBounds, Walker};
use crate::control::Look;
use crate::record::tracer::{TABLES, control};
use crate::scope::SlotId;
use crate::system::arena;
use crate::system::hooks;
use crate::system::signal_mask::Blocked;
use crate::system::sync::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
    Ordering, fence,
};
use crate::tables::blocks::InsertError;
use crate::tables::callsites::{CallsiteId, Recent};
use crate::tables::counted::Outside;
use crate::tables::counters::{
    Account, Cell, CellCeiling, Company, Delta, HeldBack, SharedCounters,
};
use crate::tables::gaps::Range;
use crate::tables::growing::Growing;
use crate::tables::label::{Label, SizeClass, ThreadName};
use crate::tables::open_gap::OpenGap;
use crate::tables::sampling::{Interval, Rounding};
use crate::tables::tally::Tally;
use Ordering::Relaxed;

/// How many callsites a thread counts without folding, as long as their ids do not collide: few at first, and many
/// once there are many.
const FEW_CELLS: usize = 64;
const MOST_CELLS: usize = 8192;

/// One thread's counters, walker and flags, of which a thread touches what it needs: 64 bytes for each callsite up
/// to [`MOST_CELLS`], 832 for each stack that is remembered, up to 256 of them, and some pages.
///
/// # Who may do what
///
/// Only the owner, the thread that claimed the state, changes it, with plain loads and stores;
/// others read the counters for a snapshot. The one exception is
/// [`Control::stand_still`](crate::control::Control::stand_still): while the owner is known not to
/// record, the holder of the control lock may change everything.
///
/// # Its life
///
/// A thread claims a state at its first record and gives it back at its end, folded and empty; the
/// next thread takes it over. States are never freed, so there are as many as there were threads
/// at once.
#[repr(C, align(64))]
pub(crate) struct ThreadState {
    cells: Growing<Cell, FEW_CELLS, MOST_CELLS>,
    mode: AtomicU32,
    claimed: AtomicBool,
    /// The last phase of the tracer that the thread saw: [`Account`] and ceiling belong to it.
    phase: AtomicU64,
    /// What a [look](control::look) sees in that phase while there are no scopes, if its session records every
    /// block, if it only counts, and if it takes a sample; else what is never seen.
    recording: AtomicU64,
    counting: AtomicU64,
    drawing: AtomicU64,
    /// How many bytes from here on to the next one that is drawn for the sample.
    until_sample: AtomicI64,
    ceiling: AtomicI64,
    /// The last session of the tracer that the thread took part in.
    session: AtomicU64,
    /// How many frames its walker shows.
    frames: AtomicUsize,
    /// The session's choices, kept where a record looks anyway: the sampling interval or zero, whether
    /// stacks are captured, and if so, the user's line alone, and whether blocks are counted and nothing else.
    sample_every: AtomicU64,
    captures: AtomicBool,
    captures_line: AtomicBool,
    labels_sizes: AtomicBool,
    only_counts: AtomicBool,
    /// What tells this thread's callsites apart from others', as a word, and its salt.
    label: AtomicU64,
    salt: AtomicU64,
    pub(crate) account: Account,
    /// A gap, and what lies between two, where a session that only counts met blocks: see
    /// [`Counted`](crate::tables::counted::Counted).
    gap: Own<Range>,
    outside: Own<Outside>,
    /// The gap again, as long as no block is left out.
    pub(crate) open_gap: OpenGap,
    pub(crate) tally: Tally,
    random: AtomicU64,
    pub(crate) events: Events,
    /// How many uses of the tables are under way beside a record, each within the one before: those that began, and
    /// those of them that found that they may.
    uses_begun: AtomicU32,
    uses: AtomicU32,
    /// How often the end of the thread was put off, for other destructors to run before.
    farewells: AtomicU32,
    /// The thread, as the system names it.
    thread: AtomicI32,
    next: AtomicPtr<ThreadState>,
    /// The next that is nobody's, while this one is. NOTE: only under the control lock.
    next_free: AtomicPtr<ThreadState>,
    recent: Recent,
    walker: UnsafeCell<Walker>,
}

// SAFETY: all fields are atomics but the walker, which only the owner touches, and only while it
// records: see `walker`; and `gap` and `outside`, of which the same is true.
unsafe impl Sync for ThreadState {}

/// What a thread could not record, counted.
#[repr(C)]
pub(crate) struct Events {
    skipped: AtomicU64,
    unknown_frees: AtomicU64,
    lost_blocks: AtomicU64,
}

impl Events {
    pub(crate) const fn new() -> Events {
        Events {
            skipped: AtomicU64::new(0),
            unknown_frees: AtomicU64::new(0),
            lost_blocks: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(crate) fn skipped(&self) {
        self.skipped.store(self.skipped.load(Relaxed) + 1, Relaxed);
    }

    #[inline]
    pub(crate) fn unknown_free(&self) {
        self.unknown_frees
            .store(self.unknown_frees.load(Relaxed) + 1, Relaxed);
    }

    #[inline]
    pub(crate) fn lost_block(&self) {
        self.lost_blocks
            .store(self.lost_blocks.load(Relaxed) + 1, Relaxed);
    }

    /// A block was not noted.
    #[cold]
    pub(crate) fn not_inserted(&self, error: InsertError) {
        self.skipped();
        if error == InsertError::OutOfMemory {
            control::give_up(control::Fault::OutOfMemory);
        }
    }

    pub(crate) fn add_to(&self, health: &mut crate::Health) {
        health.skipped += self.skipped.load(Relaxed);
        health.unknown_frees += self.unknown_frees.load(Relaxed);
        health.lost_blocks += self.lost_blocks.load(Relaxed);
    }

    /// Moves these counts to `others`. NOTE: only under the control lock.
    fn move_to(&self, others: &Events) {
        for (mine, theirs) in [
            (&self.skipped, &others.skipped),
            (&self.unknown_frees, &others.unknown_frees),
            (&self.lost_blocks, &others.lost_blocks),
        ] {
            theirs.fetch_add(mine.swap(0, Relaxed), Relaxed);
        }
    }

    /// Forgets the counts. NOTE: only under the control lock.
    pub(crate) fn clear(&self) {
        self.skipped.store(0, Relaxed);
        self.unknown_frees.store(0, Relaxed);
        self.lost_blocks.store(0, Relaxed);
    }
}

/// Bit of `mode`: a record is being made; the tables must stay as they are.
const RECORDING: u32 = 1;
/// Step of `mode`: how many [`Muted`] guards are alive.
const MUTED: u32 = 2;

impl ThreadState {
    /// Whether the thread is inside the tracer: a record would be one of the tracer itself.
    #[inline(always)]
    pub(crate) fn is_inside(&self) -> bool {
        self.mode.load(Relaxed) != 0
    }

    /// Whether the tables are in use by a record of this thread.
    pub(crate) fn is_recording(&self) -> bool {
        // The acquire pairs with the release in `leave`: what was recorded is seen.
        self.mode.load(Ordering::Acquire) & RECORDING != 0
    }

    /// Marks the begin of a record, and returns what to pass to [`leave`](Self::leave).
    #[inline(always)]
    pub(crate) fn enter(&self) -> u32 {
        let mode = self.mode.load(Relaxed);
        self.mode.store(mode | RECORDING, Relaxed);
        control::fence_after_enter();
        mode
    }

    /// The same, for a thread that is not [inside](Self::is_inside): to be left with zero.
    #[inline(always)]
    pub(crate) fn enter_from_outside(&self) {
        self.mode.store(RECORDING, Relaxed);
        control::fence_after_enter();
    }

    #[inline(always)]
    pub(crate) fn leave(&self, mode: u32) {
        // The release pairs with the acquire in `is_recording`.
        self.mode.store(mode, Ordering::Release);
    }

    /// Runs `work`, which uses the tables beside a record or within one, as soon as `may` says that it may.
    /// In between it calls `wait`.
    ///
    /// A signal handler may interrupt one use by another. That goes on at once if the first may, since whoever has all
    /// stand still waits for it.
    pub(crate) fn use_tables<R>(
        &self,
        may: impl Fn() -> bool,
        wait: impl Fn(),
        work: impl FnOnce() -> R,
    ) -> R {
        let (begun, uses) = (self.uses_begun.load(Relaxed), self.uses.load(Relaxed));
        loop {
            self.uses_begun.store(begun + 1, Relaxed);
            // The fence orders the mark before the look at the phase; it pairs with that of `stand_still`, between the
            // phase and the look at the marks. Either the phase is seen here, or the mark there.
            fence(Ordering::SeqCst);
            if uses > 0 || may() {
                break;
            }
            // NOTE: nor is one within which this began before it looked, and which looks after this.
            self.uses_begun.store(0, Ordering::Release);
            wait();
        }
        self.uses.store(uses + 1, Relaxed);
        let result = work();
        self.uses.store(uses, Relaxed);
        // The release pairs with the acquire in `uses_tables`: what was changed is seen.
        self.uses_begun.store(begun, Ordering::Release);
        result
    }

    /// Whether the [use](Self::use_tables) of the tables that is under way interrupted another. NOTE: by the owner.
    pub(crate) fn uses_tables_within(&self) -> bool {
        self.uses.load(Relaxed) > 1
    }

    /// Whether somebody may wait for the thread: it records, or uses the tables beside. So a signal handler of its own
    /// must not wait for that one.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.is_recording() || self.uses_tables()
    }

    /// Whether a [use](Self::use_tables) of the tables is under way.
    pub(crate) fn uses_tables(&self) -> bool {
        self.uses_begun.load(Ordering::Acquire) != 0
    }

    /// The phase that the thread last joined.
    #[inline(always)]
    pub(crate) fn phase(&self) -> u64 {
        self.phase.load(Relaxed)
    }

    /// Whether what was seen is the phase that the thread last joined, without scopes, and its session records every
    /// block.
    #[inline(always)]
    pub(crate) fn records_at(&self, look: Look) -> bool {
        look.word() == self.recording.load(Relaxed)
    }

    /// The same for a session that only counts.
    #[inline(always)]
    pub(crate) fn counts_at(&self, look: Look) -> bool {
        look.word() == self.counting.load(Relaxed)
    }

    /// The same for a session that takes a sample.
    #[inline(always)]
    fn samples_at(&self, look: Look) -> bool {
        look.word() == self.drawing.load(Relaxed)
    }

    /// Whether the session that the thread last joined only counts.
    ///
    /// NOTE: not told by `counting`, which a signal handler changes that interrupts a record.
    #[inline(always)]
    pub(crate) fn only_counts(&self) -> bool {
        self.only_counts.load(Relaxed)
    }

    /// Takes part in `phase`, in this company.
    pub(crate) fn join(&self, phase: u64, company: Company) {
        // NOTE: alone, it is no part of the account; see `Tally`.
        self.fold_tally();
        let ceiling = match company {
            Company::Alone => CellCeiling::ONE_THREAD,
            Company::WithOthers => CellCeiling::MANY_THREADS,
        };
        if self.ceiling.swap(ceiling.0, Relaxed) != ceiling.0 {
            self.fold_cells();
        }
        // SAFETY: this is the owner, a record is under way, and the reference ends here.
        let walker = unsafe { self.walker() };
        if self.session.swap(control::session(), Relaxed) != control::session() {
            walker.forget();
            self.recent.clear();
            self.name(walker);
        }
        walker.set_limit(control::capture_limit());
        self.frames.store(control::capture_limit(), Relaxed);
        self.captures_line.store(control::captures_line(), Relaxed);
        self.labels_sizes.store(control::labels_sizes(), Relaxed);
        self.captures.store(control::capture_limit() != 0, Relaxed);
        self.only_counts.store(control::only_counts(), Relaxed);
        let every = control::sampling().map_or(0, Interval::bytes);
        self.sample_every.store(every, Relaxed);
        if let Some(interval) = self.sampling() {
            self.draw(interval);
        }
        // NOTE: whoever moved the epoch for this thread, where it could not record, had it join again.
        self.tally.save_if_old(TABLES.epoch());
        self.account.begin(company, &TABLES.heap);
        let (look, never) = (Look::at(phase).word(), Look::NEVER.word());
        let (recording, counting, drawing) = match control::sampling() {
            _ if control::only_counts() => (never, look, never),
            None => (look, never, never),
            Some(_) => (never, never, look),
        };
        self.gap.set(Range::default());
        self.open_gap.shut();
        self.outside.set(Outside::NONE);
        self.recording.store(recording, Relaxed);
        self.counting.store(counting, Relaxed);
        self.drawing.store(drawing, Relaxed);
        self.phase.store(phase, Relaxed);
    }

    /// A gap where blocks are.
    pub(crate) fn gap(&self) -> Range {
        self.gap.get()
    }

    /// Has the gap at hand as long as no block is left out.
    pub(crate) fn open_gap(&self) {
        let Range { start, len } = self.gap.get();
        let is_one_left_out = || TABLES.counted.has_left_out();
        self.open_gap.open(start, len, is_one_left_out);
    }

    /// The place of a block in the table of what lies between two gaps, if that is at hand.
    ///
    /// # Safety
    ///
    /// The caller is the owner, and a record is under way that counts, as long as the place is used.
    #[inline(always)]
    pub(crate) unsafe fn outside_place(&self, address: usize) -> Option<&AtomicU8> {
        // SAFETY: no other reference is alive; what is pointed to is the table, by the caller's promise.
        let outside = unsafe { &*self.outside.as_ptr() };
        // SAFETY: the caller's promise.
        unsafe { outside.place(address) }
    }

    /// Has what lies around a block at hand.
    pub(crate) fn keep_around(&self, address: usize) {
        match TABLES.counted.around(address) {
            Ok(gap) => {
                self.gap.set(gap);
                self.open_gap();
            }
            Err(Some(outside)) => self.outside.set(outside),
            Err(None) => {}
        }
    }

    /// What walks the stack, showing `frames` frames until the thread joins a phase again.
    ///
    /// # Safety
    ///
    /// As [`walker`](Self::walker); or the thread is muted.
    #[expect(
        clippy::mut_from_ref,
        reason = "nobody records with this state meanwhile"
    )]
    pub(crate) unsafe fn walker_for(&self, frames: usize) -> &mut Walker {
        // SAFETY: the caller's promise.
        let walker = unsafe { self.walker() };
        if self.frames.swap(frames, Relaxed) != frames {
            walker.forget();
            walker.set_limit(frames);
            // NOTE: no session is this one: what is remembered is forgotten again.
            self.session.store(u64::MAX, Relaxed);
            self.rejoin_later();
        }
        walker
    }

    /// Notes who the thread is, if the session tells threads apart.
    fn name(&self, walker: &mut Walker) {
        let label = Label {
            domain: 0,
            thread: if control::tells_threads_apart() {
                ThreadName::of_this_thread()
            } else {
                ThreadName::default()
            },
            size: SizeClass::default(),
        };
        self.set_label(label, walker);
    }

    fn set_label(&self, label: Label, walker: &mut Walker) {
        self.label.store(label.word(), Relaxed);
        self.salt.store(label.salt(), Relaxed);
        walker.set_tag(label.word());
    }

    /// Whether the session distinguishes callsites by the size of their blocks.
    #[inline(always)]
    pub(crate) fn labels_sizes(&self) -> bool {
        self.labels_sizes.load(Relaxed)
    }

    /// Labels what is allocated next with its size class. The caller owns the state, and a record is under way.
    #[cold]
    #[inline(never)]
    pub(crate) fn label_size(&self, size: usize) {
        let (label, size) = (self.label(), SizeClass::of(size));
        if label.size != size {
            // SAFETY: this is the owner, a record is under way, and the reference ends here.
            let walker = unsafe { self.walker() };
            self.set_label(Label { size, ..label }, walker);
        }
    }

    /// What tells this thread's callsites apart from others'.
    pub(crate) fn label(&self) -> Label {
        Label::from_word(self.label.load(Relaxed))
    }

    /// The [salt](Label::salt) of the label.
    #[inline(always)]
    pub(crate) fn salt(&self) -> u64 {
        self.salt.load(Relaxed)
    }

    /// Has the thread join the present phase again before its next record.
    pub(crate) fn rejoin_later(&self) {
        // NOTE: no phase is this one. Were it that of a stopped tracer, a record that began just before
        // the stop would be made after it.
        self.phase.store(u64::MAX, Relaxed);
        self.recording.store(Look::NEVER.word(), Relaxed);
        self.counting.store(Look::NEVER.word(), Relaxed);
        self.drawing.store(Look::NEVER.word(), Relaxed);
    }

    #[inline(always)]
    pub(crate) fn sampling(&self) -> Option<Interval> {
        Interval::from_bytes(self.sample_every.load(Relaxed))
    }

    pub(crate) fn captures(&self) -> bool {
        self.captures.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn captures_line(&self) -> bool {
        self.captures_line.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn ceiling(&self) -> CellCeiling {
        CellCeiling(self.ceiling.load(Relaxed))
    }

    /// Whether an allocation of this size is known, without a record, not to be drawn for the sample of
    /// the phase that was seen.
    #[inline(always)]
    pub(crate) fn passes_over(&self, size: usize, look: Look) -> bool {
        if !self.samples_at(look) {
            return false;
        }
        let (until, size) = (self.until_sample.load(Relaxed), size as i64);
        let passes_over = until > size;
        if passes_over {
            self.until_sample.store(until - size, Relaxed);
        }
        passes_over
    }

    /// Whether a block of this size is drawn for the sample, and how it is rounded then.
    #[inline(always)]
    pub(crate) fn drawn(&self, size: usize, interval: Interval) -> Option<Rounding> {
        let until = self.until_sample.load(Relaxed).wrapping_sub(size as i64);
        self.until_sample.store(until, Relaxed);
        (until <= 0).then(|| self.draw(interval))
    }

    #[cold]
    fn draw(&self, interval: Interval) -> Rounding {
        let mut random = self.random.load(Relaxed);
        if random == 0 {
            // No two threads, and no two runs, draw alike.
            random = std::ptr::from_ref(self) as u64 ^ control::seed();
        }
        let (until, rounding) = interval.draw(&mut random);
        self.until_sample.store(until, Relaxed);
        self.random.store(random, Relaxed);
        rounding
    }

    /// The callsites that the thread met last.
    #[inline(always)]
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// What walks the stack.
    ///
    /// # Safety
    ///
    /// The caller is the owner and records, and no other reference from here is alive.
    #[expect(
        clippy::mut_from_ref,
        reason = "the record that is under way is the only user"
    )]
    #[inline(always)]
    pub(crate) unsafe fn walker(&self) -> &mut Walker {
        // SAFETY: the caller's promise. A record is not interrupted by another of the same thread:
        // that one finds `is_inside`.
        unsafe { &mut *self.walker.get() }
    }

    /// The cell for a callsite, emptied for it if another had it.
    #[inline(always)]
    pub(crate) fn cell(&self, id: CallsiteId, epoch: u64) -> &Cell {
        let cell = self.place_of(id);
        if cell.callsite() != id.get() {
            return self.take_over(cell, id, epoch);
        }
        cell
    }

    /// The cell that is a callsite's, or could be.
    #[inline(always)]
    pub(crate) fn place_of(&self, id: CallsiteId) -> &Cell {
        self.cells.place(id.get() as usize)
    }

    /// The cell for a callsite, which another had. NOTE: a record is under way, in the phase that the account
    /// belongs to.
    #[cold]
    fn take_over(&self, cell: &Cell, id: CallsiteId, epoch: u64) -> &Cell {
        if cell.callsite() != 0 && self.cells.has_made_way() {
            self.fold_cells();
            self.cells.grow();
        }
        let cell = self.place_of(id);
        if self.account.is_alone() {
            fold(cell, id.get(), epoch, Cell::fold_alone_into);
        } else {
            fold(cell, id.get(), epoch, Cell::fold_into);
        }
        cell
    }

    /// Folds a cell that holds back too much.
    #[cold]
    pub(crate) fn fold(&self, cell: &Cell, epoch: u64) {
        fold(cell, cell.callsite(), epoch, Cell::fold_into);
    }

    /// What the thread holds back of a callsite's counters.
    pub(crate) fn delta(&self, id: CallsiteId) -> Option<Delta> {
        if id == CallsiteId::HEAP && control::only_counts() {
            return Some(self.steadily(|| self.tally.read()));
        }
        self.place_of(id).read_of(id.get())
    }

    /// Hands all that the thread holds back to the shared counters. NOTE: only by the owner, or
    /// while it stands still.
    pub(crate) fn fold_all(&self) {
        self.fold_cells();
        self.fold_tally();
        self.account.settle(&TABLES.heap);
    }

    /// Hands what the thread holds back of a callsite's counters to the shared ones.
    pub(crate) fn fold_callsite(&self, id: CallsiteId) {
        let cell = self.place_of(id);
        if id == CallsiteId::HEAP && control::only_counts() {
            self.fold_tally();
        } else if cell.callsite() == id.get() {
            self.fold(cell, TABLES.epoch());
        }
    }

    /// Hands what it counted to the heap's callsite.
    ///
    /// NOTE: if it counted nothing it does not look either: others may have come and gone since it was alone, and what
    /// they did to the peak is not known here.
    pub(crate) fn fold_tally(&self) {
        if control::only_counts()
            && !self.tally.is_empty()
            && let Some(heap) = TABLES.callsites.get(CallsiteId::HEAP)
        {
            self.look();
            self.tally
                .fold_into(&heap.shared, &self.account, TABLES.epoch());
        }
    }

    /// Takes note of what the tally has, in a session that only counts.
    pub(crate) fn look(&self) {
        self.tally.look(&self.account, &TABLES.heap, &TABLES.epoch);
    }

    /// Whether the tally is no part of the account: the thread is alone in a session that only counts.
    fn tally_is_apart(&self) -> bool {
        self.account.is_alone() && control::only_counts()
    }

    /// What the thread holds back of the heap.
    pub(crate) fn held_back(&self) -> HeldBack {
        let read = || {
            let tally = if self.tally_is_apart() {
                self.tally.net_bytes()
            } else {
                0
            };
            self.account.net() + tally
        };
        self.account
            .held_back(self.is_own(), || self.steadily(read))
    }

    /// Reads tally and account at one moment.
    fn steadily<R>(&self, read: impl Fn() -> R) -> R {
        self.tally.steadily(self.is_own(), read)
    }

    /// Whether it is the calling thread's.
    fn is_own(&self) -> bool {
        current().is_some_and(|own| ptr::eq(own, self))
    }

    /// Has the heap know the peak that it is at, as far as only this thread does, before it is changed by another way
    /// than the thread's counters. NOTE: only by the owner, or while it stands still.
    pub(crate) fn tell_peak(&self) {
        if self.tally_is_apart() {
            self.look();
        } else {
            self.account.tell_peak(&TABLES.heap);
        }
    }

    /// The same, where a record is under way: as far as it is counted, and what there is at the peak is not kept.
    pub(crate) fn tell_peak_within_record(&self) {
        self.account.tell_peak(&TABLES.heap);
        if self.tally_is_apart() {
            TABLES.heap.raise_peak(self.held_back().bytes);
        }
    }

    /// Counts bytes of the heap that no tally has.
    pub(crate) fn grow(&self, bytes: i64) {
        if self.tally_is_apart() {
            self.account.add(bytes);
            self.tally.limit_anew(&self.account, &TABLES.heap);
        } else if self.account.grow(bytes, &TABLES.heap) {
            self.look_after_tally();
        }
    }

    /// The end of what [`grow`](Self::grow) counted.
    pub(crate) fn shrink(&self, bytes: i64) {
        if self.tally_is_apart() {
            self.look();
            self.account.add(-bytes);
            self.tally.limit_anew(&self.account, &TABLES.heap);
        } else if self.account.shrink(bytes, &TABLES.heap, &TABLES.epoch) {
            self.look_after_tally();
        }
    }

    fn fold_cells(&self) {
        let epoch = TABLES.epoch();
        for cell in self.cells.iter().filter(|cell| cell.callsite() != 0) {
            fold(cell, 0, epoch, Cell::fold_into);
        }
    }

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

/// Folds a cell into the callsite that it is of, and empties it for `next`.
fn fold(cell: &Cell, next: u32, epoch: u64, into: impl Fn(&Cell, &SharedCounters, u32, u64)) {
    let callsite = CallsiteId::from_word(cell.callsite()).and_then(|id| TABLES.callsites.get(id));
    match callsite {
        Some(callsite) => into(cell, &callsite.shared, next, epoch),
        None => cell.empty_for(next, epoch),
    }
}

/// All thread states ever made.
pub(crate) struct Threads {
    first: AtomicPtr<ThreadState>,
    /// The first that is nobody's. NOTE: only under the control lock.
    free: AtomicPtr<ThreadState>,
    /// Those that were claimed last, and where [`gone`](Self::gone) goes on to look beside. NOTE: only under the control
    /// lock.
    latest: [AtomicPtr<ThreadState>; LATEST],
    looked_at: AtomicPtr<ThreadState>,
}

const LATEST: usize = 4;

impl Threads {
    pub(crate) const fn new() -> Threads {
        Threads {
            first: AtomicPtr::new(ptr::null_mut()),
            free: AtomicPtr::new(ptr::null_mut()),
            latest: [const { AtomicPtr::new(ptr::null_mut()) }; LATEST],
            looked_at: AtomicPtr::new(ptr::null_mut()),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static ThreadState> {
        // The acquire pairs with the release in `claim`.
        Threads::iter_from(self.first.load(Ordering::Acquire))
    }

    fn iter_from(mut next: *mut ThreadState) -> impl Iterator<Item = &'static ThreadState> {
        std::iter::from_fn(move || {
            // SAFETY: states are published whole and never freed.
            let state = unsafe { next.as_ref() }?;
            next = state.next.load(Relaxed);
            Some(state)
        })
    }

    /// A state for the calling thread, in constant time. NOTE: only under the control lock.
    pub(crate) fn claim(&self, bounds: StackBounds) -> Option<&'static ThreadState> {
        // SAFETY: as in `iter`.
        let state = match unsafe { self.free.load(Relaxed).as_ref() } {
            Some(state) => {
                self.free.store(state.next_free.load(Relaxed), Relaxed);
                state
            }
            None => {
                let fresh: NonNull<ThreadState> = arena::reserve(size_of::<ThreadState>())?.cast();
                // SAFETY: zeroed memory of the size and alignment; zero is a value of every field;
                // it is never released.
                let state = unsafe { fresh.as_ref() };
                state.cells.begin();
                state.recent.begin();
                state.next.store(self.first.load(Relaxed), Relaxed);
                // The release publishes the state to the acquire in `iter`.
                self.first.store(fresh.as_ptr(), Ordering::Release);
                state
            }
        };
        state.claimed.store(true, Relaxed);
        let latest = ptr::from_ref(state).cast_mut();
        self.latest
            .iter()
            .fold(latest, |newer, place| place.swap(newer, Relaxed));
        // SAFETY: the state is nobody's, so nobody records with it.
        unsafe { state.walker() }.begin(bounds);
        // NOTE: no session is this one, so that the next thread is named anew.
        state.session.store(u64::MAX, Relaxed);
        state.farewells.store(0, Relaxed);
        state.is_of_this_thread();
        state.mode.store(MUTED * muted(), Relaxed);
        state.rejoin_later();
        Some(state)
    }

    /// Gives a state back, folded. NOTE: only under the control lock, by the owner or while it
    /// stands still.
    pub(crate) fn give_back(&self, state: &'static ThreadState, events: &Events) {
        state.fold_all();
        state.events.move_to(events);
        state.mode.store(0, Relaxed);
        state.uses.store(0, Relaxed);
        state.uses_begun.store(0, Relaxed);
        state.claimed.store(false, Relaxed);
        state.next_free.store(self.free.load(Relaxed), Relaxed);
        self.free.store(ptr::from_ref(state).cast_mut(), Relaxed);
    }

    /// Those that belong to a thread.
    pub(crate) fn claimed(&self) -> impl Iterator<Item = &'static ThreadState> {
        self.iter().filter(|state| state.claimed.load(Relaxed))
    }

    /// Of the states that were claimed last, and of so many others, those whose thread is gone and did not say so.
    /// NOTE: only under the control lock.
    ///
    /// A thread that first records when its last destructor runs is not told of its end.
    pub(crate) fn gone(&self, others: usize) -> impl Iterator<Item = &'static ThreadState> {
        // SAFETY: as in `iter`.
        let latest = |place: &AtomicPtr<ThreadState>| unsafe { place.load(Relaxed).as_ref() };
        let from_here = Threads::iter_from(self.looked_at.load(Relaxed));
        let others = from_here.chain(self.iter()).take(others).inspect(|state| {
            self.looked_at.store(state.next.load(Relaxed), Relaxed);
        });
        let is_gone = |state: &&ThreadState| {
            state.claimed.load(Relaxed) && hooks::is_gone(state.thread.load(Relaxed))
        };
        let all = self.latest.iter().filter_map(latest).chain(others);
        all.filter(is_gone)
    }

    pub(crate) fn resident(&self) -> usize {
        self.iter()
            .map(|state| arena::resident(NonNull::from(state).cast(), size_of::<ThreadState>()))
            .sum()
    }
}

/// Where the calling thread stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has not recorded anything.
    Fresh,
    /// It is inside the control of the tracer, maybe holding its lock: it must neither record nor
    /// wait.
    Busy,
    /// It has a state.
    Attached,
    /// Its end has come and its state is given back.
    Gone,
    /// It is the tracer's own, and never records.
    Apart,
}

struct Local {
    state: Own<Option<&'static ThreadState>>,
    stage: Own<Stage>,
    /// The scope that the thread is in; zero is none.
    scope: Own<u32>,
    /// Whether the thread allocated or freed something while there was a scope.
    was_seen: Own<bool>,
    /// A slot for the thread's next scope; zero is none.
    ///
    /// PERF: it saves two exchanges of the fifty nanoseconds that an empty scope takes.
    spare_slot: Own<u32>,
    /// How many [`Muted`] guards are alive.
    muted: Own<u32>,
}

thread_local! {
    // NOTE: constant and without a destructor, so that it is there from the thread's first
    // instruction to its last, and reading it never allocates.
    static LOCAL: Local =
        const {
            Local {
                state: Own::new(None),
                stage: Own::new(Stage::Fresh),
                scope: Own::new(0),
                was_seen: Own::new(false),
                spare_slot: Own::new(0),
                muted: Own::new(0),
            }
        };
}

/// The slot that the calling thread kept for its next scope.
#[inline(always)]
pub(crate) fn take_spare_slot() -> Option<SlotId> {
    let slot = LOCAL.try_with(|local| local.spare_slot.replace(0));
    SlotId::from_word(slot.unwrap_or(0))
}

/// Keeps a slot for the calling thread's next scope, if it has none and will say when it ends.
#[inline(always)]
pub(crate) fn keep_spare_slot(slot: SlotId) -> bool {
    let kept = LOCAL.try_with(|local| {
        let keeps = local.stage.get() == Stage::Attached && local.spare_slot.get() == 0;
        if keeps {
            local.spare_slot.set(slot.get());
        }
        keeps
    });
    kept.unwrap_or(false)
}

/// The scope that the calling thread is in.
#[inline(always)]
pub(crate) fn scope() -> Option<SlotId> {
    let scope = LOCAL.try_with(|local| local.scope.get());
    SlotId::from_word(scope.unwrap_or(0))
}

/// The same, for one who tells scopes of what the thread allocates or frees.
#[inline(always)]
pub(crate) fn scope_of_event() -> Option<SlotId> {
    let scope = LOCAL.try_with(|local| {
        local.was_seen.set(true);
        local.scope.get()
    });
    SlotId::from_word(scope.unwrap_or(0))
}

/// Whether scopes were told of something that the calling thread did, or tracing was.
#[inline(always)]
pub(crate) fn was_seen() -> bool {
    let was_seen = |local: &Local| local.was_seen.get() || local.stage.get() != Stage::Fresh;
    LOCAL.try_with(was_seen).unwrap_or(true)
}

/// Has the calling thread in another scope, and returns the one that it was in. The thread owns a share of
/// its scope: what is passed here is given to it, and what is returned is the caller's.
pub(crate) fn replace_scope(scope: Option<SlotId>) -> Option<SlotId> {
    let scope = scope.map_or(0, SlotId::get);
    let before = LOCAL.try_with(|local| local.scope.replace(scope));
    SlotId::from_word(before.unwrap_or(0))
}

/// The calling thread is in no scope until it is dropped.
#[must_use]
pub(crate) struct OutsideScope {
    scope: Option<SlotId>,
    // It is this thread's.
    _not_send: std::marker::PhantomData<*const ()>,
}

pub(crate) fn leave_scope() -> OutsideScope {
    OutsideScope {
        scope: replace_scope(None),
        _not_send: std::marker::PhantomData,
    }
}

impl Drop for OutsideScope {
    fn drop(&mut self) {
        // NOTE: none, unless a guard was made meanwhile and is still there.
        if let Some(scope) = replace_scope(self.scope.take()) {
            scope.disown(1);
        }
    }
}

/// Runs `work` with the calling thread in no scope.
pub(crate) fn outside_scope<R>(work: impl FnOnce() -> R) -> R {
    let _outside = leave_scope();
    work()
}

/// The calling thread's state, if it has one.
#[inline(always)]
pub(crate) fn current() -> Option<&'static ThreadState> {
    LOCAL.try_with(|local| local.state.get()).ok().flatten()
}

pub(crate) fn stage() -> Stage {
    LOCAL
        .try_with(|local| local.stage.get())
        .unwrap_or(Stage::Gone)
}

/// Gives the calling thread a state, or takes it away.
pub(crate) fn set(state: Option<&'static ThreadState>, stage: Stage) {
    let _ = LOCAL.try_with(|local| {
        local.state.set(state);
        local.stage.set(stage);
    });
}

/// Has the calling thread at another stage until it is dropped, or something else happens to it.
pub(crate) struct AtStage {
    stage: Stage,
    before: Stage,
}

impl AtStage {
    /// As if it were the tracer's own.
    pub(crate) fn apart() -> AtStage {
        AtStage::begin(Stage::Apart)
    }

    fn begin(stage: Stage) -> AtStage {
        let before = LOCAL.try_with(|local| local.stage.replace(stage));
        AtStage {
            stage,
            before: before.unwrap_or(Stage::Gone),
        }
    }
}

impl Drop for AtStage {
    fn drop(&mut self) {
        let _ = LOCAL.try_with(|local| {
            // What happened inside may have attached the thread, or sent it off.
            if local.stage.get() == self.stage {
                local.stage.set(self.before);
            }
        });
    }
}

/// As long as it lives, the calling thread is inside the control of the tracer, and no signal handler runs on it: one
/// could neither wait for the control lock nor change what it guards, so the end of a block would be lost.
pub(crate) struct Busy {
    // NOTE: dropped in this order.
    _at: AtStage,
    _signals: Blocked,
}

impl Busy {
    pub(crate) fn begin() -> Busy {
        let signals = Blocked::begin();
        Busy {
            _at: AtStage::begin(Stage::Busy),
            _signals: signals,
        }
    }
}

/// As long as it lives, nothing that the calling thread allocates is recorded, nor counted by a scope.
///
/// For the tracer's own reading and reporting. What is freed meanwhile is recorded all the same, so
/// a block from before does not stay behind in the tables.
#[must_use]
pub(crate) struct Muted {
    _outside: OutsideScope,
}

/// Mutes the calling thread, whether it has a state or is given one meanwhile.
pub(crate) fn mute() -> Muted {
    change_muted(|muted| muted + 1);
    Muted {
        _outside: leave_scope(),
    }
}

impl Drop for Muted {
    fn drop(&mut self) {
        change_muted(|muted| muted - 1);
    }
}

/// Mutes the calling thread until [`end_mute`], and returns the scope that it leaves.
///
/// For the crate of the reading side, which holds no [`Muted`].
pub(crate) fn begin_mute() -> u32 {
    change_muted(|muted| muted + 1);
    replace_scope(None).map_or(0, SlotId::get)
}

/// Ends what one [`begin_mute`] began, on the same thread.
pub(crate) fn end_mute(scope: u32) {
    change_muted(|muted| muted - 1);
    // NOTE: none, unless a guard was made meanwhile and is still there.
    if let Some(scope) = replace_scope(SlotId::from_word(scope)) {
        scope.disown(1);
    }
}

fn change_muted(change: impl Fn(u32) -> u32) {
    let _ = LOCAL.try_with(|local| {
        local.muted.set(change(local.muted.get()));
        if let Some(state) = local.state.get() {
            let recording = state.mode.load(Relaxed) & RECORDING;
            state
                .mode
                .store((MUTED * local.muted.get()) | recording, Relaxed);
        }
    });
}

/// How many [`Muted`] guards of the calling thread are alive.
fn muted() -> u32 {
    LOCAL.try_with(|local| local.muted.get()).unwrap_or(0)
}

/// Called at a thread's end; returns whether its state should be given back now.
///
/// Other destructors may still come and allocate or free, so the first calls ask to be called
/// again.
pub(crate) fn is_last_farewell(state: &ThreadState) -> bool {
    // POSIX promises at least four rounds (PTHREAD_DESTRUCTOR_ITERATIONS).
    const ROUNDS: u32 = 3;
    let round = state.farewells.load(Relaxed) + 1;
    state.farewells.store(round, Relaxed);
    round >= ROUNDS
}
