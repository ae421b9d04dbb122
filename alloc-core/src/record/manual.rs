//! [`ManualRecorder`]: records blocks that the allocator does not see.

use super::count::{count_free_directly, credit, debit, fold_directly};
use super::session::TABLES;
use super::thread::ThreadState;
use crate::Error;
use crate::control;
use crate::tables::callsite_tag::CallsiteTag;
use crate::tables::callsites::{CallsiteId, Stack};
use crate::tables::counters::Delta;
use crate::tables::frees::Frees;
use crate::tables::sampling::Weighted;

/// The guard for records of blocks that the allocator does not see: see [`track`](crate::track()).
pub(crate) struct ManualRecorder(Option<&'static ThreadState>);

/// Runs `record` with the thread muted, while the tables cannot be cleared.
pub(crate) fn record<R>(record: impl FnOnce(&ManualRecorder) -> R) -> Result<R, Error> {
    let Some(state) = control::attached() else {
        // Runs at a thread's end as well.
        let mut record = Some(record);
        let recorded =
            control::with_exclusive_tables(|| record.take().map(|it| it(&ManualRecorder(None))));
        return recorded.ok_or_else(control::why_off);
    };
    if state.is_waited_for() {
        // A signal handler that interrupted a record.
        state.events.skipped();
        return Err(Error::not_tracing());
    }
    loop {
        let mode = state.enter();
        let generation = control::generation();
        if control::is_paused(generation) {
            state.leave(mode);
            control::wait();
            continue;
        }
        let recorded = if matches!(generation, control::OFF | control::UNSET) {
            Err(control::why_off())
        } else {
            if generation != state.generation() {
                state.join(generation, control::concurrency(generation));
            }
            Ok(record(&ManualRecorder(Some(state))))
        };
        state.leave(mode);
        return recorded;
    }
}

impl ManualRecorder {
    /// Records a block of `size` bytes in `domain`, allocated by the calling thread.
    pub(crate) fn tracked(&self, domain: u32, size: usize) -> CallsiteId {
        let weighted = Weighted::one(size);
        let Some(state) = self.0 else {
            // The walker is gone with the thread's state.
            let tag = CallsiteTag {
                domain,
                ..CallsiteTag::default()
            };
            let callsite = TABLES.callsites.find_or_insert(Stack::unknown(), tag);
            TABLES.heap.add_directly(weighted.bytes, &TABLES.epoch);
            fold_directly(callsite, |epoch| Delta::allocated(weighted, epoch));
            return callsite;
        };
        if state.has_stale_tag() {
            state.update_tag(size);
        }
        // SAFETY: this thread owns the state, a record is under way, and the reference ends with
        // the search.
        let walker = unsafe { state.walker() };
        let stack = if state.captures() {
            walker.capture_now(state.captures_line())
        } else {
            Stack::uncaptured()
        };
        let tag = CallsiteTag {
            domain,
            ..state.tag()
        };
        let callsite = TABLES.callsites.find_or_insert(stack, tag);
        credit(state, callsite, weighted, false);
        state.grow(weighted.bytes);
        callsite
    }

    /// Records the free of a block that was [tracked](Self::tracked) in this session.
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
        count_free_directly(self.0, callsite, weighted, Frees::add);
    }
}
