//! [`Filter`]: selects traces of a snapshot.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::process;
use crate::snapshot::{Snapshot, Trace};
use crate::stack::frame::Frame;
use crate::stack::package::Crates;
use crate::statistics::pattern::{FunctionPattern, Pattern};

/// A condition on traces, and whether those that meet it are kept or dropped.
///
/// It is `tracemalloc`'s `Filter` with more conditions, such as function, crate and thread. A trace
/// matches if all conditions hold.
///
/// ```
/// use alloc_core::{Amount, Counters, Filter, Frame, GroupBy, Snapshot, Trace, Traceback};
///
/// let trace = |file, line| {
///     let frame = Frame::new(None, Some(file), line, 0);
///     let current = Amount::new(10, 1);
///     Trace::new(Traceback::new(vec![frame]), Counters { current, ..Counters::default() })
/// };
/// let traces = [("/w/src/cache.rs", 41), ("/w/src/cache.rs", 52), ("/w/src/main.rs", 3)];
/// let traces = traces.map(|(file, line)| trace(file, line)).into();
/// let snapshot = Snapshot::from_traces(traces, 32);
///
/// let filters = [Filter::include("*/cache.rs"), Filter::exclude("*").line(52)];
/// let cache = snapshot.filter_traces(&filters);
/// assert_eq!(cache.statistics(GroupBy::Line).len(), 1);
/// assert_eq!(cache.traces()[0].to_string(), "/w/src/cache.rs:41: 10 B");
/// ```
///
/// # Patterns
///
/// Patterns are shell wildcards with the rules of Python's `fnmatch`: `*` matches any characters,
/// including slashes; `?` matches one character; `[abc]` and `[a-z]` match one of these; `[!abc]`
/// matches one character that is not listed. A pattern must match the whole text. Every pattern is
/// valid: an unclosed bracket stands for itself. On Windows, case and the direction of slashes in
/// file names do not matter.
///
/// A file pattern is tried on the path as the compiler recorded it and on the shortened path that
/// tables show, so a path copied from a table matches. An unknown file or function has the text
/// `<unknown>`.
///
/// # Which frame
///
/// By default a filter looks only at the frame that the trace is charged to, which is the frame
/// that tables show. With [`all_frames`](Self::all_frames), it looks at every frame. File, line,
/// function and crate must match in a single frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a filter does nothing until it is passed to `Snapshot::filter_traces`"]
pub struct Filter {
    inclusive: bool,
    file: Pattern,
    file_name: Option<Pattern>,
    line: Option<u32>,
    function: Option<FunctionPattern>,
    of_crate: Option<Pattern>,
    all_frames: bool,
    domain: Option<u32>,
    thread: Option<Pattern>,
    label: Option<Pattern>,
}

impl Filter {
    /// Keeps traces in files that match the pattern; `*` matches any file.
    ///
    /// ```
    /// let filter = alloc_core::Filter::include("*/cache.rs");
    /// assert!(filter.is_inclusive());
    /// ```
    pub fn include(file_pattern: &str) -> Filter {
        Filter::new(true, file_pattern)
    }

    /// Drops traces in files that match the pattern; `*` matches any file.
    ///
    /// ```
    /// let filter = alloc_core::Filter::exclude("*/cache.rs");
    /// assert!(!filter.is_inclusive());
    /// ```
    pub fn exclude(file_pattern: &str) -> Filter {
        Filter::new(false, file_pattern)
    }

    /// Keeps the traces of a domain: see `track`.
    ///
    /// ```
    /// use alloc_core::Filter;
    ///
    /// assert_eq!(Filter::include_domain(1), Filter::include("*").domain(1));
    /// ```
    pub fn include_domain(domain: u32) -> Filter {
        Filter::include("*").domain(domain)
    }

    /// Drops the traces of a domain.
    ///
    /// ```
    /// use alloc_core::Filter;
    ///
    /// assert_eq!(Filter::exclude_domain(1), Filter::exclude("*").domain(1));
    /// ```
    pub fn exclude_domain(domain: u32) -> Filter {
        Filter::exclude("*").domain(domain)
    }

    fn new(inclusive: bool, file_pattern: &str) -> Filter {
        Filter {
            inclusive,
            file: Pattern::new(&comparable(file_pattern)),
            file_name: None,
            line: None,
            function: None,
            of_crate: None,
            all_frames: false,
            domain: None,
            thread: None,
            label: None,
        }
    }

    /// Requires a file of this name, in any folder: `cache.rs`.
    pub fn file_name(mut self, pattern: &str) -> Filter {
        self.file_name = Some(Pattern::new(&comparable(pattern)));
        self
    }

    /// Requires this line. 0 means an unknown line.
    ///
    /// ```
    /// # use alloc_core::{Counters, Filter, Frame, Snapshot, Trace, Traceback};
    /// let frame = Frame::new(None, Some("src/cache.rs"), 41, 9);
    /// let trace = Trace::new(Traceback::new(vec![frame]), Counters::default());
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// assert!(snapshot.filter_traces(&[Filter::include("*").line(52)]).traces().is_empty());
    /// ```
    pub fn line(mut self, line: u32) -> Filter {
        self.line = Some(line);
        self
    }

    /// Requires a function of this name, or with this name in its path: `fill`, `Cache::fill`,
    /// `demo::cache::*`. See [`FunctionPattern`].
    ///
    /// ```
    /// # use alloc_core::{Counters, Filter, Frame, Snapshot, Trace, Traceback};
    /// let frame = Frame::new(Some("demo::Cache<T>::fill"), Some("src/cache.rs"), 41, 9);
    /// let trace = Trace::new(Traceback::new(vec![frame]), Counters::default());
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// let with = |name| snapshot.filter_traces(&[Filter::include("*").function(name)]);
    /// assert_eq!((with("Cache::fill").traces().len(), with("refill").traces().len()), (1, 0));
    /// ```
    pub fn function(mut self, pattern: &str) -> Filter {
        self.function = Some(FunctionPattern::new(pattern));
        self
    }

    /// Requires a crate of this name, with or without a version: `serde_json`, `serde_json 1.*`.
    /// See [`GroupBy::Crate`](crate::GroupBy::Crate).
    pub fn in_crate(mut self, pattern: &str) -> Filter {
        self.of_crate = Some(Pattern::new(pattern));
        self
    }

    /// Sets whether to look at all frames of a traceback or, by default, at the charged frame only.
    ///
    /// ```
    /// # use alloc_core::{Counters, Filter, Frame, Snapshot, Trace, Traceback};
    /// let frames = ["src/cache.rs", "src/main.rs"].map(|file| Frame::new(None, Some(file), 3, 1));
    /// let trace = Trace::new(Traceback::new(frames.into()), Counters::default());
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// let main = Filter::include("src/main.rs");
    /// assert!(snapshot.filter_traces(&[main.clone()]).traces().is_empty());
    /// assert_eq!(snapshot.filter_traces(&[main.all_frames(true)]).traces().len(), 1);
    /// ```
    pub fn all_frames(mut self, all: bool) -> Filter {
        self.all_frames = all;
        self
    }

    /// Requires this domain. 0 is the Rust heap.
    ///
    /// An exclusive filter drops only traces that match all other conditions and are in this
    /// domain.
    ///
    /// ```
    /// # use alloc_core::{Counters, Filter, Snapshot, Trace, Traceback};
    /// let gpu = Trace::new(Traceback::new(vec![]), Counters::default()).with_domain(1);
    /// let snapshot = Snapshot::from_traces(vec![gpu], 32);
    /// assert!(snapshot.filter_traces(&[Filter::exclude("*").domain(1)]).traces().is_empty());
    /// ```
    pub fn domain(mut self, domain: u32) -> Filter {
        self.domain = Some(domain);
        self
    }

    /// Requires a thread of this name: `worker-*`. See [`Trace::thread`].
    ///
    /// ```
    /// # use alloc_core::{Counters, Filter, Snapshot, Trace, Traceback};
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default()).with_thread("worker-3");
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// let workers = snapshot.filter_traces(&[Filter::include("*").thread("worker-*")]);
    /// assert_eq!(workers.traces().len(), 1);
    /// ```
    pub fn thread(mut self, pattern: &str) -> Filter {
        self.thread = Some(Pattern::new(pattern));
        self
    }

    /// In labels whose path matches: `request > *`. See [`Trace::label`].
    ///
    /// ```
    /// # use alloc_core::{Counters, Filter, Snapshot, Trace, Traceback};
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default());
    /// let trace = trace.with_label("request > decode");
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// let requests = snapshot.filter_traces(&[Filter::include("*").label("request > *")]);
    /// assert_eq!(requests.traces().len(), 1);
    /// ```
    pub fn label(mut self, pattern: &str) -> Filter {
        self.label = Some(Pattern::new(pattern));
        self
    }

    /// Whether matching traces are kept rather than dropped.
    ///
    /// ```
    /// assert!(alloc_core::Filter::include("*").is_inclusive());
    /// ```
    pub fn is_inclusive(&self) -> bool {
        self.inclusive
    }

    /// The file pattern.
    ///
    /// ```
    /// assert_eq!(alloc_core::Filter::include("*/cache.rs").file_pattern(), "*/cache.rs");
    /// ```
    pub fn file_pattern(&self) -> &str {
        self.file.text()
    }
}

/// Placeholder for an unknown file or function.
const UNKNOWN: &str = "<unknown>";

/// A filter applied to a snapshot.
struct Sieve<'a> {
    filter: &'a Filter,
    snapshot: &'a Snapshot,
    crates: &'a Crates<'a>,
    /// Results by frame identity. A frame is part of many stacks.
    known: HashMap<usize, bool>,
}

impl Sieve<'_> {
    /// Whether the trace meets all of the filter's conditions.
    fn matches(&mut self, trace: &Trace) -> bool {
        let filter = self.filter;
        let in_domain = filter.domain.is_none_or(|domain| domain == trace.domain);
        in_domain
            && fits(&filter.thread, trace.thread_name())
            && fits(&filter.label, trace.label_or_none())
            && match filter.all_frames {
                true => trace
                    .traceback
                    .iter()
                    .any(|frame| self.matches_frame(frame)),
                false => self.matches_frame(self.snapshot.charged_frame(&trace.traceback)),
            }
    }

    fn matches_frame(&mut self, frame: &Frame) -> bool {
        let (filter, crates) = (self.filter, self.crates);
        *self.known.entry(frame.id()).or_insert_with(|| {
            filter.line.is_none_or(|line| line == frame.line())
                && filter.matches_file(frame)
                && filter
                    .function
                    .as_ref()
                    .is_none_or(|pattern| pattern.matches(frame.function().unwrap_or(UNKNOWN)))
                && (filter.of_crate.is_none() || {
                    let name = crates.crate_of(frame);
                    let (bare, _) = name.split_once(' ').unwrap_or((&name, ""));
                    fits(&filter.of_crate, &name) || fits(&filter.of_crate, bare)
                })
        })
    }
}

impl Filter {
    fn matches_file(&self, frame: &Frame) -> bool {
        let (full, short) = match frame.file() {
            Some(file) => (comparable(file.full()), comparable(file.short())),
            None => (UNKNOWN.into(), UNKNOWN.into()),
        };
        let name = short.rsplit('/').next().unwrap_or_default();
        (self.file.matches(&full) || self.file.matches(&short)) && fits(&self.file_name, name)
    }
}

/// Whether a text matches a pattern. `None` matches every text.
fn fits(pattern: &Option<Pattern>, text: &str) -> bool {
    pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
}

/// A path or path pattern in comparable form: on Windows, in lower case and with forward slashes.
fn comparable(path: &str) -> Cow<'_, str> {
    if cfg!(windows) {
        Cow::Owned(path.to_lowercase().replace('\\', "/"))
    } else {
        Cow::Borrowed(path)
    }
}

impl Snapshot {
    /// A snapshot of the traces that pass the filters.
    ///
    /// A trace passes if it matches at least one inclusive filter, or if there are none, and
    /// matches no exclusive filter. Without filters, the new snapshot is a copy. This snapshot does
    /// not change.
    ///
    /// The heap totals of the new snapshot are sums over its traces: what they hold now, and what
    /// they held when the heap was at its peak.
    ///
    /// ```
    /// use alloc_core::{Counters, Filter, Snapshot, Trace, Traceback};
    ///
    /// let trace = Trace::new(Traceback::new(vec![]), Counters::default());
    /// let snapshot = Snapshot::from_traces(vec![trace], 32);
    /// let none = snapshot.filter_traces(&[Filter::exclude("*")]);
    /// assert_eq!((none.traces().len(), none.filtered_out()), (0, 1));
    /// ```
    pub fn filter_traces(&self, filters: &[Filter]) -> Snapshot {
        let _muted = process::mute();
        let frames = || self.traces().iter().flat_map(|it| it.traceback.iter());
        let crates = match filters.iter().any(|filter| filter.of_crate.is_some()) {
            true => Crates::of(frames()),
            false => Crates::default(),
        };
        let sieves = |inclusive| {
            let chosen = filters.iter().filter(move |it| it.inclusive == inclusive);
            let sieve = |filter| Sieve {
                filter,
                snapshot: self,
                crates: &crates,
                known: HashMap::new(),
            };
            chosen.map(sieve).collect::<Vec<_>>()
        };
        let (mut inclusive, mut exclusive) = (sieves(true), sieves(false));
        let kept = self.traces().iter().filter(|trace| {
            let is_included =
                inclusive.is_empty() || inclusive.iter_mut().any(|it| it.matches(trace));
            is_included && !exclusive.iter_mut().any(|it| it.matches(trace))
        });
        self.with_traces(kept.cloned().collect())
    }
}

#[cfg(test)]
mod tests;
