//! [`Signal`]: the signal that asks for a snapshot.

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

    pub(crate) fn number(self) -> libc::c_int {
        self.0
    }
}

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
