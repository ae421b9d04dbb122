//! The folder of a recording, and [`About`], its description of the run.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The start of a folder's default name.
pub(crate) const PREFIX: &str = "alloc-trace-";
pub(super) const ABOUT: &str = "run.json";
pub(super) const MEMORY: &str = "memory.csv";

/// The command that was run, and how it ended.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct About {
    pub(crate) command: Vec<String>,
    pub(crate) process_id: u32,
    /// Seconds since 1970.
    pub(crate) started_at: f64,
    /// Seconds since 1970; `None` during the run, and if `alloc-report` was killed.
    pub(crate) ended_at: Option<f64>,
    /// The exit status as in a shell: 128 plus the number of a signal.
    pub(crate) status: Option<i32>,
    /// Whether the program was seen to have the allocator.
    pub(crate) traced: bool,
}

/// Removes the files of a recording from its folder.
pub(crate) fn remove_files(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_part_of_recording(&entry) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a folder contains a recording and nothing else.
pub(crate) fn contains_only_recording(folder: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else {
        return false;
    };
    folder.join(ABOUT).exists() && entries.all(|it| it.is_ok_and(|it| is_part_of_recording(&it)))
}

fn is_part_of_recording(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy().into_owned();
    matches!(name.as_str(), ABOUT | MEMORY)
        || name.starts_with("heap-") && name.contains(".pb.gz")
        || name.starts_with("live-") && name.ends_with(".csv")
}
