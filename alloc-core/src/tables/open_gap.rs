//! [`OpenGap`]: where a thread need not look whether a block is counted.

use crate::system::sync::{AtomicUsize, Ordering, fence};
use Ordering::Relaxed;

/// The [gap](crate::tables::gaps) where a thread meets blocks, as long as no block in any gap is
/// left out.
///
/// # Why no block that is left out is counted
///
/// Whoever leaves a block out counts that, and then [shuts](exclude) the gaps of all threads,
/// before its address leaves the allocator. A pointer reaches the thread that frees it by some
/// synchronization; so that one finds its gap shut, unless it opened it meanwhile. But then it
/// opened it first and looked at the count after, with a fence between, as there is one between the
/// count and the shutting: either it saw the count, or its gap was shut after.
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct OpenGap {
    start: AtomicUsize,
    /// None while it is shut.
    len: AtomicUsize,
}

impl OpenGap {
    #[inline(always)]
    pub(crate) fn holds(&self, address: usize) -> bool {
        address.wrapping_sub(self.start.load(Relaxed)) < self.len.load(Relaxed)
    }

    /// Opens it, unless a block is left out. NOTE: only by its owner.
    pub(crate) fn open(&self, start: usize, len: usize, is_one_excluded: impl FnOnce() -> bool) {
        self.start.store(start, Relaxed);
        self.len.store(len, Relaxed);
        fence(Ordering::SeqCst);
        if is_one_excluded() {
            self.shut();
        }
    }

    pub(crate) fn shut(&self) {
        self.len.store(0, Relaxed);
    }
}

/// Leaves a block out, if it is one that `count` counts.
pub(crate) fn exclude<'a>(count: impl FnOnce() -> bool, gaps: impl Iterator<Item = &'a OpenGap>) {
    if count() {
        fence(Ordering::SeqCst);
        gaps.for_each(OpenGap::shut);
    }
}
