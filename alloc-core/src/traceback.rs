//! [`Traceback`]: a call stack, and the rule that picks the line to charge.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use crate::escape::Escaped;
use crate::frame::Frame;
use crate::origin::Origin;
use crate::recorded::StackEnd;

/// A call stack, innermost frame first.
///
/// It is a slice of [`Frame`]s, never empty when it comes from a snapshot. Tracebacks are equal if
/// their frames are.
///
/// ```
/// use alloc_core::{ChargeTo, Frame, Traceback};
///
/// let push = "/rustc/59807616e/library/alloc/src/vec/mod.rs";
/// let traceback = Traceback::new(vec![
///     Frame::new(Some("alloc::vec::Vec<T>::push"), Some(push), 2500, 13),
///     Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9),
/// ]);
/// assert_eq!(traceback.len(), 2);
/// assert_eq!(traceback.charged(ChargeTo::Caller).to_string(), "src/cache.rs:41");
/// ```
#[derive(Clone)]
pub struct Traceback {
    frames: Arc<[Frame]>,
    end: StackEnd,
}

/// Which frame of a traceback its blocks are charged to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChargeTo {
    /// The innermost frame outside the standard library and the tracer: what `#[track_caller]`
    /// would have said.
    #[default]
    Caller,
    /// The innermost frame in the program's own workspace, so that what `serde_json` allocates is
    /// charged to the line that called it. Where there is none, the same as [`Caller`](Self::Caller).
    Workspace,
}

impl Traceback {
    /// A whole stack of these frames, innermost first.
    pub fn new(frames: Vec<Frame>) -> Traceback {
        Traceback::with_end(frames, StackEnd::Complete)
    }

    pub(crate) fn with_end(frames: Vec<Frame>, end: StackEnd) -> Traceback {
        Traceback {
            frames: frames.into(),
            end,
        }
    }

    /// The frame that blocks allocated here are charged to.
    ///
    /// Where all frames are the standard library's, as before `main`, that is the innermost one.
    pub fn charged(&self, to: ChargeTo) -> &Frame {
        // Not part of the program's heap, whoever asks first.
        static UNKNOWN: LazyLock<Frame> = LazyLock::new(|| crate::untraced(Frame::default));
        let frame = self.charged_at(to).and_then(|at| self.frames.get(at));
        frame.or(self.frames.first()).unwrap_or(&UNKNOWN)
    }

    /// Where the charged frame is, if there is one outside the standard library.
    pub(crate) fn charged_at(&self, to: ChargeTo) -> Option<usize> {
        let caller = || {
            self.frames
                .iter()
                .position(|frame| !matches!(frame.origin(), Origin::Std | Origin::Tracer))
        };
        let workspace = || {
            self.frames
                .iter()
                .position(|frame| frame.origin() == Origin::Workspace)
        };
        match to {
            ChargeTo::Caller => caller(),
            ChargeTo::Workspace => workspace().or_else(caller),
        }
    }

    /// Whether outer frames are missing because the stack was deeper than what is kept.
    pub fn is_truncated(&self) -> bool {
        self.end == StackEnd::Truncated
    }

    /// Whether outer frames are missing because the walk met something it could not follow.
    pub fn is_broken(&self) -> bool {
        self.end == StackEnd::Broken
    }

    /// Whether this stands for the whole heap, since no stacks were captured: see
    /// [`Config::frames`](crate::Config::frames).
    pub fn is_uncaptured(&self) -> bool {
        self.end == StackEnd::Uncaptured
    }

    /// Whether this stands for all callsites that found no place in the table.
    pub fn is_overflow(&self) -> bool {
        self.end == StackEnd::Overflow
    }

    pub(crate) fn end(&self) -> StackEnd {
        self.end
    }
}

impl Deref for Traceback {
    type Target = [Frame];
    fn deref(&self) -> &[Frame] {
        &self.frames
    }
}

impl PartialEq for Traceback {
    fn eq(&self, other: &Traceback) -> bool {
        Arc::ptr_eq(&self.frames, &other.frames) || self.frames == other.frames
    }
}

impl Eq for Traceback {}

impl Ord for Traceback {
    fn cmp(&self, other: &Traceback) -> Ordering {
        self.frames.cmp(&other.frames)
    }
}

impl PartialOrd for Traceback {
    fn partial_cmp(&self, other: &Traceback) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Traceback {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.frames.hash(state);
    }
}

impl fmt::Display for Traceback {
    /// One line a frame, innermost first: the location and the function.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, frame) in self.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            frame.fmt(f)?;
            if let (Some(_), Some(function)) = (frame.file(), frame.function()) {
                write!(f, " in {}", Escaped(function))?;
            }
        }
        match self.end {
            StackEnd::Complete | StackEnd::Overflow | StackEnd::Uncaptured => Ok(()),
            StackEnd::Truncated => f.write_str("\n... (deeper frames were not kept)"),
            StackEnd::Broken => f.write_str("\n... (the stack could not be followed further)"),
        }
    }
}

impl fmt::Debug for Traceback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Display for ChargeTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ChargeTo::Caller => "caller",
            ChargeTo::Workspace => "workspace",
        })
    }
}

impl FromStr for ChargeTo {
    type Err = String;
    fn from_str(name: &str) -> Result<ChargeTo, String> {
        match name {
            "caller" => Ok(ChargeTo::Caller),
            "workspace" => Ok(ChargeTo::Workspace),
            _ => Err(format!("expected caller or workspace, found {name:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str) -> Frame {
        Frame::new(Some(function), Some(file), 1, 1)
    }

    fn parser() -> Traceback {
        Traceback::new(vec![
            frame(
                "alloc::vec::Vec<T>::push",
                "/rustc/5980/library/alloc/src/vec/mod.rs",
            ),
            frame(
                "serde_json::de::parse",
                "/c/registry/src/i-1/serde_json-1.0.1/src/de.rs",
            ),
            frame("demo::load", "/w/demo/src/main.rs"),
            frame("std::rt::lang_start", "/rustc/5980/library/std/src/rt.rs"),
        ])
    }

    #[test]
    fn the_caller_is_the_innermost_frame_outside_the_standard_library() {
        let charged = |to| parser().charged(to).function().map(str::to_owned);
        assert_eq!(
            charged(ChargeTo::Caller).as_deref(),
            Some("serde_json::de::parse")
        );
        assert_eq!(charged(ChargeTo::Workspace).as_deref(), Some("demo::load"));
    }

    #[test]
    fn without_a_frame_of_the_program_the_innermost_is_charged() {
        let runtime = Traceback::new(parser()[3..].to_vec());
        for to in [ChargeTo::Caller, ChargeTo::Workspace] {
            assert_eq!(runtime.charged(to), &runtime[0]);
        }
        let empty = Traceback::new(Vec::new());
        assert_eq!(empty.charged(ChargeTo::Caller).to_string(), "<unknown>");
    }

    #[test]
    fn it_prints_a_line_for_each_frame_and_says_what_is_missing() {
        let mut traceback = Traceback::new(parser()[1..3].to_vec());
        traceback.end = StackEnd::Truncated;
        assert_eq!(
            traceback.to_string(),
            "serde_json-1.0.1/src/de.rs:1 in serde_json::de::parse\n\
             /w/demo/src/main.rs:1 in demo::load\n\
             ... (deeper frames were not kept)"
        );
    }
}
