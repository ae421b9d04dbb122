//! How a signal's handler wakes the thread that writes snapshots: by a word in memory.
//!
//! No descriptor is held for it, since a program may close all that it finds open, and open its own under their numbers.

use std::time::Duration;

use crate::system::sync::{AtomicU32, Ordering};

/// One when the thread is to wake.
static WORD: AtomicU32 = AtomicU32::new(0);

/// Wakes the thread now, or has it not sleep the next time. A signal's handler may call it.
pub(crate) fn wake() {
    // The release pairs with the acquire in `take`.
    WORD.store(1, Ordering::Release);
    imp::wake_one();
}

/// Whether [`wake`] was called since this was last asked.
pub(crate) fn take() -> bool {
    // The acquire pairs with the release in `wake`.
    WORD.swap(0, Ordering::Acquire) == 1
}

/// Waits until [`wake`] is called, or so long at most, and returns whether it was.
pub(crate) fn wait(at_most: Option<Duration>) -> bool {
    if take() {
        return true;
    }
    // And again after a day.
    let day = Duration::from_secs(86_400);
    imp::sleep(at_most.map_or(day, |it| it.min(day)));
    take()
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod imp {
    use std::time::Duration;

    use super::WORD;

    pub(super) fn wake_one() {
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: a word that is always there, and numbers.
        unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), operation, 1) };
    }

    /// Sleeps as long as the word is zero.
    pub(super) fn sleep(at_most: Duration) {
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        let time = libc::timespec {
            tv_sec: at_most.as_secs() as libc::time_t,
            tv_nsec: at_most.subsec_nanos().into(),
        };
        // SAFETY: a word that is always there, a number, and a time that lives as long as the call.
        unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), operation, 0, &time) };
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod imp {
    use std::time::{Duration, Instant};

    use super::WORD;
    use crate::system::sync::Ordering;

    /// NOTE: who sleeps looks by itself.
    pub(super) fn wake_one() {}

    pub(super) fn sleep(at_most: Duration) {
        const SLICE: Duration = Duration::from_millis(100);
        let start = Instant::now();
        while WORD.load(Ordering::Relaxed) == 0 {
            let left = at_most.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(SLICE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_woken_before_does_not_sleep() {
        assert!(!wait(Some(Duration::from_millis(1))));
        wake();
        wake();
        assert!(wait(None), "it would sleep for a day");
        assert!(!take(), "once for both");
        let sleeper = std::thread::spawn(|| wait(Some(Duration::from_secs(60))));
        wake();
        assert!(sleeper.join().expect("no panic"));
    }
}
