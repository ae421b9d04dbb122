//! [`OpenGap`]: the gap in which a thread counts blocks without a lookup.

use crate::system::sync::{AtomicUsize, Ordering, fence};
use Ordering::Relaxed;

/// The [gap](crate::tables::unmapped_ranges) in which a thread meets its blocks. It is open as long
/// as no block in any gap is excluded.
///
/// PERF: the measured gain is at [`Counted`](crate::tables::counted::Counted).
///
/// # Why no excluded block is counted
///
/// A thread that excludes a block increments a count and then [shuts](exclude) the gaps of all
/// threads, before the address leaves the allocator. A pointer reaches the thread that frees the
/// block through some synchronization, so that thread finds its gap shut, unless it opened it in
/// the meantime. But a thread that opens its gap checks the count afterwards, with a fence between,
/// and there is a fence between the increment and the shutting: either it saw the count, or its gap
/// was shut after it opened.
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct OpenGap {
    start: AtomicUsize,
    /// Zero while the gap is shut.
    len: AtomicUsize,
}

impl OpenGap {
    #[inline(always)]
    pub(crate) fn holds(&self, address: usize) -> bool {
        address.wrapping_sub(self.start.load(Relaxed)) < self.len.load(Relaxed)
    }

    /// Opens the gap, unless a block is excluded. NOTE: only by its owner.
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

/// Excludes a block: runs `count`, and shuts all gaps if it returns `true`.
pub(crate) fn exclude<'a>(count: impl FnOnce() -> bool, gaps: impl Iterator<Item = &'a OpenGap>) {
    if count() {
        fence(Ordering::SeqCst);
        gaps.for_each(OpenGap::shut);
    }
}
