//! The distance to the next sampled byte.

use super::ThreadState;
use crate::record::gate::GateWord;
use crate::record::settings;
use crate::system::sync::Ordering::Relaxed;
use crate::tables::sampling::{Interval, Rounding};

impl ThreadState {
    /// Fast path: whether an allocation of this size is surely not sampled in the generation that
    /// was seen. Needs no guard.
    #[inline(always)]
    pub(crate) fn skips(&self, size: usize, word: GateWord) -> bool {
        if !self.samples_at(word) {
            return false;
        }
        let (until, size) = (self.until_sample.load(Relaxed), size as i64);
        let skips = until > size;
        if skips {
            self.until_sample.store(until - size, Relaxed);
        }
        skips
    }

    /// Whether a block of this size is sampled, and the threshold for rounding its weight.
    #[inline(always)]
    pub(crate) fn drawn(&self, size: usize, interval: Interval) -> Option<Rounding> {
        let until = self.until_sample.load(Relaxed).wrapping_sub(size as i64);
        self.until_sample.store(until, Relaxed);
        (until <= 0).then(|| self.draw(interval))
    }

    #[cold]
    pub(super) fn draw(&self, interval: Interval) -> Rounding {
        let mut random = self.random.load(Relaxed);
        if random == 0 {
            // Seeds differ between threads and between runs.
            random = std::ptr::from_ref(self) as u64 ^ settings::seed();
        }
        let (until, rounding) = interval.draw(&mut random);
        self.until_sample.store(until, Relaxed);
        self.random.store(random, Relaxed);
        rounding
    }
}
