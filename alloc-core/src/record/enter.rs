//! The way into a record: whether there is anything to do, and the guard against reentrancy.
//!
//! # What a record costs
//!
//! In the steady state: two loads of the gate word, the thread-local, the guard, a lookup of the
//! cached stack, one store to the page map, one cell, one account. No memory that another thread
//! writes, no lock, no allocation, no system call.
//!
//! A pair of an allocation and a free of a small vector takes 330 instructions, as callgrind counts
//! them: 10 each in the compiler's shims, which load the gate word, 13 each for the guard, 28 and
//! 20 for the page map, 50 and 28 for cell and account, 110 for the stack. The rest saves registers
//! and calls the inner allocator. A free saves none: it checks that the fast path is open, and then
//! changes four words. A sample skips nearly all of this. A session that only counts has [its own
//! hooks](super::counting).

use super::counting::Counter;
use super::extended::Extended;
use super::gate::{self, GateWord, Mode};
use super::recorder::Recorder;
use super::sampler::Sampler;
use super::session::{SAMPLE_FILTER, TABLES};
use super::thread::{self, Stage, ThreadState};
use crate::control;

/// Whether an allocation needs no hook: there are no scopes, and tracing is off or the sample skips
/// it.
#[inline(always)]
pub(crate) fn skips_alloc(word: GateWord, size: usize) -> bool {
    word.is_idle() || !word.is_exact() && sample_skips_alloc(word, size)
}

/// Whether a free needs no hook: there are no scopes, and tracing is off or the block is not in the
/// sample.
#[inline(always)]
pub(crate) fn skips_free(word: GateWord, address: usize) -> bool {
    word.is_idle() || !word.is_exact() && sample_skips_free(word, address)
}

/// Whether there are no scopes, and the sample skips an allocation.
///
/// NOTE: the tracer's own and muted allocations also count down to the next sample. The distance to
/// the next sampled byte is memoryless, so this changes no probability.
#[inline(always)]
fn sample_skips_alloc(word: GateWord, size: usize) -> bool {
    thread::current().is_some_and(|state| state.skips(size, word))
}

/// Whether there are no scopes, and a block is not in the sample.
#[inline(always)]
fn sample_skips_free(word: GateWord, address: usize) -> bool {
    !word.sees_scopes() && !SAMPLE_FILTER.may_hold(address)
}

/// Whether the session, besides scopes, needs a hook for an allocation.
pub(crate) fn must_enter_for_alloc(size: usize) -> bool {
    enters(|word| sample_skips_alloc(word, size))
}

/// Whether the session, besides scopes, needs a hook for a free.
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

/// Fast path: takes the reentrancy guard with one comparison. `None` means that the slow path is
/// needed.
///
/// PERF: `may` compares the gate word with the one that the thread joined.
#[inline(always)]
pub(crate) fn try_enter_fast(
    may: impl FnOnce(&ThreadState, GateWord) -> bool,
) -> Option<&'static ThreadState> {
    let state = thread::current()?;
    if state.is_inside() {
        return None;
    }
    state.enter_from_outside();
    // Loaded again: a thread that stops the world sees our mark, or we see its generation.
    if may(state, control::gate_word()) {
        return Some(state);
    }
    state.leave(0);
    None
}

/// The reentrancy guard, with the hooks of the session: taken before the inner allocator is called.
pub(crate) enum Guard {
    Record(Extended),
    Sample(Sampler),
    Count(Counter),
}

impl Guard {
    /// The guard of a thread that has begun a record and joined the generation.
    #[inline(always)]
    fn of(state: &'static ThreadState) -> Guard {
        if state.only_counts() {
            return Guard::Count(Counter::with(state));
        }
        let recorder = Recorder { state };
        match state.sampling() {
            None => Guard::Record(Extended(recorder)),
            Some(interval) => Guard::Sample(Sampler { recorder, interval }),
        }
    }
}

/// Takes the guard. `None` while tracing is off, and inside the tracer itself.
#[inline(always)]
pub(crate) fn enter() -> Option<Guard> {
    enter_state().map(Guard::of)
}

/// Begins a record, and returns the state of the thread.
#[inline(never)]
fn enter_state() -> Option<&'static ThreadState> {
    if let Some(state) = thread::current()
        && !state.is_inside()
    {
        state.enter_from_outside();
        // Loaded after the mark, as in `try_enter_fast`.
        if control::is_undisturbed_at(state.generation()) {
            return Some(state);
        }
        state.leave(0);
    }
    enter_slow()
}

/// Slow path: may claim a state for the thread, join a generation, or wait for a stopped world.
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
