//! [`Folder`]: how a fold adds to shared counters, with a locked instruction or, for a single
//! thread, without.

use crate::system::sync::{AtomicI64, AtomicU64, Ordering};
use Ordering::Relaxed;

/// How a fold adds.
pub(super) trait Folder {
    /// Adds, and returns the previous value.
    fn add(to: &AtomicI64, number: i64) -> i64;

    fn add_unsigned(to: &AtomicU64, number: u64);
}

/// For a fold that may run at the same time as another.
pub(super) struct Locked;

impl Folder for Locked {
    #[inline(always)]
    fn add(to: &AtomicI64, number: i64) -> i64 {
        to.fetch_add(number, Relaxed)
    }

    #[inline(always)]
    fn add_unsigned(to: &AtomicU64, number: u64) {
        to.fetch_add(number, Relaxed);
    }
}

/// For a fold while no other thread folds.
///
/// A locked instruction waits for all earlier ones and delays later ones, and a fold has eight of
/// them. The unlocked instruction is still atomic with respect to a signal handler on the same
/// thread.
///
/// PERF: eight additions take 5.5 ns instead of 19 ns with the lock prefix, counters in the cache.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
pub(super) struct Unlocked;

#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
impl Folder for Unlocked {
    #[inline(always)]
    fn add(to: &AtomicI64, mut number: i64) -> i64 {
        // SAFETY: one instruction changes the number and no other memory. The number is an
        // atomic's, so it may be changed through a shared reference. Other threads only read it
        // meanwhile, by aligned loads.
        unsafe {
            std::arch::asm!(
                "xadd [{to}], {number}",
                to = in(reg) to.as_ptr(),
                number = inout(reg) number,
                options(nostack),
            );
        }
        number
    }

    #[inline(always)]
    fn add_unsigned(to: &AtomicU64, number: u64) {
        // SAFETY: one instruction changes the number and no other memory. The number is an
        // atomic's, so it may be changed through a shared reference. Other threads only read it
        // meanwhile, by aligned loads.
        unsafe {
            std::arch::asm!(
                "add [{to}], {number}",
                to = in(reg) to.as_ptr(),
                number = in(reg) number,
                options(nostack),
            );
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
pub(super) type Unlocked = Locked;
