//! Writes snapshots to files, and reads them.

use std::path::Path;

use crate::error::Error;
use crate::file::Names;
use crate::{Snapshot, process};

impl Snapshot {
    /// Writes the snapshot to a file, in the format that [`load`](Self::load) and all readers of
    /// pprof profiles understand: a gzip'd `profile.proto`.
    ///
    /// For a snapshot that was taken in this process, the file has the address of each call, and
    /// the path and build id of each program and library, which readers use to find functions and
    /// lines. So writing reads no debug information and takes up little memory. For a snapshot that
    /// was made or loaded with names, the file has these names. [`dump_with`](Self::dump_with)
    /// always writes names if requested.
    ///
    /// The file appears whole or not at all, and keeps its mode. The method follows a link and
    /// keeps it. It writes directly to a pipe, a device, a socket, or a descriptor of the process
    /// such as `/dev/stdout`. If the folder does not allow a new file, it overwrites the old one in
    /// place.
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io), with the path and the system's message.
    ///
    /// ```
    /// use alloc_core::Snapshot;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("heap.pb.gz");
    /// Snapshot::from_traces(vec![], 32).dump(&path)?;
    /// assert_eq!(Snapshot::load(&path)?.traceback_limit(), 32);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dump(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.dump_with(path, Names::Addresses)
    }

    /// Writes the snapshot to a file like [`dump`](Self::dump), with names or addresses.
    ///
    /// # Errors
    ///
    /// Those of [`dump`](Self::dump).
    ///
    /// ```
    /// use alloc_core::{Names, Snapshot};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("heap.pb.gz");
    /// Snapshot::from_traces(vec![], 32).dump_with(&path, Names::Symbols)?;
    /// assert!(Snapshot::load(&path)?.is_named());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dump_with(&self, path: impl AsRef<Path>, names: Names) -> Result<(), Error> {
        let _muted = process::mute();
        crate::file::dump(self, path.as_ref(), names)
            .map_err(|error| error.about("cannot write", path.as_ref()))
    }

    /// Reads a snapshot from a file that [`dump`](Self::dump) wrote, or from another tool's heap
    /// profile in pprof's format, compressed with gzip or not. [`traces`](Self::traces) looks names
    /// up for addresses.
    ///
    /// Untrusted files are safe to read, since memory and time are bounded. Reading takes up at
    /// most sixteen times the size of the unpacked profile, plus 4 MiB, in time that grows with the
    /// size. A file unpacks to at most 250 times its size plus 1 MiB, and to at most 512 MiB. A
    /// file that exceeds a limit is refused.
    ///
    /// ```no_run
    /// let snapshot = alloc_core::Snapshot::load("heap.pb.gz")?;
    /// for trace in snapshot.traces() {
    ///     println!("{trace}");
    /// }
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io) if the file cannot be read,
    /// [`is_invalid_file`](Error::is_invalid_file) if it is not a profile, is truncated or damaged,
    /// or contains [changes](Self::read_difference) only.
    pub fn load(path: impl AsRef<Path>) -> Result<Snapshot, Error> {
        let _muted = process::mute();
        crate::file::load(path.as_ref()).map_err(|error| error.about("cannot read", path.as_ref()))
    }

    /// Writes the content of [`dump`](Self::dump) to a writer.
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io), with the writer's message.
    ///
    /// ```
    /// let mut file = Vec::new();
    /// alloc_core::Snapshot::from_traces(vec![], 32).write_to(&mut file)?;
    /// assert!(file.starts_with(b"\x1f\x8b"), "gzip");
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn write_to(&self, writer: impl std::io::Write) -> Result<(), Error> {
        let _muted = process::mute();
        crate::file::write(self, writer, Names::Addresses)
    }

    /// Writes the content of [`dump_with`](Self::dump_with) to a writer.
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io), with the writer's message.
    ///
    /// ```
    /// use alloc_core::{Names, Snapshot};
    ///
    /// let mut file = Vec::new();
    /// Snapshot::from_traces(vec![], 32).write_with(&mut file, Names::Symbols)?;
    /// assert!(Snapshot::read_from(&file[..])?.is_named());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn write_with(&self, writer: impl std::io::Write, names: Names) -> Result<(), Error> {
        let _muted = process::mute();
        crate::file::write(self, writer, names)
    }

    /// Reads a snapshot that [`dump`](Self::dump) wrote.
    ///
    /// ```
    /// use alloc_core::Snapshot;
    ///
    /// let mut file = Vec::new();
    /// Snapshot::from_traces(vec![], 32).write_to(&mut file)?;
    /// assert_eq!(Snapshot::read_from(&file[..])?.traceback_limit(), 32);
    ///
    /// let error = Snapshot::read_from(&b"something else"[..]).unwrap_err();
    /// assert!(error.is_invalid_file());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    pub fn read_from(reader: impl std::io::Read) -> Result<Snapshot, Error> {
        let _muted = process::mute();
        crate::file::read(reader)
    }

    /// Reads a heap profile of changes between two moments, as made by Go's
    /// `/debug/pprof/heap?seconds=30` and `go tool pprof -proto -diff_base OLD NEW`: a snapshot of
    /// the additions, and one of the removals.
    ///
    /// The first minus the second is the change. The crate `alloc-report` shows it if the two are
    /// passed as the new and the old snapshot. Neither has amounts at one moment: see
    /// [`is_difference`](Self::is_difference).
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load), and [`is_invalid_file`](Error::is_invalid_file) if the
    /// profile is of one moment.
    ///
    /// ```
    /// use alloc_core::Snapshot;
    ///
    /// let mut of_one_moment = Vec::new();
    /// Snapshot::from_traces(vec![], 32).write_to(&mut of_one_moment)?;
    /// let error = Snapshot::read_difference(&of_one_moment[..]).unwrap_err();
    /// assert!(error.is_invalid_file());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn read_difference(reader: impl std::io::Read) -> Result<(Snapshot, Snapshot), Error> {
        let _muted = process::mute();
        crate::file::read_difference(reader)
    }

    /// Whether this is one side of the [changes](Self::read_difference) between two moments,
    /// without the amounts at either.
    ///
    /// ```
    /// assert!(!alloc_core::Snapshot::from_traces(vec![], 32).is_difference());
    /// ```
    pub fn is_difference(&self) -> bool {
        self.about.unknown.levels
    }
}
