//! The snapshot file: a gzip'd pprof `profile.proto`.
//!
//! In: a snapshot, or the bytes of a profile. Out: the other of the two. It never invents data for
//! a damaged file.
//!
//! # Layout
//!
//! The sample types are those of Go's heap profiles, in Go's order, so that every reader knows
//! them, followed by our own ([`SAMPLE_TYPES`]). Each sample is a callsite; each location is an
//! address with the functions inlined there. An extension field ([`proto::Extension`]), which other
//! readers skip, holds values that the format has no field for, such as the heap's peak, the health
//! and the command line.
//!
//! The file asks readers to hide the frames of allocation itself ([`write::named`]). Our reader
//! shows them.
//!
//! A file that the traced process writes is [raw](write::raw): it has addresses, and the paths and
//! build ids of the modules that contain them, so that readers can name them. A file of a snapshot
//! with names is self-contained: it has functions, files and lines.
//!
//! Specification: <https://github.com/google/pprof/blob/main/proto/profile.proto>. The strictest
//! known reader requires ids that count from 1 without gaps, so they are written that way.

#[cfg(feature = "otlp")]
pub(crate) mod otlp;
mod proto;
mod read;
pub(crate) mod write;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::error::Error;
use crate::process;
use crate::snapshot::{Snapshot, Unknown};
use crate::{Amount, Counters, Metric};

pub(crate) use read::{read, read_difference};

/// Name and unit of each value of a sample, in the order of the file.
const SAMPLE_TYPES: [(&str, &str); 10] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
    ("peak_objects", "count"),
    ("peak_space", "bytes"),
    ("at_peak_objects", "count"),
    ("at_peak_space", "bytes"),
    ("reallocations", "count"),
    ("copied_space", "bytes"),
];

/// How many of them are Go's.
const OF_GO: usize = 4;

/// The version of the files that are written. It increases when a reader that does not know the
/// change would misread numbers, but not for fields that a reader can ignore. A file of a later
/// version is refused; a file of an earlier version is read.
const FORMAT: u32 = 1;

/// The label that says how an incomplete stack ended, and its values.
const STACK_LABEL: &str = "stack";
const TRUNCATED: &str = "truncated";
const BROKEN: &str = "broken";
const OVERFLOW: &str = "overflow";
const UNCAPTURED: &str = "uncaptured";

/// The labels for the owner of the memory: the number of a domain other than the Rust heap, and the
/// name of a thread.
const DOMAIN_LABEL: &str = "domain";
const THREAD_LABEL: &str = "thread";
/// The label with the path of the program's own label that the thread was in.
const OWN_LABEL: &str = "label";
/// The label with the type that a sample's blocks were allocated for, in files with names.
const TYPE_LABEL: &str = "type";
/// The label with the size of a sample's blocks, as in Go and tcmalloc; here it is the end of their
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
        copied,
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
        copied.get(),
    ]
}

/// Which of [`SAMPLE_TYPES`] the file of a snapshot with these counters has. What is unknown is left
/// out, since zero would be another statement.
fn known<'a>(
    unknown: &Unknown,
    all: impl Iterator<Item = &'a Counters>,
) -> [bool; SAMPLE_TYPES.len()] {
    let metrics = [
        Metric::Total,
        Metric::Current,
        Metric::Peak,
        Metric::AtPeak,
        // A profile with Go's values alone has neither peaks nor reallocations.
        Metric::Peak,
    ];
    let is_known = metrics.map(|it| unknown.levels || !unknown.metrics.contains(&it));
    let mut known = std::array::from_fn(|at| is_known[at / 2] && !(unknown.blocks && at % 2 == 0));
    if known.contains(&false) {
        // NOTE: a file may have the blocks of one metric and lack those of another.
        for counters in all {
            let values = values(counters).into_iter();
            known
                .iter_mut()
                .zip(values)
                .for_each(|(it, value)| *it |= value > 0);
        }
    }
    known
}

/// The counters from the values of a sample.
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
        copied,
    ] = *values;
    Counters {
        current: Amount::new(bytes, blocks),
        peak: Amount::new(peak_bytes, peak_blocks),
        at_peak: Amount::new(at_peak_bytes, at_peak_blocks),
        total: Amount::new(total_bytes, total_blocks),
        reallocations,
        copied: copied.into(),
    }
}

/// Whether frames are named when a file is written or when it is read.
///
/// ```
/// assert_eq!(alloc_core::Names::default(), alloc_core::Names::Addresses);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Addresses, with the data needed to name them. The process reads no debug information.
    #[default]
    Addresses,
    /// Functions, files and lines, so the file is self-contained. They are looked up as in
    /// [`Snapshot::traces`](crate::Snapshot::traces).
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

/// Writes a profile of changes with names: the first side minus the second.
pub fn write_difference(sides: [&Snapshot; 2], writer: impl Write) -> Result<(), Error> {
    write::named::write_difference(sides, writer)
}

/// Writes the bytes of [`dump`] to a writer.
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

/// Writes bytes to a path with the process's own writer if it has one, or to a plain file.
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

/// Whether a snapshot has addresses that are written as such.
fn is_raw(snapshot: &Snapshot, names: Names) -> bool {
    names == Names::Addresses && !snapshot.recorded().callsites.is_empty()
}

pub(crate) fn load(path: &Path) -> Result<Snapshot, Error> {
    read(File::open(path)?)
}

#[cfg(test)]
mod tests;
