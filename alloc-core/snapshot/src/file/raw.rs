//! [`RawFile`]: a snapshot file that has addresses, to be named by whoever reads it.
//!
//! The traced process reads no debug information for it: it has each module's path, build id and place in
//! memory, and the address of each call. A file is put together callsite by callsite, and takes up its own length
//! and some 500 KiB, plus at most 24 bytes for each address. See [`file`](super) for the format.

use super::drop_frames::DROP_FRAMES;
use super::gzip::Gzip;
use super::locations::Locations;
use super::message::{self, Message};
use super::pages::{NoMemory, Pages};
use super::proto::{self, Extension, Function, Label, Line, Location, Mapping, Profile, field};
use super::{
    BROKEN, DOMAIN_LABEL, FORMAT, OVERFLOW, SAMPLE_TYPES, SIZE_LABEL, STACK_LABEL, THREAD_LABEL,
    TRUNCATED, UNCAPTURED, values,
};
use crate::recorded::StackEnd;
use crate::{Counters, Health, TracedMemory};

/// A callsite as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Callsite<'a> {
    /// Return addresses, innermost first.
    pub stack: &'a [usize],
    /// How the stack ended.
    pub stack_end: StackEnd,
    /// What was allocated there.
    pub counters: Counters,
    /// The domain of the memory; 0 is the Rust heap.
    pub domain: u32,
    /// What [`RawFile::thread`] returned, if threads are told apart.
    pub thread: Option<Text>,
    /// The size of the largest blocks of its class, if it has one.
    pub size_class: Option<u64>,
}

/// A module as it is written: see [`Module`](crate::modules::Module).
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The lowest address of the executable segment.
    pub start: u64,
    /// One past its highest address.
    pub end: u64,
    /// Where in the file the segment begins.
    pub file_offset: u64,
    /// The path that the process mapped it from.
    pub path: &'a [u8],
    /// In hexadecimal.
    pub build_id: &'a [u8],
}

/// What is written of the whole heap and of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// When the file is written, in nanoseconds since 1970.
    pub nanoseconds: i64,
    /// The process id.
    pub process_id: u32,
    /// Whether the program is ending.
    pub at_exit: bool,
    /// The whole heap's current and peak.
    pub heap: TracedMemory,
    /// The number of frames a traceback keeps.
    pub traceback_limit: u16,
    /// The sampling interval in bytes; 0 if every block is recorded.
    pub sampled_every: u64,
    /// What was cut, skipped or ignored.
    pub health: Health,
}

/// A string of the file, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text(i64);

impl Text {
    /// None for zero, the empty string.
    pub fn from_number(number: i64) -> Option<Text> {
        (number != 0).then_some(Text(number))
    }

    /// The number of the string; 0 is the empty one.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// The strings that every file begins with, besides the empty one and the names of the sample types.
const STRINGS: [&str; 13] = [
    "count",
    "bytes",
    "space",
    STACK_LABEL,
    TRUNCATED,
    BROKEN,
    OVERFLOW,
    UNCAPTURED,
    DOMAIN_LABEL,
    THREAD_LABEL,
    OVERFLOW_NAME,
    HEAP_NAME,
    DROP_FRAMES,
];

/// The functions that stand for callsites without a stack.
const OVERFLOW_NAME: &str = "<overflow>";
const HEAP_NAME: &str = "<heap>";

fn first_strings() -> impl Iterator<Item = &'static str> {
    let types = SAMPLE_TYPES.iter().map(|(name, _)| *name);
    std::iter::once("").chain(types).chain(STRINGS)
}

/// The number of one of the first strings.
fn fixed(text: &str) -> i64 {
    first_strings().position(|it| it == text).unwrap_or(0) as i64
}

/// What stands in the place of an address for a callsite that has none. No code is there.
const OVERFLOW_ADDRESS: usize = usize::MAX;
const HEAP_ADDRESS: usize = usize::MAX - 1;
const UNKNOWN_ADDRESS: usize = usize::MAX - 2;

/// The name of what stands for so many addresses.
fn name_instead(address: usize) -> Option<&'static str> {
    match address {
        OVERFLOW_ADDRESS => Some(OVERFLOW_NAME),
        HEAP_ADDRESS => Some(HEAP_NAME),
        // NOTE: readers show a function without a name as `<unknown>`.
        UNKNOWN_ADDRESS => Some(""),
        _ => None,
    }
}

/// A file that is being put together: callsites first, then modules, then the summary.
pub struct RawFile {
    packed: Gzip,
    /// The message that is being encoded, and one inside of it.
    message: Message,
    inner: Message,
    strings: i64,
    locations: Locations,
    modules: Pages<Placed>,
}

/// Where a module is, by the number of its mapping.
#[derive(Clone, Copy)]
struct Placed {
    start: u64,
    end: u64,
    mapping: u64,
}

// SAFETY: integers, for which zero is a value.
unsafe impl super::pages::Zeroed for Placed {}

impl RawFile {
    /// A file with the strings that every file begins with.
    pub fn new() -> Result<RawFile, NoMemory> {
        let mut file = RawFile {
            packed: Gzip::new()?,
            message: Message::new(),
            inner: Message::new(),
            strings: 0,
            locations: Locations::new()?,
            modules: Pages::new(),
        };
        for text in first_strings() {
            file.text(text.as_bytes())?;
        }
        for (name, unit) in SAMPLE_TYPES {
            file.inner.clear();
            file.inner.fields(&proto::ValueType {
                r#type: fixed(name),
                unit: fixed(unit),
            })?;
            file.write_inner(field::SAMPLE_TYPE)?;
        }
        Ok(file)
    }

    /// The name of a thread, for its callsites.
    pub fn thread(&mut self, name: &[u8]) -> Result<Text, NoMemory> {
        self.text(name)
    }

    /// Adds a callsite.
    pub fn callsite(&mut self, callsite: Callsite<'_>) -> Result<(), NoMemory> {
        let stack = callsite.stack_end;
        let instead = match stack {
            StackEnd::Overflow => Some(OVERFLOW_ADDRESS),
            StackEnd::Uncaptured => Some(HEAP_ADDRESS),
            _ if callsite.stack.is_empty() => Some(UNKNOWN_ADDRESS),
            _ => None,
        };
        self.message.clear();
        self.inner.clear();
        match instead {
            Some(instead) => self.inner.varint(self.locations.id_of(instead)?)?,
            None => {
                for &address in callsite.stack {
                    self.inner.varint(self.locations.id_of(address)?)?;
                }
            }
        }
        self.message.field(field::LOCATION_ID, self.inner.bytes())?;
        self.inner.clear();
        for value in values(&callsite.counters) {
            self.inner.varint(value.min(i64::MAX as u64))?;
        }
        self.message.field(field::VALUE, self.inner.bytes())?;

        let stack = match stack {
            StackEnd::Complete => None,
            StackEnd::Truncated => Some(TRUNCATED),
            StackEnd::Broken => Some(BROKEN),
            StackEnd::Overflow => Some(OVERFLOW),
            StackEnd::Uncaptured => Some(UNCAPTURED),
        };
        let labels = [
            stack.map(|end| Label {
                key: fixed(STACK_LABEL),
                str: fixed(end),
                num: 0,
            }),
            callsite.thread.map(|Text(name)| Label {
                key: fixed(THREAD_LABEL),
                str: name,
                num: 0,
            }),
            (callsite.domain != 0).then(|| Label {
                key: fixed(DOMAIN_LABEL),
                str: 0,
                num: callsite.domain.into(),
            }),
            callsite.size_class.map(|largest| Label {
                key: fixed(SIZE_LABEL),
                str: 0,
                num: largest.try_into().unwrap_or(i64::MAX),
            }),
        ];
        for label in labels.iter().flatten() {
            self.inner.clear();
            self.inner.fields(label)?;
            self.message.field(field::LABEL, self.inner.bytes())?;
        }
        self.write_message(field::SAMPLE)
    }

    /// Adds a module.
    pub fn module(&mut self, segment: Segment<'_>) -> Result<(), NoMemory> {
        let Text(filename) = self.text(segment.path)?;
        let Text(build_id) = self.text(segment.build_id)?;
        let mapping = self.modules.len() as u64 + 1;
        self.modules.push(Placed {
            start: segment.start,
            end: segment.end,
            mapping,
        })?;
        self.inner.clear();
        self.inner.fields(&Mapping {
            id: mapping,
            memory_start: segment.start,
            memory_limit: segment.end,
            file_offset: segment.file_offset,
            filename,
            build_id,
            // Readers shall look for symbols.
            ..Mapping::default()
        })?;
        self.write_inner(field::MAPPING)
    }

    /// The whole file, given also the path of the program, its arguments, and what was noted.
    pub fn finish<'a>(
        mut self,
        summary: &Summary,
        program: &[u8],
        arguments: impl Iterator<Item = &'a [u8]>,
        metadata: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Pages<u8>, NoMemory> {
        self.write_locations()?;

        let health = &summary.health;
        self.message.clear();
        self.message.fields(&Extension {
            format: FORMAT,
            heap_current: summary.heap.current.get(),
            heap_peak: summary.heap.peak.get(),
            heap_peak_error: summary.heap.peak_error.get(),
            traceback_limit: summary.traceback_limit.into(),
            process_id: summary.process_id,
            at_exit: summary.at_exit,
            sampled_every: summary.sampled_every,
            truncated_stacks: health.truncated_stacks,
            broken_stacks: health.broken_stacks,
            overflowed: health.overflowed,
            skipped: health.skipped,
            unknown_frees: health.unknown_frees,
            lost_blocks: health.lost_blocks,
            unnamed: true,
            ..Extension::default()
        })?;
        self.message.text(field::PROGRAM, program)?;
        for argument in arguments {
            self.message.text(field::COMMAND_LINE, argument)?;
        }
        for (key, value) in metadata {
            self.inner.clear();
            self.inner.field(field::KEY, key.as_bytes())?;
            self.inner.field(field::ENTRY, value.as_bytes())?;
            self.message.field(field::METADATA, self.inner.bytes())?;
        }
        self.write_message(field::EXTENSION)?;

        self.message.clear();
        self.message.fields(&Profile {
            default_sample_type: fixed("inuse_space"),
            drop_frames: fixed(DROP_FRAMES),
            period_type: Some(proto::ValueType {
                r#type: fixed("space"),
                unit: fixed("bytes"),
            }),
            period: summary.sampled_every.max(1) as i64,
            time_nanos: summary.nanoseconds,
            ..Profile::default()
        })?;
        self.packed.write(self.message.bytes())?;
        self.packed.finish()
    }

    fn write_locations(&mut self) -> Result<(), NoMemory> {
        self.modules.sort_unstable_by_key(|it| it.start);
        let mut functions = 0;
        for at in 0..self.locations.addresses().len() {
            let address = self.locations.addresses()[at];
            let instead = name_instead(address);
            // The call is the instruction before the return address.
            let call = address.saturating_sub(1) as u64;
            let location = Location {
                id: at as u64 + 1,
                mapping_id: instead.map_or_else(|| self.mapping_of(call), |_| 0),
                address: instead.map_or(call, |_| 0),
                line: Vec::new(),
            };
            self.message.clear();
            self.message.fields(&location)?;
            if let Some(name) = instead {
                functions += 1;
                self.inner.clear();
                self.inner.fields(&Line {
                    function_id: functions,
                    ..Line::default()
                })?;
                self.message.field(field::LINE, self.inner.bytes())?;
                self.inner.clear();
                self.inner.fields(&Function {
                    id: functions,
                    name: fixed(name),
                    system_name: fixed(name),
                    filename: 0,
                })?;
                self.write_inner(field::FUNCTION)?;
            }
            self.write_message(field::LOCATION)?;
        }
        Ok(())
    }

    /// The id of the mapping that an address lies in; zero if it is in none.
    fn mapping_of(&self, address: u64) -> u64 {
        let after = self.modules.partition_point(|it| it.start <= address);
        let module = after.checked_sub(1).map(|at| self.modules[at]);
        module
            .filter(|it| address < it.end)
            .map_or(0, |it| it.mapping)
    }

    /// What is mapped for it now, the file's own bytes among it.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.packed.mapped()
            + self.message.mapped()
            + self.inner.mapped()
            + self.locations.mapped()
            + self.modules.mapped()
    }

    fn text(&mut self, text: &[u8]) -> Result<Text, NoMemory> {
        self.message.clear();
        self.message.text(field::STRING, text)?;
        self.packed.write(self.message.bytes())?;
        self.strings += 1;
        Ok(Text(self.strings - 1))
    }

    /// Writes `message` as a field of the profile.
    fn write_message(&mut self, field: u32) -> Result<(), NoMemory> {
        write_field(&mut self.packed, field, &self.message)
    }

    /// Writes `inner` as a field of the profile.
    fn write_inner(&mut self, field: u32) -> Result<(), NoMemory> {
        write_field(&mut self.packed, field, &self.inner)
    }
}

fn write_field(packed: &mut Gzip, field: u32, message: &Message) -> Result<(), NoMemory> {
    let (head, len) = message::head(field, message.bytes().len());
    packed.write(&head[..len])?;
    packed.write(message.bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use prost::Message as _;

    use super::*;
    use crate::{Amount, Bytes, Snapshot};

    fn counters(bytes: u64, blocks: u64) -> Counters {
        let amount = Amount::new(bytes, blocks);
        Counters {
            current: amount,
            peak: amount,
            at_peak: amount,
            total: Amount::new(2 * bytes, 2 * blocks),
            reallocations: blocks / 2,
        }
    }

    /// Two modules, and a callsite of each kind.
    fn sample() -> Pages<u8> {
        let mut file = RawFile::new().unwrap();
        let thread = file.thread(b"gr\xC3\xB6\xC3\x9Fe").unwrap();
        let stacks: [(&[usize], StackEnd, u64, u32); 6] = [
            (&[0x1001, 0x2001, 0x9001], StackEnd::Complete, 100, 0),
            (&[0x1001, 0x2001], StackEnd::Truncated, 200, 7),
            (&[0x1001], StackEnd::Broken, 300, 0),
            (&[], StackEnd::Broken, 400, 0),
            (&[], StackEnd::Overflow, 500, 0),
            (&[], StackEnd::Uncaptured, 1 << 50, 0),
        ];
        for (stack, stack_end, bytes, domain) in stacks {
            file.callsite(Callsite {
                stack,
                stack_end,
                counters: counters(bytes, bytes / 10),
                domain,
                thread: Some(thread).filter(|_| domain == 7),
                size_class: Some(16).filter(|_| domain == 7),
            })
            .unwrap();
        }
        for (start, end, path, build_id) in [
            (0x2000, 0x3000, "/lib/b.so", "0c"),
            (0x1000, 0x2000, "/bin/a", "ab"),
        ] {
            file.module(Segment {
                start,
                end,
                file_offset: 0x40,
                path: path.as_bytes(),
                build_id: build_id.as_bytes(),
            })
            .unwrap();
        }
        let summary = Summary {
            nanoseconds: 1_234_567_890_123,
            process_id: 42,
            at_exit: true,
            heap: TracedMemory {
                current: 1000.into(),
                peak: 2000.into(),
                peak_error: 8.into(),
                sampled: true,
            },
            traceback_limit: 16,
            sampled_every: 4096,
            health: Health {
                truncated_stacks: 1,
                broken_stacks: 2,
                overflowed: 3,
                skipped: 4,
                unknown_frees: 5,
                lost_blocks: 6,
            },
        };
        let arguments = [&b"a"[..], b"--all"];
        let metadata = [("commit", "1c4e7d")];
        file.finish(
            &summary,
            b"/bin/a",
            arguments.into_iter(),
            metadata.into_iter(),
        )
        .unwrap()
    }

    fn decoded(file: &[u8]) -> Profile {
        let mut bytes = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(file);
        reader.read_to_end(&mut bytes).unwrap();
        Profile::decode(&bytes[..]).unwrap()
    }

    #[test]
    fn counters_labels_and_the_summary_come_back() {
        let snapshot = Snapshot::read_from(&sample()[..]).unwrap();
        let traces = snapshot.traces();
        let bytes = [100, 200, 300, 400, 500, 1 << 50];
        assert_eq!(traces.len(), bytes.len());
        for (trace, bytes) in traces.iter().zip(bytes) {
            assert_eq!(trace.counters, counters(bytes, bytes / 10));
        }
        assert_eq!(
            (traces[1].domain, traces[1].thread.as_deref()),
            (7, Some("größe"))
        );
        assert_eq!((traces[0].domain, traces[0].thread.as_deref()), (0, None));
        let ends = traces.iter().map(|trace| trace.traceback.end());
        let expected = [
            StackEnd::Complete,
            StackEnd::Truncated,
            StackEnd::Broken,
            StackEnd::Broken,
            StackEnd::Overflow,
            StackEnd::Uncaptured,
        ];
        assert_eq!(ends.collect::<Vec<_>>(), expected);
        let names = traces[3..].iter().map(|it| it.traceback[0].to_string());
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["<unknown>", "<overflow>", "<heap>"]
        );

        let heap = snapshot.traced_memory();
        assert_eq!(
            (heap.current, heap.peak),
            (Bytes::new(1000), Bytes::new(2000))
        );
        assert_eq!(heap.peak_error, Bytes::new(8));
        assert_eq!(snapshot.traceback_limit(), 16);
        assert_eq!(snapshot.sampled_every(), Some(Bytes::new(4096)));
        assert_eq!(snapshot.health().lost_blocks, 6);
        assert_eq!(snapshot.health().truncated_stacks, 1);
        assert_eq!(snapshot.process_id(), 42);
        assert!(snapshot.is_at_exit());
        assert_eq!(snapshot.program(), "/bin/a");
        assert_eq!(snapshot.command_line(), ["a", "--all"]);
        assert_eq!(snapshot.metadata()["commit"], "1c4e7d");
    }

    #[test]
    fn locations_are_calls_in_modules_and_nothing_is_named() {
        let profile = decoded(&sample());
        let text = |at: i64| &*profile.string_table[at as usize];
        let mappings = profile.mapping.iter().map(|it| {
            let named = it.has_functions || it.has_filenames;
            assert!(!named && !it.has_line_numbers && !it.has_inline_frames);
            (
                it.id,
                it.memory_start,
                it.memory_limit,
                it.file_offset,
                text(it.filename),
                text(it.build_id),
            )
        });
        assert_eq!(
            mappings.collect::<Vec<_>>(),
            [
                (1, 0x2000, 0x3000, 0x40, "/lib/b.so", "0c"),
                (2, 0x1000, 0x2000, 0x40, "/bin/a", "ab"),
            ]
        );
        let locations = profile.location.iter();
        let locations = locations.map(|it| (it.id, it.mapping_id, it.address, it.line.len()));
        assert_eq!(
            locations.collect::<Vec<_>>(),
            [
                (1, 2, 0x1000, 0),
                (2, 1, 0x2000, 0),
                (3, 0, 0x9000, 0),
                (4, 0, 0, 1),
                (5, 0, 0, 1),
                (6, 0, 0, 1),
            ]
        );
        let stacks = profile.sample.iter().map(|it| &it.location_id[..]);
        assert_eq!(
            stacks.collect::<Vec<_>>(),
            [&[1_u64, 2, 3][..], &[1, 2], &[1], &[4], &[5], &[6]]
        );
        let types = profile.sample_type.iter();
        let types = types.map(|it| (text(it.r#type), text(it.unit)));
        assert!(types.eq(SAMPLE_TYPES));
        assert_eq!(text(profile.default_sample_type), "inuse_space");
        let period = profile.period_type.unwrap();
        assert_eq!((text(period.r#type), text(period.unit)), ("space", "bytes"));
        assert_eq!(
            (profile.period, profile.time_nanos),
            (4096, 1_234_567_890_123)
        );
        let extension = profile.extension.as_ref().unwrap();
        assert!(extension.unnamed && extension.format == FORMAT);
    }

    /// As many callsites as a large program has, each with a stack of thirty addresses.
    #[test]
    fn twenty_thousand_callsites_take_up_little() {
        let mut file = RawFile::new().unwrap();
        let mut stack = [0_usize; 30];
        for callsite in 0..20_000_usize {
            let depth = callsite % 7;
            for (at, address) in stack.iter_mut().enumerate().take(30 - 3 * depth) {
                *address = 0x5555_0000 + (callsite * 31 + at * 7919) % 40_000 * 16;
            }
            let written = file.callsite(Callsite {
                stack: &stack,
                stack_end: StackEnd::Complete,
                counters: counters(callsite as u64 * 48, callsite as u64),
                domain: 0,
                thread: None,
                size_class: None,
            });
            written.unwrap();
        }
        let summary = Summary::default();
        let held = file.bytes();
        let file = file.finish(&summary, b"", std::iter::empty(), std::iter::empty());
        let file = file.unwrap();
        assert_eq!(decoded(&file).sample.len(), 20_000);
        let beside = held - file.mapped();
        assert!(beside <= 2 << 20, "{beside} bytes beside {}", file.len());
    }
}
