//! [`Unguarded`]: handles events without a guard: inside the tracer, at a thread's end, while
//! tracing is off.

use super::count::{count_free_directly, fold_directly};
use super::counting;
use super::hooks::Hooks;
use super::session::TABLES;
use super::thread::{self, Stage, ThreadState};
use crate::control;
use crate::tables::counters::Delta;
use crate::tables::frees::Frees;
use crate::tables::sampling::{SampledBlock, Weighted};
use crate::tables::usable::Side;

/// Handles an event for which no guard can be had: inside the tracer, at a thread's end, or while
/// tracing is off.
pub(crate) struct Unguarded {
    /// The usable size of the block that ends, in a session that measures it.
    usable: usize,
}

impl Unguarded {
    /// For a block that begins, or in a session that does not measure.
    pub(crate) fn new() -> Unguarded {
        Unguarded { usable: 0 }
    }

    /// For a block that ends, and has so many usable bytes.
    pub(crate) fn measured(usable: usize) -> Unguarded {
        Unguarded { usable }
    }
}

impl Hooks for Unguarded {
    type Taken = Option<RemovedRecord>;

    fn allocated(&self, address: usize, _: usize) {
        counting::exclude(address);
    }

    fn freed(&self, address: usize, size: usize) {
        forget(address, size, self.usable);
    }

    fn take(&self, (address, size): (usize, usize)) -> Option<RemovedRecord> {
        forget(address, size, self.usable)
    }

    fn put_back(&self, _: usize, taken: Option<RemovedRecord>) {
        taken.into_iter().for_each(restore);
    }

    fn reallocated(
        &self,
        _: Option<RemovedRecord>,
        _: (usize, usize),
        (address, _): (usize, usize),
    ) {
        counting::exclude(address);
    }
}

/// A record that [`forget`] removed, to be put back if the block stays allocated.
pub(crate) enum RemovedRecord {
    Recorded {
        drawn: SampledBlock,
        address: usize,
        size: usize,
        usable: usize,
    },
    /// The block was not counted, and had an exclusion mark.
    Excluded(usize),
}

/// Records the free of a block without a [`Recorder`](super::recorder::Recorder): inside the
/// tracer, in a signal handler that interrupted it, or at a thread's end.
///
/// The block's callsite and the heap are changed directly, with atomics, since the thread's own
/// counters may be in the middle of a change, or gone.
#[inline(always)]
pub(crate) fn forget(address: usize, size: usize, usable: usize) -> Option<RemovedRecord> {
    if TABLES.counted.forget_excluded(address) {
        return Some(RemovedRecord::Excluded(address));
    }
    if control::generation() == control::OFF || thread::stage() == Stage::Internal {
        None
    } else {
        forget_directly(address, size, usable)
    }
}

#[cold]
#[inline(never)]
fn forget_directly(address: usize, size: usize, usable: usize) -> Option<RemovedRecord> {
    directly(|state| {
        let sampling = control::sampling();
        let drawn = TABLES.remove(address, sampling)?;
        let callsite = drawn.callsite;
        let weighted = Weighted::of(sampling, size, drawn.rounding);
        TABLES.heap.add_directly(-weighted.bytes, &TABLES.epoch);
        // Fold first: the thread's highest value is relative to the shared counters as they were
        // until now.
        if let Some(state) = state {
            state.fold_callsite(callsite);
        }
        fold_directly(callsite, |epoch| Delta::freed(weighted, epoch));
        count_free_directly(state, callsite, weighted, Frees::add);
        if usable > 0 {
            let bytes = usable as u64;
            TABLES.usable.fold(Side::Freed, callsite, bytes, || {});
        }
        Some(RemovedRecord::Recorded {
            drawn,
            address,
            size,
            usable,
        })
    })
}

/// Undoes [`forget`].
#[cold]
pub(crate) fn restore(forgotten: RemovedRecord) {
    let (drawn, address, size, usable) = match forgotten {
        RemovedRecord::Excluded(address) => return counting::exclude(address),
        RemovedRecord::Recorded {
            drawn,
            address,
            size,
            usable,
        } => (drawn, address, size, usable),
    };
    directly(|state| {
        let sampling = control::sampling();
        TABLES.put_back(address, drawn, sampling);
        let weighted = Weighted::of(sampling, size, drawn.rounding);
        count_free_directly(state, drawn.callsite, weighted, Frees::subtract);
        fold_directly(drawn.callsite, |epoch| Delta::restored(weighted, epoch));
        if usable > 0 {
            TABLES.usable.restore(drawn.callsite, usable as u64);
        }
        TABLES.heap.add_directly(weighted.bytes, &TABLES.epoch);
        Some(())
    });
}

/// Runs `change` without a [`Recorder`](super::recorder::Recorder), while the tables cannot be
/// cleared. `change` gets the thread's state, unless the thread is in the middle of a record.
fn directly<R>(change: impl Fn(Option<&ThreadState>) -> Option<R>) -> Option<R> {
    if !control::is_on() {
        return None;
    }
    match (thread::current(), thread::stage()) {
        // The holder of the control lock can neither wait for it nor change the tables.
        (_, Stage::Busy) => {
            TABLES.events.lost_block();
            None
        }
        (Some(state), _) if state.is_waited_for() => {
            let change = || {
                state.tell_peak_within_record();
                state.rejoin_later();
                change(None)
            };
            let may = || if control::is_on() { change() } else { None };
            control::beside_record(may).flatten()
        }
        (Some(state), _) => loop {
            let mode = state.enter();
            let generation = control::generation();
            if control::is_paused(generation) {
                state.leave(mode);
                control::wait();
                continue;
            }
            let result = if generation == control::OFF {
                None
            } else {
                state.tell_peak();
                change(Some(state))
            };
            // The account assumed that only its thread changes the heap.
            state.rejoin_later();
            state.leave(mode);
            return result;
        },
        (None, _) => control::with_exclusive_tables(|| change(None)),
    }
}
