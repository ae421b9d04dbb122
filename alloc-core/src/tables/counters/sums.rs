//! [`Sums`]: bytes that one thread counts beside its cells.

use crate::system::sync::{AtomicU64, Ordering::Relaxed};

/// Bytes that one thread counted since it last folded them, by callsite.
///
/// They are what a [`Cell`](super::Cell) has no room for, since it is one full cache line. In
/// shared counters alone, threads that grow vectors at one callsite would wait for each other at
/// every growth. So a thread holds the sums of a few callsites back. Another callsite that comes
/// to the same place evicts the one that is there.
///
/// # Implementation
///
/// A callsite and its sum are one word, so that a reader never takes the sum for that of another
/// callsite. Only the owner writes it.
pub(crate) struct Sums<const PLACES: usize> {
    words: [AtomicU64; PLACES],
}

/// The bits of a word: a callsite above, and the bytes below.
const BYTES_BITS: u32 = 43;
const MOST_BYTES: u64 = (1 << BYTES_BITS) - 1;

#[cfg(loom)]
impl<const PLACES: usize> Default for Sums<PLACES> {
    fn default() -> Sums<PLACES> {
        Sums {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl<const PLACES: usize> Sums<PLACES> {
    /// The highest number of a callsite that a word holds.
    pub(crate) const MOST_CALLSITE: u32 = (u64::MAX >> BYTES_BITS) as u32;

    /// Counts bytes of a callsite. `fold` adds the sum of a callsite that makes way to shared
    /// counters, and empties its place in between. NOTE: only by the owner.
    pub(crate) fn add(&self, callsite: u32, bytes: u64, fold: impl FnOnce(u32, u64, &dyn Fn())) {
        // NOTE: eight TiB, which no block has.
        let bytes = bytes.min(MOST_BYTES);
        let word = self.word_of(callsite);
        let (there, held) = unpack(word.load(Relaxed));
        if there == callsite && held + bytes <= MOST_BYTES {
            word.store(pack(callsite, held + bytes), Relaxed);
            return;
        }
        let replace = || word.store(pack(callsite, bytes), Relaxed);
        match held {
            0 => replace(),
            _ => fold(there, held, &replace),
        }
    }

    /// What the thread holds back of a callsite.
    pub(crate) fn of(&self, callsite: u32) -> u64 {
        let (there, held) = unpack(self.word_of(callsite).load(Relaxed));
        if there == callsite { held } else { 0 }
    }

    /// Folds everything. NOTE: only by the owner, or while it is stopped.
    pub(crate) fn fold(&self, fold: impl Fn(u32, u64, &dyn Fn())) {
        for word in &self.words {
            let (callsite, held) = unpack(word.load(Relaxed));
            if held > 0 {
                fold(callsite, held, &|| word.store(0, Relaxed));
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
