//! [`Signal`]: the signal that requests a snapshot.

use std::ffi::c_void;

use crate::system::sync::{AtomicPtr, Ordering};

/// A signal with no fixed meaning, which programs may use freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal(libc::c_int);

/// The names that [`Signal::from_name`] accepts.
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
    /// Parses a name with or without the prefix `SIG`.
    ///
    /// Refuses signals that cannot be caught, that report a crash, or that end a process or report
    /// the end of a child.
    pub(crate) fn from_name(name: &str) -> Option<Signal> {
        let name = name.strip_prefix("SIG").unwrap_or(name);
        let known = SIGNALS.iter().find(|(known, _)| *known == name)?;
        Some(Signal(known.1))
    }

    pub(crate) fn number(self) -> libc::c_int {
        self.0
    }

    /// Installs `handler`, with `SA_RESTART`. `false` if the system refuses.
    ///
    /// The handler must [call the previous one](call_previous).
    #[cfg(unix)]
    pub(crate) fn handle(self, handler: Handler) -> bool {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        let mut previous = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: zero is valid for all fields: no handler, no flags, an empty set.
        let action = unsafe { action.assume_init_mut() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
        // SAFETY: `SA_SIGINFO` matches the type `Handler`, handlers are async-signal-safe, and
        // `previous` has room for the old action.
        let failed = unsafe { libc::sigaction(self.0, action, previous.as_mut_ptr()) } != 0;
        // SAFETY: zeroed above, which is valid for all fields, and filled in by the system.
        let previous = unsafe { previous.assume_init() };
        if !failed
            && !matches!(previous.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
            && let Some(place) = previous_of(self.0)
        {
            place.store(previous.sa_sigaction as *mut c_void, Ordering::Release);
        }
        !failed
    }

    #[cfg(not(unix))]
    pub(crate) fn handle(self, _: Handler) -> bool {
        false
    }
}

/// The previous handler of each signal, or null: that of a program that loads a library with the
/// tracer, or that of another tracer.
static PREVIOUS: [AtomicPtr<c_void>; 32] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 32];

fn previous_of(signal: libc::c_int) -> Option<&'static AtomicPtr<c_void>> {
    PREVIOUS.get(usize::try_from(signal).ok()?)
}

/// Calls the previous handler, if there is one, with the arguments of this one.
pub(crate) fn call_previous(signal: libc::c_int, info: *const c_void, context: *const c_void) {
    let Some(place) = previous_of(signal) else {
        return;
    };
    let previous = place.load(Ordering::Acquire);
    if !previous.is_null() {
        // SAFETY: the pointer is a handler that the program installed. One without `SA_SIGINFO`
        // takes only the first argument, and the C calling convention permits extra ones.
        let previous = unsafe { std::mem::transmute::<*mut c_void, Handler>(previous) };
        previous(signal, info, context);
    }
}

/// A signal handler. Its arguments are the signal, the `siginfo_t` and the interrupted context.
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
