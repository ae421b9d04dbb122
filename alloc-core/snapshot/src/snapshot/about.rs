//! [`About`]: what a snapshot knows of the process it was taken in.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::Metric;
use crate::modules::Module;

/// What a snapshot knows of the process that it was taken in.
#[derive(Clone, Debug)]
pub struct About {
    /// When it was taken.
    pub taken_at: SystemTime,
    /// The process id; 0 if it is not known.
    pub process_id: u32,
    /// Whether the program was ending.
    pub is_at_exit: bool,
    /// The path of the program; empty if it is not known.
    pub program: String,
    /// Its arguments, its own name first.
    pub command_line: Vec<String>,
    /// The program and its libraries, the program first.
    pub modules: Vec<Module>,
    /// What was noted about the snapshot.
    pub metadata: BTreeMap<String, String>,
    /// What a file from elsewhere leaves out.
    pub unknown: Unknown,
}

/// What a file from elsewhere leaves out, so that there are zeros instead.
#[derive(Clone, Debug, Default)]
pub struct Unknown {
    /// Metrics of which there are zeros only.
    pub metrics: Vec<Metric>,
    /// How many blocks there are.
    pub blocks: bool,
    /// How much there was at any moment: only what changed between two.
    pub levels: bool,
}

impl Default for About {
    fn default() -> About {
        About {
            taken_at: SystemTime::UNIX_EPOCH,
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
