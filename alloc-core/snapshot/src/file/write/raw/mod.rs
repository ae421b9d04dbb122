//! [`RawFile`]: a snapshot file with addresses, which its reader names.
//!
//! In: callsites, then modules, then a summary. Out: the bytes of the file. It never allocates on
//! the heap.
//!
//! The traced process reads no debug information to write it: the file has the path, build id and
//! place in memory of each module, and the address of each call. A file is built callsite by
//! callsite, and takes up its own length and some 500 KiB, plus at most 24 bytes for each address.
//! See [`file`](super) for the format.

mod details;

use crate::file::proto::{
    self, Extension, Function, Label, Line, Location, Mapping, Profile, field,
};
use crate::file::write::drop_frames::DROP_FRAMES;
use crate::file::write::gzip::Gzip;
use crate::file::write::locations::Locations;
use crate::file::write::message::{self, Message};
use crate::file::write::pages::{NoMemory, Pages};
use crate::file::{
    BROKEN, DOMAIN_LABEL, FORMAT, OF_GO, OVERFLOW, OWN_LABEL, SAMPLE_TYPES, SIZE_LABEL,
    STACK_LABEL, THREAD_LABEL, TRUNCATED, UNCAPTURED, values,
};
use crate::recorded::StackEnd;
use crate::snapshot::Run;
use crate::{Counters, Health, Pinned, Residence, Slack, TracedMemory};

pub use details::{Freed, Lifetimes};

/// A callsite to write.
#[derive(Clone, Copy, Debug)]
pub struct Callsite<'a> {
    /// Return addresses, innermost first.
    pub stack: &'a [usize],
    /// How the stack ended.
    pub stack_end: StackEnd,
    /// What was allocated there.
    pub counters: Counters,
    /// What of it was allocated before the time that the file is about.
    pub before: Counters,
    /// The domain of the memory; 0 is the Rust heap.
    pub domain: u32,
    /// The name of the thread, from [`RawFile::text`], if the session distinguishes threads.
    pub thread: Option<Text>,
    /// The path of the label, from [`RawFile::text`], if the thread was in one.
    pub label: Option<Text>,
    /// The size of the largest blocks in its size class, if it has a class.
    pub size_class: Option<u64>,
    /// How long its blocks lived, if the session records lifetimes.
    pub lifetimes: Option<Lifetimes<'a>>,
    /// Who freed its blocks, if the session counts that.
    pub freed_by: Option<&'a [Freed]>,
    /// How many more bytes its blocks have than were asked for, if the session measures it.
    pub slack: Option<Slack>,
    /// What its live blocks keep resident besides themselves, if that was asked for.
    pub pinned: Option<Pinned>,
}

/// A module to write: see [`Module`](crate::modules::Module).
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The lowest address of the executable segment.
    pub start: u64,
    /// One past its highest address.
    pub end: u64,
    /// The offset of the segment in its file.
    pub file_offset: u64,
    /// The path that the process mapped it from.
    pub path: &'a [u8],
    /// The build id in hexadecimal.
    pub build_id: &'a [u8],
}

/// Values for the whole heap and the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// When the file is written, in nanoseconds since 1970.
    pub nanoseconds: i64,
    /// How long the time is that the file is about, in nanoseconds; 0 for a single moment.
    pub duration: i64,
    /// Whether readers show first what was allocated, and not what is live.
    pub shows_allocated: bool,
    /// When the process began, and how long it had run.
    pub run: Run,
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
    /// Where the resident memory goes, if that was asked for.
    pub residence: Option<Residence>,
}

/// A string of the file, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text(i64);

impl Text {
    /// The empty string.
    pub const EMPTY: Text = Text(0);

    /// The string with this number; `None` for 0, the empty string.
    pub fn from_number(number: i64) -> Option<Text> {
        (number != 0).then_some(Text(number))
    }

    /// The number of the string; 0 is the empty one.
    pub fn number(self) -> i64 {
        self.0
    }
}

/// The strings at the start of every file, after the empty string and the names of the sample
/// types.
const STRINGS: [&str; 14] = [
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
    OWN_LABEL,
    OVERFLOW_NAME,
    HEAP_NAME,
    DROP_FRAMES,
];

/// Names of functions that represent callsites without a stack.
const OVERFLOW_NAME: &str = "<overflow>";
const HEAP_NAME: &str = "<heap>";

fn first_strings() -> impl Iterator<Item = &'static str> {
    let types = SAMPLE_TYPES.iter().map(|(name, _)| *name);
    std::iter::once("").chain(types).chain(STRINGS)
}

/// The number of one of these strings.
fn fixed(text: &str) -> i64 {
    first_strings().position(|it| it == text).unwrap_or(0) as i64
}

/// Placeholder addresses for callsites that have no stack. There is never code at these addresses.
const OVERFLOW_ADDRESS: usize = usize::MAX;
const HEAP_ADDRESS: usize = usize::MAX - 1;
const UNKNOWN_ADDRESS: usize = usize::MAX - 2;

/// The name of a placeholder address.
fn name_instead(address: usize) -> Option<&'static str> {
    match address {
        OVERFLOW_ADDRESS => Some(OVERFLOW_NAME),
        HEAP_ADDRESS => Some(HEAP_NAME),
        // NOTE: readers show a function without a name as `<unknown>`.
        UNKNOWN_ADDRESS => Some(""),
        _ => None,
    }
}

/// A file under construction: callsites first, then modules, then the summary.
pub struct RawFile {
    known: Known,
    packed: Gzip,
    /// The message under construction, and those nested in it.
    message: Message,
    inner: Message,
    innermost: Message,
    strings: i64,
    locations: Locations,
    modules: Pages<Placed>,
}

/// Which of the sample types a file has.
pub(super) type Known = [bool; SAMPLE_TYPES.len()];

/// The addresses of a module, by the number of its mapping.
#[derive(Clone, Copy)]
struct Placed {
    start: u64,
    end: u64,
    mapping: u64,
}

// SAFETY: integers, for which zero is a value.
unsafe impl crate::file::write::pages::Zeroed for Placed {}

impl RawFile {
    /// A file that has only the strings at the start of every file.
    pub fn new() -> Result<RawFile, NoMemory> {
        RawFile::with_types([true; SAMPLE_TYPES.len()])
    }

    /// A file that has Go's sample types only, for readers that know no other.
    pub fn of_go() -> Result<RawFile, NoMemory> {
        RawFile::with_types(std::array::from_fn(|at| at < OF_GO))
    }

    /// A file with those sample types that are known.
    pub(in crate::file) fn with_types(known: Known) -> Result<RawFile, NoMemory> {
        let mut file = RawFile {
            known,
            packed: Gzip::new()?,
            message: Message::new(),
            inner: Message::new(),
            innermost: Message::new(),
            strings: 0,
            locations: Locations::new()?,
            modules: Pages::new(),
        };
        for text in first_strings() {
            file.text(text.as_bytes())?;
        }
        for ((name, unit), _) in SAMPLE_TYPES.iter().zip(known).filter(|it| it.1) {
            file.inner.clear();
            file.inner.fields(&proto::ValueType {
                r#type: fixed(name),
                unit: fixed(unit),
            })?;
            file.write_inner(field::SAMPLE_TYPE)?;
        }
        Ok(file)
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
        let before = values(&callsite.before);
        let values = values(&callsite.counters).into_iter().zip(before);
        for ((value, before), _) in values.zip(self.known).filter(|it| it.1) {
            let largest = i64::MAX as u64;
            let change = value.min(largest) as i64 - before.min(largest) as i64;
            // NOTE: the format writes a negative number as its two's complement.
            self.inner.varint(change as u64)?;
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
            callsite.label.map(|Text(path)| Label {
                key: fixed(OWN_LABEL),
                str: path,
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
        if let Some(lifetimes) = callsite.lifetimes {
            self.lifetimes(lifetimes)?;
        }
        if let Some(slack) = callsite.slack {
            self.inner.clear();
            self.inner.fields(&proto::Slack {
                current: slack.current.get(),
                total: slack.total.get(),
            })?;
            self.message.field(field::SLACK, self.inner.bytes())?;
        }
        if let Some(pinned) = callsite.pinned {
            self.inner.clear();
            self.inner.fields(&proto::Pinned::from(pinned))?;
            self.message.field(field::PINNED, self.inner.bytes())?;
        }
        if let Some(freed_by) = callsite.freed_by {
            self.freed_by(freed_by)?;
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
            // Readers must look up symbols.
            ..Mapping::default()
        })?;
        self.write_inner(field::MAPPING)
    }

    /// Finishes the file with the path of the program, its arguments, and its metadata.
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
        let extension = Extension {
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
        };
        let extension = extension
            .with_residence(summary.residence)
            .with_run(summary.run);
        self.message.fields(&extension)?;
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
            default_sample_type: fixed(match summary.shows_allocated {
                true => "alloc_space",
                false => "inuse_space",
            }),
            drop_frames: fixed(DROP_FRAMES),
            period_type: Some(proto::ValueType {
                r#type: fixed("space"),
                unit: fixed("bytes"),
            }),
            period: summary.sampled_every.max(1) as i64,
            time_nanos: summary.nanoseconds,
            duration_nanos: summary.duration,
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

    /// The id of the mapping that contains an address; zero if there is none.
    fn mapping_of(&self, address: u64) -> u64 {
        let after = self.modules.partition_point(|it| it.start <= address);
        let module = after.checked_sub(1).map(|at| self.modules[at]);
        module
            .filter(|it| address < it.end)
            .map_or(0, |it| it.mapping)
    }

    /// How many bytes are mapped now, including the file's own.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.packed.mapped()
            + self.message.mapped()
            + self.inner.mapped()
            + self.innermost.mapped()
            + self.locations.mapped()
            + self.modules.mapped()
    }

    /// Adds a string: the name of a thread or the path of a label, for its callsites.
    pub fn text(&mut self, text: &[u8]) -> Result<Text, NoMemory> {
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
mod tests;
