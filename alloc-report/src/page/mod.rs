//! [`page`]: a snapshot as one HTML file that a browser opens from disk.
//!
//! Snapshots go in, text comes out. Only files of source are read. The page is the files of this
//! folder that are not Rust, one after the other, and the data: a table of frames, the tree of all
//! stacks, and columns of numbers, one row a callsite. The page of a heap graph has the same
//! [`Shell`].

use std::fmt;

use alloc_core_snapshot::{Metric, Snapshot, seam::untraced};

mod data;
mod residence;
mod shell;
mod source;
mod stacks;
mod strings;

pub(crate) use shell::Shell;
pub(crate) use source::Sources;
pub(crate) use stacks::origin;
pub(crate) use strings::{Name, Strings};

use data::Data;

/// Makes a page of a snapshot: its totals, a flame graph, a table, and the source lines.
///
/// The page is one file of HTML. It needs no network and no other file, runs no script but its own, and
/// shows whatever names the snapshot has as text.
///
/// ```
/// use alloc_core::Snapshot;
///
/// let snapshot = Snapshot::from_traces(vec![], 32);
/// let page = alloc_report::page(&snapshot).title("the cache, full").to_string();
/// assert!(page.starts_with("<!doctype html>"));
/// assert!(page.contains("<title>the cache, full"));
/// ```
pub fn page(snapshot: &Snapshot) -> Page<'_> {
    Page {
        snapshot,
        old: None,
        title: None,
        moments: Vec::new(),
        timeline: Lines::default(),
        metric: None,
    }
}

/// A page, made by [`page`].
///
/// It prints as HTML.
#[derive(Clone, Debug)]
#[must_use = "a page does nothing until it is printed"]
pub struct Page<'a> {
    snapshot: &'a Snapshot,
    old: Option<&'a Snapshot>,
    title: Option<String>,
    moments: Vec<(f64, &'a Snapshot)>,
    timeline: Lines,
    metric: Option<Metric>,
}

/// What was measured over time, in seconds and bytes.
#[derive(Clone, Debug, Default, serde::Serialize)]
struct Lines {
    heap: Vec<(f64, u64)>,
    resident: Vec<(f64, u64)>,
}

impl<'a> Page<'a> {
    /// Sets the title. The default is the name of the program.
    ///
    /// ```
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let page = alloc_report::page(&snapshot).title("before the fix");
    /// assert!(page.to_string().contains("<title>before the fix"));
    /// ```
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Compares with an older snapshot: what grew, and what shrank.
    ///
    /// ```
    /// # let (old, new) = [(); 2].map(|()| alloc_core::Snapshot::from_traces(vec![], 32)).into();
    /// let page = alloc_report::page(&new).compared_to(&old);
    /// assert!(page.to_string().starts_with("<!doctype html>"));
    /// ```
    pub fn compared_to(mut self, old: &'a Snapshot) -> Self {
        self.old = Some(old);
        self
    }

    /// Adds what was live at a moment, in seconds since the start of the run: the page shows each, and
    /// what grew between two.
    ///
    /// ```
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let page = alloc_report::page(&snapshot).moment(1.5, &snapshot).moment(3.0, &snapshot);
    /// assert!(page.to_string().starts_with("<!doctype html>"));
    /// ```
    pub fn moment(mut self, seconds: f64, snapshot: &'a Snapshot) -> Self {
        self.moments.push((seconds, snapshot));
        self
    }

    /// Sets the heap and the resident memory over time: seconds since the start of the run, and bytes.
    ///
    /// ```
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let heap = vec![(0.0, 0), (1.0, 4096)];
    /// let page = alloc_report::page(&snapshot).over_time(heap, vec![]);
    /// assert!(page.to_string().starts_with("<!doctype html>"));
    /// ```
    pub fn over_time(mut self, heap: Vec<(f64, u64)>, resident: Vec<(f64, u64)>) -> Self {
        self.timeline = Lines { heap, resident };
        self
    }

    /// Sets the metric that the page shows first.
    ///
    /// ```
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let page = alloc_report::page(&snapshot).metric(alloc_core::Metric::Total);
    /// assert!(page.to_string().starts_with("<!doctype html>"));
    /// ```
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metric = Some(metric);
        self
    }

    fn name(&self) -> String {
        let of_program = || program_name(self.snapshot).to_owned();
        self.title.clone().unwrap_or_else(of_program)
    }
}

/// The name of a program, without the folders of its file.
pub(crate) fn program_name(snapshot: &Snapshot) -> &str {
    let name = snapshot.program().rsplit('/').next();
    name.filter(|it| !it.is_empty()).unwrap_or("a program")
}

/// The parts of the page, in the order in which they use each other.
const SCRIPTS: &[&str] = &[
    include_str!("data.js"),
    include_str!("tree.js"),
    include_str!("view.js"),
    include_str!("table.js"),
    include_str!("details.js"),
    include_str!("charts.js"),
    include_str!("resident.js"),
    include_str!("main.js"),
];

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        untraced(|| {
            let shell = Shell {
                title: &self.name(),
                body: include_str!("body.html"),
                style: "",
                scripts: SCRIPTS,
            };
            shell.write(f, &Data::of(self))
        })
    }
}
