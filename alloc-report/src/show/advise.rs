//! [`advise`]: what a program could do with fewer allocations or less memory.

use std::fmt;

use alloc_core_snapshot::{Bytes, GroupKey, Metric, Snapshot};

use super::notes;
use super::table::{BOLD, Cell, DIM, PLAIN, Row, Table};
use super::text::{self, plural};
use super::view::{View, process};
use super::words;
use crate::advise::{self, Advice, AdviceKind, Collections};

/// The indentation of the sentence below a row.
const INDENT: &str = "       ";

/// Makes a table of advice: which lines could do with fewer calls of the allocator or a lower peak, and how.
///
/// - *A buffer grows step by step* (at least three reallocations each): reserve what it holds at last. The
///   number comes from how `Vec` grows. Maps show no reallocations.
/// - *Blocks are freed at once*, nine in ten or more of a line: use one again, or borrow. This needs
///   lifetimes (`Config::lifetimes`).
/// - *A large value is held*, a tenth of the peak or more, while a later line of the same function allocates
///   as much: drop it before, if it is not used after. Whether it is, only the source says.
/// - *Many small blocks of one size*, 100,000 of at most 64 bytes in `Box`, `Rc` or `Arc`: keep the values
///   next to each other. What it saves at the peak is what glibc's allocator adds to such blocks.
///
/// - *Collections hold three times what they use*, or more: shrink them. This needs a
///   [heap graph](Advise::graph), which knows lengths; a snapshot knows the size of a buffer only.
///
/// Lines of the workspace are advised on, as far as the advice saves a hundredth of the calls or of the
/// peak.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// // A vector of u64 grows to 4, 8, 16, 32, 64 and 128 elements.
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let total = Amount::new(8 * (4 + 8 + 16 + 32 + 64 + 128), 6);
/// let counters = Counters { total, reallocations: 5, ..Counters::default() };
/// let trace = Trace::new(Traceback::new(vec![frame]), counters).with_type("Vec<u64>");
/// let snapshot = Snapshot::from_traces(vec![trace], 32);
/// assert_eq!(
///     alloc_report::advise(&snapshot).to_string(),
///     "\
/// 1 piece of advice, for 83.3% of all calls
///
/// ##  calls  share  bytes  peak  line
/// 1      5  83.3%  992 B        src/cache.rs:41
///        A buffer here grows 5 times: begin with `with_capacity(128)`. (Vec<u64>)
///
/// note: without lifetimes it is unknown what is freed at once: trace with ALLOC_TRACE_LIFETIMES=1"
/// );
/// ```
pub fn advise(snapshot: &Snapshot) -> Advise<'_> {
    Advise {
        snapshot,
        all: false,
        collections: Vec::new(),
        view: View::new(10),
    }
}

/// A table of advice, made by [`advise`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct Advise<'a> {
    snapshot: &'a Snapshot,
    all: bool,
    collections: Vec<Collections>,
    view: View,
}

impl Advise<'_> {
    /// The advice, what saves the most first.
    ///
    /// ```
    /// let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// assert_eq!(alloc_report::advise(&snapshot).list(), []);
    /// ```
    pub fn list(&self) -> Vec<Advice> {
        alloc_core_snapshot::seam::untraced(|| {
            advise::list(self.snapshot, self.all, &self.collections)
        })
    }

    /// Also advises on lines of dependencies, and where little is saved.
    ///
    /// ```
    /// let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// assert_eq!(alloc_report::advise(&snapshot).all().list(), []);
    /// ```
    pub fn all(mut self) -> Self {
        self.all = true;
        self
    }

    /// Also advises on these collections.
    pub(crate) fn collections(mut self, collections: Vec<Collections>) -> Self {
        self.collections = collections;
        self
    }

    /// Limits the rows; ten is the default.
    pub fn rows(mut self, rows: usize) -> Self {
        self.view.rows = rows;
        self
    }

    /// Turns ANSI colours on or off; off is the default.
    pub fn colour(mut self, colour: bool) -> Self {
        self.view.colour = colour;
        self
    }

    /// Fits the table into `width` columns, as [`Top::width`](crate::Top::width) does.
    pub fn width(mut self, width: usize) -> Self {
        self.view.width = width;
        self
    }

    /// Omits the lines of source, and opens no file.
    pub fn without_sources(mut self) -> Self {
        self.view.sources = false;
        self
    }

    /// The sentences below the table.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let has_lifetimes = self
            .snapshot
            .traces()
            .iter()
            .any(|it| it.lifetimes.is_some());
        if !has_lifetimes && !self.snapshot.traces().is_empty() {
            notes.push(
                "without lifetimes it is unknown what is freed at once: trace with ALLOC_TRACE_LIFETIMES=1".to_owned(),
            );
        }
        if !self.snapshot.knows(Metric::Total) {
            notes.push(
                "the file does not say what was ever allocated, so calls are unknown".to_owned(),
            );
        }
        notes.extend(notes::of_snapshot(self.snapshot));
        notes
    }

    fn table(&self, list: &[Advice]) -> Table {
        let shown = &list[..self.view.rows.min(list.len())];
        let keys: Vec<&GroupKey> = shown.iter().map(|it| &it.key).collect();
        let places = self.view.places(keys.into_iter(), self.snapshot);
        let mut rows = Vec::new();
        for ((advice, (place, source)), rank) in shown.iter().zip(places).zip(1_u64..) {
            let some = |bytes: Bytes| match bytes.get() {
                0 => Cell::new(""),
                _ => Cell::new(bytes),
            };
            rows.push(Row {
                style: PLAIN,
                cells: vec![
                    Cell::styled(DIM, text::grouped(rank)),
                    match advice.calls {
                        0 => Cell::new(""),
                        calls => Cell::new(text::grouped(calls)),
                    },
                    Cell::new(format!("{:.1}%", 100.0 * advice.share)),
                    some(advice.bytes),
                    some(advice.peak),
                ],
                level: 0,
                place,
                source,
                details: self.details(advice),
            });
        }
        if shown.len() < list.len() {
            rows.push(Row {
                style: BOLD,
                cells: vec![Cell::new(""); 5],
                level: 0,
                place: format!(
                    "other ({})",
                    plural((list.len() - shown.len()) as u64, "line")
                ),
                source: None,
                details: Vec::new(),
            });
        }
        Table {
            heads: vec!["#", "calls", "share", "bytes", "peak"],
            place: "line".to_owned(),
            rows,
        }
    }

    fn details(&self, advice: &Advice) -> Vec<String> {
        let mut finding = advice.finding.clone();
        if let Some(first) = finding.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let of = advice.type_name.as_deref().map(text::name);
        let of = of.map_or(String::new(), |it| format!(" ({it})"));
        let sentence = format!("{finding}: {}.{of}", advice.remedy);
        let room = self.view.width.saturating_sub(INDENT.len());
        words::lines(&sentence, room)
            .into_iter()
            .map(|it| format!("{INDENT}{it}"))
            .collect()
    }

    fn heading(&self, list: &[Advice]) -> String {
        if list.is_empty() {
            return "No advice: nothing that is known here would save a hundredth of the calls or of the peak".to_owned();
        }
        let calls: u64 = list
            .iter()
            .filter(|it| it.kind != AdviceKind::Gather)
            .map(|it| it.calls)
            .sum();
        let all: u64 = self
            .snapshot
            .traces()
            .iter()
            .map(|it| it.counters.total.blocks)
            .sum();
        let pieces = match list.len() {
            1 => "1 piece of advice".to_owned(),
            n => format!("{n} pieces of advice"),
        };
        match calls {
            0 => pieces,
            _ => format!(
                "{pieces}, for {:.1}% of all calls",
                100.0 * calls as f64 / all.max(1) as f64
            ),
        }
    }
}

impl fmt::Display for Advise<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let list = self.list();
            let table = (!list.is_empty()).then(|| self.table(&list));
            let process = process(self.snapshot).into_iter().collect();
            self.view
                .page(process, &self.heading(&list), table, &self.notes())
        });
        f.write_str(&page)
    }
}
