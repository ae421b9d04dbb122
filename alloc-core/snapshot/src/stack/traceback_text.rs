//! [`TracebackText`]: a traceback as text, with source lines.

use std::fmt;

use crate::escape::Escaped;
use crate::process;
use crate::recorded::StackEnd;
use crate::stack::frame::Frame;
use crate::stack::traceback::Traceback;

/// A traceback as text, with source lines if their files are available.
///
/// [`Traceback::format`] returns it. The last line has no newline at its end.
///
/// ```
/// use alloc_core::{Frame, Traceback};
///
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let text = Traceback::new(vec![frame]).format().to_string();
/// assert_eq!(text, "  File \"src/cache.rs\", line 41, in demo::fill");
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a text does nothing until it is printed"]
pub struct TracebackText<'a> {
    /// Innermost first.
    frames: &'a [Frame],
    oldest_first: bool,
}

impl Traceback {
    /// Formats the traceback with two lines for each frame: its location and, if the file is
    /// available, the source line. The innermost frame comes first.
    ///
    /// ```
    /// use alloc_core::{Frame, Traceback};
    ///
    /// let frame = |function, line| Frame::new(Some(function), Some("src/cache.rs"), line, 9);
    /// let traceback = Traceback::new(vec![frame("demo::fill", 41), frame("demo::main", 3)]);
    /// assert_eq!(
    ///     traceback.format().oldest_first().to_string(),
    ///     "  File \"src/cache.rs\", line 3, in demo::main\n  \
    ///        File \"src/cache.rs\", line 41, in demo::fill"
    /// );
    /// assert_eq!(
    ///     traceback.format().most_recent(1).lines(),
    ///     ["  File \"src/cache.rs\", line 41, in demo::fill"]
    /// );
    /// ```
    pub fn format(&self) -> TracebackText<'_> {
        TracebackText {
            frames: self,
            oldest_first: false,
        }
    }

    /// How many frames the stack had; `None` if outer frames are missing, so that only a lower
    /// bound is known.
    ///
    /// The stack walk ends at the limit, and does not count further frames.
    ///
    /// ```
    /// use alloc_core::{Frame, Traceback};
    ///
    /// assert_eq!(Traceback::new(vec![Frame::default(); 3]).total_nframe(), Some(3));
    /// ```
    pub fn total_nframe(&self) -> Option<usize> {
        (self.end() == StackEnd::Complete).then_some(self.len())
    }
}

impl TracebackText<'_> {
    /// Keeps only the `n` innermost frames.
    ///
    /// ```
    /// use alloc_core::{Frame, Traceback};
    ///
    /// let frames = ["demo::fill", "demo::main"].map(|name| Frame::new(Some(name), None, 0, 0));
    /// let traceback = Traceback::new(frames.into());
    /// let inner = traceback.format().most_recent(1).to_string();
    /// assert_eq!(inner, "  File \"<unknown>\", in demo::fill");
    /// ```
    pub fn most_recent(mut self, n: usize) -> Self {
        self.frames = &self.frames[..n.min(self.frames.len())];
        self
    }

    /// Keeps only the `n` outermost frames.
    ///
    /// ```
    /// use alloc_core::{Frame, Traceback};
    ///
    /// let frames = ["demo::fill", "demo::main"].map(|name| Frame::new(Some(name), None, 0, 0));
    /// let traceback = Traceback::new(frames.into());
    /// let outer = traceback.format().oldest(1).to_string();
    /// assert_eq!(outer, "  File \"<unknown>\", in demo::main");
    /// ```
    pub fn oldest(mut self, n: usize) -> Self {
        self.frames = &self.frames[self.frames.len().saturating_sub(n)..];
        self
    }

    /// Puts the outermost frame first.
    ///
    /// ```
    /// use alloc_core::{Frame, Traceback};
    ///
    /// let frames = ["demo::fill", "demo::main"].map(|name| Frame::new(Some(name), None, 0, 0));
    /// let traceback = Traceback::new(frames.into());
    /// let lines = traceback.format().oldest_first().lines();
    /// assert!(lines[0].ends_with("demo::main") && lines[1].ends_with("demo::fill"));
    /// ```
    pub fn oldest_first(mut self) -> Self {
        self.oldest_first = true;
        self
    }

    /// The lines, without newlines.
    ///
    /// ```
    /// use alloc_core::{Frame, Traceback};
    ///
    /// let frame = Frame::new(None, Some("src/cache.rs"), 41, 9);
    /// let lines = Traceback::new(vec![frame]).format().lines();
    /// assert_eq!(lines, ["  File \"src/cache.rs\", line 41"]);
    /// ```
    pub fn lines(&self) -> Vec<String> {
        let _muted = process::mute();
        let mut frames: Vec<&Frame> = self.frames.iter().collect();
        if self.oldest_first {
            frames.reverse();
        }
        frames.into_iter().flat_map(lines_of).collect()
    }
}

fn lines_of(frame: &Frame) -> impl Iterator<Item = String> {
    let file = frame.file();
    let mut place = match file {
        Some(file) => format!("  File \"{file}\""),
        None => "  File \"<unknown>\"".to_owned(),
    };
    if frame.line() > 0 {
        place.push_str(&format!(", line {}", frame.line()));
    }
    if let Some(function) = frame.function() {
        place.push_str(&format!(", in {}", Escaped(function)));
    }
    let source = file.and_then(|file| file.read_line(frame.line()));
    let source = source.map(|line| format!("    {}", Escaped(&line)));
    [place].into_iter().chain(source)
}

impl fmt::Display for TracebackText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}
