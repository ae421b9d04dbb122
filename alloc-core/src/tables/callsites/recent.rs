//! [`Recent`]: the callsites that one thread met last.

use super::{CallsiteId, ID_BITS, id_of, tag};
use crate::system::sync::{AtomicBool, AtomicU64, Ordering};
use crate::tables::growing::Growing;

/// The callsites that one thread met last, for it to ask before all others are asked.
///
/// A word of the [index](super::Callsites) for each place that a hash may name; the newest takes
/// the place. A program with many callsites meets most of them again soon, and their words in the
/// index lie far apart.
///
/// NOTE: as [`Growing`], of zeroed memory [`begin`](Self::begin) makes one.
#[repr(C, align(64))]
pub(crate) struct Recent {
    words: Growing<AtomicU64, FEW_RECENT, MOST_RECENT>,
    is_used: AtomicBool,
}

const FEW_RECENT: usize = 1 << 6;
const MOST_RECENT: usize = 1 << 13;
// The bits of a hash that choose the place are none of those that a word keeps.
const _: () = assert!(MOST_RECENT <= 1 << ID_BITS);

impl Recent {
    /// Makes zeroed memory ready. NOTE: by the only one who knows of it.
    pub(crate) fn begin(&self) {
        self.words.begin();
    }

    /// The id of the stack with this hash, [salted](crate::tables::label::Label::salt), if it was
    /// met lately.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64) -> Option<CallsiteId> {
        let word = self.words.place(hash as usize).load(Ordering::Relaxed);
        (tag(word) == tag(hash)).then_some(id_of(word))
    }

    /// Keeps the id of a stack for as long as no other comes to its place. NOTE: only by the owner.
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

    /// Forgets all: there are other callsites now. NOTE: only by the owner.
    pub(crate) fn clear(&self) {
        // What was never touched takes up no memory, and is not to.
        if self.is_used.swap(false, Ordering::Relaxed) {
            let words = self.words.iter();
            words.for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }
}
