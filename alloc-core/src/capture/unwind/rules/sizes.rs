//! [`Sizes`]: frame sizes at the most frequent return addresses.

use crate::system::arena::Zeroed;
use crate::system::sync::{AtomicU16, AtomicUsize, Ordering};

/// Frame sizes at some return addresses.
///
/// PERF: a walk waits for the size, since it gives the place of the next return address. So the
/// lookup is short: the lowest bits of an address choose its place, and sizes are in an array of
/// their own, close together. The address is compared later.
pub(in crate::capture::unwind) struct Sizes {
    /// Zero for an empty place.
    pcs: [AtomicUsize; SIZES],
    sizes: [AtomicU16; SIZES],
}

pub(super) const SIZES: usize = 1 << 13;

// SAFETY: all zero is valid for atomics.
unsafe impl Zeroed for Sizes {}

impl Sizes {
    #[inline(always)]
    pub(super) fn get(&self, pc: usize) -> Option<usize> {
        let place = pc % SIZES;
        // The acquire pairs with the release in `keep`.
        let is_it = self.pcs[place].load(Ordering::Acquire) == pc;
        is_it.then(|| self.sizes[place].load(Ordering::Relaxed).into())
    }

    /// Stores the size of a frame if its place is free; an occupied place stays.
    pub(super) fn keep(&self, pc: usize, size: u16) {
        // A stack may end in an address of zero, which must not match an empty place.
        self.take(0);
        let place = pc % SIZES;
        if self.take(place) {
            self.sizes[place].store(size, Ordering::Relaxed);
            // The release publishes the size to the acquire in `get`.
            self.pcs[place].store(pc, Ordering::Release);
        }
    }

    /// Claims a place and returns whether it was free. Until `keep` stores the address, no lookup
    /// matches it: the stored value belongs to another place.
    fn take(&self, place: usize) -> bool {
        self.pcs[place]
            .compare_exchange(0, !place, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}
