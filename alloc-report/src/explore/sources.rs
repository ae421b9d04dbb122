//! [`Sources`]: files of source, to show the lines around one.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use alloc_core_snapshot::{Escaped, Frame};

const LARGEST_FILE: u64 = 4 << 20;
/// The columns of a tab.
const TAB: usize = 4;

/// Files of source, each read once.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: HashMap<String, Option<Vec<String>>>,
}

impl Sources {
    /// The lines of the file of a frame, safe to print; `None` if it cannot be read.
    ///
    /// NOTE: the path may come from an untrusted file, so pipes and devices are not opened; and the
    /// base of a relative path is unknown.
    pub(super) fn lines(&mut self, frame: &Frame) -> Option<&[String]> {
        let path = frame.file()?.full();
        let known = self.files.entry(path.to_owned());
        known.or_insert_with(|| read(Path::new(path))).as_deref()
    }

    /// A line, without the space around it.
    pub(super) fn line(&mut self, frame: &Frame) -> Option<String> {
        let at = (frame.line() as usize).checked_sub(1)?;
        let line = self.lines(frame)?.get(at)?.trim();
        Some(line.to_owned()).filter(|it| !it.is_empty())
    }
}

fn read(path: &Path) -> Option<Vec<String>> {
    let about = fs::metadata(path).ok()?;
    if !path.is_absolute() || !about.is_file() || about.len() > LARGEST_FILE {
        return None;
    }
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    let printable = |line: &str| Escaped(&line.replace('\t', &" ".repeat(TAB))).to_string();
    Some(text.lines().map(printable).collect())
}
