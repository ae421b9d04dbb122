//! How a fold adds to shared counters: with a locked instruction, or without where no other thread
//! folds.

use crate::system::sync::{AtomicI64, AtomicU64, Ordering};
use Ordering::Relaxed;

/// Who folds.
pub(super) trait Folder {
    /// Adds, and returns what was there before.
    fn add(to: &AtomicI64, number: i64) -> i64;

    fn add_unsigned(to: &AtomicU64, number: u64);
}

/// One thread among others.
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

/// The only one that does.
///
/// PERF: a locked instruction waits for all that came before and holds up what comes after, and a
/// fold has eight of them. One without the lock is still whole for a signal handler that comes
/// between.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
pub(super) struct Unlocked;

#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
impl Folder for Unlocked {
    #[inline(always)]
    fn add(to: &AtomicI64, mut number: i64) -> i64 {
        // SAFETY: changes the number, which is an atomic's and so may be changed through a shared
        // reference, in one instruction, and no memory besides. Other threads only read it
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
        // SAFETY: changes the number, which is an atomic's and so may be changed through a shared
        // reference, in one instruction, and no memory besides.
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
