//! From a profile to a snapshot.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use prost::Message as _;

use super::proto::{Extension, Function, Location, Profile, Sample};
use super::sample_types::SampleTypes;
use super::{
    BROKEN, DOMAIN_LABEL, FORMAT, OVERFLOW, STACK_LABEL, THREAD_LABEL, TRUNCATED, UNCAPTURED,
    counters,
};
use crate::Metric;
use crate::error::Error;
use crate::frame::{Frame, SourcePath};
use crate::modules::Module;
use crate::recorded::{Recorded, StackEnd};
use crate::sampling::Interval;
use crate::snapshot::{About, Snapshot, Trace, Unknown};
use crate::traceback::Traceback;
use crate::{Health, TracedMemory};

/// The most that a profile may take up when unpacked; a larger one is refused rather than read.
///
/// Decoded, a profile takes up to some sixteen times that, since [`check_shape`] refuses one that is
/// nearly all empty messages: a table of a hundred bytes for each two of the file.
const MOST_BYTES: u64 = 512 << 20;

/// The least that the messages of a profile take up, on average. Those of true ones take up twice that.
const LEAST_MESSAGE: usize = 8;

pub(crate) fn read(mut reader: impl Read) -> Result<Snapshot, Error> {
    let packed = {
        let mut packed = Vec::new();
        reader.read_to_end(&mut packed)?;
        packed
    };
    let unpacked = unpack(&packed)?;
    check_shape(&unpacked)?;
    let profile = Profile::decode(&unpacked[..]).map_err(|error| {
        Error::invalid_file(format!(
            "found a gzip'd file with something else in it: {error}"
        ))
    })?;
    Reader::new(&profile)?.snapshot()
}

/// Refuses what would take up a multiple of its size when decoded. What is no message at all is left to
/// the decoder.
fn check_shape(unpacked: &[u8]) -> Result<(), Error> {
    let (mut rest, mut messages) = (unpacked, 0_usize);
    while let Some(key) = varint(&mut rest) {
        let skipped = match key & 7 {
            0 => varint(&mut rest).map(|_| 0),
            1 => Some(8),
            2 => {
                messages += 1;
                varint(&mut rest).map(|length| usize::try_from(length).unwrap_or(usize::MAX))
            }
            5 => Some(4),
            _ => None,
        };
        match skipped.and_then(|bytes| rest.get(bytes..)) {
            Some(after) => rest = after,
            None => break,
        }
    }
    // A small file may be made of anything.
    if messages > 1000 && messages > unpacked.len() / LEAST_MESSAGE {
        return Err(Error::invalid_file(format!(
            "found {messages} messages in {} bytes: nearly all are empty",
            unpacked.len()
        )));
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// What files begin with that are taken for snapshots, and what they are.
const OTHERS: [(&[u8], &str); 7] = [
    (
        b"heap_v2/",
        "a heap profile of jemalloc's own, which has no names: the crate jemalloc_pprof writes one that is read here",
    ),
    (b"PERFILE2", "what perf recorded"),
    (
        b"\x28\xB5\x2F\xFD",
        "a file packed by zstd, as heaptrack writes them",
    ),
    (b"\x7FELF", "a program or a library"),
    (b"BZh", "a file packed by bzip2"),
    (b"PK\x03\x04", "a zip archive"),
    (b"{", "JSON, as dhat and trace viewers have it"),
];

fn unpack(packed: &[u8]) -> Result<Vec<u8>, Error> {
    const GZIP: [u8; 2] = [0x1F, 0x8B];
    if packed.is_empty() {
        return Err(Error::invalid_file("found an empty file"));
    }
    if !packed.starts_with(&GZIP[..packed.len().min(2)]) {
        if let Some((_, what)) = OTHERS.iter().find(|(start, _)| packed.starts_with(start)) {
            return Err(Error::invalid_file(format!("found {what}")));
        }
        let start = &packed[..packed.len().min(16)];
        let start = String::from_utf8_lossy(start);
        return Err(Error::invalid_file(format!(
            "found a file that begins with {start:?}"
        )));
    }
    let mut unpacked = Vec::new();
    let read = GzDecoder::new(packed)
        .take(MOST_BYTES + 1)
        .read_to_end(&mut unpacked);
    match read {
        Ok(size) if size as u64 > MOST_BYTES => Err(Error::invalid_file(format!(
            "found one that unpacks to more than {MOST_BYTES} bytes"
        ))),
        Ok(_) => Ok(unpacked),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(Error::invalid_file(
            "found one that is cut off: it ends in the middle",
        )),
        Err(error) => Err(Error::invalid_file(format!(
            "found a damaged gzip file: {error}"
        ))),
    }
}

/// The tables of a profile, by their ids.
struct Reader<'a> {
    profile: &'a Profile,
    extension: Extension,
    functions: HashMap<u64, &'a Function>,
    roots: Vec<Arc<str>>,
    paths: HashMap<i64, SourcePath>,
}

/// The frames of all locations.
///
/// PERF: millions of samples' parts are looked up here. With a hash map that was a fifth of loading.
struct Locations(Vec<(u64, Vec<Frame>)>);

impl Locations {
    fn of(reader: &Reader<'_>) -> Result<Locations, Error> {
        let locations = reader.profile.location.iter();
        let mut by_id = locations
            .map(|it| Ok((it.id, reader.location(it)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        by_id.sort_by_key(|(id, _)| *id);
        Ok(Locations(by_id))
    }

    fn get(&self, id: u64) -> Option<&[Frame]> {
        // Most writers count from 1 without gaps.
        let expected = usize::try_from(id.wrapping_sub(1)).ok();
        let (_, frames) = expected
            .and_then(|at| self.0.get(at))
            .filter(|(found, _)| *found == id)
            .or_else(|| {
                let at = self.0.binary_search_by_key(&id, |(id, _)| *id).ok()?;
                self.0.get(at)
            })?;
        Some(frames)
    }
}

impl<'a> Reader<'a> {
    fn new(profile: &'a Profile) -> Result<Reader<'a>, Error> {
        let extension = profile.extension.clone().unwrap_or_default();
        let roots: Vec<Arc<str>> = extension
            .roots
            .iter()
            .map(|it| it.as_str().into())
            .collect();
        let mut reader = Reader {
            profile,
            extension,
            functions: profile.function.iter().map(|it| (it.id, it)).collect(),
            roots,
            paths: HashMap::new(),
        };
        for function in &profile.function {
            let filename = function.filename;
            if filename != 0 && !reader.paths.contains_key(&filename) {
                let path = SourcePath::new(reader.string(filename)?, &reader.roots);
                reader.paths.insert(filename, path);
            }
        }
        Ok(reader)
    }

    fn string(&self, at: i64) -> Result<&'a str, Error> {
        let text = usize::try_from(at)
            .ok()
            .and_then(|at| self.profile.string_table.get(at));
        text.map(String::as_str).ok_or_else(|| {
            Error::invalid_file(format!(
                "found a reference to string {at}, which is not there"
            ))
        })
    }

    fn snapshot(&self) -> Result<Snapshot, Error> {
        let types = self
            .profile
            .sample_type
            .iter()
            .map(|it| Ok((self.string(it.r#type)?, self.string(it.unit)?)))
            .collect::<Result<Vec<_>, Error>>()?;
        let types = SampleTypes::of(types.iter().copied())?;
        if self.extension.format > FORMAT {
            return Err(Error::invalid_file(format!(
                "found a snapshot of format {}, of a later alloc-core: this one reads up to {FORMAT}",
                self.extension.format
            )));
        }
        let locations = Locations::of(self)?;
        self.check_sums()?;
        let mut threads = HashMap::new();
        let traces = self
            .profile
            .sample
            .iter()
            .map(|it| self.trace(it, &types, &locations, &mut threads))
            .collect::<Result<Vec<_>, _>>()?;
        let mut snapshot = if self.profile.extension.is_some() {
            let mut own = Snapshot::of_parts(traces, self.recorded(), self.about()?);
            own.set_filtered_out(self.extension.filtered_out);
            own
        } else {
            let deepest = traces.iter().map(|it| it.traceback.len()).max();
            let limit = deepest.unwrap_or(0).try_into().unwrap_or(u16::MAX);
            let mut foreign = Snapshot::from_traces(traces, limit);
            foreign.about = self.about()?;
            foreign
        };
        snapshot.about.unknown = unknown(&types);
        Ok(snapshot)
    }

    /// Refuses what no process can have held, so that whoever sums need not look.
    fn check_sums(&self) -> Result<(), Error> {
        let mut sums = vec![0_i64; self.profile.sample_type.len()];
        for sample in &self.profile.sample {
            for (sum, value) in sums.iter_mut().zip(&sample.value) {
                *sum = sum.checked_add(*value).ok_or_else(|| {
                    Error::invalid_file("found samples that sum up to more than 2^63")
                })?;
            }
        }
        Ok(())
    }

    fn location(&self, location: &Location) -> Result<Vec<Frame>, Error> {
        let outermost = location.line.len().saturating_sub(1);
        let lines = location.line.iter().enumerate();
        let mut frames = lines
            .map(|(at, line)| {
                let id = line.function_id;
                let function = self.functions.get(&id).ok_or_else(|| {
                    Error::invalid_file(format!(
                        "found a location in function {id}, which is not there"
                    ))
                })?;
                let name = self.string(function.name)?;
                let frame = Frame::of(
                    Some(name).filter(|it| !it.is_empty()).map(Into::into),
                    self.paths.get(&function.filename).cloned(),
                    line.line.try_into().unwrap_or(0),
                    line.column.try_into().unwrap_or(0),
                );
                Ok(frame.at(location.address, at < outermost))
            })
            .collect::<Result<Vec<_>, Error>>()?;
        if frames.is_empty() {
            let name = format!("{:#x}", location.address);
            let frame = Frame::of(Some(name.into()), None, 0, 0);
            frames.push(frame.at(location.address, false));
        }
        Ok(frames)
    }

    fn trace(
        &self,
        sample: &Sample,
        types: &SampleTypes,
        locations: &Locations,
        threads: &mut HashMap<i64, Arc<str>>,
    ) -> Result<Trace, Error> {
        let values = types.in_order(&sample.value)?;
        if sample.value.iter().any(|&value| value < 0) {
            return Err(Error::invalid_file("found a sample with a negative value"));
        }
        let mut frames = Vec::with_capacity(sample.location_id.len());
        for id in &sample.location_id {
            let location = locations.get(*id).ok_or_else(|| {
                Error::invalid_file(format!(
                    "found a sample at location {id}, which is not there"
                ))
            })?;
            frames.extend_from_slice(location);
        }
        if frames.is_empty() {
            frames.push(Frame::default());
        }
        let mut end = StackEnd::Complete;
        let (mut domain, mut thread) = (0, None);
        for label in &sample.label {
            match self.string(label.key)? {
                STACK_LABEL => {
                    end = match self.string(label.str)? {
                        TRUNCATED => StackEnd::Truncated,
                        BROKEN => StackEnd::Broken,
                        OVERFLOW => StackEnd::Overflow,
                        UNCAPTURED => StackEnd::Uncaptured,
                        _ => end,
                    };
                }
                // Elsewhere the word may mean anything.
                DOMAIN_LABEL if self.profile.extension.is_some() => {
                    domain = label.num.try_into().map_err(|_| {
                        Error::invalid_file(format!(
                            "found a sample in domain {}, which is not a number of 32 bits",
                            label.num
                        ))
                    })?;
                }
                THREAD_LABEL if label.str != 0 => {
                    let name = self.string(label.str)?;
                    let known = threads.entry(label.str).or_insert_with(|| name.into());
                    thread = Some(known.clone());
                }
                _ => {}
            }
        }
        Ok(Trace {
            traceback: Traceback::with_end(frames, end),
            counters: counters(&values.map(|value| value as u64)),
            domain,
            thread,
        })
    }

    fn recorded(&self) -> Recorded {
        let it = &self.extension;
        Recorded {
            heap: TracedMemory {
                current: it.heap_current.into(),
                peak: it.heap_peak.into(),
                peak_error: it.heap_peak_error.into(),
                sampled: it.sampled_every != 0,
            },
            traceback_limit: it.traceback_limit.try_into().unwrap_or(u16::MAX),
            health: Health {
                truncated_stacks: it.truncated_stacks,
                broken_stacks: it.broken_stacks,
                overflowed: it.overflowed,
                skipped: it.skipped,
                unknown_frees: it.unknown_frees,
                lost_blocks: it.lost_blocks,
            },
            sampling: Interval::from_bytes(it.sampled_every),
            ..Recorded::default()
        }
    }

    fn about(&self) -> Result<About, Error> {
        let modules = self
            .profile
            .mapping
            .iter()
            .map(|it| {
                Ok(Module {
                    start: it.memory_start,
                    end: it.memory_limit,
                    file_offset: it.file_offset,
                    path: self.string(it.filename)?.to_owned(),
                    build_id: self.string(it.build_id)?.to_owned(),
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        let program = match modules.first() {
            Some(first) if self.extension.program.is_empty() => first.path.clone(),
            _ => self.extension.program.clone(),
        };
        let since = Duration::from_nanos(self.profile.time_nanos.try_into().unwrap_or(0));
        Ok(About {
            taken_at: SystemTime::UNIX_EPOCH + since,
            process_id: self.extension.process_id,
            program,
            command_line: self.extension.command_line.clone(),
            modules,
            unknown: Unknown::default(),
            metadata: self.extension.metadata.clone(),
        })
    }
}

/// What a file of these types does not tell.
fn unknown(types: &SampleTypes) -> Unknown {
    let needed = [
        (Metric::Current, "inuse_space"),
        (Metric::Total, "alloc_space"),
        (Metric::Freed, "alloc_space"),
        (Metric::Freed, "inuse_space"),
        (Metric::Peak, "peak_space"),
        (Metric::AtPeak, "at_peak_space"),
    ];
    let missing = needed.into_iter().filter(|(_, name)| !types.knows(name));
    let mut metrics: Vec<Metric> = missing.map(|(metric, _)| metric).collect();
    metrics.dedup();
    Unknown {
        metrics,
        blocks: [
            ("inuse_space", "inuse_objects"),
            ("alloc_space", "alloc_objects"),
        ]
        .iter()
        .any(|(bytes, blocks)| types.knows(bytes) && !types.knows(blocks)),
    }
}
