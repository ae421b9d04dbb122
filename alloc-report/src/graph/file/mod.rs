//! The file of a heap graph, `.heapgraph`.
//!
//! In: bytes, hostile or not. Out: [`Data`] and the snapshot within the file, or an error that says
//! what was expected, what was found, and at which byte. It never panics, and takes at most
//! twenty-five times the size of the file: every count is checked against the bytes that are left.
//!
//! A file starts with `HGRAPH`, a zero and the version. Frames follow: a tag, the length of the
//! payload in four bytes, the payload. The payloads of one tag are one section, in which most
//! numbers are LEB128 varints.

mod input;
mod nodes;
mod sections;
mod sizes;

use std::collections::HashMap;
use std::io::{self, Read};

use alloc_core_snapshot::{Error, Snapshot};

pub(super) use sections::{CallsiteRow, RootKind, RootRow, VtableRow};
pub(super) use sizes::{room, rounded};

use super::facts::{Facts, Module, Thread};
use input::{EXPECTED, Stream, wrong};
pub(super) use nodes::{Length, NO_COUNT, Nodes};

/// The first bytes of every file of this version.
pub(super) const MAGIC: [u8; 8] = *b"HGRAPH\0\x01";

/// The tags of sections that a reader knows.
const TAGS: &[u8; 11] = b"IMTCNRVSKPE";

/// The content of a file.
#[derive(Default)]
pub(super) struct Data {
    pub(super) facts: Facts,
    pub(super) modules: Vec<Module>,
    pub(super) threads: Vec<Thread>,
    pub(super) callsites: Vec<CallsiteRow>,
    pub(super) nodes: Nodes,
    pub(super) roots: Vec<RootRow>,
    /// The vtables next to pointers, in the order of their edges.
    pub(super) vtables: Vec<VtableRow>,
    /// The names of the roots that the program named.
    pub(super) named: Vec<String>,
}

/// The first bytes of a file, as many as tell a heap graph.
///
/// NOTE: a device that never ends does not start as a graph does.
pub(super) fn start_of(file: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAGIC.len() as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a file.
pub(super) fn read(bytes: &[u8]) -> Result<(Data, Snapshot), Error> {
    let sections = split(bytes)?;
    let section = |tag: u8| {
        let at = TAGS.iter().position(|it| *it == tag).unwrap_or(0);
        &sections[at]
    };
    if !section(b'E').is_there {
        return Err(Error::unexpected(
            EXPECTED,
            format!(
                "found a truncated one: {} bytes without the counts that end it",
                bytes.len()
            ),
        ));
    }
    let mut data = Data {
        facts: sections::facts(section(b'I'))?,
        modules: sections::modules(section(b'M'))?,
        threads: sections::threads(section(b'T'))?,
        callsites: sections::callsites(section(b'C'))?,
        named: sections::named_roots(section(b'P'))?,
        ..Data::default()
    };
    let snapshot = match section(b'S') {
        it if it.is_there => Snapshot::read_from(it.content()).map_err(|error| {
            Error::unexpected(
                EXPECTED,
                format!("found one with a damaged snapshot: {error}"),
            )
        })?,
        _ => Snapshot::from_traces(Vec::new(), 0),
    };
    let mut by_id: HashMap<u64, u32> = HashMap::new();
    let unknown = data.callsites.len() as u32 - 1;
    for (at, callsite) in data.callsites[..unknown as usize].iter().enumerate() {
        by_id.insert(callsite.id, at as u32);
    }
    sections::traces(section(b'K'), &mut by_id, &mut data.callsites)?;
    let callsite = |id: u64| by_id.get(&id).copied().unwrap_or(unknown);
    data.nodes = nodes::read(section(b'N'), callsite)?;
    data.roots = sections::roots(section(b'R'), &data.modules, &data.threads, &mut data.nodes)?;
    data.vtables = sections::vtables(section(b'V'), data.modules.len(), data.nodes.to.len())?;
    let found = [data.nodes.len(), data.nodes.to.len(), data.roots.len()];
    sections::check_end(section(b'E'), found)?;
    if !data.facts.exact_sizes {
        sizes::make_exact(&mut data.nodes, &data.callsites);
    }
    Ok((data, snapshot))
}

/// The sections of a file, in the order of [`TAGS`].
fn split(bytes: &[u8]) -> Result<[Stream<'_>; TAGS.len()], Error> {
    let magic = bytes.get(..MAGIC.len());
    if magic != Some(&MAGIC) {
        return Err(Error::unexpected(EXPECTED, found_instead(bytes)));
    }
    let mut sections: [Stream<'_>; TAGS.len()] = Default::default();
    let mut at = MAGIC.len();
    while at < bytes.len() {
        let Some(&[tag, a, b, c, d]) = bytes.get(at..at + 5) else {
            return Err(wrong("the end of the file within a frame's head", at));
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let start = at + 5;
        let Some(payload) = bytes.get(start..start.saturating_add(length)) else {
            let left = bytes.len() - start;
            return Err(wrong(
                &format!("the end of the file after {left} of {length} bytes of a frame"),
                at,
            ));
        };
        // NOTE: an unknown tag is one of a later version that older readers may skip.
        if let Some(known) = TAGS.iter().position(|it| *it == tag) {
            sections[known].add(payload, start);
        }
        at = start + length;
    }
    Ok(sections)
}

/// What a file is that does not start as a graph does.
fn found_instead(bytes: &[u8]) -> String {
    match bytes {
        [] => "found an empty file".to_owned(),
        [b'H', b'G', b'R', b'A', b'P', b'H', 0, version, ..] => format!(
            "found version {version} of the format, where this program knows version {}",
            MAGIC[7]
        ),
        [0x1F, 0x8B, ..] => "found a gzip'd file, as a snapshot is: alloc-report top FILE shows \
                             one"
        .to_owned(),
        _ => {
            let start = &bytes[..bytes.len().min(MAGIC.len())];
            format!("found a file that starts with \"{}\"", start.escape_ascii())
        }
    }
}
