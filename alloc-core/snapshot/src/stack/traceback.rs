//! [`Traceback`]: a call stack, and the rule that selects the line to charge.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use once_cell::race::OnceBox;

use crate::escape::Escaped;
use crate::process;
use crate::recorded::StackEnd;
use crate::stack::frame::Frame;
use crate::stack::origin::Origin;

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

/// Selects the frame of a traceback that blocks are charged to.
///
/// ```
/// assert_eq!("workspace".parse(), Ok(alloc_core::ChargeTo::Workspace));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChargeTo {
    /// The innermost frame outside the standard library and the tracer, which is the one
    /// `#[track_caller]` would report.
    ///
    /// Collections and allocators of some other crates are [skipped](crate::Snapshot::PASSED_OVER)
    /// too, since they allocate on behalf of their caller.
    #[default]
    Caller,
    /// The innermost frame in the program's own workspace, so that allocations of `serde_json` are
    /// charged to the line that called it. If there is none, a placeholder:
    /// `<no frame of the workspace>`.
    Workspace,
}

impl Traceback {
    /// A complete stack of these frames, innermost first.
    ///
    /// ```
    /// use alloc_core::{Frame, Traceback};
    ///
    /// assert_eq!(Traceback::new(vec![Frame::default()]).to_string(), "<unknown>");
    /// ```
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
    /// If all frames belong to the standard library, as before `main`, it is the innermost frame.
    ///
    /// ```
    /// use alloc_core::{ChargeTo, Frame, Traceback};
    ///
    /// let traceback = Traceback::new(vec![Frame::new(None, Some("src/cache.rs"), 4, 9)]);
    /// assert_eq!(traceback.charged(ChargeTo::Workspace).line(), 4);
    /// ```
    pub fn charged(&self, to: ChargeTo) -> &Frame {
        self.charged_beyond(to, &[])
    }

    /// The charged frame if frames of these crates are skipped too.
    pub(crate) fn charged_beyond(&self, to: ChargeTo, skipped: &[Box<str>]) -> &Frame {
        static UNKNOWN: OnceBox<Frame> = OnceBox::new();
        static OUTSIDE: OnceBox<Frame> = OnceBox::new();
        // Untraced: these frames are not part of the program's heap.
        let unknown = || UNKNOWN.get_or_init(|| process::untraced(Box::default));
        let outside = || {
            let make = || Box::new(Frame::outside_the_workspace());
            OUTSIDE.get_or_init(|| process::untraced(make))
        };
        let charged = self
            .charged_at(to, skipped)
            .and_then(|at| self.frames.get(at));
        // A placeholder for a missing stack has no information about the workspace.
        let has_stack = !self.is_uncaptured() && !self.is_overflow();
        match (charged, to) {
            (Some(frame), _) => frame,
            (None, ChargeTo::Workspace) if has_stack => outside(),
            (None, _) => self.frames.first().unwrap_or_else(unknown),
        }
    }

    /// The index of the charged frame, if there is one.
    pub(crate) fn charged_at(&self, to: ChargeTo, skipped: &[Box<str>]) -> Option<usize> {
        let is_skipped = |frame: &Frame| skipped.iter().any(|name| frame.is_in_crate(name));
        let is_library = |frame: &Frame| matches!(frame.origin(), Origin::Std | Origin::Tracer);
        let mut frames = self.frames.iter();
        match to {
            ChargeTo::Workspace => {
                frames.position(|it| it.origin() == Origin::Workspace && !is_skipped(it))
            }
            // A skipped crate without a caller is charged itself.
            ChargeTo::Caller => frames
                .position(|it| !it.is_passed_over() && !is_skipped(it))
                .or_else(|| self.frames.iter().position(|it| !is_library(it))),
        }
    }

    /// The stack without its recursion: a run of functions that repeats is kept once.
    ///
    /// A run is one function that calls itself, or several functions that call each other in a
    /// cycle. The innermost calls are kept, so that the charged line does not change. Functions are
    /// equal if name and file are; frames without a name, if all fields are.
    ///
    /// ```
    /// use alloc_core::{Frame, Traceback};
    ///
    /// let frame = |name, line| Frame::new(Some(name), Some("src/json.rs"), line, 1);
    /// let deep = Traceback::new(vec![
    ///     frame("value", 7), frame("list", 20), frame("value", 9), frame("list", 20),
    ///     frame("value", 9), frame("main", 3),
    /// ]);
    /// let folded = deep.folded();
    /// let kept = [frame("value", 7), frame("list", 20), frame("value", 9), frame("main", 3)];
    /// assert_eq!(folded[..], kept);
    /// assert_eq!(folded.folded(), folded);
    /// ```
    ///
    /// # Which of several ways
    ///
    /// A stack may have several foldings, so folding follows the growth of the stack: it adds
    /// frames from the outermost inwards, and as soon as the last calls repeat the ones before
    /// them, function by function, they replace those. So no run directly repeats itself in the
    /// result, and calls with a common stack are folded alike as far as that stack goes.
    ///
    /// This takes one comparison for each earlier call of the same function, and more if the calls
    /// before it are alike.
    pub fn folded(&self) -> Traceback {
        let mut kept: Vec<&Frame> = Vec::with_capacity(self.len());
        for frame in self.iter().rev() {
            kept.push(frame);
            let again = (1..=kept.len() / 2).find(|&run| {
                let (before, last) = kept[kept.len() - 2 * run..].split_at(run);
                let mut pairs = before.iter().zip(last).rev();
                pairs.all(|(a, b)| a.is_same_function(b))
            });
            if let Some(run) = again {
                let end = kept.len() - run;
                kept.drain(end - run..end);
            }
        }
        let frames = kept.into_iter().rev().cloned().collect();
        Traceback::with_end(frames, self.end)
    }

    /// Whether outer frames are missing because the stack was deeper than the limit.
    pub fn is_truncated(&self) -> bool {
        self.end == StackEnd::Truncated
    }

    /// Whether outer frames are missing because the stack walk failed.
    pub fn is_broken(&self) -> bool {
        self.end == StackEnd::Broken
    }

    /// Whether this represents the whole heap, because no stacks were captured: see
    /// `Config::frames`.
    pub fn is_uncaptured(&self) -> bool {
        self.end == StackEnd::Uncaptured
    }

    /// Whether this represents all callsites that did not fit into the table.
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
    /// One line for each frame, innermost first: the location and the function.
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
    fn collections_of_other_crates_and_requested_crates_are_skipped() {
        let of_crate = |name: &str| {
            let file = format!("/c/registry/src/i-1/{name}-1.0.0/src/lib.rs");
            frame(&format!("{}::f", name.replace('-', "_")), &file)
        };
        let [shim, map, frames] = ["allocator-api2", "hashbrown", "polars-core"].map(of_crate);
        let main = frame("demo::main", "/w/demo/src/main.rs");
        let stack = Traceback::new(vec![
            shim.clone(),
            map.clone(),
            frames.clone(),
            main.clone(),
        ]);
        assert_eq!(stack.charged(ChargeTo::Caller), &frames);
        let skipped = |names: &[&str]| names.iter().map(|it| (*it).into()).collect::<Vec<_>>();
        let beyond = |names| stack.charged_beyond(ChargeTo::Caller, &skipped(names));
        assert_eq!(beyond(&["polars_core"]), &main);
        assert_eq!(beyond(&["polars"]), &frames);
        // The name is used if the path is unknown, and the only frame is never skipped.
        let bare = Traceback::new(vec![
            Frame::new(Some("bytes::BytesMut::reserve"), None, 0, 0),
            main.clone(),
        ]);
        assert_eq!(bare.charged(ChargeTo::Caller), &main);
        let alone = Traceback::new(vec![map.clone()]);
        assert_eq!(alone.charged(ChargeTo::Caller), &map);
        // A crate of the workspace is skipped only if requested.
        let own = Traceback::new(vec![
            frame("bytes::put", "/w/bytes/src/lib.rs"),
            main.clone(),
        ]);
        assert_eq!(own.charged(ChargeTo::Caller), &own[0]);
        for to in [ChargeTo::Caller, ChargeTo::Workspace] {
            assert_eq!(own.charged_beyond(to, &skipped(&["bytes"])), &main);
        }
    }

    #[test]
    fn without_a_frame_of_the_program_the_innermost_is_charged() {
        let runtime = Traceback::new(parser()[3..].to_vec());
        assert_eq!(runtime.charged(ChargeTo::Caller), &runtime[0]);
        let outside = runtime.charged(ChargeTo::Workspace).to_string();
        assert_eq!(outside, "<no frame of the workspace>");
        let empty = Traceback::new(Vec::new());
        assert_eq!(empty.charged(ChargeTo::Caller).to_string(), "<unknown>");
    }

    /// Frames named by letters, outermost first, each on its own line.
    fn letters(stack: &str) -> Traceback {
        let frames = stack.chars().enumerate().map(|(at, letter)| {
            let name = letter.to_string();
            Frame::new(Some(&name), Some("a.rs"), at as u32 + 1, 1)
        });
        let mut frames: Vec<Frame> = frames.collect();
        frames.reverse();
        Traceback::new(frames)
    }

    fn names(traceback: &Traceback) -> String {
        let names = traceback.iter().rev().filter_map(Frame::function);
        names.collect()
    }

    #[test]
    fn recursion_is_folded_to_its_innermost_calls() {
        #[track_caller]
        fn check(stack: &str, expected: &str) {
            let folded = letters(stack).folded();
            assert_eq!(names(&folded), expected, "{stack}");
            // The innermost frame stays. Each other frame keeps its line or moves inwards.
            let lines: Vec<_> = folded.iter().rev().map(Frame::line).collect();
            assert_eq!(lines.last(), Some(&(stack.len() as u32)));
            assert!(lines.is_sorted());
        }
        check("m", "m");
        check("mab", "mab");
        check("maaaa", "ma");
        check("maaaab", "mab");
        check("mabababab", "mab");
        check("mababababa", "maba");
        check("mabcabcabcd", "mabcd");
        // Nested recursion.
        check("maabaabaab", "mab");
        check("mabbbcabbcabc", "mabc");
        // Functions that are called twice, but not in a cycle, stay.
        check("macada", "macada");
        // Several foldings: the first one found is used.
        check("abcbabcbc", "abc");
        assert_eq!(letters("").folded(), letters(""));
    }

    #[test]
    fn every_depth_of_a_recursion_is_folded_alike() {
        for turn in ["a", "ab", "abc", "abac"] {
            let folded = |turns| names(&letters(&format!("m{}z", turn.repeat(turns))).folded());
            assert!((1..60).all(|turns| folded(turns) == format!("m{turn}z")));
        }
    }

    #[test]
    fn functions_without_names_or_in_other_files_are_distinct() {
        let unknown = |line| Frame::new(None, Some("a.rs"), line, 1);
        let stacks = [
            vec![frame("fmt", "a.rs"), frame("fmt", "b.rs")],
            vec![unknown(1), unknown(2)],
        ];
        for stack in stacks {
            assert_eq!(Traceback::new(stack.clone()).folded()[..], stack);
        }
        let same = Traceback::new(vec![unknown(1), unknown(1)]);
        assert_eq!(same.folded()[..], [unknown(1)]);
        assert_eq!(Traceback::new(vec![Frame::default(); 2]).folded().len(), 1);
    }

    #[test]
    fn a_folded_stack_stays_truncated() {
        let frames = letters("maaa").to_vec();
        let folded = Traceback::with_end(frames, StackEnd::Truncated).folded();
        assert!(folded.is_truncated());
    }

    /// The definition, applied to text: after each letter, remove the shortest run that repeats the
    /// run before it.
    fn folded_slowly(stack: &str) -> String {
        let mut kept = String::new();
        for letter in stack.chars() {
            kept.push(letter);
            for run in 1..=kept.len() {
                let last = kept[kept.len() - run..].to_owned();
                if kept.ends_with(&last.repeat(2)) {
                    kept.truncate(kept.len() - run);
                    break;
                }
            }
        }
        kept
    }

    #[test]
    fn random_stacks_are_folded_as_defined() {
        let mut random = 1_u64;
        let mut below = |n: u64| {
            // xorshift64*, by Vigna.
            random ^= random >> 12;
            random ^= random << 25;
            random ^= random >> 27;
            (random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
        };
        let (mut shorter, mut longest) = (0, 0);
        for _ in 0..3_000 {
            let (functions, len) = (1 + below(6), below(80));
            let letter = |at| char::from(b'a' + at as u8);
            let stack: String = (0..len).map(|_| letter(below(functions))).collect();
            let folded = letters(&stack).folded();
            let text = names(&folded);
            assert_eq!(text, folded_slowly(&stack), "{stack}");
            assert_eq!(folded.folded(), folded);
            // No run directly repeats itself.
            for run in 1..=text.len() / 2 {
                let mut pairs = text.as_bytes().windows(2 * run);
                assert!(pairs.all(|pair| pair[..run] != pair[run..]), "{text}");
            }
            shorter += usize::from(text.len() < stack.len());
            longest = longest.max(text.len());
        }
        assert!(shorter > 1_000 && longest > 30, "{shorter} {longest}");
    }

    #[test]
    fn it_prints_a_line_for_each_frame_and_reports_missing_frames() {
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
