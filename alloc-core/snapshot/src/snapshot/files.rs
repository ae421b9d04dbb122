//! Snapshots to files and back.

use std::path::Path;

use crate::error::Error;
use crate::file::Names;
use crate::{Snapshot, process};

impl Snapshot {
    /// Writes the snapshot to a file, in the format that [`load`](Self::load) and all readers of
    /// pprof profiles understand: a gzip'd `profile.proto`.
    ///
    /// Of a snapshot that was taken in this process it has the address of each call, and the path
    /// and the build id of each program and library, by which readers find functions and lines: so
    /// writing reads no debug information, and takes up little memory. One that was made or loaded
    /// with names has these, and [`dump_with`](Self::dump_with) writes them in any case.
    ///
    /// The file appears whole or not at all, and keeps its mode. A link is followed, and stays. A
    /// pipe, a device or a socket is written through; so is a descriptor of the process, such as
    /// `/dev/stdout`. Where nothing can be created beside a file, it is written in place.
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io), with the path and what the system said.
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

    /// Writes the snapshot to a file as [`dump`](Self::dump) does, with names or without.
    ///
    /// # Errors
    ///
    /// As [`dump`](Self::dump).
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

    /// Reads a snapshot from a file that [`dump`](Self::dump) wrote, or a heap profile in pprof's
    /// format from elsewhere, packed with gzip or not. Addresses are named by
    /// [`traces`](Self::traces).
    ///
    /// Reading takes up at most sixteen times the size of the unpacked profile, and 4 MiB beside,
    /// in time that grows with the size, whatever the file holds. A file unpacks to at most 250
    /// times its size and 1 MiB beside, and to at most 512 MiB. So a file from somebody else can be
    /// read; one that would take more is refused.
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
    /// [`is_invalid_file`](Error::is_invalid_file) if it is something else, or cut off, or damaged,
    /// or tells what [changed](Self::read_difference).
    pub fn load(path: impl AsRef<Path>) -> Result<Snapshot, Error> {
        let _muted = process::mute();
        crate::file::load(path.as_ref()).map_err(|error| error.about("cannot read", path.as_ref()))
    }

    /// Writes what [`dump`](Self::dump) would write.
    ///
    /// # Errors
    ///
    /// [`is_io`](Error::is_io), with what the writer said.
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

    /// Reads what [`dump`](Self::dump) wrote.
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
    /// As [`load`](Self::load).
    pub fn read_from(reader: impl std::io::Read) -> Result<Snapshot, Error> {
        let _muted = process::mute();
        crate::file::read(reader)
    }

    /// Reads a heap profile of what changed between two moments, as Go's
    /// `/debug/pprof/heap?seconds=30` and `go tool pprof -proto -diff_base OLD NEW` make them: what
    /// was added, and what was taken away.
    ///
    /// The first minus the second is what changed, which is what the crate `alloc-report` shows of
    /// the two as new and old. Neither tells how much there was: see
    /// [`is_difference`](Self::is_difference).
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and [`is_invalid_file`](Error::is_invalid_file) if the profile is
    /// of one moment.
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

    /// Whether this is a part of what [changed](Self::read_difference) between two moments, and
    /// does not tell how much there was at either.
    ///
    /// ```
    /// assert!(!alloc_core::Snapshot::from_traces(vec![], 32).is_difference());
    /// ```
    pub fn is_difference(&self) -> bool {
        self.about.unknown.levels
    }
}
