//! [`Source`]: the lines of source around an allocation.

use alloc_core_snapshot::Frame;
use serde::Serialize;

/// The place where an area's memory was allocated.
#[derive(Debug, Serialize)]
pub(crate) struct Source {
    pub(crate) function: String,
    pub(crate) path: String,
    pub(crate) line: u32,
    /// The surrounding lines with their numbers; empty if the file cannot be read.
    pub(crate) lines: Vec<(u32, String)>,
}

impl Source {
    /// The number of lines of context before and after.
    const AROUND: u32 = 3;
    const LARGEST_FILE: u64 = 4 << 20;

    pub(super) fn of(frame: &Frame) -> Option<Source> {
        let file = frame.file()?;
        Some(Source {
            function: frame.function().unwrap_or_default().to_owned(),
            path: file.full().to_owned(),
            line: frame.line(),
            lines: Source::read(file.full(), frame.line()).unwrap_or_default(),
        })
    }

    fn read(path: &str, line: u32) -> Option<Vec<(u32, String)>> {
        let path = std::path::Path::new(path);
        // NOTE: the base of a relative path is unknown, and opening a pipe would block.
        let about = std::fs::metadata(path).ok()?;
        if !path.is_absolute() || !about.is_file() || about.len() > Source::LARGEST_FILE {
            return None;
        }
        let text = std::fs::read_to_string(path).ok()?;
        let (first, last) = (line.saturating_sub(Source::AROUND), line + Source::AROUND);
        let numbered = (1..).zip(text.lines());
        let around = numbered.skip_while(|(number, _)| *number < first);
        let around = around.take_while(|(number, _)| *number <= last);
        Some(around.map(|(number, it)| (number, it.to_owned())).collect())
    }
}
