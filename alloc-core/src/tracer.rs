//! The two hot steps: record an allocation, record a free.
//!
//! # What a record costs
//!
//! In the steady state: one load of the phase, the thread-local, the guard, a look whether the stack is one
//! that is remembered, one store to the page map, one cell, one account. Nothing that another thread
//! writes, no lock, no allocation, no system call.
//!
//! In instructions, as callgrind counts them, for a pair of an allocation and a free of small vectors: 8
//! and 6 in the compiler's shims, 8 and 8 to see how to record, 12 each for the guard, 12 each for the
//! page map, 30 and 20 for cell and account, 110 for the stack; the rest, a third, saves registers and
//! calls the inner allocator. A sample leaves nearly everything out; a session that only counts has steps of
//! [its own](crate::counting).

use crate::blocks::{PageMap, Word};
use crate::callsites::{CallsiteId, Callsites, Stack};
use crate::capture::Captured;
use crate::counted::Counted;
use crate::counters::{Delta, Heap};
use crate::counting::{self, Counter};
use crate::error::Error;
use crate::label::Label;
use crate::sampling::{DrawnPlaces, Interval, Weighted};
use crate::sync::{AtomicU64, Ordering};
use crate::thread::{self, Events, Stage, ThreadState, Threads};
use Ordering::Relaxed;

pub(crate) use crate::control;
use crate::control::{How, Look};

/// Everything that is recorded.
pub(crate) struct Tables {
    pub(crate) blocks: PageMap,
    /// The same as `blocks`, of a session that only counts.
    pub(crate) counted: Counted,
    /// Where in `blocks` there is something, of a sample.
    pub(crate) drawn: DrawnPlaces,
    pub(crate) callsites: Callsites,
    pub(crate) heap: Heap,
    pub(crate) threads: Threads,
    /// What threads could not record that are gone.
    pub(crate) events: Events,
    /// Moves when the heap first shrinks after a peak; see [`counters`](crate::counters).
    pub(crate) epoch: AtomicU64,
}

pub(crate) static TABLES: Tables = Tables {
    blocks: PageMap::new(),
    counted: Counted::new(),
    drawn: DrawnPlaces::new(),
    callsites: Callsites::new(),
    heap: Heap::new(),
    threads: Threads::new(),
    events: Events::new(),
    epoch: AtomicU64::new(1),
};

impl Tables {
    #[inline(always)]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Relaxed)
    }

    /// The callsite of a live block, if it is known. A session that only counts knows none.
    pub(crate) fn callsite_of(&self, address: usize) -> Option<CallsiteId> {
        self.blocks.get(address)
    }

    /// Takes out the record of a block that is about to end, off the hot path.
    fn remove(&self, address: usize, sampling: Option<Interval>) -> Option<CallsiteId> {
        if control::only_counts() {
            return self.counted.remove(address).then_some(CallsiteId::HEAP);
        }
        let callsite = self.blocks.remove(address)?;
        if sampling.is_some() {
            self.drawn.take(address);
        }
        Some(callsite)
    }

    /// Puts back what [`remove`](Self::remove) took out, in the same session.
    fn put_back(&self, address: usize, callsite: CallsiteId, sampling: Option<Interval>) {
        // The place was there before, so neither kind of error can be.
        if control::only_counts() {
            return self.counted.put_back(address, true);
        }
        let _ = self.blocks.insert(address, callsite);
        if sampling.is_some() {
            self.drawn.add(address);
        }
    }
}

/// The right to record one event, taken before the inner allocator is called.
///
/// It is the guard against recursion: as long as it lives, what this thread allocates is not
/// recorded. It keeps the tables from being cleared, so it must be dropped soon.
pub(crate) struct Recorder {
    state: &'static ThreadState,
}

/// Whether there is nothing to record, for tracing or for a scope.
#[inline(always)]
pub(crate) fn is_off() -> bool {
    control::is_idle()
}

/// What is to be done about an event while there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Record it.
    Record,
    /// Count it: see [`counting`](crate::counting).
    Count,
    /// Nothing: a sample passes it over, or only scopes count.
    PassOver,
    /// Tell scopes of it, and then see what else: [`task_at_birth_in_scope`], [`task_at_end_in_scope`].
    TellScopes,
}

/// What is to be done about an allocation.
#[inline(always)]
pub(crate) fn task_at_birth(size: usize) -> Task {
    let look = control::look();
    let how = look.how_without_scopes();
    how.map_or(Task::TellScopes, |how| at_birth(how, look, size))
}

/// What is to be done about an allocation beside telling scopes.
pub(crate) fn task_at_birth_in_scope(size: usize) -> Task {
    let look = control::look();
    at_birth(look.how(), look, size)
}

/// NOTE: what the tracer itself allocates, and what is muted, is counted off the sample as well. The
/// distance to the next byte that is drawn has no memory, so that changes no chance.
#[inline(always)]
fn at_birth(how: How, look: Look, size: usize) -> Task {
    let passes_over = |state: &ThreadState| state.passes_over(size, look.phase());
    match how {
        How::Counted => Task::Count,
        How::Off => Task::PassOver,
        How::Sampled if thread::current().is_some_and(passes_over) => Task::PassOver,
        How::Whole | How::Sampled => Task::Record,
    }
}

/// What is to be done about a free.
#[inline(always)]
pub(crate) fn task_at_end(address: usize) -> Task {
    let how = control::look().how_without_scopes();
    how.map_or(Task::TellScopes, |how| at_end(how, address))
}

/// What is to be done about a free beside telling scopes.
pub(crate) fn task_at_end_in_scope(address: usize) -> Task {
    at_end(control::look().how(), address)
}

#[inline(always)]
fn at_end(how: How, address: usize) -> Task {
    match how {
        How::Counted => Task::Count,
        How::Off => Task::PassOver,
        How::Sampled if !TABLES.drawn.may_hold(address) => Task::PassOver,
        How::Whole | How::Sampled => Task::Record,
    }
}

/// The right to record, where nothing is in the way: else [`enter_slowly`] is asked.
///
/// PERF: by each caller. Behind one function that returns either, the compiler tests twice, for three instructions.
#[inline(always)]
pub(crate) fn enter_to_record() -> Option<Recorder> {
    let state = enter_if(ThreadState::recording_phase)?;
    Some(Recorder { state })
}

/// The right to count, where nothing is in the way.
#[inline(always)]
pub(crate) fn enter_to_count() -> Option<Counter> {
    enter_if(ThreadState::counting_phase).map(Counter::of)
}

/// Begins a record, if the thread is not in one, and the phase is this one of the thread's.
#[inline(always)]
fn enter_if(phase: impl FnOnce(&ThreadState) -> u64) -> Option<&'static ThreadState> {
    let state = thread::current()?;
    if state.is_inside() {
        return None;
    }
    state.enter_from_outside();
    // Loaded again: whoever changes the phase and waits for records sees ours, or we see the change.
    if control::phase() == phase(state) {
        return Some(state);
    }
    state.leave(0);
    None
}

/// What a thread may do about an event that it may not record.
pub(crate) enum Entered {
    /// Count it.
    Counter(Counter),
    /// Nothing: tracing is off, or this is inside the tracer itself.
    Outside,
}

/// The right to record, or what there is to do instead. It may take a state for the thread, a new phase, or a wait.
#[cold]
#[inline(never)]
pub(crate) fn enter_slowly(granule: control::GranuleHint) -> Result<Recorder, Entered> {
    loop {
        if thread::stage() == Stage::Apart {
            return Err(Entered::Outside);
        }
        let current = thread::current();
        if thread::stage() == Stage::Busy || current.is_some_and(ThreadState::is_recording) {
            skip();
            return Err(Entered::Outside);
        }
        if current.is_some_and(ThreadState::is_inside) {
            // Muted: not recorded on purpose.
            return Err(Entered::Outside);
        }
        if control::phase() == control::UNSET {
            control::begin(granule);
        }
        if control::phase() == control::OFF {
            return Err(Entered::Outside);
        }
        let Some(state) = control::attached() else {
            skip();
            return Err(Entered::Outside);
        };
        let mode = state.enter();
        match control::phase() {
            control::OFF | control::UNSET => {}
            control::PAUSED => {
                state.leave(mode);
                control::wait();
                continue;
            }
            phase => {
                if phase != state.phase() {
                    state.join(phase, control::company(phase));
                }
                return if control::only_counts() {
                    Err(Entered::Counter(Counter::of(state)))
                } else {
                    Ok(Recorder { state })
                };
            }
        }
        state.leave(mode);
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

/// Notes that a block is about to go back to the inner allocator, where something was in the way.
#[cold]
#[inline(never)]
pub(crate) fn freed_otherwise(granule: control::GranuleHint, address: usize, size: usize) {
    match enter_slowly(granule) {
        Ok(recorder) => recorder.freed(address, size),
        Err(entered) => entered.freed(address, size),
    }
}

/// What [`Entered::take`] took out.
pub(crate) enum Taken {
    /// Whether the block was counted.
    Counted(bool),
    /// What was known without the right to record.
    Outside(Option<Forgotten>),
}

impl Entered {
    /// Notes that the inner allocator returned a block.
    pub(crate) fn allocated(&self, address: usize, size: usize) {
        match self {
            Entered::Counter(counter) => counter.allocated(address, size),
            Entered::Outside => counting::leave_out(address),
        }
    }

    /// Notes that a block is about to go back to the inner allocator.
    pub(crate) fn freed(self, address: usize, size: usize) {
        match self {
            Entered::Counter(counter) => counter.freed(address, size),
            Entered::Outside => _ = forget(address, size),
        }
    }

    /// Takes out what is known of a block that is about to be reallocated.
    pub(crate) fn take(&self, (address, size): (usize, usize)) -> Taken {
        match self {
            Entered::Counter(counter) => Taken::Counted(counter.take(address)),
            Entered::Outside => Taken::Outside(forget(address, size)),
        }
    }

    /// Puts back what was [taken](Self::take): the reallocation failed.
    pub(crate) fn put_back(&self, address: usize, taken: Taken) {
        match taken {
            Taken::Counted(was_counted) => TABLES.counted.put_back(address, was_counted),
            Taken::Outside(forgotten) => forgotten.into_iter().for_each(restore),
        }
    }

    /// Notes that the block `old` of `old_size` bytes, which was [taken](Self::take), became another.
    pub(crate) fn reallocated(&self, taken: Taken, old: (usize, usize), new: (usize, usize)) {
        match (self, taken) {
            (Entered::Counter(counter), Taken::Counted(was_counted)) => {
                counter.reallocated(was_counted, old.1, new);
            }
            _ => counting::leave_out(new.0),
        }
    }
}

impl Drop for Recorder {
    #[inline(always)]
    fn drop(&mut self) {
        self.state.leave(0);
    }
}

impl Recorder {
    /// Records that the inner allocator returned a block.
    #[inline(always)]
    pub(crate) fn allocated(&self, address: usize, size: usize) {
        match self.state.sampling() {
            None => self.begin(address, Weighted::one(size), None),
            Some(interval) if self.state.is_drawn(size, interval) => {
                self.begin_drawn(address, interval.weigh(address, size), interval);
            }
            Some(_) => {}
        }
    }

    #[inline(always)]
    fn begin(&self, address: usize, weighted: Weighted, sampling: Option<Interval>) {
        let Some(callsite) = self.insert(address, sampling) else {
            return;
        };
        self.credit(callsite, weighted, false);
        self.state.account.grow(weighted.bytes, &TABLES.heap);
    }

    #[cold]
    #[inline(never)]
    fn begin_drawn(&self, address: usize, weighted: Weighted, interval: Interval) {
        self.begin(address, weighted, Some(interval));
    }

    /// Records that a block is about to go back to the inner allocator.
    #[inline(always)]
    pub(crate) fn freed(&self, address: usize, size: usize) {
        let Some(callsite) = TABLES.blocks.remove(address) else {
            return self.unknown_free();
        };
        match self.state.sampling() {
            None => self.end(callsite, Weighted::one(size)),
            Some(interval) => self.end_drawn(callsite, address, interval.weigh(address, size)),
        }
    }

    #[inline(always)]
    fn end(&self, callsite: CallsiteId, weighted: Weighted) {
        self.state
            .account
            .shrink(weighted.bytes, &TABLES.heap, &TABLES.epoch);
        self.debit(callsite, weighted);
    }

    #[cold]
    #[inline(never)]
    fn end_drawn(&self, callsite: CallsiteId, address: usize, weighted: Weighted) {
        TABLES.drawn.take(address);
        self.end(callsite, weighted);
    }

    /// A sampled tracer does not know most blocks, so that counting them tells nothing.
    #[cold]
    #[inline(never)]
    fn unknown_free(&self) {
        if self.state.sampling().is_none() {
            self.state.events.unknown_free();
        }
    }

    /// Takes out the record of a block that is about to be reallocated.
    pub(crate) fn take(&self, address: usize) -> Option<CallsiteId> {
        TABLES.remove(address, self.state.sampling())
    }

    /// Puts a record back that was [taken](Self::take): the reallocation failed.
    pub(crate) fn put_back(&self, address: usize, taken: Option<CallsiteId>) {
        if let Some(callsite) = taken {
            TABLES.put_back(address, callsite, self.state.sampling());
        }
    }

    /// Records that the block `old` of `old_size` bytes became another: at the callsite that had it it
    /// ends, at this one it begins.
    ///
    /// For the heap it is one change, so that a block that grows at the peak does not shrink the
    /// heap first.
    #[inline(always)]
    pub(crate) fn reallocated(
        &self,
        taken: Option<CallsiteId>,
        (old, old_size): (usize, usize),
        (address, size): (usize, usize),
    ) {
        let sampling = self.state.sampling();
        let is_drawn = sampling.is_none_or(|interval| self.state.is_drawn(size, interval));
        // NOTE: no closure, which would be a frame of its own in a debug build.
        let callsite = if is_drawn {
            self.insert(address, sampling)
        } else {
            None
        };
        let gone = taken.map(|callsite| (callsite, Weighted::of(sampling, old, old_size)));
        let come = callsite.map(|callsite| (callsite, Weighted::of(sampling, address, size)));
        let bytes = |it: &Option<(CallsiteId, Weighted)>| it.map_or(0, |(_, it)| it.bytes);
        let grown = bytes(&come) - bytes(&gone);
        if grown < 0 {
            self.state
                .account
                .shrink(-grown, &TABLES.heap, &TABLES.epoch);
        }
        if let Some((callsite, weighted)) = gone {
            self.debit(callsite, weighted);
        }
        if let Some((callsite, weighted)) = come {
            self.credit(callsite, weighted, true);
        }
        if grown >= 0 {
            self.state.account.grow(grown, &TABLES.heap);
        }
    }

    /// The callsite of the stack that was just captured.
    #[inline(always)]
    fn callsite(&self, captured: Captured) -> CallsiteId {
        let hash = match captured {
            Captured::Known(callsite) => return callsite,
            Captured::Hashed(hash) => hash ^ self.state.salt(),
        };
        let recent = self.state.recent().find(hash);
        let callsite = recent.unwrap_or_else(|| self.callsite_from_afar(hash));
        // SAFETY: this is the owner, a record is under way, and the reference ends here.
        unsafe { self.state.walker() }.remember(callsite);
        callsite
    }

    /// The callsite with this hash, which was not met lately.
    #[inline(never)]
    fn callsite_from_afar(&self, hash: u64) -> CallsiteId {
        let callsites = &TABLES.callsites;
        let callsite = callsites.find(hash).unwrap_or_else(|| {
            // SAFETY: this is the owner, a record is under way, and the reference ends here.
            let walker = unsafe { self.state.walker() };
            callsites.insert_last_of(walker, self.state.label())
        });
        self.state.recent().keep(hash, callsite);
        callsite
    }

    /// Captures the stack and notes the block in the page map.
    #[inline(always)]
    fn insert(&self, address: usize, sampling: Option<Interval>) -> Option<CallsiteId> {
        let state = self.state;
        let slot = TABLES.blocks.prefetched(address);
        // SAFETY: this is the owner, a record is under way, and the reference ends with the walk.
        let walker = unsafe { state.walker() };
        let callsite = if state.captures() {
            self.callsite(walker.capture())
        } else if state.captures_line() {
            self.callsite(walker.capture_line())
        } else {
            CallsiteId::HEAP
        };
        let Some(slot) = slot else {
            return self.insert_anew(address, callsite, sampling);
        };
        self.inserted(address, slot.replace(Some(callsite)), sampling);
        Some(callsite)
    }

    /// Notes a block near which there was none.
    #[cold]
    #[inline(never)]
    fn insert_anew(
        &self,
        address: usize,
        callsite: CallsiteId,
        sampling: Option<Interval>,
    ) -> Option<CallsiteId> {
        match TABLES.blocks.insert(address, callsite) {
            Ok(before) => {
                self.inserted(address, before, sampling);
                Some(callsite)
            }
            Err(error) => {
                self.state.events.not_inserted(error);
                None
            }
        }
    }

    /// A block was noted, where `before` was.
    #[inline(always)]
    fn inserted(&self, address: usize, before: Option<CallsiteId>, sampling: Option<Interval>) {
        if before.is_some() {
            // It was released without our knowledge.
            self.state.events.lost_block();
        } else if sampling.is_some() {
            TABLES.drawn.add(address);
        }
    }

    #[inline(always)]
    fn credit(&self, callsite: CallsiteId, weighted: Weighted, reallocation: bool) {
        credit(self.state, callsite, weighted, reallocation);
    }

    #[inline(always)]
    fn debit(&self, callsite: CallsiteId, weighted: Weighted) {
        debit(self.state, callsite, weighted);
    }
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

/// The right to record blocks that the allocator does not see: see [`track`](crate::track()).
pub(crate) struct Aside(Option<&'static ThreadState>);

/// Runs `record` while the tables are sure to stay, in a thread that is muted.
pub(crate) fn aside<R>(record: impl FnOnce(&Aside) -> R) -> Result<R, Error> {
    let Some(state) = thread::current() else {
        // At a thread's end.
        let mut record = Some(record);
        let recorded = control::alone_with_the_tables(|| record.take().map(|it| it(&Aside(None))));
        return recorded.ok_or_else(control::why_off);
    };
    if state.is_recording() {
        // In a signal handler after all, which interrupted a record.
        state.events.skipped();
        return Err(Error::not_tracing());
    }
    loop {
        let mode = state.enter();
        let phase = control::phase();
        if phase == control::PAUSED {
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
        // SAFETY: this is the owner, a record is under way, and the reference ends with the search.
        let walker = unsafe { state.walker() };
        let stack = if state.captures() || state.captures_line() {
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
        if state.account.grow(weighted.bytes, &TABLES.heap) {
            state.look_after_tally();
        }
        callsite
    }

    /// Records the end of a block that was [tracked](Self::tracked) in this session.
    pub(crate) fn untracked(&self, callsite: CallsiteId, size: usize) {
        let weighted = Weighted::one(size);
        match self.0 {
            Some(state) => {
                let account = &state.account;
                if account.shrink(weighted.bytes, &TABLES.heap, &TABLES.epoch) {
                    state.look_after_tally();
                }
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
        callsite: CallsiteId,
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
        let callsite = TABLES.remove(address, sampling)?;
        let weighted = Weighted::of(sampling, address, size);
        TABLES.heap.add_directly(-weighted.bytes, &TABLES.epoch);
        // What the thread held back at its highest counts from what was shared until now.
        if let Some(state) = state {
            state.fold_callsite(callsite);
        }
        fold_directly(callsite, |epoch| Delta::freed(weighted, epoch));
        Some(Forgotten::Recorded {
            callsite,
            address,
            size,
        })
    })
}

/// Undoes [`forget`].
#[cold]
pub(crate) fn restore(forgotten: Forgotten) {
    let (callsite, address, size) = match forgotten {
        Forgotten::LeftOut(address) => return counting::leave_out(address),
        Forgotten::Recorded {
            callsite,
            address,
            size,
        } => (callsite, address, size),
    };
    directly(|_| {
        let sampling = control::sampling();
        TABLES.put_back(address, callsite, sampling);
        let weighted = Weighted::of(sampling, address, size);
        fold_directly(callsite, |epoch| Delta::restored(weighted, epoch));
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
        (Some(state), _) => loop {
            let is_between_records = !state.is_recording();
            let mode = state.enter();
            let phase = control::phase();
            if phase == control::PAUSED {
                state.leave(mode);
                control::wait();
                continue;
            }
            let result = if phase == control::OFF {
                None
            } else {
                state.account.tell_peak(&TABLES.heap);
                change(is_between_records.then_some(state))
            };
            // Its account counted on being the only one to change the heap.
            state.rejoin_later();
            state.leave(mode);
            return result;
        },
        (None, _) => control::alone_with_the_tables(|| change(None)),
    }
}
