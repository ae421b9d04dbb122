//! [`About`]: data about the process that a snapshot was taken in.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::Metric;
use crate::modules::Module;

/// Data about the process that a snapshot was taken in.
#[derive(Clone, Debug)]
pub struct About {
    /// The time of the snapshot.
    pub taken_at: SystemTime,
    /// How long the changes took, if the snapshot has changes; else zero.
    pub duration: Duration,
    /// When the process began, and how long it had run.
    pub run: Run,
    /// The process id; 0 if unknown.
    pub process_id: u32,
    /// Whether the program was ending.
    pub is_at_exit: bool,
    /// The path of the program; empty if unknown.
    pub program: String,
    /// The program's arguments, starting with its name.
    pub command_line: Vec<String>,
    /// The program and its libraries, the program first.
    pub modules: Vec<Module>,
    /// The snapshot's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Data that a file from another tool lacks.
    pub unknown: Unknown,
}

/// How the metadata begins that has what allocators said of their own memory.
pub const ALLOCATOR_PREFIX: &str = "allocator.";

/// Which run of a program this is, and how far it got. Zeros if that is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// When the process began, since 1970. It stays the same when the clock is set.
    pub began: Duration,
    /// How long it had run, by a clock that nobody sets.
    pub uptime: Duration,
}

/// Data that a file from another tool lacks, and that reads as zero.
#[derive(Clone, Debug, Default)]
pub struct Unknown {
    /// Metrics that are missing.
    pub metrics: Vec<Metric>,
    /// Whether numbers of blocks are missing.
    pub blocks: bool,
    /// Whether the bytes that reallocations copied are missing.
    pub copied: bool,
    /// Whether the amounts at any one moment are missing, because the file has only changes between
    /// two.
    pub levels: bool,
    /// Whether only the mean age of each callsite's blocks is there, of freed and live blocks
    /// together, and stands for each of them.
    pub spread_of_ages: bool,
}

impl Default for About {
    fn default() -> About {
        About {
            taken_at: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            run: Run::default(),
            process_id: 0,
            is_at_exit: false,
            program: String::new(),
            command_line: Vec::new(),
            modules: Vec::new(),
            metadata: BTreeMap::new(),
            unknown: Unknown::default(),
        }
    }
}
