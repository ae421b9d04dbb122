//! Counts a block at its callsite and in the heap.

use super::session::TABLES;
use super::settings;
use super::thread::{self, ThreadState};
use crate::snapshot::numbers::Amount;
use crate::tables::callsites::CallsiteId;
use crate::tables::counters::Delta;
use crate::tables::frees::{Freer, Frees};
use crate::tables::sampling::Weighted;

/// Counts the free of a block, or of the blocks that a sampled one stands for.
pub(super) fn end(state: &ThreadState, callsite: CallsiteId, weighted: Weighted) {
    let (bytes, heap) = (weighted.bytes, &TABLES.heap);
    state.account.shrink(bytes, heap, &TABLES.epoch);
    debit(state, callsite, weighted);
}

/// Counts that one block replaced another.
///
/// For the heap this is one change, so that a block that grows at the peak does not shrink the heap
/// first.
#[inline(always)]
pub(super) fn replace(
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
pub(super) fn credit_slow(state: &ThreadState, callsite: CallsiteId, bytes: i64) {
    let weighted = Weighted { bytes, blocks: 1 };
    credit(state, callsite, weighted, false);
}

#[inline(always)]
pub(super) fn credit(
    state: &ThreadState,
    callsite: CallsiteId,
    weighted: Weighted,
    reallocation: bool,
) {
    let epoch = TABLES.epoch();
    let cell = state.cell(callsite, epoch);
    if cell.allocated(weighted, reallocation, epoch, state.ceiling()) {
        state.fold(cell, epoch);
    }
}

#[inline(always)]
pub(super) fn debit(state: &ThreadState, callsite: CallsiteId, weighted: Weighted) {
    // NOTE: loaded after the heap shrank, which may have moved the epoch.
    let epoch = TABLES.epoch();
    let cell = state.cell(callsite, epoch);
    if cell.freed(weighted, epoch, state.ceiling()) {
        state.fold(cell, epoch);
    }
}

/// Changes a callsite's counters without a thread's cell.
pub(super) fn fold_directly(callsite: CallsiteId, delta: impl FnOnce(u64) -> Delta) {
    let epoch = TABLES.epoch();
    if let Some(callsite) = TABLES.callsites.get(callsite) {
        callsite.shared.fold(&delta(epoch), epoch, || {});
    }
}

/// Counts a free without what a thread holds back, or undoes that, if the session counts who frees.
/// The name of a thread without a state is not known.
pub(super) fn count_free_directly(
    state: Option<&ThreadState>,
    callsite: CallsiteId,
    weighted: Weighted,
    count: impl FnOnce(&Frees, CallsiteId, Freer, Amount),
) {
    if settings::counts_frees() {
        let label_alone = || Freer {
            label: thread::label(),
            ..Freer::default()
        };
        let by = state.map_or_else(label_alone, ThreadState::freer);
        let freed = Amount::new(
            weighted.bytes.unsigned_abs(),
            weighted.blocks.unsigned_abs().into(),
        );
        count(&TABLES.frees, callsite, by, freed);
    }
}
