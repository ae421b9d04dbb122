//! The calling thread's stack, for callers that do not record.

use super::thread::{self, Stage};
use crate::capture::LIBRARY_FRAMES;
use crate::control;
use crate::system::waiting;
use crate::tables::callsites::Stack;

/// Number of return addresses in a scope's stacks.
const SCOPE_ADDRESSES: usize = SCOPE_FRAMES as usize + LIBRARY_FRAMES;

/// Number of frames in a scope's tracebacks.
pub(crate) const SCOPE_FRAMES: u16 = 32;

/// Passes the calling thread's stack to `with`, whether tracing is on or not. Returns `None` if no
/// stack can be captured: at the thread's end, and in a signal handler that interrupted a record.
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

/// Whether the calling thread may be inside an allocation, or inside the tracer: it runs in a
/// signal handler that interrupted anything but a wait for an external event.
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
    // SAFETY: the context belongs to a handler that is still running.
    context.is_some_and(|context| unsafe { !waiting::was_interrupted(context) })
}
