//! [`Sources`]: source files, and where their functions begin and end.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use alloc_core_snapshot::SourcePath;

/// A source file that was found.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) lines: Vec<String>,
    pub(super) changed_at: Option<SystemTime>,
}

/// A cache of source files.
#[derive(Debug, Default)]
pub(super) struct Sources {
    root: Option<PathBuf>,
    files: HashMap<String, Option<Rc<Source>>>,
}

impl Sources {
    pub(super) fn new(root: Option<PathBuf>) -> Sources {
        Sources {
            root,
            files: HashMap::new(),
        }
    }

    pub(super) fn file(&mut self, path: &SourcePath) -> Option<Rc<Source>> {
        if let Some(known) = self.files.get(path.full()) {
            return known.clone();
        }
        let source = self
            .candidates(path)
            .into_iter()
            .find_map(read)
            .map(Rc::new);
        self.files.insert(path.full().to_owned(), source.clone());
        source
    }

    /// The paths to try, in order.
    ///
    /// Below the root, these are the short path, and then the full path without its first folder,
    /// its first two folders, and so on. The path itself comes last, if it is absolute: the base of
    /// a relative path is unknown.
    fn candidates(&self, path: &SourcePath) -> Vec<PathBuf> {
        let full = Path::new(path.full());
        let mut candidates = Vec::new();
        if let Some(root) = &self.root {
            candidates.push(root.join(path.short().trim_start_matches('/')));
            let mut rest = full.components();
            while rest.next().is_some() && !rest.as_path().as_os_str().is_empty() {
                candidates.push(root.join(rest.as_path()));
            }
        }
        if full.is_absolute() {
            candidates.push(full.to_owned());
        }
        candidates
    }
}

/// Reads a regular file.
///
/// NOTE: the path may come from an untrusted file, so pipes are not opened.
fn read(path: PathBuf) -> Option<Source> {
    let metadata = fs::metadata(&path).ok().filter(|it| it.is_file())?;
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    Some(Source {
        lines: text.lines().map(str::to_owned).collect(),
        changed_at: metadata.modified().ok(),
    })
}

impl Source {
    /// The first line of the function `name` that contains `line`, counted from 1.
    ///
    /// It is the last `fn name` at or above `line`.
    pub(super) fn start_of(&self, name: &str, line: u32) -> Option<u32> {
        let above = self.lines.get(..line as usize)?;
        let at = above.iter().rposition(|text| begins(text, name))?;
        Some(at as u32 + 1)
    }

    /// The last line of the function that starts at `start`.
    ///
    /// It is the next brace with the indentation of `start`, as rustfmt formats it.
    pub(super) fn end_of(&self, start: u32) -> Option<u32> {
        let first = self.lines.get((start as usize).checked_sub(1)?)?;
        let indent = indent(first);
        let is_end =
            |text: &String| text.trim_start().starts_with('}') && self::indent(text) == indent;
        let below = self.lines.iter().skip(start as usize);
        let after = below.into_iter().position(is_end)?;
        Some(start + after as u32 + 1)
    }
}

fn indent(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Whether a line of source starts the function `name`.
fn begins(text: &str, name: &str) -> bool {
    let text = text.trim_start();
    if text.starts_with("//") {
        return false;
    }
    let mut rest = text;
    while let Some(at) = rest.find("fn ") {
        let is_word = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        rest = &rest[at + 3..];
        let found = rest.trim_start().strip_prefix(name);
        let ends = |after: &str| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if is_word && found.is_some_and(ends) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_starts_at_its_fn_and_ends_at_its_brace() {
        let text = "\
struct Cache;
impl Cache {
    pub fn new() -> Cache {
        Cache
    }

    // fn fill is below
    fn fill(&self) {
        if true {
            self.fill_more();
        }
    }
    fn fill_more(&self) {}
}
fn new() {
    Cache::new();
}";
        let source = Source {
            lines: text.lines().map(str::to_owned).collect(),
            changed_at: None,
        };
        assert_eq!(source.start_of("new", 4), Some(3));
        assert_eq!(source.start_of("new", 16), Some(15));
        assert_eq!(source.start_of("fill", 10), Some(8));
        assert_eq!(source.start_of("drop", 10), None);
        assert_eq!(source.start_of("fill", 99), None);
        assert_eq!((source.end_of(3), source.end_of(8)), (Some(5), Some(12)));
        assert_eq!((source.end_of(15), source.end_of(99)), (Some(17), None));
    }
}
