//! The lines of source that a page shows.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use alloc_core_snapshot::SourcePath;

/// A page has the text of this many lines at most.
const MOST_LINES: usize = 20_000;
const LARGEST_FILE: u64 = 4 << 20;
/// A line is cut after this many characters.
const LONGEST_LINE: usize = 300;

/// Files of source, each read once.
#[derive(Default)]
pub(crate) struct Sources {
    files: HashMap<String, Option<Vec<String>>>,
    lines: usize,
}

impl Sources {
    /// A line, without the space around it.
    ///
    /// NOTE: the path may come from an untrusted file, so pipes and devices are not opened; and the
    /// base of a relative path is unknown.
    pub(crate) fn line(&mut self, file: &SourcePath, line: u32) -> Option<String> {
        if self.lines == MOST_LINES {
            return None;
        }
        let known = self.files.entry(file.full().to_owned());
        let text = known
            .or_insert_with(|| read(Path::new(file.full())))
            .as_ref()?;
        let text = text.get((line as usize).checked_sub(1)?)?.trim();
        self.lines += 1;
        Some(text.chars().take(LONGEST_LINE).collect())
    }
}

fn read(path: &Path) -> Option<Vec<String>> {
    let about = fs::metadata(path).ok()?;
    if !path.is_absolute() || !about.is_file() || about.len() > LARGEST_FILE {
        return None;
    }
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    Some(text.lines().map(str::to_owned).collect())
}
