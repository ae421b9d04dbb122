//! [`Pending`]: what a thread counted of lifetimes and has not added to the shared histograms.

use super::{Age, Lifetimes};
use crate::system::arena::LazyTable;
use crate::system::sync::{AtomicU64, Ordering::Relaxed};
use crate::tables::callsites::CallsiteId;

/// Number of pairs of a callsite and an age that a thread holds back.
const PLACES: usize = 512;

/// The bits of a word: a callsite and an age above, and how many blocks below.
const COUNT_BITS: u32 = 28;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const AGE_BITS: u32 = 12;

/// Blocks that died, by callsite and age, each pair in one place. Another pair that comes to the
/// same place evicts it.
///
/// PERF: the blocks of a callsite mostly die at a few ages, so most deaths are one load and one
/// store, where the shared histograms take two atomic additions.
pub(crate) struct Pending {
    words: LazyTable<AtomicU64, PLACES>,
}

impl Pending {
    /// Counts the death of a block. NOTE: only by the owner.
    #[inline(always)]
    pub(crate) fn add(&self, callsite: CallsiteId, age: Age, shared: &Lifetimes) {
        let key = u64::from(callsite.get()) << AGE_BITS | age.word();
        let place = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 55) as usize % PLACES;
        if let Some(words) = self.words.get() {
            let word = words[place].load(Relaxed);
            if word >> COUNT_BITS == key && word & COUNT != COUNT {
                words[place].store(word + 1, Relaxed);
                return;
            }
        }
        self.evict(place, key, shared);
    }

    #[cold]
    fn evict(&self, place: usize, key: u64, shared: &Lifetimes) {
        match self.words.get_or_reserve() {
            Some(words) => {
                flush(words[place].load(Relaxed), shared);
                words[place].store(key << COUNT_BITS | 1, Relaxed);
            }
            None => flush(key << COUNT_BITS | 1, shared),
        }
    }

    /// Adds everything to the shared histograms. NOTE: only by the owner, or while it is stopped.
    pub(crate) fn flush(&self, shared: &Lifetimes) {
        for word in self.words.get().into_iter().flatten() {
            flush(word.load(Relaxed), shared);
            word.store(0, Relaxed);
        }
    }

    /// Forgets everything. NOTE: only while the owner is stopped.
    pub(crate) fn clear(&self) {
        let words = self.words.get().into_iter().flatten();
        words.for_each(|word| word.store(0, Relaxed));
    }

    /// Calls `each` with what the thread holds back.
    pub(crate) fn for_each(&self, mut each: impl FnMut(CallsiteId, Age, u64)) {
        for word in self.words.get().into_iter().flatten() {
            if let Some((callsite, age, blocks)) = unpack(word.load(Relaxed)) {
                each(callsite, age, blocks);
            }
        }
    }
}

fn flush(word: u64, shared: &Lifetimes) {
    if let Some((callsite, age, blocks)) = unpack(word) {
        shared.add(callsite, age, blocks);
    }
}

fn unpack(word: u64) -> Option<(CallsiteId, Age, u64)> {
    let key = word >> COUNT_BITS;
    let callsite = CallsiteId::from_word((key >> AGE_BITS) as u32)?;
    Some((callsite, Age::from_word(key), word & COUNT))
}
