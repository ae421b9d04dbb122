//! The two hot steps: record an allocation, record a free.
//!
//! # What a record costs
//!
//! In the steady state: two loads of the word that says what to do, the thread-local, the guard, a look whether the
//! stack is one that is remembered, one store to the page map, one cell, one account. Nothing that another thread
//! writes, no lock, no allocation, no system call.
//!
//! In instructions, as callgrind counts them, for a pair of an allocation and a free of small vectors, of 320: 10
//! each in the compiler's shims, where it is seen what to do, 13 each for the guard, 19 each for the page map, 50 and 28
//! for cell and account, 110 for the stack; the rest saves registers and calls the inner allocator. A free saves none: it
//! looks first whether anything is in the way, and then changes four words. A sample leaves nearly everything out; a
//! session that only counts has steps of [its own](crate::record::counting).

use crate::Error;
use crate::environment::reporter;
use crate::record::counting::{self, Counter};
use crate::record::thread::{self, Events, Stage, ThreadState, Threads};
use crate::system::sync::{AtomicU64, Ordering};
use crate::system::waiting;
use crate::tables::blocks::{InsertError, PageMap, Word};
use crate::tables::callsites::{CallsiteId, Callsites, Stack};
use crate::tables::counted::Counted;
use crate::tables::counters::{Delta, Heap};
use crate::tables::label::Label;
use crate::tables::sampling::{Drawn, DrawnPlaces, Interval, Rounding, Weighted};
use Ordering::Relaxed;

pub(crate) use crate::control;
use crate::control::{How, Look};

/// Everything that is recorded.
pub(crate) struct Tables {
    pub(crate) blocks: PageMap,
    /// The same as `blocks`, of a session that only counts.
    pub(crate) counted: Counted,
    pub(crate) callsites: Callsites,
    pub(crate) heap: Heap,
    pub(crate) threads: Threads,
    /// What threads could not record that are gone.
    pub(crate) events: Events,
    /// Moves when the heap first shrinks after a peak; see [`counters`](crate::tables::counters).
    pub(crate) epoch: AtomicU64,
}

pub(crate) static TABLES: Tables = Tables {
    blocks: PageMap::new(),
    counted: Counted::new(),
    callsites: Callsites::new(),
    heap: Heap::new(),
    threads: Threads::new(),
    events: Events::new(),
    epoch: AtomicU64::new(1),
};

/// Where in the live-block index there is something, of a sample.
///
/// NOTE: not one of [`TABLES`], since it is zero at first, and so takes up no room in a file.
pub(crate) static DRAWN: DrawnPlaces = DrawnPlaces::new();

impl Tables {
    #[inline(always)]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// The callsite of a live block, if it is known. A session that only counts knows none.
    pub(crate) fn callsite_of(&self, address: usize) -> Option<CallsiteId> {
        Some(Drawn::unpack(self.blocks.get(address)?)?.callsite)
    }

    /// Takes out the record of a block that is about to end, off the hot path.
    fn remove(&self, address: usize, sampling: Option<Interval>) -> Option<Drawn> {
        if control::only_counts() {
            let was_counted = self.counted.remove(address);
            return was_counted.then(|| CallsiteId::HEAP.into());
        }
        let drawn = Drawn::unpack(self.blocks.remove(address)?);
        if sampling.is_some() {
            DRAWN.take(address);
        }
        drawn
    }

    /// Notes a block, maybe the first around its place, and returns whether another was there.
    fn insert(
        &self,
        address: usize,
        drawn: Drawn,
        sampling: Option<Interval>,
    ) -> Result<bool, InsertError> {
        let before = self.blocks.insert_apart(address, drawn.pack())?;
        if before.is_none() && sampling.is_some() {
            DRAWN.add(address);
        }
        Ok(before.is_some())
    }

    /// Puts back what [`remove`](Self::remove) took out, in the same session.
    fn put_back(&self, address: usize, drawn: Drawn, sampling: Option<Interval>) {
        // The place was there before, so neither kind of error can be.
        if control::only_counts() {
            return self.counted.put_back(address);
        }
        let _ = self.insert(address, drawn, sampling);
    }
}

/// The right to record one event of a session that records every block, taken before the inner allocator is
/// called.
///
/// It is the guard against recursion: as long as it lives, what this thread allocates is not
/// recorded. It keeps the tables from being cleared, so it must be dropped soon.
pub(crate) struct Recorder {
    state: &'static ThreadState,
}

/// The same, of a session that takes a sample.
pub(crate) struct Sampler {
    recorder: Recorder,
    interval: Interval,
}

/// The right to do what the session does about an event.
pub(crate) enum Right {
    Record(Recorder),
    Sample(Sampler),
    Count(Counter),
}

impl Right {
    /// For a thread that has begun a record, and joined the phase.
    #[inline(always)]
    fn of(state: &'static ThreadState) -> Right {
        if state.only_counts() {
            return Right::Count(Counter::with(state));
        }
        let recorder = Recorder { state };
        match state.sampling() {
            None => Right::Record(recorder),
            Some(interval) => Right::Sample(Sampler { recorder, interval }),
        }
    }
}

/// What is done about the events of a block, by whoever has the right to do it.
///
/// A block is its address and its size.
pub(crate) trait Follow {
    /// What was known of a block that is about to be reallocated.
    type Taken;

    /// The inner allocator returned a block.
    fn allocated(&self, address: usize, size: usize);

    /// A block is about to go back to the inner allocator.
    fn freed(&self, address: usize, size: usize);

    /// Takes out what is known of a block that is about to be reallocated.
    fn take(&self, block: (usize, usize)) -> Self::Taken;

    /// Puts back what was [taken](Self::take): the reallocation failed.
    fn put_back(&self, address: usize, taken: Self::Taken);

    /// The block `old`, of which this was [taken](Self::take), became `new`: where it was it ends, here it begins.
    fn reallocated(&self, taken: Self::Taken, old: (usize, usize), new: (usize, usize));
}

/// One who has no right to record: inside the tracer, at a thread's end, or while tracing is off.
pub(crate) struct Outside;

impl Follow for Outside {
    type Taken = Option<Forgotten>;

    fn allocated(&self, address: usize, _: usize) {
        counting::leave_out(address);
    }

    fn freed(&self, address: usize, size: usize) {
        forget(address, size);
    }

    fn take(&self, (address, size): (usize, usize)) -> Option<Forgotten> {
        forget(address, size)
    }

    fn put_back(&self, _: usize, taken: Option<Forgotten>) {
        taken.into_iter().for_each(restore);
    }

    fn reallocated(&self, _: Option<Forgotten>, _: (usize, usize), (address, _): (usize, usize)) {
        counting::leave_out(address);
    }
}

/// One whose right can be had, and whose work can be done, where nothing is in the way.
pub(crate) trait AtOnce: Follow + Sized {
    /// The right, for a thread that has taken note of all that there is, while there are no scopes.
    fn enter_at_once() -> Option<Self>;

    /// A block is about to go back to the inner allocator. Returns whether that could be followed: else nothing
    /// has happened, and [`freed`](Follow::freed) does it.
    ///
    /// PERF: all that could be in the way is looked at first. So nothing is called that others must be saved from, and
    /// a free can end in a jump to the inner allocator.
    fn freed_at_once(&self, address: usize, size: usize) -> bool;
}

/// The state of the thread, which has begun a record, if `may` says so of it and of what is seen then.
///
/// PERF: `may` is one comparison, of the word that says what to do with what it was when the thread took note of it.
#[inline(always)]
pub(crate) fn enter_if(
    may: impl FnOnce(&ThreadState, Look) -> bool,
) -> Option<&'static ThreadState> {
    let state = thread::current()?;
    if state.is_inside() {
        return None;
    }
    state.enter_from_outside();
    // Looked again: whoever changes the phase and waits for records sees ours, or we see the change.
    if may(state, control::look()) {
        return Some(state);
    }
    state.leave(0);
    None
}

/// Whether nothing is to be done about an allocation: there are no scopes, and tracing is off, or the sample passes it
/// over.
#[inline(always)]
pub(crate) fn ignores_birth(look: Look, size: usize) -> bool {
    look.is_idle() || !look.is_of_every_block() && passes_over_at_birth(look, size)
}

/// The same of a free.
#[inline(always)]
pub(crate) fn ignores_end(look: Look, address: usize) -> bool {
    look.is_idle() || !look.is_of_every_block() && passes_over_at_end(look, address)
}

/// Whether there are no scopes, and the sample passes over an allocation.
///
/// NOTE: what the tracer itself allocates, and what is muted, is counted off the sample as well. The
/// distance to the next byte that is drawn has no memory, so that changes no chance.
#[inline(always)]
fn passes_over_at_birth(look: Look, size: usize) -> bool {
    thread::current().is_some_and(|state| state.passes_over(size, look))
}

/// Whether there are no scopes, and a block that is about to be freed is not of the sample.
#[inline(always)]
fn passes_over_at_end(look: Look, address: usize) -> bool {
    !look.sees_scopes() && !DRAWN.may_hold(address)
}

/// Whether something is to be done about an allocation beside telling scopes.
pub(crate) fn enters_at_birth(size: usize) -> bool {
    enters(|look| passes_over_at_birth(look, size))
}

/// Whether something is to be done about a free beside telling scopes.
pub(crate) fn enters_at_end(address: usize) -> bool {
    enters(|look| passes_over_at_end(look, address))
}

fn enters(passes_over: impl FnOnce(Look) -> bool) -> bool {
    let look = control::look();
    match look.how() {
        How::Off => false,
        How::Sampled => !passes_over(look.without_scopes()),
        How::Whole | How::Counted => true,
    }
}

/// The right to do what the session does about an event. `None` where tracing is off, or this is inside the tracer
/// itself.
#[inline(always)]
pub(crate) fn enter() -> Option<Right> {
    enter_somehow().map(Right::of)
}

/// The state of the thread, which has begun a record.
#[inline(never)]
fn enter_somehow() -> Option<&'static ThreadState> {
    if let Some(state) = thread::current()
        && !state.is_inside()
    {
        state.enter_from_outside();
        // Looked after, as in `enter_if`.
        if control::is_undisturbed_at(state.phase()) {
            return Some(state);
        }
        state.leave(0);
    }
    enter_slowly()
}

/// The same, where it may take a state for the thread, a new phase, or a wait.
#[cold]
#[inline(never)]
fn enter_slowly() -> Option<&'static ThreadState> {
    loop {
        if thread::stage() == Stage::Apart {
            return None;
        }
        let current = thread::current();
        if thread::stage() == Stage::Busy || current.is_some_and(ThreadState::is_recording) {
            skip();
            return None;
        }
        if current.is_some_and(ThreadState::is_inside) {
            // Muted: not recorded on purpose.
            return None;
        }
        if matches!(control::phase(), control::OFF | control::UNSET) {
            answer_if_asked();
            return None;
        }
        let Some(state) = control::attached() else {
            skip();
            return None;
        };
        if state.is_inside() {
            // Muted before it had a state.
            return None;
        }
        answer_if_asked();
        let mode = state.enter();
        match control::phase() {
            control::OFF | control::UNSET => {}
            phase if control::is_paused(phase) => {
                state.leave(mode);
                control::wait();
                continue;
            }
            phase => {
                if phase != state.phase() {
                    state.join(phase, control::company(phase));
                }
                return Some(state);
            }
        }
        state.leave(mode);
    }
}

fn answer_if_asked() {
    if control::is_asked() {
        reporter::answer();
    }
}

/// Counts an allocation that is not recorded.
#[cold]
fn skip() {
    if control::is_on() {
        thread::current()
            .map_or(&TABLES.events, |state| &state.events)
            .skipped();
    }
}

impl Drop for Recorder {
    #[inline(always)]
    fn drop(&mut self) {
        self.state.leave(0);
    }
}

impl Recorder {
    /// Captures the stack and notes the block.
    #[inline(always)]
    fn insert(&self, address: usize, size: usize) -> Option<CallsiteId> {
        let slot = TABLES.blocks.prefetched(address);
        let callsite = capture(self.state, size);
        let Some(slot) = slot else {
            return insert_anew(self.state, address, callsite.into(), None).map(|()| callsite);
        };
        if slot.replace(Some(callsite)).is_some() {
            // It was released without our knowledge.
            self.state.events.lost_block();
        }
        Some(callsite)
    }

    /// Counts a block of a callsite.
    #[inline(always)]
    fn begin(&self, callsite: CallsiteId, size: usize) {
        let (state, bytes) = (self.state, size as i64);
        let cell = state.place_of(callsite);
        if !cell.allocated_at_once(callsite.get(), bytes, TABLES.epoch(), state.ceiling()) {
            credit_slowly(state, callsite, bytes);
        }
        state.account.grow(bytes, &TABLES.heap);
    }
}

impl AtOnce for Recorder {
    #[inline(always)]
    fn enter_at_once() -> Option<Recorder> {
        enter_if(ThreadState::records_at).map(|state| Recorder { state })
    }

    #[inline(always)]
    fn freed_at_once(&self, address: usize, size: usize) -> bool {
        let (state, bytes) = (self.state, size as i64);
        let Some((slot, callsite)) = TABLES.blocks.find(address) else {
            return false;
        };
        let cell = state.place_of(callsite);
        let Some(left) = cell.bytes_after(callsite.get(), bytes, state.ceiling()) else {
            return false;
        };
        if !state.account.shrink_at_once(bytes) {
            return false;
        }
        cell.freed_at_once(left, TABLES.epoch());
        slot.write(None);
        true
    }
}

impl Follow for Recorder {
    type Taken = Option<CallsiteId>;

    #[inline(always)]
    fn allocated(&self, address: usize, size: usize) {
        if let Some(callsite) = self.insert(address, size) {
            self.begin(callsite, size);
        }
    }

    fn freed(&self, address: usize, size: usize) {
        match TABLES.blocks.remove(address) {
            Some(callsite) => end(self.state, callsite, Weighted::one(size)),
            None => self.state.events.unknown_free(),
        }
    }

    fn take(&self, (address, _): (usize, usize)) -> Option<CallsiteId> {
        TABLES.blocks.remove(address)
    }

    fn put_back(&self, address: usize, taken: Option<CallsiteId>) {
        if let Some(callsite) = taken {
            TABLES.put_back(address, callsite.into(), None);
        }
    }

    #[inline(always)]
    fn reallocated(
        &self,
        taken: Option<CallsiteId>,
        (_, old_size): (usize, usize),
        (address, size): (usize, usize),
    ) {
        // NOTE: no closure around what captures, which would be a frame of its own in a debug build.
        let callsite = self.insert(address, size);
        let gone = taken.map(|callsite| (callsite, Weighted::one(old_size)));
        let come = callsite.map(|callsite| (callsite, Weighted::one(size)));
        replace(self.state, gone, come);
    }
}

impl Sampler {
    fn state(&self) -> &'static ThreadState {
        self.recorder.state
    }

    /// Captures the stack and notes the block.
    #[inline(always)]
    fn insert(&self, address: usize, size: usize, rounding: Rounding) -> Option<Drawn> {
        let state = self.state();
        let callsite = if state.captures() {
            capture(state, size)
        } else {
            CallsiteId::HEAP
        };
        let drawn = Drawn { callsite, rounding };
        insert_anew(state, address, drawn, Some(self.interval)).map(|()| drawn)
    }

    fn weigh(&self, size: usize, drawn: Drawn) -> Weighted {
        self.interval.weigh(size, drawn.rounding)
    }
}

impl Follow for Sampler {
    type Taken = Option<Drawn>;

    #[inline(always)]
    fn allocated(&self, address: usize, size: usize) {
        let state = self.state();
        let Some(rounding) = state.drawn(size, self.interval) else {
            return;
        };
        if let Some(drawn) = self.insert(address, size, rounding) {
            let weighted = self.weigh(size, drawn);
            credit(state, drawn.callsite, weighted, false);
            state.account.grow(weighted.bytes, &TABLES.heap);
        }
    }

    /// NOTE: most blocks are not known, so that counting them tells nothing.
    fn freed(&self, address: usize, size: usize) {
        if let Some(drawn) = self.take((address, size)) {
            end(self.state(), drawn.callsite, self.weigh(size, drawn));
        }
    }

    fn take(&self, (address, _): (usize, usize)) -> Option<Drawn> {
        TABLES.remove(address, Some(self.interval))
    }

    fn put_back(&self, address: usize, taken: Option<Drawn>) {
        if let Some(drawn) = taken {
            TABLES.put_back(address, drawn, Some(self.interval));
        }
    }

    #[inline(always)]
    fn reallocated(
        &self,
        taken: Option<Drawn>,
        (_, old_size): (usize, usize),
        (address, size): (usize, usize),
    ) {
        let state = self.state();
        let rounding = state.drawn(size, self.interval);
        let come = rounding.and_then(|rounding| self.insert(address, size, rounding));
        let gone = taken.map(|drawn| (drawn.callsite, self.weigh(old_size, drawn)));
        let come = come.map(|drawn| (drawn.callsite, self.weigh(size, drawn)));
        replace(state, gone, come);
    }
}

/// The callsite of the stack here, for a block of `size` bytes.
#[inline(always)]
fn capture(state: &ThreadState, size: usize) -> CallsiteId {
    if state.labels_sizes() {
        state.label_size(size);
    }
    // SAFETY: the caller is the owner, a record is under way, and the reference ends with the walk.
    let walker = unsafe { state.walker() };
    let captured = if state.captures_line() {
        walker.capture_line()
    } else {
        walker.capture()
    };
    match captured.known {
        Some(callsite) => callsite,
        None => callsite_of(state, captured.hash ^ state.salt()),
    }
}

/// The callsite of the stack that was just captured, which has this hash.
#[inline(always)]
fn callsite_of(state: &ThreadState, hash: u64) -> CallsiteId {
    let recent = state.recent().find(hash);
    let callsite = recent.unwrap_or_else(|| callsite_from_afar(state, hash));
    // SAFETY: as in `capture`.
    unsafe { state.walker() }.remember(callsite);
    callsite
}

/// The callsite with this hash, which was not met lately.
#[inline(never)]
fn callsite_from_afar(state: &ThreadState, hash: u64) -> CallsiteId {
    let callsites = &TABLES.callsites;
    let callsite = callsites.find(hash).unwrap_or_else(|| {
        // SAFETY: as in `capture`.
        let walker = unsafe { state.walker() };
        callsites.insert_last_of(walker, state.label())
    });
    state.recent().keep(hash, callsite);
    callsite
}

/// Notes a block, maybe the first around its place. `None` if it could not.
#[cold]
#[inline(never)]
fn insert_anew(
    state: &ThreadState,
    address: usize,
    drawn: Drawn,
    sampling: Option<Interval>,
) -> Option<()> {
    match TABLES.insert(address, drawn, sampling) {
        Ok(was_another) => {
            if was_another {
                // It was released without our knowledge.
                state.events.lost_block();
            }
            Some(())
        }
        Err(error) => {
            state.events.not_inserted(error);
            None
        }
    }
}

/// Counts the end of a block of a callsite, or of what it stands for.
fn end(state: &ThreadState, callsite: CallsiteId, weighted: Weighted) {
    let (bytes, heap) = (weighted.bytes, &TABLES.heap);
    state.account.shrink(bytes, heap, &TABLES.epoch);
    debit(state, callsite, weighted);
}

/// Counts that a block came in the place of another.
///
/// For the heap it is one change, so that a block that grows at the peak does not shrink the heap first.
#[inline(always)]
fn replace(
    state: &ThreadState,
    gone: Option<(CallsiteId, Weighted)>,
    come: Option<(CallsiteId, Weighted)>,
) {
    let bytes = |it: &Option<(CallsiteId, Weighted)>| it.map_or(0, |(_, it)| it.bytes);
    let grown = bytes(&come) - bytes(&gone);
    if grown < 0 {
        state.account.shrink(-grown, &TABLES.heap, &TABLES.epoch);
    }
    if let Some((callsite, weighted)) = gone {
        debit(state, callsite, weighted);
    }
    if let Some((callsite, weighted)) = come {
        credit(state, callsite, weighted, true);
    }
    if grown >= 0 {
        state.account.grow(grown, &TABLES.heap);
    }
}

#[cold]
#[inline(never)]
fn credit_slowly(state: &ThreadState, callsite: CallsiteId, bytes: i64) {
    let weighted = Weighted { bytes, blocks: 1 };
    credit(state, callsite, weighted, false);
}

#[inline(always)]
fn credit(state: &ThreadState, callsite: CallsiteId, weighted: Weighted, reallocation: bool) {
    let epoch = TABLES.epoch();
    let cell = state.cell(callsite, epoch);
    if cell.allocated(weighted, reallocation, epoch, state.ceiling()) {
        state.fold(cell, epoch);
    }
}

#[inline(always)]
fn debit(state: &ThreadState, callsite: CallsiteId, weighted: Weighted) {
    // NOTE: loaded after the heap shrank, which may have moved it.
    let epoch = TABLES.epoch();
    let cell = state.cell(callsite, epoch);
    if cell.freed(weighted, epoch, state.ceiling()) {
        state.fold(cell, epoch);
    }
}

/// The right to record blocks that the allocator does not see: see [`track`](crate::control::track()).
pub(crate) struct Aside(Option<&'static ThreadState>);

/// Runs `record` while the tables are sure to stay, in a thread that is muted.
pub(crate) fn aside<R>(record: impl FnOnce(&Aside) -> R) -> Result<R, Error> {
    let Some(state) = control::attached() else {
        // At a thread's end.
        let mut record = Some(record);
        let recorded = control::alone_with_the_tables(|| record.take().map(|it| it(&Aside(None))));
        return recorded.ok_or_else(control::why_off);
    };
    if state.is_waited_for() {
        // In a signal handler after all, which interrupted a record.
        state.events.skipped();
        return Err(Error::not_tracing());
    }
    loop {
        let mode = state.enter();
        let phase = control::phase();
        if control::is_paused(phase) {
            state.leave(mode);
            control::wait();
            continue;
        }
        let recorded = if matches!(phase, control::OFF | control::UNSET) {
            Err(control::why_off())
        } else {
            if phase != state.phase() {
                state.join(phase, control::company(phase));
            }
            Ok(record(&Aside(Some(state))))
        };
        state.leave(mode);
        return recorded;
    }
}

impl Aside {
    /// Records a block of `size` bytes in `domain`, allocated here.
    pub(crate) fn tracked(&self, domain: u32, size: usize) -> CallsiteId {
        let weighted = Weighted::one(size);
        let Some(state) = self.0 else {
            // What walks the stack went with the thread's state.
            let label = Label {
                domain,
                ..Label::default()
            };
            let callsite = TABLES.callsites.find_or_insert(Stack::unknown(), label);
            TABLES.heap.add_directly(weighted.bytes, &TABLES.epoch);
            fold_directly(callsite, |epoch| Delta::allocated(weighted, epoch));
            return callsite;
        };
        if state.labels_sizes() {
            state.label_size(size);
        }
        // SAFETY: this is the owner, a record is under way, and the reference ends with the search.
        let walker = unsafe { state.walker() };
        let stack = if state.captures() {
            walker.capture_anew(state.captures_line())
        } else {
            Stack::uncaptured()
        };
        let label = Label {
            domain,
            ..state.label()
        };
        let callsite = TABLES.callsites.find_or_insert(stack, label);
        credit(state, callsite, weighted, false);
        state.grow(weighted.bytes);
        callsite
    }

    /// Records the end of a block that was [tracked](Self::tracked) in this session.
    pub(crate) fn untracked(&self, callsite: CallsiteId, size: usize) {
        let weighted = Weighted::one(size);
        match self.0 {
            Some(state) => {
                state.shrink(weighted.bytes);
                debit(state, callsite, weighted);
            }
            None => {
                TABLES.heap.add_directly(-weighted.bytes, &TABLES.epoch);
                fold_directly(callsite, |epoch| Delta::freed(weighted, epoch));
            }
        }
    }
}

/// How many return addresses a scope's stacks have.
const SCOPE_ADDRESSES: usize = SCOPE_FRAMES as usize + control::LIBRARY_FRAMES;
/// How many frames a scope's tracebacks keep.
pub(crate) const SCOPE_FRAMES: u16 = 32;

/// Hands the calling thread's stack to `with`, whether tracing is on or not. Nothing where there is none to
/// be had: at the thread's end, and in a signal handler that interrupted a record.
pub(crate) fn with_stack_here<R>(with: impl FnOnce(Stack<'_>) -> R) -> Option<R> {
    let state = control::attached()?;
    if state.is_inside() {
        return None;
    }
    let _muted = thread::mute();
    // SAFETY: the thread is muted, so it records nothing, and the reference ends with `with`.
    let walker = unsafe { state.walker_for(SCOPE_ADDRESSES) };
    Some(with(walker.capture_anew(false)))
}

/// Whether the calling thread may be in the middle of an allocation, or of the tracer: it runs in a signal handler that
/// interrupted something else than a wait for something from outside.
pub(crate) fn may_be_within_allocation() -> bool {
    if thread::stage() == Stage::Busy {
        return true;
    }
    let Some(state) = thread::current() else {
        return false;
    };
    if state.is_inside() || state.is_waited_for() {
        return true;
    }
    let _muted = thread::mute();
    // SAFETY: the thread is muted, so it records nothing, and the reference ends with the walk.
    let walker = unsafe { state.walker_for(SCOPE_ADDRESSES) };
    let context = walker.context_of_signal();
    // SAFETY: that of a handler which still runs.
    context.is_some_and(|context| unsafe { !waiting::was_interrupted(context) })
}

/// Changes a callsite's counters without a thread's cell.
fn fold_directly(callsite: CallsiteId, delta: impl FnOnce(u64) -> Delta) {
    let epoch = TABLES.epoch();
    if let Some(callsite) = TABLES.callsites.get(callsite) {
        callsite.shared.fold(&delta(epoch), epoch, || {});
    }
}

/// A record that was taken out by [`forget`], to be put back if the block stays after all.
pub(crate) enum Forgotten {
    Recorded {
        drawn: Drawn,
        address: usize,
        size: usize,
    },
    /// It was not counted, and noted as such.
    LeftOut(usize),
}

/// Records the end of a block where there is no [`Recorder`]: inside the tracer, in a signal
/// handler that interrupted it, or at a thread's end.
///
/// The block's callsite and the heap are changed directly, with atomics, since the thread's own
/// counters may be in the middle of a change, or gone.
#[inline(always)]
pub(crate) fn forget(address: usize, size: usize) -> Option<Forgotten> {
    if TABLES.counted.forget_left_out(address) {
        return Some(Forgotten::LeftOut(address));
    }
    if control::phase() == control::OFF || thread::stage() == Stage::Apart {
        None
    } else {
        forget_directly(address, size)
    }
}

#[cold]
#[inline(never)]
fn forget_directly(address: usize, size: usize) -> Option<Forgotten> {
    directly(|state| {
        let sampling = control::sampling();
        let drawn = TABLES.remove(address, sampling)?;
        let callsite = drawn.callsite;
        let weighted = Weighted::of(sampling, size, drawn.rounding);
        TABLES.heap.add_directly(-weighted.bytes, &TABLES.epoch);
        // What the thread held back at its highest counts from what was shared until now.
        if let Some(state) = state {
            state.fold_callsite(callsite);
        }
        fold_directly(callsite, |epoch| Delta::freed(weighted, epoch));
        Some(Forgotten::Recorded {
            drawn,
            address,
            size,
        })
    })
}

/// Undoes [`forget`].
#[cold]
pub(crate) fn restore(forgotten: Forgotten) {
    let (drawn, address, size) = match forgotten {
        Forgotten::LeftOut(address) => return counting::leave_out(address),
        Forgotten::Recorded {
            drawn,
            address,
            size,
        } => (drawn, address, size),
    };
    directly(|_| {
        let sampling = control::sampling();
        TABLES.put_back(address, drawn, sampling);
        let weighted = Weighted::of(sampling, size, drawn.rounding);
        fold_directly(drawn.callsite, |epoch| Delta::restored(weighted, epoch));
        TABLES.heap.add_directly(weighted.bytes, &TABLES.epoch);
        Some(())
    });
}

/// Runs `change` while the tables are sure to stay, without a [`Recorder`]. It gets the thread's state, unless that
/// is in the middle of a record.
fn directly<R>(change: impl Fn(Option<&ThreadState>) -> Option<R>) -> Option<R> {
    if !control::is_on() {
        return None;
    }
    match (thread::current(), thread::stage()) {
        // Whoever holds the control lock can neither wait for it nor change the tables.
        (_, Stage::Busy) => {
            TABLES.events.lost_block();
            None
        }
        (Some(state), _) if state.is_waited_for() => {
            let change = || {
                state.tell_peak_within_record();
                state.rejoin_later();
                change(None)
            };
            let may = || if control::is_on() { change() } else { None };
            control::beside_record(may).flatten()
        }
        (Some(state), _) => loop {
            let mode = state.enter();
            let phase = control::phase();
            if control::is_paused(phase) {
                state.leave(mode);
                control::wait();
                continue;
            }
            let result = if phase == control::OFF {
                None
            } else {
                state.tell_peak();
                change(Some(state))
            };
            // Its account counted on being the only one to change the heap.
            state.rejoin_later();
            state.leave(mode);
            return result;
        },
        (None, _) => control::alone_with_the_tables(|| change(None)),
    }
}
