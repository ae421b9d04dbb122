//! The independent count of a workload's allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The system's allocator with a count of every call; the allocator of the contender `counted`.
///
/// It shares no code with the tracer, so the divisor of each figure is independent of what is
/// measured. The counters are shared atomics: exact, and slow with many threads. So this contender
/// is never timed.
#[derive(Debug)]
pub struct Counting;

/// The counts of [`Counting`] since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Successful `alloc` and `alloc_zeroed`.
    pub allocations: u64,
    /// Successful `realloc`.
    pub reallocations: u64,
    /// `dealloc`.
    pub frees: u64,
    /// Requested bytes of all of them. A reallocation counts with its new size.
    pub bytes: u64,
    /// Bytes live now.
    pub live: u64,
}

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static REALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);

/// Reads the counters.
pub fn tally() -> Tally {
    Tally {
        allocations: ALLOCATIONS.load(Relaxed),
        reallocations: REALLOCATIONS.load(Relaxed),
        frees: FREES.load(Relaxed),
        bytes: BYTES.load(Relaxed),
        live: LIVE.load(Relaxed),
    }
}

/// The peak of live bytes.
pub fn peak() -> u64 {
    PEAK.load(Relaxed)
}

impl Tally {
    /// The counts since `before`. `live` is unchanged.
    pub fn since(&self, before: &Tally) -> Tally {
        Tally {
            allocations: self.allocations - before.allocations,
            reallocations: self.reallocations - before.reallocations,
            frees: self.frees - before.frees,
            bytes: self.bytes - before.bytes,
            live: self.live,
        }
    }

    /// Pairs of an allocation and a free. A reallocation is a pair of its own.
    pub fn pairs(&self) -> u64 {
        self.allocations + self.reallocations
    }
}

fn grown(size: usize) {
    BYTES.fetch_add(size as u64, Relaxed);
    let live = LIVE.fetch_add(size as u64, Relaxed) + size as u64;
    PEAK.fetch_max(live, Relaxed);
}

fn shrunk(size: usize) {
    LIVE.fetch_sub(size as u64, Relaxed);
}

// SAFETY: every method passes its arguments to the system's method of the same name and returns its
// result. The counters are atomics and never allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the same contract as the system's method.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            ALLOCATIONS.fetch_add(1, Relaxed);
            grown(layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        FREES.fetch_add(1, Relaxed);
        shrunk(layout.size());
        // SAFETY: the caller upholds the same contract as the system's method.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the same contract as the system's method.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            ALLOCATIONS.fetch_add(1, Relaxed);
            grown(layout.size());
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller upholds the same contract as the system's method.
        let moved = unsafe { System.realloc(block, layout, size) };
        if !moved.is_null() {
            REALLOCATIONS.fetch_add(1, Relaxed);
            // The old bytes go first: a reallocation in place is no peak of both sizes.
            shrunk(layout.size());
            grown(size);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reallocation_is_a_pair() {
        let before = Tally {
            allocations: 10,
            reallocations: 1,
            frees: 5,
            bytes: 100,
            live: 50,
        };
        let now = Tally {
            allocations: 17,
            reallocations: 4,
            frees: 12,
            bytes: 400,
            live: 60,
        };
        let made = now.since(&before);
        assert_eq!(made.pairs(), 7 + 3);
        assert_eq!((made.frees, made.bytes, made.live), (7, 300, 60));
    }

    /// Calls the allocator directly. It is not installed, so no other test is counted.
    #[test]
    fn every_call_is_counted_once() {
        let (small, large) = (Layout::new::<[u8; 40]>(), Layout::new::<[u8; 100]>());
        // SAFETY: the layout is not empty.
        let block = unsafe { Counting.alloc(small) };
        // SAFETY: `alloc` has just returned the block for this layout, and the new size is not
        // zero.
        let block = unsafe { Counting.realloc(block, small, large.size()) };
        // SAFETY: the layout is not empty.
        let zeroed = unsafe { Counting.alloc_zeroed(small) };
        assert_eq!((tally().live, peak()), (140, 140));
        // SAFETY: the block has this layout since `realloc`, and is freed once.
        unsafe { Counting.dealloc(block, large) };
        // SAFETY: the block was allocated with this layout, and is freed once.
        unsafe { Counting.dealloc(zeroed, small) };
        let expected = Tally {
            allocations: 2,
            reallocations: 1,
            frees: 2,
            bytes: 40 + 100 + 40,
            live: 0,
        };
        assert_eq!(tally(), expected);
        assert_eq!(peak(), 140);
    }
}
