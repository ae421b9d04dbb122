//! Which function a frame is of, and where its source begins and ends.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use alloc_core::{Frame, SourcePath};

/// The name of a function without its path, its generic arguments and the closures in it: `fill` for
/// `demo::Cache<T>::fill::<u8>::{closure#0}`.
pub(super) fn bare_name(function: &str) -> &str {
    let name = full_name(function);
    let mut depth = 0_i32;
    let start = name.char_indices().rev().find(|&(at, c)| {
        match c {
            '>' => depth += 1,
            '<' => depth -= 1,
            _ => {}
        }
        depth == 0 && name[..at].ends_with(':')
    });
    start.map_or(name, |(at, _)| &name[at..])
}

/// The name with its path, without the function's generic arguments and the closures in it:
/// `demo::Cache<T>::fill`.
pub(super) fn full_name(function: &str) -> &str {
    let mut name = function;
    loop {
        let cut = match name.chars().next_back() {
            Some('}') => name.rfind("::{"),
            // NOTE: what begins with a bracket is the type of an implementation.
            Some('>') => opening_of_last(name).filter(|&at| at > 0),
            _ => None,
        };
        match cut {
            Some(at) => name = name[..at].trim_end_matches("::"),
            None => return name,
        }
    }
}

/// Where the angle bracket opens that the last one closes.
fn opening_of_last(name: &str) -> Option<usize> {
    let mut depth = 0_i32;
    let mut at = name.char_indices().rev();
    at.find(|&(_, c)| {
        match c {
            '>' => depth += 1,
            '<' => depth -= 1,
            _ => {}
        }
        depth == 0
    })
    .map(|(at, _)| at)
}

/// A file of source, as far as it is at hand.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) lines: Vec<String>,
    pub(super) changed_at: Option<SystemTime>,
}

/// All files that were asked for.
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

    /// Below the root the short path is tried, and then the full one without one folder after another;
    /// the path itself only where it is absolute: what a relative one is relative to is not known.
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

/// NOTE: a path may come from a file of someone else: no pipe is opened.
fn read(path: PathBuf) -> Option<Source> {
    let metadata = fs::metadata(&path).ok().filter(|it| it.is_file())?;
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    Some(Source {
        lines: text.lines().map(str::to_owned).collect(),
        changed_at: metadata.modified().ok(),
    })
}

impl Source {
    /// The line, counted from 1, where the function of that name begins that `line` is in: the last above
    /// it that says so.
    pub(super) fn start_of(&self, name: &str, line: u32) -> Option<u32> {
        let above = self.lines.get(..line as usize)?;
        let at = above.iter().rposition(|text| begins(text, name))?;
        Some(at as u32 + 1)
    }

    /// The line where a function ends that begins at `start`: at a brace that stands as far to the left
    /// as it does, as rustfmt writes it.
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

/// Whether a line of source begins the function of that name.
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

/// What tells two functions of a file apart.
pub(super) fn name_of(frame: &Frame) -> Option<&str> {
    frame
        .function()
        .map(bare_name)
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_have_no_path_no_arguments_and_no_closures() {
        for (function, name) in [
            ("main", "main"),
            ("demo::fill", "fill"),
            ("demo::fill::{closure#0}", "fill"),
            ("demo::fill::{closure#0}::{closure#12}", "fill"),
            ("demo::fill::{{closure}}", "fill"),
            ("demo::Cache<T>::fill", "fill"),
            ("demo::fill::<alloc::vec::Vec<u8>>", "fill"),
            ("demo::fill::<u8>::{closure#0}::<u16>", "fill"),
            ("fill<alloc::vec::Vec<u8, alloc::alloc::Global>>", "fill"),
            ("demo::fill<u8>", "fill"),
            ("<demo::Key as core::fmt::Display>::fmt", "fmt"),
            ("<demo::Key<a::B> as c::D<e::F>>::fmt::<g::H>", "fmt"),
            ("", ""),
        ] {
            assert_eq!(bare_name(function), name, "{function}");
        }
        assert_eq!(full_name("demo::fill::<u8>::{closure#0}"), "demo::fill");
        assert_eq!(full_name("demo::Cache<T>::fill"), "demo::Cache<T>::fill");
    }

    #[test]
    fn a_function_begins_above_and_ends_at_its_brace() {
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
