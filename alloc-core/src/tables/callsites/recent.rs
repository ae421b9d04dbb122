//! [`Recent`]: a cache of the callsites that one thread met last.

use super::{CallsiteId, ID_BITS, id_of, tag};
use crate::system::sync::{AtomicBool, AtomicU64, Ordering};
use crate::tables::growing::Growing;

/// A direct-mapped cache of the callsites that one thread met last, in front of the shared index.
///
/// Each place holds a word of the [index](super::Callsites); the newest word evicts the one before.
/// A program with many callsites meets most of them again soon, while their words in the index are
/// far apart.
///
/// NOTE: zeroed memory is not a valid cache until [`begin`](Self::begin) has run.
#[repr(C, align(64))]
pub(crate) struct Recent {
    words: Growing<AtomicU64, FEW_RECENT, MOST_RECENT>,
    is_used: AtomicBool,
}

const FEW_RECENT: usize = 1 << 6;
const MOST_RECENT: usize = 1 << 13;
// The bits of a hash that choose the place are not among those that a word stores.
const _: () = assert!(MOST_RECENT <= 1 << ID_BITS);

impl Recent {
    /// Initializes zeroed memory. NOTE: only before any other thread can see it.
    pub(crate) fn begin(&self) {
        self.words.begin();
    }

    /// The id of the stack with this [salted](crate::tables::callsite_tag::CallsiteTag::salt) hash, if
    /// it is cached.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64) -> Option<CallsiteId> {
        let word = self.words.place(hash as usize).load(Ordering::Relaxed);
        (tag(word) == tag(hash)).then_some(id_of(word))
    }

    /// Caches the id of a stack until another evicts it. NOTE: only by the owner.
    #[inline(always)]
    pub(crate) fn keep(&self, hash: u64, id: CallsiteId) {
        let word = tag(hash) | u64::from(id.get());
        let place = self.words.place(hash as usize);
        if place.load(Ordering::Relaxed) != 0 && self.words.has_made_way() {
            self.clear();
            self.words.grow();
        }
        self.words
            .place(hash as usize)
            .store(word, Ordering::Relaxed);
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Clears the cache, because the callsites have changed. NOTE: only by the owner.
    pub(crate) fn clear(&self) {
        // Untouched pages take no memory, so an unused cache is not written.
        if self.is_used.swap(false, Ordering::Relaxed) {
            let words = self.words.iter();
            words.for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }
}
