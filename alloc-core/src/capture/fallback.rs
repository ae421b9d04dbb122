//! Stacks from the `backtrace` crate, where the tracer has no walk of its own.

use super::{Buffer, CaptureMethod, Captured, StackBounds, hash_of};
use crate::callsites::{CallsiteId, Stack};
use crate::recorded::StackEnd;

pub(super) fn prepare() -> CaptureMethod {
    CaptureMethod::Backtrace
}

/// The stack of the last walk.
pub(crate) struct Walker {
    buffer: Buffer,
    limit: usize,
    len: usize,
    end: StackEnd,
}

impl Walker {
    /// Gets ready to walk the stack of another thread.
    pub(crate) fn begin(&mut self, _: StackBounds) {
        self.len = 0;
    }

    /// Shows `limit` frames of a stack from now on.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(self.buffer.len());
    }

    /// Walks the caller's stack and returns the hash of its innermost return addresses.
    pub(crate) fn capture(&mut self) -> Captured {
        Captured::Hashed(self.walk())
    }

    /// Nothing is remembered.
    pub(crate) fn remember(&mut self, _: CallsiteId) {}

    fn walk(&mut self) -> u64 {
        self.len = 0;
        self.end = StackEnd::Complete;
        // SAFETY: `trace_unsynchronized` asks that symbols are not resolved at the same time through
        // the crate's unsynchronized functions; the tracer uses the synchronized ones only, and
        // walking does not touch what they share. An allocation inside the walk meets the guard.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                if self.len == self.limit {
                    self.end = StackEnd::Truncated;
                    return false;
                }
                self.buffer[self.len] = frame.ip() as usize;
                self.len += 1;
                true
            });
        }
        hash_of(&self.buffer[..self.len])
    }

    /// The same: the limit is all that makes a walk for one line shorter.
    pub(crate) fn capture_line(&mut self) -> Captured {
        self.capture()
    }

    /// The stack of the last walk.
    pub(crate) fn stack(&mut self) -> Stack<'_> {
        let addresses = &self.buffer[..self.len];
        Stack {
            addresses,
            end: self.end,
            hash: hash_of(addresses),
        }
    }
}

pub(super) fn prepare_for_line() {}

pub(super) fn stack_bounds() -> StackBounds {
    StackBounds::default()
}

pub(super) fn resident() -> usize {
    0
}
