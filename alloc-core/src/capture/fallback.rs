//! Stacks from the `backtrace` crate, where the tracer has no walk of its own.

use super::{Buffer, CaptureMethod, StackBounds, StackHash};
use crate::callsites::Stack;
use crate::recorded::StackEnd;

pub(super) fn prepare() -> CaptureMethod {
    CaptureMethod::Backtrace
}

#[inline(always)]
pub(super) fn capture<'b>(buffer: &'b mut Buffer, limit: usize, _: StackBounds) -> Stack<'b> {
    let mut len = 0;
    let mut end = StackEnd::Complete;
    let mut hash = StackHash::START;
    // SAFETY: `trace_unsynchronized` asks that symbols are not resolved at the same time through
    // the crate's unsynchronized functions; the tracer uses the synchronized ones only, and
    // walking does not touch what they share. An allocation inside the walk meets the guard.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            if len == limit.min(buffer.len()) {
                end = StackEnd::Truncated;
                return false;
            }
            buffer[len] = frame.ip() as usize;
            hash.push(buffer[len]);
            len += 1;
            true
        });
    }
    Stack {
        addresses: &buffer[..len],
        end,
        hash: hash.finish(),
    }
}

pub(super) fn stack_bounds() -> StackBounds {
    StackBounds::default()
}

pub(super) fn resident() -> usize {
    0
}
