//! [`Sampler`]: records the blocks that are sampled.

use super::count::{credit, end, replace};
use super::hooks::Hooks;
use super::recorder::{Recorder, capture, insert_cold};
use super::session::TABLES;
use super::thread::ThreadState;
use crate::tables::callsites::CallsiteId;
use crate::tables::sampling::{Interval, Rounding, SampledBlock, Weighted};

/// The guard of one event, in a session that records a sample.
pub(crate) struct Sampler {
    pub(super) recorder: Recorder,
    pub(super) interval: Interval,
}

impl Hooks for Sampler {
    type Taken = Option<SampledBlock>;

    #[inline(always)]
    fn allocated(&self, address: usize, size: usize) {
        let state = self.state();
        let Some(rounding) = state.drawn(size, self.interval) else {
            return;
        };
        if let Some(drawn) = self.insert(address, size, rounding) {
            let weighted = self.weigh(size, drawn);
            credit(state, drawn.callsite, weighted, false);
            state.account.grow(weighted.bytes, &TABLES.heap);
        }
    }

    /// NOTE: unknown frees are not counted, since most blocks are not in the sample.
    fn freed(&self, address: usize, size: usize) {
        if let Some(drawn) = self.take((address, size)) {
            end(self.state(), drawn.callsite, self.weigh(size, drawn));
        }
    }

    fn take(&self, (address, _): (usize, usize)) -> Option<SampledBlock> {
        TABLES.remove(address, Some(self.interval))
    }

    fn put_back(&self, address: usize, taken: Option<SampledBlock>) {
        if let Some(drawn) = taken {
            TABLES.put_back(address, drawn, Some(self.interval));
        }
    }

    #[inline(always)]
    fn reallocated(
        &self,
        taken: Option<SampledBlock>,
        (old_address, old_size): (usize, usize),
        (address, size): (usize, usize),
    ) {
        let state = self.state();
        let rounding = state.drawn(size, self.interval);
        let come = rounding.and_then(|rounding| self.insert(address, size, rounding));
        let gone = taken.map(|drawn| (drawn.callsite, self.weigh(old_size, drawn)));
        let weighted = come.map(|drawn| (drawn.callsite, self.weigh(size, drawn)));
        replace(state, gone, weighted);
        if let Some(drawn) = come
            && address != old_address
        {
            let copied = self.interval.weigh_part(old_size.min(size), size);
            state.copied(drawn.callsite, copied);
        }
    }
}

impl Sampler {
    fn state(&self) -> &'static ThreadState {
        self.recorder.state
    }

    /// Captures the stack and records the block.
    #[inline(always)]
    fn insert(&self, address: usize, size: usize, rounding: Rounding) -> Option<SampledBlock> {
        let state = self.state();
        let callsite = if state.captures() {
            capture(state, size)
        } else {
            CallsiteId::HEAP
        };
        let drawn = SampledBlock { callsite, rounding };
        insert_cold(state, address, drawn, Some(self.interval)).map(|()| drawn)
    }

    fn weigh(&self, size: usize, drawn: SampledBlock) -> Weighted {
        self.interval.weigh(size, drawn.rounding)
    }
}
