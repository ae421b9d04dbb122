//! The way into a record: whether there is anything to do, and the guard against reentrancy.
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
//! session that only counts has steps of [its own](super::counting).

use super::counting::Counter;
use super::gate::{self, GateWord, Mode};
use super::recorder::Recorder;
use super::sampler::Sampler;
use super::session::{SAMPLE_FILTER, TABLES};
use super::thread::{self, Stage, ThreadState};
use crate::control;

/// Whether nothing is to be done about an allocation: there are no scopes, and tracing is off, or the sample passes it
/// over.
#[inline(always)]
pub(crate) fn skips_alloc(word: GateWord, size: usize) -> bool {
    word.is_idle() || !word.is_exact() && sample_skips_alloc(word, size)
}

/// The same of a free.
#[inline(always)]
pub(crate) fn skips_free(word: GateWord, address: usize) -> bool {
    word.is_idle() || !word.is_exact() && sample_skips_free(word, address)
}

/// Whether there are no scopes, and the sample passes over an allocation.
///
/// NOTE: what the tracer itself allocates, and what is muted, is counted off the sample as well. The
/// distance to the next byte that is drawn has no memory, so that changes no chance.
#[inline(always)]
fn sample_skips_alloc(word: GateWord, size: usize) -> bool {
    thread::current().is_some_and(|state| state.skips(size, word))
}

/// Whether there are no scopes, and a block that is about to be freed is not of the sample.
#[inline(always)]
fn sample_skips_free(word: GateWord, address: usize) -> bool {
    !word.sees_scopes() && !SAMPLE_FILTER.may_hold(address)
}

/// Whether something is to be done about an allocation beside telling scopes.
pub(crate) fn must_enter_for_alloc(size: usize) -> bool {
    enters(|word| sample_skips_alloc(word, size))
}

/// Whether something is to be done about a free beside telling scopes.
pub(crate) fn must_enter_for_free(address: usize) -> bool {
    enters(|word| sample_skips_free(word, address))
}

fn enters(skips: impl FnOnce(GateWord) -> bool) -> bool {
    let word = control::gate_word();
    match word.how() {
        Mode::Off => false,
        Mode::Sampled => !skips(word.without_scopes()),
        Mode::Whole | Mode::Counted => true,
    }
}

/// The state of the thread, which has begun a record, if `may` says so of it and of what is seen then.
///
/// PERF: `may` is one comparison, of the word that says what to do with what it was when the thread took note of it.
#[inline(always)]
pub(crate) fn try_enter_fast(
    may: impl FnOnce(&ThreadState, GateWord) -> bool,
) -> Option<&'static ThreadState> {
    let state = thread::current()?;
    if state.is_inside() {
        return None;
    }
    state.enter_from_outside();
    // Looked again: whoever changes the generation and waits for records sees ours, or we see the change.
    if may(state, control::gate_word()) {
        return Some(state);
    }
    state.leave(0);
    None
}

/// The right to do what the session does about an event.
pub(crate) enum Guard {
    Record(Recorder),
    Sample(Sampler),
    Count(Counter),
}

impl Guard {
    /// For a thread that has begun a record, and joined the generation.
    #[inline(always)]
    fn of(state: &'static ThreadState) -> Guard {
        if state.only_counts() {
            return Guard::Count(Counter::with(state));
        }
        let recorder = Recorder { state };
        match state.sampling() {
            None => Guard::Record(recorder),
            Some(interval) => Guard::Sample(Sampler { recorder, interval }),
        }
    }
}

/// The right to do what the session does about an event. `None` where tracing is off, or this is inside the tracer
/// itself.
#[inline(always)]
pub(crate) fn enter() -> Option<Guard> {
    enter_state().map(Guard::of)
}

/// The state of the thread, which has begun a record.
#[inline(never)]
fn enter_state() -> Option<&'static ThreadState> {
    if let Some(state) = thread::current()
        && !state.is_inside()
    {
        state.enter_from_outside();
        // Looked after, as in `try_enter_fast`.
        if control::is_undisturbed_at(state.generation()) {
            return Some(state);
        }
        state.leave(0);
    }
    enter_slow()
}

/// The same, where it may take a state for the thread, a new generation, or a wait.
#[cold]
#[inline(never)]
fn enter_slow() -> Option<&'static ThreadState> {
    loop {
        if thread::stage() == Stage::Internal {
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
        if matches!(control::generation(), control::OFF | control::UNSET) {
            gate::answer();
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
        gate::answer();
        let mode = state.enter();
        match control::generation() {
            control::OFF | control::UNSET => {}
            generation if control::is_paused(generation) => {
                state.leave(mode);
                control::wait();
                continue;
            }
            generation => {
                if generation != state.generation() {
                    state.join(generation, control::concurrency(generation));
                }
                return Some(state);
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
