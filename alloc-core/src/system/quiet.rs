//! [`Quiet`]: writes raise no signals.

/// While it lives, a write beyond the file size limit, or to a pipe without a reader, returns an
/// error and raises no signal. Such a signal would end a program that does not expect it.
pub(crate) struct Quiet {
    #[cfg(unix)]
    before: unix::Before,
}

impl Quiet {
    pub(crate) fn begin() -> Quiet {
        Quiet {
            #[cfg(unix)]
            before: unix::block(),
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        #[cfg(unix)]
        unix::unblock(&self.before);
    }
}

#[cfg(unix)]
mod unix {
    use std::mem::MaybeUninit;
    use std::ptr;

    const SIGNALS: [libc::c_int; 2] = [libc::SIGXFSZ, libc::SIGPIPE];

    /// The signals that the thread blocked before, and those that were pending.
    pub(super) struct Before {
        mask: libc::sigset_t,
        pending: libc::sigset_t,
    }

    fn empty_set() -> libc::sigset_t {
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: `set` has room for a set.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: the set was filled in; it is an array of integers.
        unsafe { set.assume_init() }
    }

    fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
        let mut set = empty_set();
        for &signal in signals {
            // SAFETY: `set` is valid, and the system has the signal.
            unsafe { libc::sigaddset(&mut set, signal) };
        }
        set
    }

    fn pending() -> libc::sigset_t {
        let mut set = empty_set();
        // SAFETY: `set` has room for a set.
        unsafe { libc::sigpending(&mut set) };
        set
    }

    fn has(set: &libc::sigset_t, signal: libc::c_int) -> bool {
        // SAFETY: `set` is valid, and the system has the signal.
        unsafe { libc::sigismember(set, signal) == 1 }
    }

    pub(super) fn block() -> Before {
        let pending = pending();
        let mut mask = empty_set();
        let set = set_of(&SIGNALS);
        // SAFETY: `set` is valid, and `mask` has room for another.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, &mut mask) };
        Before { mask, pending }
    }

    pub(super) fn unblock(before: &Before) {
        let now = pending();
        for signal in SIGNALS {
            if has(&now, signal) && !has(&before.pending, signal) {
                let set = set_of(&[signal]);
                let mut taken = 0;
                // SAFETY: `set` is valid, and `taken` has room for a number. The signal is pending,
                // so the call does not wait.
                unsafe { libc::sigwait(&set, &mut taken) };
            }
        }
        // SAFETY: the mask is the one from before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before.mask, ptr::null_mut()) };
    }

    #[cfg(all(test, not(miri)))]
    mod tests {
        use std::io::Write as _;

        use super::super::Quiet;
        use super::*;

        #[test]
        fn a_pipe_that_nobody_reads_is_an_error_and_leaves_no_signal() {
            // Rust's runtime ignores the signal, and an ignored signal does not stay pending.
            //
            // SAFETY: other tests of this process do not depend on the disposition: they write to
            // no pipes.
            let ignored = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            let (reader, mut writer) = std::io::pipe().unwrap();
            drop(reader);
            let quiet = Quiet::begin();
            let error = writer.write(b"!").unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            assert!(has(&pending(), libc::SIGPIPE));
            drop(quiet);
            assert!(!has(&pending(), libc::SIGPIPE));
            // SAFETY: restores the earlier disposition.
            unsafe { libc::signal(libc::SIGPIPE, ignored) };
        }
    }
}
