//! [`Version`]: tells a reader whether the numbers that it read of another thread belong together.

use crate::system::sync::{AtomicU64, Ordering, fence};
use Ordering::Relaxed;

/// Odd while its one writer changes numbers that readers must see all of or nothing: a sequence
/// lock that never holds up the writer.
///
/// A reader takes the version, reads, and takes it [again](Self::after): if both are the same,
/// nothing changed between.
#[repr(transparent)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Version(AtomicU64);

impl Version {
    /// Runs a change. NOTE: only by the owner.
    #[inline(always)]
    pub(crate) fn change<R>(&self, change: impl FnOnce() -> R) -> R {
        let version = self.0.load(Relaxed);
        self.0.store(version.wrapping_add(1), Relaxed);
        // The fence keeps the change after the beginning; it pairs with the one in `after`.
        fence(Ordering::Release);
        let result = change();
        // The release keeps the change before the end; it pairs with the acquire in `before`.
        self.0.store(version.wrapping_add(2), Ordering::Release);
        result
    }

    /// The version before a read; `None` while it changes.
    #[inline(always)]
    pub(crate) fn before(&self) -> Option<u64> {
        let version = self.0.load(Ordering::Acquire);
        version.is_multiple_of(2).then_some(version)
    }

    /// The version after a read.
    #[inline(always)]
    pub(crate) fn after(&self) -> u64 {
        fence(Ordering::Acquire);
        self.0.load(Relaxed)
    }
}
