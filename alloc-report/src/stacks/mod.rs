//! [`stacks`]: the stacks of a snapshot as a tree, callers above what they call.
//!
//! A snapshot goes in; text comes out, or the tree as data. No file is opened.
//!
//! Each module imports only from those before it: `frames`, `tree`, `branch`.

use std::fmt;

use alloc_core_snapshot::{GroupBy, Metric, Snapshot};

use crate::show::notes;
use crate::show::table::{BOLD, Cell, DIM, PLAIN, Row, Table};
use crate::show::text;
use crate::show::top::share;
use crate::show::view::{View, process};

mod branch;
mod frames;
mod tree;

pub use branch::Branch;
pub(crate) use frames::Frames;
#[cfg(feature = "terminal")]
pub(crate) use tree::{Node, StackTree, Sums, Value};

/// Makes a tree of the `n` stacks of a snapshot that hold the most memory, callers above callees.
///
/// A row has the bytes of all stacks that pass through it, their share, and what it allocated
/// itself. Steps that only call the next one share a row's numbers. Consecutive frames of libraries
/// are one step, what the charged line called is left out, and functions have short names.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let frame = |function, line| Frame::new(Some(function), Some("src/main.rs"), line, 5);
/// let trace = |frames: Vec<Frame>, bytes| {
///     let counters = Counters { current: Amount::new(bytes, 1), ..Counters::default() };
///     Trace::new(Traceback::new(frames), counters)
/// };
/// let traces = vec![
///     trace(vec![frame("shop::Cache::fill", 9), frame("shop::run", 5), frame("shop::main", 2)], 750),
///     trace(vec![frame("shop::log", 20), frame("shop::run", 6), frame("shop::main", 2)], 250),
/// ];
/// let snapshot = Snapshot::from_traces(traces, 32);
/// assert_eq!(
///     alloc_report::stacks(&snapshot, 10).to_string(),
///     "\
/// 1000 B in 2 live blocks, by stack; at the peak 1000 B
///
///    size   share    own  stack
/// 1,000 B  100.0%         ◉ all
/// 1,000 B  100.0%         └── shop::main  src/main.rs:2
///   750 B   75.0%             ├── shop::run  src/main.rs:5
///                  750 B      │   Cache::fill  src/main.rs:9
///   250 B   25.0%             └── shop::run  src/main.rs:6
///                  250 B          shop::log  src/main.rs:20"
/// );
/// ```
pub fn stacks(snapshot: &Snapshot, n: usize) -> Stacks<'_> {
    Stacks {
        snapshot,
        view: View::new(n),
    }
}

/// A tree of stacks, made by [`stacks`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a tree does nothing until it is printed"]
pub struct Stacks<'a> {
    snapshot: &'a Snapshot,
    view: View,
}

impl Stacks<'_> {
    /// Shows another metric than what is live.
    ///
    /// ```
    /// use alloc_core::{Metric, Snapshot};
    ///
    /// let empty = Snapshot::from_traces(vec![], 32);
    /// let tree = alloc_report::stacks(&empty, 10).metric(Metric::Total);
    /// assert_eq!(tree.to_string(), "0 B in 0 blocks ever allocated, by stack; now 0 B");
    /// ```
    pub fn metric(mut self, metric: Metric) -> Self {
        self.view.metric = Some(metric);
        self
    }

    /// Turns ANSI colours on or off; off is the default.
    ///
    /// ```
    /// let empty = alloc_core::Snapshot::from_traces(vec![], 32);
    /// assert!(alloc_report::stacks(&empty, 10).colour(true).to_string().contains('\u{1b}'));
    /// ```
    pub fn colour(mut self, colour: bool) -> Self {
        self.view.colour = colour;
        self
    }

    /// Fits the tree into `width` columns; 100 is the default. Names are cut, never numbers.
    ///
    /// ```
    /// let empty = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let tree = alloc_report::stacks(&empty, 10).width(80);
    /// assert_eq!(tree.to_string(), "0 B in 0 live blocks, by stack; at the peak 0 B");
    /// ```
    pub fn width(mut self, width: usize) -> Self {
        self.view.width = width;
        self
    }

    /// Shows all frames of libraries, and those that the charged line called.
    ///
    /// ```
    /// let empty = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let tree = alloc_report::stacks(&empty, 10).full();
    /// assert_eq!(tree.to_string(), "0 B in 0 live blocks, by stack; at the peak 0 B");
    /// ```
    pub fn full(mut self) -> Self {
        self.view.is_full = true;
        self
    }

    /// The tree as data: the root, which stands for the whole heap.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
    ///
    /// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
    /// let counters = Counters { current: Amount::new(64, 1), ..Counters::default() };
    /// let traces = vec![Trace::new(Traceback::new(vec![frame]), counters)];
    /// let root = alloc_report::stacks(&Snapshot::from_traces(traces, 32), 10).tree();
    /// assert_eq!((root.inclusive, root.own), (Amount::new(64, 1), Amount::default()));
    /// assert_eq!(root.parts[0].name, "demo::fill");
    /// ```
    pub fn tree(&self) -> Branch {
        alloc_core_snapshot::seam::untraced(|| {
            let frames = match self.view.is_full {
                true => Frames::All,
                false => Frames::Folded,
            };
            branch::of(self.snapshot, self.view.metric(), frames, self.view.rows)
        })
    }

    /// The notes below the tree: which numbers are inexact or incomplete, one sentence each.
    ///
    /// ```
    /// let empty = alloc_core::Snapshot::from_traces(vec![], 32);
    /// assert!(alloc_report::stacks(&empty, 10).notes().is_empty());
    /// ```
    pub fn notes(&self) -> Vec<String> {
        let mut view = self.view.clone();
        view.by = GroupBy::Traceback.into();
        notes::of(self.snapshot, &view)
    }
}

impl fmt::Display for Stacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let (snapshot, view) = (self.snapshot, &self.view);
            let root = self.tree();
            let total = view.total(snapshot);
            let is_empty = root.parts.is_empty() && root.omitted_stacks == 0;
            let table = (!is_empty).then(|| Rows::of(&root).lines(view));
            let mut heading = format!(
                "{} in {}{}, by stack",
                view.known(snapshot, total.bytes),
                view.blocks(snapshot, total.blocks),
                view.what(),
            );
            if let Some((moment, bytes)) = view.moment(snapshot) {
                heading += &format!("; {moment} {bytes}");
            }
            let process = process(snapshot).into_iter().collect();
            view.page_of(process, &heading, table, &self.notes())
        });
        f.write_str(&page)
    }
}

/// The lines of a tree: guides, name, and place.
struct Rows<'a> {
    root: &'a Branch,
    rows: Vec<Row>,
    texts: Vec<(String, String, String)>,
}

impl<'a> Rows<'a> {
    fn of(root: &'a Branch) -> Rows<'a> {
        let mut rows = Rows {
            root,
            rows: Vec::new(),
            texts: Vec::new(),
        };
        rows.push(root, "◉ ", true);
        rows.add_parts(root, "");
        rows
    }

    /// Adds the branches of one, and a row for those that are omitted if they are not few.
    fn add_parts(&mut self, branch: &Branch, below: &str) {
        let whole = self.root.inclusive.bytes.get();
        let omitted = branch.omitted.bytes.get();
        let has_other = omitted > 0 && (omitted >= whole / 100 || branch.parts.is_empty());
        for (at, part) in branch.parts.iter().enumerate() {
            let is_last = at + 1 == branch.parts.len() && !has_other;
            let (fork, below) = guides(below, is_last);
            self.push(part, &fork, true);
            let mut end = part;
            while let Some(next) = end.only_call() {
                end = next;
                self.push(end, &below, false);
            }
            self.add_parts(end, &below);
        }
        if has_other {
            let n = text::plural(branch.omitted_stacks as u64, "smaller stack");
            let cells = vec![
                Cell::size(branch.omitted.bytes),
                Cell::new(share(branch.omitted.bytes, self.root.inclusive.bytes)),
                Cell::new(""),
            ];
            let (fork, _) = guides(below, true);
            self.add(cells, fork, format!("… {n}"), String::new());
        }
    }

    fn push(&mut self, branch: &Branch, guides: &str, has_numbers: bool) {
        let own = match branch.own.bytes.get() {
            0 => Cell::new(""),
            _ => Cell::size(branch.own.bytes),
        };
        let cells = match has_numbers {
            true => vec![
                Cell::size(branch.inclusive.bytes),
                Cell::new(share(branch.inclusive.bytes, self.root.inclusive.bytes)),
                own,
            ],
            false => vec![Cell::new(""), Cell::new(""), own],
        };
        self.add(
            cells,
            guides.to_owned(),
            branch.name.clone(),
            branch.place.clone(),
        );
    }

    fn add(&mut self, cells: Vec<Cell>, guides: String, name: String, place: String) {
        self.rows.push(Row {
            style: PLAIN,
            cells,
            level: 0,
            place: String::new(),
            source: None,
            details: Vec::new(),
        });
        self.texts.push((guides, name, place));
    }

    fn lines(self, view: &View) -> Vec<String> {
        let table = Table {
            heads: vec!["size", "share", "own"],
            place: "stack".to_owned(),
            rows: self.rows,
        };
        let room = table.room(view.width);
        let paint = view.paint();
        let has_numbers = |row: &Row| !row.cells[0].is_empty();
        let styles = table.rows.iter().map(has_numbers);
        let styles: Vec<bool> = [false].into_iter().chain(styles).collect();
        let texts = [(String::new(), String::new(), String::new())];
        let texts = texts.into_iter().chain(self.texts);
        // NOTE: the names follow the numbers here, since a table would wrap them.
        let mut lines = table.lines(usize::MAX, paint);
        for ((line, (guides, name, place)), is_bold) in lines.iter_mut().zip(texts).zip(styles) {
            let room = room.saturating_sub(text::width(&guides)).max(8);
            let name = text::cut_middle(&name, room);
            let rest = room.saturating_sub(text::width(&name) + 2);
            let style = if is_bold { BOLD } else { PLAIN };
            *line += &(guides + &paint.text(style, &name));
            if rest > 4 && !place.is_empty() {
                let place = text::cut_path(&place, rest);
                *line += &format!("  {}", paint.text(DIM, &place));
            }
        }
        lines
    }
}

/// The guides in front of a branch, and those in front of what is below it.
fn guides(below: &str, is_last: bool) -> (String, String) {
    match is_last {
        true => (format!("{below}└── "), format!("{below}    ")),
        false => (format!("{below}├── "), format!("{below}│   ")),
    }
}
