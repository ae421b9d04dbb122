//! [`Copies`]: what one thread's reallocations copied.

use super::SharedCounters;
use crate::system::sync::{AtomicU64, Ordering::Relaxed};

/// The bytes that one thread's reallocations copied since it last folded them, by callsite.
///
/// A [`Cell`](super::Cell) has no room for them: it is one full cache line. In the shared counters
/// alone, threads that grow vectors at one callsite would wait for each other at every growth. So a
/// thread holds the sums of a few callsites back. Another callsite that comes to the same place
/// evicts the one that is there.
///
/// # Implementation
///
/// A callsite and its sum are one word, so that a reader never takes the sum for that of another
/// callsite. Only the owner writes it.
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Copies {
    words: [AtomicU64; PLACES],
}

/// Number of callsites that a thread holds back.
const PLACES: usize = 32;

/// The bits of a word: a callsite above, and the bytes below.
const BYTES_BITS: u32 = 43;
const MOST_BYTES: u64 = (1 << BYTES_BITS) - 1;

impl Copies {
    /// The highest number of a callsite that a word holds.
    pub(crate) const MOST_CALLSITE: u32 = (u64::MAX >> BYTES_BITS) as u32;

    /// Counts bytes that were copied to a block of a callsite. `shared` has the counters of a
    /// callsite that is folded. NOTE: only by the owner.
    pub(crate) fn add<'a>(
        &self,
        callsite: u32,
        bytes: u64,
        shared: impl FnOnce(u32) -> Option<&'a SharedCounters>,
    ) {
        // NOTE: eight TiB, which no machine copies.
        let bytes = bytes.min(MOST_BYTES);
        let word = self.word_of(callsite);
        let (there, held) = unpack(word.load(Relaxed));
        if there == callsite && held + bytes <= MOST_BYTES {
            word.store(pack(callsite, held + bytes), Relaxed);
            return;
        }
        let replaced = || word.store(pack(callsite, bytes), Relaxed);
        match shared(there).filter(|_| held > 0) {
            Some(shared) => shared.fold_copied(held, replaced),
            None => replaced(),
        }
    }

    /// What the thread holds back of a callsite.
    pub(crate) fn of(&self, callsite: u32) -> u64 {
        let (there, held) = unpack(self.word_of(callsite).load(Relaxed));
        if there == callsite { held } else { 0 }
    }

    /// Folds everything. NOTE: only by the owner, or while it is stopped.
    pub(crate) fn fold<'a>(&self, shared: impl Fn(u32) -> Option<&'a SharedCounters>) {
        for word in &self.words {
            let (callsite, held) = unpack(word.load(Relaxed));
            let shared = (held > 0).then(|| shared(callsite)).flatten();
            match shared {
                Some(shared) => shared.fold_copied(held, || word.store(0, Relaxed)),
                None => word.store(0, Relaxed),
            }
        }
    }

    /// Forgets everything. NOTE: only while the owner is stopped.
    pub(crate) fn clear(&self) {
        self.words.iter().for_each(|word| word.store(0, Relaxed));
    }

    fn word_of(&self, callsite: u32) -> &AtomicU64 {
        &self.words[callsite as usize % PLACES]
    }
}

fn pack(callsite: u32, bytes: u64) -> u64 {
    u64::from(callsite) << BYTES_BITS | bytes
}

fn unpack(word: u64) -> (u32, u64) {
    ((word >> BYTES_BITS) as u32, word & MOST_BYTES)
}
