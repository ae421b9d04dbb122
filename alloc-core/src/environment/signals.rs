//! [`Signal`]: the signal that asks for a snapshot.

use std::ffi::c_void;

use crate::system::sync::{AtomicPtr, Ordering};

/// A signal that a program may be sent for something of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal(libc::c_int);

/// What [`Signal::from_name`] takes, in words.
pub(crate) const EXPECTED: &str = "USR1, USR2, HUP, QUIT, ALRM, WINCH, URG, IO or PROF";

#[cfg(unix)]
const SIGNALS: [(&str, libc::c_int); 9] = [
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("HUP", libc::SIGHUP),
    ("QUIT", libc::SIGQUIT),
    ("ALRM", libc::SIGALRM),
    ("WINCH", libc::SIGWINCH),
    ("URG", libc::SIGURG),
    ("IO", libc::SIGIO),
    ("PROF", libc::SIGPROF),
];
#[cfg(not(unix))]
const SIGNALS: [(&str, libc::c_int); 0] = [];

impl Signal {
    /// From a name with or without `SIG` in front. Not those that cannot be caught, that tell of a crash,
    /// or that end a program or a child of it.
    pub(crate) fn from_name(name: &str) -> Option<Signal> {
        let name = name.strip_prefix("SIG").unwrap_or(name);
        let known = SIGNALS.iter().find(|(known, _)| *known == name)?;
        Some(Signal(known.1))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn number(self) -> libc::c_int {
        self.0
    }

    /// Has `handler` called when the signal comes, which [calls](call_previous) whoever handled it before. `false` where
    /// the system refuses.
    ///
    /// System calls that may be made again are made again.
    #[cfg(unix)]
    pub(crate) fn handle(self, handler: Handler) -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        let mut previous = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: zero is a value of all fields: no handler, no flags, an empty set.
        let action = unsafe { action.assume_init_mut() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
        // SAFETY: a handler of the type that the flags say, which does nothing that a handler must not, and room for
        // the one before.
        let failed = unsafe { libc::sigaction(self.0, action, previous.as_mut_ptr()) } != 0;
        // SAFETY: zeroed, and filled in by the system; zero is a value of all fields.
        let previous = unsafe { previous.assume_init() };
        if !failed && !matches!(previous.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN) {
            PREVIOUS.store(previous.sa_sigaction as *mut c_void, Ordering::Release);
        }
        !failed
    }

    #[cfg(not(unix))]
    pub(crate) fn handle(self, _: Handler) -> bool {
        false
    }
}

/// Who handled the signal before, if anyone did: a program that loads a library with the tracer, or another tracer.
static PREVIOUS: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Calls who handled the signal before, with what the handler was given.
pub(crate) fn call_previous(signal: libc::c_int, info: *const c_void, context: *const c_void) {
    let previous = PREVIOUS.load(Ordering::Acquire);
    if !previous.is_null() {
        // SAFETY: a handler that the program installed. One without `SA_SIGINFO` takes the first argument, and
        // leaves the others where they are.
        let previous = unsafe { std::mem::transmute::<*mut c_void, Handler>(previous) };
        previous(signal, info, context);
    }
}

/// The signal, what is known of its sender, and what was interrupted.
pub(crate) type Handler = extern "C" fn(libc::c_int, *const c_void, *const c_void);

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        assert_eq!(Signal::from_name("USR1"), Some(Signal(libc::SIGUSR1)));
        assert_eq!(Signal::from_name("SIGUSR2"), Some(Signal(libc::SIGUSR2)));
        for wrong in ["KILL", "SEGV", "usr1", "10", "SIGSIGHUP", "TERM", "CHLD"] {
            assert_eq!(Signal::from_name(wrong), None, "{wrong}");
        }
        for (name, _) in SIGNALS {
            assert!(EXPECTED.contains(name), "{name}");
        }
    }
}
