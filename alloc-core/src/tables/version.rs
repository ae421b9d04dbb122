//! [`Version`]: a seqlock version, which shows a reader whether the values that it read belong
//! together.

use crate::system::sync::{AtomicU64, Ordering, fence};
use Ordering::Relaxed;

/// A seqlock that never holds up the writer. The version is odd while the one writer changes values
/// that readers must see together.
///
/// A reader takes the version, reads, and takes the version [again](Self::after). If both are
/// equal, nothing changed between.
#[repr(transparent)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Version(AtomicU64);

impl Version {
    /// Runs a change. NOTE: only by the owner.
    #[inline(always)]
    pub(crate) fn change<R>(&self, change: impl FnOnce() -> R) -> R {
        let version = self.0.load(Relaxed);
        self.0.store(version.wrapping_add(1), Relaxed);
        // The fence keeps the change after the odd version; it pairs with the fence in `after`.
        fence(Ordering::Release);
        let result = change();
        // The release keeps the change before the even version; it pairs with the acquire in
        // `before`.
        self.0.store(version.wrapping_add(2), Ordering::Release);
        result
    }

    /// The version before a read; `None` while a change is under way.
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
