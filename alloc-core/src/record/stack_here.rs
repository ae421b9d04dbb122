//! The calling thread's stack, for those who do not record.

use super::thread::{self, Stage};
use crate::capture::LIBRARY_FRAMES;
use crate::control;
use crate::system::waiting;
use crate::tables::callsites::Stack;

/// How many return addresses a scope's stacks have.
const SCOPE_ADDRESSES: usize = SCOPE_FRAMES as usize + LIBRARY_FRAMES;

/// How many frames a scope's tracebacks keep.
pub(crate) const SCOPE_FRAMES: u16 = 32;

/// Hands the calling thread's stack to `with`, whether tracing is on or not. Nothing where there is
/// none to be had: at the thread's end, and in a signal handler that interrupted a record.
pub(crate) fn with_stack_here<R>(with: impl FnOnce(Stack<'_>) -> R) -> Option<R> {
    let state = control::attached()?;
    if state.is_inside() {
        return None;
    }
    let _muted = thread::mute();
    // SAFETY: the thread is muted, so it records nothing, and the reference ends with `with`.
    let walker = unsafe { state.walker_for(SCOPE_ADDRESSES) };
    Some(with(walker.capture_now(false)))
}

/// Whether the calling thread may be in the middle of an allocation, or of the tracer: it runs in a
/// signal handler that interrupted something else than a wait for something from outside.
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
