//! [`Sizes`]: how large the frames are at the return addresses met most.

use crate::system::arena::Zeroed;
use crate::system::sync::{AtomicU16, AtomicUsize, Ordering};

/// How large the frames at some return addresses are.
///
/// PERF: a walk waits for the size, to know where the next return address lies. So the way to it is
/// short: the lowest bits of an address choose its place, and sizes lie apart from addresses, close
/// together. That it is the right one can be seen later.
pub(in crate::capture::unwind) struct Sizes {
    /// Zero where there is none yet.
    pcs: [AtomicUsize; SIZES],
    sizes: [AtomicU16; SIZES],
}

pub(super) const SIZES: usize = 1 << 13;

// SAFETY: zero atomics.
unsafe impl Zeroed for Sizes {}

impl Sizes {
    #[inline(always)]
    pub(super) fn get(&self, pc: usize) -> Option<usize> {
        let place = pc % SIZES;
        // The acquire pairs with the release in `keep`.
        let is_it = self.pcs[place].load(Ordering::Acquire) == pc;
        is_it.then(|| self.sizes[place].load(Ordering::Relaxed).into())
    }

    /// Keeps the size of a frame, if its place is free: what is there stays.
    pub(super) fn keep(&self, pc: usize, size: u16) {
        // A stack may end in an address of zero, which is not to be found in an empty place.
        self.take(0);
        let place = pc % SIZES;
        if self.take(place) {
            self.sizes[place].store(size, Ordering::Relaxed);
            // The release shows the size to the acquire in `get`.
            self.pcs[place].store(pc, Ordering::Release);
        }
    }

    /// Whether the place was free. Nobody finds anything there from now on: an address with another
    /// place.
    fn take(&self, place: usize) -> bool {
        self.pcs[place]
            .compare_exchange(0, !place, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}
