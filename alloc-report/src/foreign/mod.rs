//! Heap profiles of other tools.
//!
//! In: a file of any tool that is listed below. Out: a snapshot, or an error that says what was
//! expected and what was found. It never guesses a number that a file lacks: such a metric is
//! unknown, not zero.
//!
//! | file | recognised by | has | lacks |
//! | --- | --- | --- | --- |
//! | [DHAT](dhat) | `dhatFileVersion` | all metrics, mean lifetimes | metrics of moments without `bklt` |
//! | [heaptrack](heaptrack) | `v 10400 3` | all metrics | |
//! | [jemalloc](jemalloc) | `heap_v2/` | live memory, total with `prof_accum` | peaks, names |
//! | [text](text) of Go and gperftools | `heap profile:` | live memory, total | peaks |
//! | [memray](memray) | the head of its CSV | live memory at the peak | everything else |
//!
//! All other files go to [`Snapshot::read_from`], which reads profiles in pprof's format.

mod budget;
mod contents;
mod dhat;
mod frame;
mod heaptrack;
mod jemalloc;
mod lines;
mod maps;
mod memray;
mod packed;
mod sampling;
mod text;

use std::io::Read;

use alloc_core_snapshot::seam::untraced;
use alloc_core_snapshot::{Error, Snapshot};

use packed::Packed;

/// Reads a snapshot from a file of this library or of another tool.
///
/// The format is recognised by the content: pprof's, as [`Snapshot::read_from`] reads it; the JSON
/// of DHAT, by valgrind and by the crate `dhat`; the data of heaptrack; the text of jemalloc
/// (`heap_v2`), of Go's `/debug/pprof/heap?debug=1` and of gperftools; and the table of `memray
/// transform csv`. Each may be packed by gzip or zstd.
///
/// What a file lacks is [unknown](Snapshot::knows). The numbers of a sample are scaled as the
/// tool's own printer scales them. Addresses are named like those of a file from
/// [`Snapshot::dump`].
///
/// Untrusted files are safe to read, since memory is bounded by the size of the file, and time by
/// that of what it unpacks to.
///
/// # Errors
///
/// [`is_io`](Error::is_io) if the reader fails, [`is_invalid_file`](Error::is_invalid_file) if the
/// file is of another kind, of an unknown version, cut off or damaged.
///
/// ```
/// let file = "\
/// heap_v2/1
///   t*: 3: 300 [0: 0]
/// @ 0x55d26a82e506 0x55d26a82e653
///   t*: 3: 300 [0: 0]
///
/// MAPPED_LIBRARIES:
/// 55d26a82d000-55d26a8de000 r-xp 0002a000 fe:00 10118249 /srv/shop
/// ";
/// let snapshot = alloc_report::import(file.as_bytes())?;
/// assert_eq!(snapshot.traced_memory().current, 300);
/// assert!(!snapshot.knows(alloc_core::Metric::Peak));
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub fn import(reader: impl Read) -> Result<Snapshot, Error> {
    untraced(|| {
        let file = Packed::open(reader)?;
        let Some(format) = Format::of(file.start())? else {
            return file.pprof();
        };
        match format {
            Format::Heaptrack => heaptrack::read(&file.whole()?),
            Format::Dhat => dhat::read(&file.unpacked(dhat::EXPECTED)?),
            Format::Jemalloc => jemalloc::read(&file.unpacked(jemalloc::EXPECTED)?),
            Format::Text => text::read(&file.unpacked(text::EXPECTED)?),
            Format::Memray => memray::read(&file.unpacked(memray::EXPECTED)?),
        }
    })
}

/// The formats that are read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Dhat,
    Heaptrack,
    Jemalloc,
    Text,
    Memray,
}

impl Format {
    /// The format of an unpacked file that starts with these bytes; none if it is not read here.
    fn of(start: &[u8]) -> Result<Option<Format>, Error> {
        let text = start.trim_ascii_start();
        let has = |word: &[u8]| start.windows(word.len()).any(|it| it == word);
        if text.starts_with(b"heap_v2/") {
            return Ok(Some(Format::Jemalloc));
        } else if text.starts_with(b"heap profile:") {
            return Ok(Some(Format::Text));
        } else if text.starts_with(memray::HEAD.as_bytes()) {
            return Ok(Some(Format::Memray));
        } else if heaptrack::is_start(start) {
            return Ok(Some(Format::Heaptrack));
        } else if text.starts_with(b"{") && has(b"\"dhatFileVersion\"") {
            return Ok(Some(Format::Dhat));
        }
        match memray::refusal(text) {
            Some(found) => Err(Error::unexpected(memray::EXPECTED, found)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(start: &[u8], expected: Option<Format>) {
        assert_eq!(Format::of(start).unwrap(), expected);
    }

    #[test]
    fn files_are_recognised_by_their_start() {
        check(b"{\"dhatFileVersion\":2", Some(Format::Dhat));
        check(
            b"\n{\n \"mode\": \"heap\", \"dhatFileVersion\": 2",
            Some(Format::Dhat),
        );
        check(b"v 10400 3\nx /srv/shop\n", Some(Format::Heaptrack));
        check(b"heap_v2/524288\n", Some(Format::Jemalloc));
        check(
            b"heap profile: 1: 2 [3: 4] @ heap/1048576\n",
            Some(Format::Text),
        );
        check(memray::HEAD.as_bytes(), Some(Format::Memray));
        check(b"{\"snapshot\":{\"meta\":{", None);
        check(b"v for victory\n", None);
        check(b"\x0A\x04\x08\x01\x10\x02", None);
        check(b"", None);
    }
}
