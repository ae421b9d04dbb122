//! The snapshot file: a gzip'd pprof `profile.proto`.
//!
//! In: a snapshot, or the bytes of a profile. Out: the other of the two. Never: an answer that a
//! damaged file makes up.
//!
//! # Layout
//!
//! Sample types are those of Go's heap profiles, in Go's order, so that every reader knows them,
//! then our own ([`SAMPLE_TYPES`]). Each sample is a callsite; each location an address with the
//! functions inlined there. What the format has no field for (the heap's peak, the health, the
//! command line) stands in an extension field ([`proto::Extension`]) that other readers skip.
//!
//! The file asks readers to hide the frames of allocation itself ([`write::named`]). Ours does not.
//!
//! A file that the traced process writes is [raw](write::raw): it has addresses, and the paths and
//! build ids of the modules that they lie in, by which readers name them. One of a snapshot that
//! has names is self-contained: it has functions, files and lines.
//!
//! Specification: <https://github.com/google/pprof/blob/main/proto/profile.proto>; the strictest
//! reader known wants ids that count from 1 without gaps, which is how they are written.

mod proto;
mod read;
pub(crate) mod write;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::error::Error;
use crate::process;
use crate::snapshot::Snapshot;
use crate::{Amount, Counters};

pub(crate) use read::{read, read_difference};

/// Name and unit of each value of a sample, in the order of the file.
const SAMPLE_TYPES: [(&str, &str); 9] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
    ("peak_objects", "count"),
    ("peak_space", "bytes"),
    ("at_peak_objects", "count"),
    ("at_peak_space", "bytes"),
    ("reallocations", "count"),
];

/// The version of the files that are written. It moves when a reader that does not know the change
/// would take numbers for something else; fields that it may leave out do not move it. A file of a
/// later version is refused, one of an earlier version is read.
const FORMAT: u32 = 1;

/// The label that says how a stack ended, if it did not at its bottom, and its values.
const STACK_LABEL: &str = "stack";
const TRUNCATED: &str = "truncated";
const BROKEN: &str = "broken";
const OVERFLOW: &str = "overflow";
const UNCAPTURED: &str = "uncaptured";

/// The labels that say whose memory it is: the number of a domain that is not the Rust heap, and
/// the name of a thread.
const DOMAIN_LABEL: &str = "domain";
const THREAD_LABEL: &str = "thread";
/// The label with the path of the program's own label that the thread was in.
const OWN_LABEL: &str = "label";
/// The label with the type that a sample's blocks were allocated for, in files with names.
const TYPE_LABEL: &str = "type";
/// The label with the size of a sample's blocks, as Go and tcmalloc write it; here the end of their
/// size class.
const SIZE_LABEL: &str = "bytes";

/// The values of a sample, in the order of [`SAMPLE_TYPES`].
fn values(counters: &Counters) -> [u64; SAMPLE_TYPES.len()] {
    let Counters {
        current,
        peak,
        at_peak,
        total,
        reallocations,
    } = counters;
    [
        total.blocks,
        total.bytes.get(),
        current.blocks,
        current.bytes.get(),
        peak.blocks,
        peak.bytes.get(),
        at_peak.blocks,
        at_peak.bytes.get(),
        *reallocations,
    ]
}

/// The counters of such values.
fn counters(values: &[u64; SAMPLE_TYPES.len()]) -> Counters {
    let [
        total_blocks,
        total_bytes,
        blocks,
        bytes,
        peak_blocks,
        peak_bytes,
        at_peak_blocks,
        at_peak_bytes,
        reallocations,
    ] = *values;
    Counters {
        current: Amount::new(bytes, blocks),
        peak: Amount::new(peak_bytes, peak_blocks),
        at_peak: Amount::new(at_peak_bytes, at_peak_blocks),
        total: Amount::new(total_bytes, total_blocks),
        reallocations,
    }
}

/// Whether frames are named when a file is written or when it is read.
///
/// ```
/// assert_eq!(alloc_core::Names::default(), alloc_core::Names::Addresses);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Addresses, with what is needed to name them. The process reads no debug information.
    #[default]
    Addresses,
    /// Functions, files and lines: the file is self-contained. They are looked up as
    /// [`Snapshot::traces`](crate::Snapshot::traces) does.
    Symbols,
}

/// Writes a snapshot to a path.
pub(crate) fn dump(snapshot: &Snapshot, path: &Path, names: Names) -> Result<(), Error> {
    if is_raw(snapshot, names) {
        put(path, &write::unnamed::of_snapshot(snapshot)?)?;
    } else {
        let mut bytes = Vec::new();
        write::named::write(snapshot, &mut bytes)?;
        put(path, &bytes)?;
    }
    Ok(())
}

/// Writes what [`dump`] would write.
pub(crate) fn write(
    snapshot: &Snapshot,
    mut writer: impl Write,
    names: Names,
) -> Result<(), Error> {
    if !is_raw(snapshot, names) {
        return write::named::write(snapshot, writer);
    }
    writer.write_all(&write::unnamed::of_snapshot(snapshot)?)?;
    Ok(writer.flush()?)
}

/// Writes bytes to a path: as the process does it, or as a plain file.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match process::process() {
        Some(process) => (process.write)(path, bytes),
        None => std::fs::write(path, bytes),
    }
}

/// Writes a snapshot with names.
pub fn write_named(snapshot: &Snapshot, writer: impl Write) -> Result<(), Error> {
    write::named::write(snapshot, writer)
}

/// Whether a snapshot has addresses, and they are to be written.
fn is_raw(snapshot: &Snapshot, names: Names) -> bool {
    names == Names::Addresses && !snapshot.recorded().callsites.is_empty()
}

pub(crate) fn load(path: &Path) -> Result<Snapshot, Error> {
    read(File::open(path)?)
}

#[cfg(test)]
mod tests;
