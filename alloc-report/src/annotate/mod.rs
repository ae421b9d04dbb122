//! Source annotated with allocations: [`annotate`].
//!
//! A snapshot goes in; the functions that matter come out, with numbers for each line
//! ([`Annotate::functions`]) or as text (`Display`). Source files are read, nothing is written, and
//! the traced program needs no annotations in its code.
//!
//! Each module imports only from those before it: `names`, `source`, `count`, `page`.

use std::fmt;
use std::path::PathBuf;

use alloc_core_snapshot::{FunctionPattern, Snapshot};

mod count;
mod names;
mod page;
mod source;

use count::Selection;
pub use count::{Annotated, AnnotatedLine};
use page::Page;
use source::Sources;

/// The default number of functions.
const FUNCTIONS: usize = 8;

/// By default, a function needs 1/100 of all allocations or of the peak.
const MIN_FRACTION: u64 = 100;

/// Annotates the functions that matter: what each line allocated, still holds, and held at most.
///
/// A line has numbers of its own, and inclusive numbers with all that it called. They come from the
/// stacks of a snapshot: a line is on the stack of an allocation, or it is not. So a temporary
/// allocation of a callee shows at the line that called it, a line in a loop counts all iterations,
/// and all instances of a generic function count as one function. The methods of [`Annotate`]
/// choose the functions and the format.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let frame = |name, line| Frame::new(Some(name), Some("src/cache.rs"), line, 9);
/// let traceback = Traceback::new(vec![frame("demo::fill", 41), frame("demo::main", 7)]);
/// let total = Amount::new(9_000, 3);
/// let counters = Counters { total, ..Counters::default() };
/// let snapshot = Snapshot::from_traces(vec![Trace::new(traceback, counters)], 32);
///
/// let functions = alloc_report::annotate(&snapshot).functions();
/// let main = functions.iter().find(|it| it.name == "demo::main").unwrap();
/// assert_eq!(main.lines[0].line, 7);
/// assert_eq!(main.lines[0].own.total, Amount::default());
/// assert_eq!(main.lines[0].inclusive.total, total);
/// ```
pub fn annotate(snapshot: &Snapshot) -> Annotate<'_> {
    Annotate {
        snapshot,
        selection: Selection::default(),
        root: None,
        most: FUNCTIONS,
        colour: false,
        width: 120,
    }
}

/// Annotated source, made by [`annotate`].
///
/// # Which functions
///
/// By default, the page shows functions of the program's workspace, the largest allocator first. A
/// function that allocated less than 1 % of everything and held less than 1 % of the peak is
/// omitted. A function is identified by its name and by the line of its file where it starts.
///
/// # The columns
///
/// | column | meaning |
/// | --- | --- |
/// | allocated | everything ever allocated |
/// | freed | the part that is no longer live |
/// | held | the part that is live in the snapshot |
/// | peak | the most that was ever live: the sum of the peaks of all stacks |
/// | count | the number of blocks ever allocated |
///
/// Each stack peaks at its own moment, so a peak is exact for a line with one stack and an upper
/// bound for others.
///
/// The first five columns belong to the line itself: to stacks whose innermost frame outside the
/// standard library is on the line. The others include everything that the line called. A stack
/// counts once for a line, however often a recursion passes the line. The mark before a line is
/// darker for a larger part of the function's peak.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let total = Amount::new(9_000, 3);
/// let counters = Counters { total, ..Counters::default() };
/// let traces = vec![Trace::new(Traceback::new(vec![frame]), counters)];
/// let snapshot = Snapshot::from_traces(traces, 32);
///
/// let page = alloc_report::annotate(&snapshot).width(80).to_string();
/// assert!(page.starts_with("demo::fill  src/cache.rs:41\n9000 B allocated in 3 blocks"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct Annotate<'a> {
    snapshot: &'a Snapshot,
    selection: Selection,
    root: Option<PathBuf>,
    most: usize,
    colour: bool,
    width: usize,
}

impl Annotate<'_> {
    /// Selects the functions with this name, or with it in their path: see [`FunctionPattern`].
    ///
    /// ```
    /// # use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
    /// # let frame = |name, line| Frame::new(Some(name), Some("src/cache.rs"), line, 9);
    /// # let traceback = Traceback::new(vec![frame("demo::fill", 41), frame("demo::main", 7)]);
    /// # let counters = Counters { total: Amount::new(9_000, 3), ..Counters::default() };
    /// # let snapshot = Snapshot::from_traces(vec![Trace::new(traceback, counters)], 32);
    /// let functions = alloc_report::annotate(&snapshot).function("fill").functions();
    /// assert_eq!(functions.len(), 1);
    /// assert_eq!(functions[0].name, "demo::fill");
    /// ```
    pub fn function(mut self, name: impl AsRef<str>) -> Self {
        self.selection.function = Some(FunctionPattern::new(name.as_ref()));
        self
    }

    /// Selects the functions in files whose path equals or ends with `path`.
    ///
    /// ```
    /// # use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
    /// # let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
    /// # let counters = Counters { total: Amount::new(9_000, 3), ..Counters::default() };
    /// # let traces = vec![Trace::new(Traceback::new(vec![frame]), counters)];
    /// # let snapshot = Snapshot::from_traces(traces, 32);
    /// let annotated = alloc_report::annotate(&snapshot);
    /// assert_eq!(annotated.clone().file("cache.rs").functions().len(), 1);
    /// assert!(annotated.file("load.rs").functions().is_empty());
    /// ```
    pub fn file(mut self, path: impl Into<String>) -> Self {
        self.selection.file = Some(path.into());
        self
    }

    /// Looks for source files below `folder` first, for snapshots from another machine.
    ///
    /// ```
    /// # use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
    /// # let root = env!("CARGO_MANIFEST_DIR");
    /// # let frame = Frame::new(Some("demo::fill"), Some("/elsewhere/Cargo.toml"), 1, 9);
    /// # let counters = Counters { total: Amount::new(9_000, 3), ..Counters::default() };
    /// # let traces = vec![Trace::new(Traceback::new(vec![frame]), counters)];
    /// # let snapshot = Snapshot::from_traces(traces, 32);
    /// let annotated = alloc_report::annotate(&snapshot);
    /// assert!(annotated.to_string().contains("the source of /elsewhere/Cargo.toml is missing"));
    /// assert!(annotated.source_root(root).to_string().contains("[package]"));
    /// ```
    pub fn source_root(mut self, folder: impl Into<PathBuf>) -> Self {
        self.root = Some(folder.into());
        self
    }

    /// Shows at most `functions` functions; 8 is the default.
    ///
    /// ```
    /// # use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
    /// # let frame = |name, line| Frame::new(Some(name), Some("src/cache.rs"), line, 9);
    /// # let traceback = Traceback::new(vec![frame("demo::fill", 41), frame("demo::main", 7)]);
    /// # let counters = Counters { total: Amount::new(9_000, 3), ..Counters::default() };
    /// # let snapshot = Snapshot::from_traces(vec![Trace::new(traceback, counters)], 32);
    /// let annotated = alloc_report::annotate(&snapshot);
    /// assert_eq!(annotated.functions().len(), 2);
    /// assert_eq!(annotated.most(1).functions().len(), 1);
    /// ```
    pub fn most(mut self, functions: usize) -> Self {
        self.most = functions;
        self
    }

    /// Turns ANSI colours on or off; off is the default. Colour never carries information alone.
    ///
    /// ```
    /// # use alloc_core::Snapshot;
    /// let empty = Snapshot::from_traces(vec![], 32);
    /// let annotated = alloc_report::annotate(&empty);
    /// assert_eq!(annotated.to_string(), "No functions to show");
    /// assert!(annotated.colour(true).to_string().contains('\u{1b}'));
    /// ```
    pub fn colour(mut self, colour: bool) -> Self {
        self.colour = colour;
        self
    }

    /// Fits the tables into `width` columns; 120 is the default.
    ///
    /// Source is cut, numbers never are. Below 112 columns, some columns of numbers are omitted.
    ///
    /// ```
    /// # use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
    /// # let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
    /// # let counters = Counters { total: Amount::new(9_000, 3), ..Counters::default() };
    /// # let traces = vec![Trace::new(Traceback::new(vec![frame]), counters)];
    /// # let snapshot = Snapshot::from_traces(traces, 32);
    /// let annotated = alloc_report::annotate(&snapshot);
    /// assert!(annotated.to_string().contains("freed"));
    /// assert!(!annotated.width(80).to_string().contains("freed"));
    /// ```
    pub fn width(mut self, width: usize) -> Self {
        self.width = width;
        self
    }

    /// The selected functions with their numbers.
    ///
    /// ```
    /// # use alloc_core::Snapshot;
    /// let empty = Snapshot::from_traces(vec![], 32);
    /// assert!(alloc_report::annotate(&empty).functions().is_empty());
    /// ```
    pub fn functions(&self) -> Vec<Annotated> {
        alloc_core_snapshot::seam::untraced(|| self.count(&mut Sources::new(self.root.clone())))
    }

    /// The names of all functions of the workspace, the largest allocator first.
    ///
    /// ```
    /// # use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
    /// # let frame = |name, line| Frame::new(Some(name), Some("src/cache.rs"), line, 9);
    /// # let traceback = Traceback::new(vec![frame("demo::fill", 41), frame("demo::main", 7)]);
    /// # let counters = Counters { total: Amount::new(9_000, 3), ..Counters::default() };
    /// # let snapshot = Snapshot::from_traces(vec![Trace::new(traceback, counters)], 32);
    /// let annotated = alloc_report::annotate(&snapshot).function("no such function");
    /// assert!(annotated.functions().is_empty());
    /// assert_eq!(annotated.known_functions(), ["demo::main", "demo::fill"]);
    /// ```
    pub fn known_functions(&self) -> Vec<String> {
        let all = Selection::default();
        let functions = all.count(self.snapshot, &mut Sources::default(), 0);
        functions.into_iter().map(|it| it.name).collect()
    }

    fn count(&self, sources: &mut Sources) -> Vec<Annotated> {
        let part = match self.selection.is_explicit() {
            true => 0,
            false => MIN_FRACTION,
        };
        let mut functions = self.selection.count(self.snapshot, sources, part);
        functions.truncate(self.most);
        functions
    }
}

impl fmt::Display for Annotate<'_> {
    /// Writes the tables, one below the other, without a final newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = alloc_core_snapshot::seam::untraced(|| {
            let mut sources = Sources::new(self.root.clone());
            let functions = self.count(&mut sources);
            let page = Page {
                snapshot: self.snapshot,
                colour: self.colour,
                width: self.width,
            };
            page.text(&functions, &mut sources)
        });
        f.write_str(&page)
    }
}
