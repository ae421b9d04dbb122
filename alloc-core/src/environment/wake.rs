//! Wakes the writer thread from a signal handler, through a word in memory.
//!
//! No descriptor is used: a program may close every open descriptor and reuse the numbers.

use std::time::Duration;

use crate::system::sync::{AtomicU32, Ordering};

/// One if a wake-up is pending, else zero.
static WORD: AtomicU32 = AtomicU32::new(0);

/// Wakes the thread, or makes its next wait return at once. Async-signal-safe.
pub(crate) fn wake() {
    // The release pairs with the acquire in `take`.
    WORD.store(1, Ordering::Release);
    imp::wake_one();
}

/// Consumes a pending wake-up, and returns whether there was one.
pub(crate) fn take() -> bool {
    // The acquire pairs with the release in `wake`.
    WORD.swap(0, Ordering::Acquire) == 1
}

/// Waits until [`wake`] is called or the time is up, and returns whether it was called.
pub(crate) fn wait(at_most: Option<Duration>) -> bool {
    if take() {
        return true;
    }
    // Without a limit, wakes once a day.
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
        // SAFETY: the address is that of a static; the other arguments are integers.
        unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), operation, 1) };
    }

    /// Sleeps as long as the word is zero.
    pub(super) fn sleep(at_most: Duration) {
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        let time = libc::timespec {
            tv_sec: at_most.as_secs() as libc::time_t,
            tv_nsec: at_most.subsec_nanos().into(),
        };
        // SAFETY: the address is that of a static, and `time` outlives the call.
        unsafe { libc::syscall(libc::SYS_futex, WORD.as_ptr(), operation, 0, &time) };
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod imp {
    use std::time::{Duration, Instant};

    use super::WORD;
    use crate::system::sync::Ordering;

    /// NOTE: `sleep` polls.
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
    fn a_pending_wake_up_prevents_sleep() {
        assert!(!wait(Some(Duration::from_millis(1))));
        wake();
        wake();
        assert!(wait(None), "it would sleep for a day");
        assert!(!take(), "two calls make one wake-up");
        let sleeper = std::thread::spawn(|| wait(Some(Duration::from_secs(60))));
        wake();
        assert!(sleeper.join().expect("no panic"));
    }
}
