//! [`Blocked`]: keeps signal handlers from running on the calling thread.

/// While it lives, signals to the calling thread stay pending. Costs two system calls.
#[must_use]
pub(crate) struct Blocked {
    #[cfg(all(unix, not(miri)))]
    before: libc::sigset_t,
    /// Not `Send`: it belongs to the thread that made it.
    _is_of_this_thread: std::marker::PhantomData<*const ()>,
}

impl Blocked {
    /// Blocks all signals that a program may block, but the [one that stops threads](stop_signal).
    ///
    /// NOTE: it cannot fail, and leaves `errno` unchanged.
    pub(crate) fn begin() -> Blocked {
        Blocked {
            #[cfg(all(unix, not(miri)))]
            before: imp::block_all(),
            _is_of_this_thread: std::marker::PhantomData,
        }
    }
}

/// The signal that stops a thread while a heap graph is taken, unless the program uses it.
///
/// Its handler does nothing but wait, so it may run anywhere, and a thread that waits for a lock of
/// the tracer can be stopped.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn stop_signal() -> libc::c_int {
    libc::SIGRTMAX() - 3
}

#[cfg(all(unix, not(miri)))]
impl Drop for Blocked {
    fn drop(&mut self) {
        imp::set(&self.before);
    }
}

#[cfg(all(unix, not(miri)))]
mod imp {
    use std::mem::MaybeUninit;

    pub(super) fn block_all() -> libc::sigset_t {
        let mut all = MaybeUninit::<libc::sigset_t>::zeroed();
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: `all` has room for a set.
        unsafe { libc::sigfillset(all.as_mut_ptr()) };
        #[cfg(target_os = "linux")]
        // SAFETY: `all` was filled, and the system has the signal.
        unsafe {
            libc::sigdelset(all.as_mut_ptr(), super::stop_signal());
        }
        // SAFETY: `all` was filled, and `before` has room for another.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
        // SAFETY: zero is a valid set, and this is the one from before.
        unsafe { before.assume_init() }
    }

    pub(super) fn set(signals: &libc::sigset_t) {
        // SAFETY: `signals` is a set to read; no old set is written.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, signals, std::ptr::null_mut()) };
    }
}

#[cfg(all(test, unix, not(miri)))]
mod tests {
    use super::*;

    fn is_blocked(signal: libc::c_int) -> bool {
        let before = imp::block_all();
        imp::set(&before);
        // SAFETY: `before` is valid, and the system has the signal.
        unsafe { libc::sigismember(&before, signal) == 1 }
    }

    #[test]
    fn signals_wait_until_the_last_guard_is_dropped() {
        assert!(!is_blocked(libc::SIGUSR1));
        let outer = Blocked::begin();
        let inner = Blocked::begin();
        assert!(is_blocked(libc::SIGUSR1));
        drop(inner);
        assert!(is_blocked(libc::SIGUSR1));
        drop(outer);
        assert!(!is_blocked(libc::SIGUSR1));
    }
}
