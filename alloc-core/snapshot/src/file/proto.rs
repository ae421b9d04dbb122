//! The messages of `profile.proto`, with the field numbers of the specification.

use std::collections::BTreeMap;

use prost::Message;

/// Numbers of fields that are written individually, where a whole message is too large to hold.
pub(super) mod field {
    /// Of a [`Profile`](super::Profile).
    pub(in crate::file) const SAMPLE_TYPE: u32 = 1;
    pub(in crate::file) const SAMPLE: u32 = 2;
    pub(in crate::file) const MAPPING: u32 = 3;
    pub(in crate::file) const LOCATION: u32 = 4;
    pub(in crate::file) const FUNCTION: u32 = 5;
    pub(in crate::file) const STRING: u32 = 6;
    #[cfg(feature = "otlp")]
    pub(in crate::file) const TIME_NANOS: u32 = 9;
    #[cfg(feature = "otlp")]
    pub(in crate::file) const DURATION_NANOS: u32 = 10;
    #[cfg(feature = "otlp")]
    pub(in crate::file) const PERIOD_TYPE: u32 = 11;
    #[cfg(feature = "otlp")]
    pub(in crate::file) const PERIOD: u32 = 12;
    pub(in crate::file) const EXTENSION: u32 = 7100;
    /// Of a [`Sample`](super::Sample).
    pub(in crate::file) const LOCATION_ID: u32 = 1;
    pub(in crate::file) const VALUE: u32 = 2;
    pub(in crate::file) const LABEL: u32 = 3;
    pub(in crate::file) const LIFETIMES: u32 = 7101;
    pub(in crate::file) const FREED_BY: u32 = 7102;
    pub(in crate::file) const SLACK: u32 = 7103;
    pub(in crate::file) const PINNED: u32 = 7104;
    /// Of [`Lifetimes`](super::Lifetimes): the unit, and the buckets of each kind.
    pub(in crate::file) const UNIT: u32 = 1;
    pub(in crate::file) const BUCKETS: [u32; 4] = [2, 3, 4, 5];
    /// Of a [`FreedBy`](super::FreedBy).
    pub(in crate::file) const NUMBERS: u32 = 1;
    /// Of a [`Location`](super::Location).
    pub(in crate::file) const LINE: u32 = 4;
    /// Of an [`Extension`](super::Extension).
    pub(in crate::file) const PROGRAM: u32 = 6;
    pub(in crate::file) const COMMAND_LINE: u32 = 7;
    pub(in crate::file) const METADATA: u32 = 10;
    /// Of an entry of a map.
    pub(in crate::file) const KEY: u32 = 1;
    pub(in crate::file) const ENTRY: u32 = 2;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub(super) sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub(super) sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(super) mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    pub(super) location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub(super) function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub(super) string_table: Vec<String>,
    /// A regular expression: readers hide functions whose whole name matches, and everything they
    /// called.
    #[prost(int64, tag = "7")]
    pub(super) drop_frames: i64,
    #[prost(int64, tag = "9")]
    pub(super) time_nanos: i64,
    #[prost(int64, tag = "10")]
    pub(super) duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    pub(super) period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    pub(super) period: i64,
    #[prost(int64, tag = "14")]
    pub(super) default_sample_type: i64,
    /// Our own extension.
    #[prost(message, optional, tag = "7100")]
    pub(super) extension: Option<Extension>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct ValueType {
    #[prost(int64, tag = "1")]
    pub(super) r#type: i64,
    #[prost(int64, tag = "2")]
    pub(super) unit: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Sample {
    /// The innermost location first.
    #[prost(uint64, repeated, tag = "1")]
    pub(super) location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(super) value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    pub(super) label: Vec<Label>,
    /// How long the blocks lived. Other readers skip it.
    #[prost(message, optional, tag = "7101")]
    pub(super) lifetimes: Option<Lifetimes>,
    /// Who freed the blocks. Other readers skip it.
    #[prost(message, optional, tag = "7102")]
    pub(super) freed_by: Option<FreedBy>,
    /// How many more bytes the blocks have than were asked for. Other readers skip it.
    #[prost(message, optional, tag = "7103")]
    pub(super) slack: Option<Slack>,
    /// What the blocks keep resident. Other readers skip it.
    #[prost(message, optional, tag = "7104")]
    pub(super) pinned: Option<Pinned>,
}

/// Bytes of the live blocks, and of all.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Slack {
    #[prost(uint64, tag = "1")]
    pub(super) current: u64,
    #[prost(uint64, tag = "2")]
    pub(super) total: u64,
}

/// Bytes: unused, of pages that nothing else holds, and of the blocks in these.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Pinned {
    #[prost(uint64, tag = "1")]
    pub(super) unused: u64,
    #[prost(uint64, tag = "2")]
    pub(super) alone: u64,
    #[prost(uint64, tag = "3")]
    pub(super) own: u64,
}

impl From<crate::Pinned> for Pinned {
    fn from(it: crate::Pinned) -> Pinned {
        Pinned {
            unused: it.unused.get(),
            alone: it.alone.get(),
            own: it.own.get(),
        }
    }
}

impl From<Pinned> for crate::Pinned {
    fn from(it: Pinned) -> crate::Pinned {
        crate::Pinned {
            unused: it.unused.into(),
            alone: it.alone.into(),
            own: it.own.into(),
        }
    }
}

/// Who freed how much: four numbers each, the strings with the label and the thread, bytes and
/// blocks.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FreedBy {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) numbers: Vec<u64>,
}

/// Numbers of blocks by age: pairs of a bucket's number and its blocks.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Lifetimes {
    /// The length of a unit of time, in picoseconds.
    #[prost(uint64, tag = "1")]
    pub(super) unit: u64,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) freed_times: Vec<u64>,
    #[prost(uint64, repeated, tag = "3")]
    pub(super) freed_bytes: Vec<u64>,
    #[prost(uint64, repeated, tag = "4")]
    pub(super) live_times: Vec<u64>,
    #[prost(uint64, repeated, tag = "5")]
    pub(super) live_bytes: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Label {
    #[prost(int64, tag = "1")]
    pub(super) key: i64,
    #[prost(int64, tag = "2")]
    pub(super) str: i64,
    #[prost(int64, tag = "3")]
    pub(super) num: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Mapping {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(uint64, tag = "2")]
    pub(super) memory_start: u64,
    #[prost(uint64, tag = "3")]
    pub(super) memory_limit: u64,
    #[prost(uint64, tag = "4")]
    pub(super) file_offset: u64,
    #[prost(int64, tag = "5")]
    pub(super) filename: i64,
    #[prost(int64, tag = "6")]
    pub(super) build_id: i64,
    #[prost(bool, tag = "7")]
    pub(super) has_functions: bool,
    #[prost(bool, tag = "8")]
    pub(super) has_filenames: bool,
    #[prost(bool, tag = "9")]
    pub(super) has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    pub(super) has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Location {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(uint64, tag = "2")]
    pub(super) mapping_id: u64,
    #[prost(uint64, tag = "3")]
    pub(super) address: u64,
    /// The innermost inlined function first.
    #[prost(message, repeated, tag = "4")]
    pub(super) line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Line {
    #[prost(uint64, tag = "1")]
    pub(super) function_id: u64,
    #[prost(int64, tag = "2")]
    pub(super) line: i64,
    #[prost(int64, tag = "3")]
    pub(super) column: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Function {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(int64, tag = "2")]
    pub(super) name: i64,
    #[prost(int64, tag = "3")]
    pub(super) system_name: i64,
    #[prost(int64, tag = "4")]
    pub(super) filename: i64,
}

impl Extension {
    /// Adds where the resident memory goes.
    pub(super) fn with_residence(self, residence: Option<crate::Residence>) -> Extension {
        let Some(it) = residence else { return self };
        Extension {
            residence_resident: it.resident.get(),
            residence_live: it.live.get(),
            residence_between: it.between.get(),
            residence_free: it.free.get(),
            residence_tracer: it.tracer.get(),
            residence_files: it.files.get(),
            residence_other: it.other.get(),
            residence_sparse: it.sparse.get(),
            ..self
        }
    }

    /// Adds which run of a program it is about.
    pub(super) fn with_run(self, run: crate::snapshot::Run) -> Extension {
        let nanoseconds = |it: std::time::Duration| it.as_nanos().try_into().unwrap_or(u64::MAX);
        Extension {
            began: nanoseconds(run.began),
            uptime: nanoseconds(run.uptime),
            ..self
        }
    }
}

/// Values that the format has no field for.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Extension {
    #[prost(uint64, tag = "1")]
    pub(super) heap_current: u64,
    #[prost(uint64, tag = "2")]
    pub(super) heap_peak: u64,
    #[prost(uint64, tag = "3")]
    pub(super) heap_peak_error: u64,
    #[prost(uint32, tag = "4")]
    pub(super) traceback_limit: u32,
    #[prost(uint32, tag = "5")]
    pub(super) process_id: u32,
    #[prost(string, tag = "6")]
    pub(super) program: String,
    #[prost(string, repeated, tag = "7")]
    pub(super) command_line: Vec<String>,
    /// The folders that short paths are relative to.
    #[prost(string, repeated, tag = "8")]
    pub(super) roots: Vec<String>,
    /// The mean number of bytes between two samples; zero if every allocation was recorded.
    #[prost(uint64, tag = "9")]
    pub(super) sampled_every: u64,
    /// The program's metadata.
    #[prost(btree_map = "string, string", tag = "10")]
    pub(super) metadata: BTreeMap<String, String>,
    /// How many callsites the filters left out.
    #[prost(uint64, tag = "11")]
    pub(super) filtered_out: u64,
    /// Whether the file was written when the program ended.
    #[prost(bool, tag = "12")]
    pub(super) at_exit: bool,
    /// The version of this extension, so that readers can detect unknown content: see
    /// [`FORMAT`](super::FORMAT).
    #[prost(uint32, tag = "22")]
    pub(super) format: u32,
    #[prost(uint64, tag = "16")]
    pub(super) truncated_stacks: u64,
    #[prost(uint64, tag = "17")]
    pub(super) broken_stacks: u64,
    #[prost(uint64, tag = "18")]
    pub(super) overflowed: u64,
    #[prost(uint64, tag = "19")]
    pub(super) skipped: u64,
    #[prost(uint64, tag = "20")]
    pub(super) unknown_frees: u64,
    #[prost(uint64, tag = "21")]
    pub(super) lost_blocks: u64,
    /// Whether the reader names locations without lines: they have the address of the call, and
    /// stacks are as captured.
    #[prost(bool, tag = "23")]
    pub(super) unnamed: bool,
    /// Whether the lifetimes are the mean of each callsite, as another tool recorded them.
    #[prost(bool, tag = "24")]
    pub(super) mean_ages: bool,
    /// Where the resident memory goes, in bytes: see [`Residence`](crate::Residence). Zeros if it was
    /// not asked for.
    #[prost(uint64, tag = "25")]
    pub(super) residence_resident: u64,
    #[prost(uint64, tag = "26")]
    pub(super) residence_live: u64,
    #[prost(uint64, tag = "27")]
    pub(super) residence_between: u64,
    #[prost(uint64, tag = "28")]
    pub(super) residence_free: u64,
    #[prost(uint64, tag = "29")]
    pub(super) residence_tracer: u64,
    #[prost(uint64, tag = "30")]
    pub(super) residence_files: u64,
    #[prost(uint64, tag = "31")]
    pub(super) residence_other: u64,
    #[prost(uint64, tag = "32")]
    pub(super) residence_sparse: u64,
    /// When the process began, in nanoseconds since 1970, and how long it had run by a clock that
    /// nobody sets, in nanoseconds.
    #[prost(uint64, tag = "33")]
    pub(super) began: u64,
    #[prost(uint64, tag = "34")]
    pub(super) uptime: u64,
}
