//! [`Error`]: which operation failed, and why.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of the tracer.
///
/// The message names what was expected and what was found. `Debug` prints the same text as
/// `Display`, so it is readable when `main` returns it. The `is_*` methods distinguish the errors
/// that a program may handle.
///
/// ```
/// // This program did not install `TraceAlloc`.
/// let error = alloc_core::start().unwrap_err();
/// assert!(error.is_not_installed());
/// assert_eq!(format!("{error:?}"), error.to_string());
/// ```
// NOTE: not boxed, so that an out-of-memory error needs no memory.
pub struct Error(Kind);

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error(
        "the global allocator of this program is not alloc_core::TraceAlloc: expected \
         `#[global_allocator] static ALLOC: TraceAlloc = TraceAlloc::system();` in the program; \
         each file in `tests/` is a program of its own, and so is each example and benchmark"
    )]
    NotInstalled,
    #[error("expected that tracing is on, found it off: call alloc_core::start() first")]
    NotTracing,
    #[error(
        "tracing is on already: expected the running {running}, found {asked}; \
         call alloc_core::stop() first"
    )]
    AlreadyTracing { running: String, asked: String },
    #[error("the configuration cannot be used: {0}")]
    InvalidConfig(String),
    #[error("{0}")]
    InvalidGrouping(String),
    #[error("the system gave no memory for {0}")]
    OutOfMemory(&'static str),
    #[error("the numbers are no longer true, tracing stopped: {0}")]
    Broken(&'static str),
    #[error("expected the process that entered the scope, found its child after a fork")]
    Forked,
    #[error("{action} {}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: Box<Error>,
    },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("expected {expected}, {found}")]
    InvalidFile {
        expected: &'static str,
        found: String,
    },
}

impl Error {
    /// The program's global allocator is not `TraceAlloc`.
    ///
    /// ```
    /// // This program did not install `TraceAlloc`.
    /// assert!(alloc_core::start().unwrap_err().is_not_installed());
    /// ```
    pub fn is_not_installed(&self) -> bool {
        matches!(self.0, Kind::NotInstalled)
    }

    /// Tracing is off.
    ///
    /// ```
    /// assert!(alloc_core::take_snapshot().unwrap_err().is_not_tracing());
    /// ```
    pub fn is_not_tracing(&self) -> bool {
        matches!(self.0, Kind::NotTracing)
    }

    /// Tracing is on with a different configuration.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// alloc_core::start()?;
    /// let other = alloc_core::Config::default().frames(1);
    /// assert!(alloc_core::start_with(other).unwrap_err().is_already_tracing());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn is_already_tracing(&self) -> bool {
        matches!(self.0, Kind::AlreadyTracing { .. })
    }

    /// A `Config` holds a value out of range.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let too_deep = alloc_core::Config::default().frames(1001);
    /// assert!(alloc_core::start_with(too_deep).unwrap_err().is_invalid_config());
    /// ```
    pub fn is_invalid_config(&self) -> bool {
        matches!(self.0, Kind::InvalidConfig(_))
    }

    /// A [`Grouping`](crate::Grouping) is meaningless.
    ///
    /// ```
    /// use alloc_core::{GroupBy, Grouping};
    ///
    /// let error = Grouping::by(GroupBy::Thread).cumulative().unwrap_err();
    /// assert!(error.is_invalid_grouping());
    /// ```
    pub fn is_invalid_grouping(&self) -> bool {
        matches!(self.0, Kind::InvalidGrouping(_))
    }

    /// The tracer ran out of memory for its own tables, now or earlier, so its numbers are not
    /// valid.
    pub fn is_broken(&self) -> bool {
        matches!(self.0, Kind::Broken(_) | Kind::OutOfMemory(_))
    }

    /// The process is a child of the one that entered a `Scope`, so the activity of the other
    /// threads is lost.
    pub fn is_forked(&self) -> bool {
        matches!(self.0, Kind::Forked)
    }

    /// The system could not read or write.
    ///
    /// ```
    /// let error = alloc_core::Snapshot::load("/no/such/file.pb.gz").unwrap_err();
    /// assert!(error.is_io() && !error.is_invalid_file());
    /// ```
    pub fn is_io(&self) -> bool {
        match &self.0 {
            Kind::File { source, .. } => source.is_io(),
            kind => matches!(kind, Kind::Io(_)),
        }
    }

    /// The input is not a snapshot, or it is truncated or damaged.
    ///
    /// ```
    /// let error = alloc_core::Snapshot::read_from(&b"not a profile"[..]).unwrap_err();
    /// assert!(error.is_invalid_file() && !error.is_io());
    /// ```
    pub fn is_invalid_file(&self) -> bool {
        match &self.0 {
            Kind::File { source, .. } => source.is_invalid_file(),
            kind => matches!(kind, Kind::InvalidFile { .. }),
        }
    }

    #[doc(hidden)]
    pub fn not_installed() -> Error {
        Kind::NotInstalled.into()
    }

    #[doc(hidden)]
    pub fn not_tracing() -> Error {
        Kind::NotTracing.into()
    }

    #[doc(hidden)]
    pub fn already_tracing(running: impl fmt::Debug, asked: impl fmt::Debug) -> Error {
        Kind::AlreadyTracing {
            running: format!("{running:?}"),
            asked: format!("{asked:?}"),
        }
        .into()
    }

    #[doc(hidden)]
    pub fn invalid_config(message: String) -> Error {
        Kind::InvalidConfig(message).into()
    }

    #[doc(hidden)]
    pub fn invalid_grouping(message: String) -> Error {
        Kind::InvalidGrouping(message).into()
    }

    #[doc(hidden)]
    pub fn out_of_memory(what: &'static str) -> Error {
        Kind::OutOfMemory(what).into()
    }

    #[doc(hidden)]
    pub fn broken(reason: &'static str) -> Error {
        Kind::Broken(reason).into()
    }

    #[doc(hidden)]
    pub fn forked() -> Error {
        Kind::Forked.into()
    }

    #[doc(hidden)]
    pub fn invalid_file(found: impl Into<String>) -> Error {
        Error::unexpected("a heap profile in pprof's format", found)
    }

    /// A file that is not what was expected.
    #[doc(hidden)]
    pub fn unexpected(expected: &'static str, found: impl Into<String>) -> Error {
        let found = found.into();
        Kind::InvalidFile { expected, found }.into()
    }

    /// Adds the file that the error concerns.
    #[doc(hidden)]
    pub fn about(self, action: &'static str, path: &Path) -> Error {
        Kind::File {
            action,
            path: path.to_owned(),
            source: Box::new(self),
        }
        .into()
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Error {
        Error(kind)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Kind::Io(error).into()
    }
}

impl From<std::collections::TryReserveError> for Error {
    fn from(_: std::collections::TryReserveError) -> Error {
        io::Error::from(io::ErrorKind::OutOfMemory).into()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Prints like `Display`, because `main` and `unwrap` print errors with `Debug`.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// NOTE: no source: the message is complete.
impl std::error::Error for Error {}
