//! What a table shows, and how: shared by [`Top`](crate::Top) and [`Diff`](crate::Diff).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use alloc_core::{
    Amount, Bytes, ChargeTo, Frame, GroupBy, GroupKey, Grouping, Metric, Snapshot, SortBy,
};
use anstyle::Style;

use crate::stack;
use crate::table::{BOLD, NOTE, PLAIN, Paint, Table};
use crate::text;

/// The default width of a table.
const WIDTH: usize = 100;

/// How far what is within a group stands to the right of it.
pub(crate) const INDENT: usize = 2;

/// A row before it is one: what [`View::merged`] asks of it.
pub(crate) trait Group: Clone {
    fn key(&self) -> &GroupKey;
    fn has_parts(&self) -> bool;
    fn is_plumbing(&self) -> bool;
    /// Adds one that looks the same.
    fn add(&mut self, other: &Self);
}

#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) rows: usize,
    pub(crate) by: Grouping,
    /// What was asked for beside the grouping, which has a metric of its own.
    pub(crate) metric: Option<Metric>,
    pub(crate) colour: bool,
    pub(crate) width: usize,
    pub(crate) sources: bool,
    pub(crate) is_full: bool,
    pub(crate) depth: Option<usize>,
}

impl View {
    pub(crate) fn new(rows: usize) -> View {
        View {
            rows,
            by: Grouping::default(),
            metric: None,
            colour: false,
            width: WIDTH,
            sources: true,
            is_full: false,
            depth: None,
        }
    }

    /// What is grouped by, with the metric that is shown.
    pub(crate) fn grouping(&self) -> Grouping {
        self.by.clone().with_metric(self.metric())
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric.unwrap_or(self.by.metric())
    }

    /// How many groups are shown at a level: within a group, half as many as beside it.
    pub(crate) fn rows_at(&self, level: usize) -> usize {
        (0..level).fold(self.rows, |rows, _| rows.div_ceil(2))
    }

    /// How a row is shown: one with others in it stands out.
    pub(crate) fn style<T>(&self, parts: &[T]) -> Style {
        if parts.is_empty() { PLAIN } else { BOLD }
    }

    /// What all traces of a snapshot sum up to: where a trace is in many groups, the sum over groups
    /// would be more.
    pub(crate) fn total(&self, snapshot: &Snapshot) -> Amount {
        let mut total = Amount::default();
        for trace in snapshot.traces() {
            total += trace.counters.amount(self.metric());
        }
        total
    }

    /// What stands at the right of the numbers of each row, and the line of source that belongs to
    /// it.
    ///
    /// Two files whose short paths are the same have their whole ones.
    pub(crate) fn places<'a>(
        &self,
        keys: impl Iterator<Item = &'a GroupKey>,
        snapshot: &Snapshot,
    ) -> Vec<(String, Option<String>)> {
        let keys: Vec<&GroupKey> = keys.collect();
        let name = |key: &GroupKey| match key.charged_in(snapshot) {
            Some(frame) => text::place(frame),
            None => key.to_string(),
        };
        let mut times: HashMap<String, usize> = HashMap::new();
        for key in &keys {
            *times.entry(name(key)).or_default() += 1;
        }
        let place = |key: &&GroupKey| {
            let mut name = name(key);
            if let GroupKey::Frame(frame) = key
                && let Some(file) = frame.file()
                && times[&name] > 1
            {
                name = text::place_in(file.full(), frame.line());
            }
            let frame = key.charged_in(snapshot);
            (name, frame.and_then(|frame| self.source(frame)))
        };
        keys.iter().map(place).collect()
    }

    fn source(&self, frame: &Frame) -> Option<String> {
        if !self.sources {
            return None;
        }
        let line = frame.file()?.read_line(frame.line())?;
        Some(text::source(&line)).filter(|line| !line.is_empty())
    }

    /// The stack below a row, if it is stacks that are shown.
    ///
    /// It stands for so many `others` that look alike.
    pub(crate) fn details(
        &self,
        key: &GroupKey,
        others: usize,
        level: usize,
        snapshot: &Snapshot,
    ) -> Vec<String> {
        let GroupKey::Traceback(traceback) = key else {
            return Vec::new();
        };
        let indent = " ".repeat(INDENT * level);
        let shape = stack::Shape {
            width: self.width.saturating_sub(indent.len()),
            is_full: self.is_full,
            depth: self.depth,
            others,
            paint: self.paint(),
        };
        let lines = stack::lines(traceback, snapshot.charged_frame(traceback), shape);
        lines
            .into_iter()
            .map(|line| indent.clone() + &line)
            .collect()
    }

    /// What a stack looks like; nothing if it is no stack, or each frame is shown.
    fn outline(&self, key: &GroupKey, snapshot: &Snapshot) -> Option<Vec<String>> {
        match key {
            GroupKey::Traceback(traceback) if !self.is_full => {
                let charged = snapshot.charged_frame(traceback);
                Some(stack::outline(traceback, charged, self.depth))
            }
            _ => None,
        }
    }

    /// The groups that are shown, where stacks that look alike are one, each with how many others
    /// it stands for.
    pub(crate) fn merged<G: Group>(&self, groups: &[G], snapshot: &Snapshot) -> Vec<(G, usize)> {
        let mut merged: Vec<(G, usize)> = Vec::new();
        let mut by_outline: HashMap<Vec<String>, usize> = HashMap::new();
        for group in groups {
            if group.is_plumbing() && !self.is_full {
                continue;
            }
            let outline = self.outline(group.key(), snapshot);
            if let Some(outline) = outline.filter(|_| !group.has_parts()) {
                match by_outline.entry(outline) {
                    Entry::Occupied(at) => {
                        let (known, others) = &mut merged[*at.get()];
                        known.add(group);
                        *others += 1;
                        continue;
                    }
                    Entry::Vacant(at) => at.insert(merged.len()),
                };
            }
            merged.push((group.clone(), 0));
        }
        merged
    }

    pub(crate) fn paint(&self) -> Paint {
        Paint(self.colour)
    }

    /// One of the things that the rows of a level are.
    pub(crate) fn noun(&self, level: usize) -> &'static str {
        noun(self.by.keys().nth(level).flatten())
    }

    /// The head of the places.
    pub(crate) fn nouns(&self) -> String {
        self.by.keys().map(noun).collect::<Vec<_>>().join(", ")
    }

    /// How the snapshot was grouped, in words.
    pub(crate) fn grouped(&self, snapshot: &Snapshot) -> String {
        let names: Vec<_> = self.by.keys().map(noun).collect();
        let mut words = format!("by {}", names.join(", then "));
        let is_charged = |key| match key {
            Some(GroupBy::Traceback | GroupBy::FoldedTraceback) => false,
            Some(GroupBy::Thread | GroupBy::Type | GroupBy::Domain | GroupBy::SizeClass) | None => {
                false
            }
            Some(_) => true,
        };
        if self.by.is_cumulative() {
            words += ", cumulative";
        } else if snapshot.charged_to() == ChargeTo::Workspace && self.by.keys().any(is_charged) {
            words += " of the workspace";
        }
        words += match self.by.order() {
            SortBy::Blocks => ", sorted by blocks",
            SortBy::Average => ", sorted by average",
            _ => "",
        };
        words
    }

    /// Whether whole stacks decide which group a trace is in.
    pub(crate) fn is_of_stacks(&self) -> bool {
        let is_stack = |key| matches!(key, Some(GroupBy::Traceback | GroupBy::FoldedTraceback));
        self.by.is_cumulative() || self.by.keys().any(is_stack)
    }

    /// A size of the metric, if the file tells it.
    pub(crate) fn known(&self, snapshot: &Snapshot, size: impl ToString) -> String {
        match snapshot.knows(self.metric()) {
            true => size.to_string(),
            false => "?".to_owned(),
        }
    }

    /// So many blocks of the metric, if the file tells how many.
    pub(crate) fn blocks(&self, snapshot: &Snapshot, blocks: u64) -> String {
        match snapshot.knows(self.metric()) && snapshot.knows_blocks() {
            true => text::plural(blocks, self.block()),
            false => format!("? {}s", self.block()),
        }
    }

    /// Whether a number about the heap's peak is shown of a snapshot.
    pub(crate) fn shows_peak(&self, snapshot: &Snapshot) -> bool {
        match self.metric() {
            Metric::Peak | Metric::AtPeak => true,
            Metric::Current => self.moment(snapshot).is_some(),
            _ => false,
        }
    }

    /// What is counted in a heading.
    pub(crate) fn block(&self) -> &'static str {
        match self.metric() {
            Metric::Current => "live block",
            _ => "block",
        }
    }

    /// How the metric's sum is called in a heading.
    pub(crate) fn what(&self) -> &'static str {
        match self.metric() {
            Metric::Peak => " summed over own peaks",
            Metric::AtPeak => " at the peak",
            Metric::Total => " ever allocated",
            Metric::Freed => " ever freed",
            _ => "",
        }
    }

    /// The other moment of the heap, for comparison: its peak, or how it is now.
    pub(crate) fn moment(&self, snapshot: &Snapshot) -> Option<(&'static str, Bytes)> {
        let memory = snapshot.traced_memory();
        if snapshot.is_difference() || !snapshot.knows(Metric::Current) {
            return None;
        }
        match self.metric() {
            Metric::AtPeak | Metric::Total | Metric::Freed => match snapshot.is_at_exit() {
                true => Some(("at the end", memory.current)),
                false => Some(("now", memory.current)),
            },
            _ if memory.peak < memory.current || !snapshot.knows(Metric::AtPeak) => None,
            _ => Some(("at the peak", memory.peak)),
        }
    }

    /// Heading, table and notes as one text. The heading begins with the processes that the numbers
    /// are of.
    pub(crate) fn page(
        &self,
        processes: Vec<String>,
        heading: &str,
        table: Option<Table>,
        notes: &[String],
    ) -> String {
        let paint = self.paint();
        let mut lines = processes;
        lines.push(paint.text(BOLD, heading));
        if let Some(table) = table {
            lines.push(String::new());
            lines.extend(table.lines(self.width, paint));
        }
        if !notes.is_empty() {
            lines.push(String::new());
        }
        for note in notes {
            lines.push(format!("{} {note}", paint.text(NOTE, "note:")));
        }
        lines.join("\n")
    }
}

/// The program, its process and the time of a snapshot, as far as they are known.
pub(crate) fn process(snapshot: &Snapshot) -> Option<String> {
    let program = snapshot.program().rsplit(['/', '\\']).next();
    let program = program.filter(|name| !name.is_empty()).map(text::name);
    let process = match snapshot.process_id() {
        0 => None,
        id => Some(format!("pid {id}")),
    };
    let at_exit = snapshot
        .is_at_exit()
        .then(|| "written when the program ended".to_owned());
    let known: Vec<String> = [program, process, snapshot.taken_at_utc(), at_exit]
        .into_iter()
        .flatten()
        .collect();
    (!known.is_empty()).then(|| known.join(", "))
}

fn noun(key: Option<GroupBy>) -> &'static str {
    match key {
        Some(GroupBy::Line) => "line",
        Some(GroupBy::File) => "file",
        Some(GroupBy::Function) => "function",
        Some(GroupBy::Module) => "module",
        Some(GroupBy::Crate) => "crate",
        Some(GroupBy::Traceback) => "traceback",
        Some(GroupBy::FoldedTraceback) => "folded traceback",
        Some(GroupBy::SizeClass) => "size class",
        Some(GroupBy::Thread) => "thread",
        Some(GroupBy::Domain) => "domain",
        Some(GroupBy::Type) => "type",
        _ => "group",
    }
}

/// The builder methods that `Top` and `Diff` have in common.
macro_rules! builder {
    ($type:ident) => {
        impl $type<'_> {
            /// Shows files, functions or tracebacks; lines are the default.
            ///
            /// Groups within groups are indented below them, half as many as there are groups; the
            /// metric and the order of a [`Grouping`](alloc_core::Grouping) count.
            pub fn by(mut self, by: impl Into<alloc_core::Grouping>) -> Self {
                self.view.by = by.into();
                self
            }

            /// Shows another metric than [`Metric::Current`](alloc_core::Metric::Current), or than
            /// that of the grouping.
            pub fn metric(mut self, metric: alloc_core::Metric) -> Self {
                self.view.metric = Some(metric);
                self
            }

            /// Writes ANSI colours, or not, which is the default.
            ///
            /// What stands for growth is red and what stands for less is green; nothing is told by
            /// colour alone.
            pub fn colour(mut self, colour: bool) -> Self {
                self.view.colour = colour;
                self
            }

            /// Fits the table into `width` columns; 100 is the default, and `usize::MAX` cuts nothing.
            ///
            /// Paths, names and lines of source are cut, numbers never. Notes are not cut.
            pub fn width(mut self, width: usize) -> Self {
                self.view.width = width;
                self
            }

            /// Shows every frame of a stack, and every function that is counted cumulatively.
            ///
            /// Otherwise frames of the standard library and of dependencies that follow each other
            /// are one line, stacks that look alike then are one row, and functions that are
            /// [plumbing](field@alloc_core::Statistic::is_plumbing) are left out.
            pub fn full(mut self) -> Self {
                self.view.is_full = true;
                self
            }

            /// Shows so many lines of each stack at most, counted from the allocation.
            pub fn depth(mut self, lines: usize) -> Self {
                self.view.depth = Some(lines);
                self
            }

            /// Leaves the lines of source out, and opens no file.
            pub fn without_sources(mut self) -> Self {
                self.view.sources = false;
                self
            }
        }
    };
}

pub(crate) use builder;
