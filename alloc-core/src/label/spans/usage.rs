//! [`Counted`]: what a span allocates, counted by a scope.

use tracing::Level;
use tracing::span::Id;

use crate::scope::{InsideParts, ScopeHandle};

/// The scope of a span.
pub(super) struct Counted(ScopeHandle);

/// The calling thread is in the scope of a span, until it [leaves](Self::leave) it.
pub(super) type Inside = InsideParts;

impl Counted {
    /// A scope within the calling thread's present one; `None` if the global allocator is another,
    /// or a million spans are alive.
    pub(super) fn new() -> Option<Counted> {
        ScopeHandle::new().ok().map(Counted)
    }

    pub(super) fn enter(&self) -> Inside {
        self.0.enter_by_parts()
    }

    /// Reports the numbers in an event within the span.
    pub(super) fn report(self, level: Level, span: &Id) {
        let Ok(usage) = self.0.usage() else { return };
        let [allocated, freed, held] = [usage.allocated, usage.freed, usage.current];
        // NOTE: the level of an event is a part of its static description.
        macro_rules! event {
            ($level:expr) => {
                tracing::event!(
                    target: "alloc_core::span",
                    parent: span.clone(),
                    $level,
                    allocated = allocated.bytes.get(),
                    blocks = allocated.blocks,
                    freed = freed.bytes.get(),
                    peak = usage.peak.bytes.get(),
                    held = held.bytes.get(),
                    "span closed"
                )
            };
        }
        match level {
            Level::ERROR => event!(Level::ERROR),
            Level::WARN => event!(Level::WARN),
            Level::INFO => event!(Level::INFO),
            Level::DEBUG => event!(Level::DEBUG),
            Level::TRACE => event!(Level::TRACE),
        }
    }
}
