//! [`View`]: the content and format of a table, shared by [`Top`](crate::Top) and
//! [`Diff`](crate::Diff).

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use alloc_core_snapshot::{
    Amount, Bytes, ChargeTo, Frame, GroupBy, GroupKey, Grouping, Metric, Snapshot, SortBy,
};
use anstyle::Style;

use super::stack;
use super::table::{BOLD, Cell, INDENT, NOTE, PLAIN, Paint, Row, Table};
use super::text;

/// The default width of a table.
const WIDTH: usize = 100;

/// A group that can become a row.
pub(crate) trait Group: Clone {
    fn key(&self) -> &GroupKey;
    fn has_parts(&self) -> bool;
    fn is_plumbing(&self) -> bool;
    /// Adds the numbers of a group that looks the same.
    fn add(&mut self, other: &Self);
}

/// The columns of a table whose rows have no parts: see [`View::list`].
pub(crate) struct List<'a, G> {
    pub(crate) heads: Vec<&'static str>,
    pub(crate) key: fn(&G) -> &GroupKey,
    /// The cells of a row, which begin with its rank.
    pub(crate) cells: &'a dyn Fn(String, &G) -> Vec<Cell>,
    /// The lines below a row.
    pub(crate) details: fn(&G) -> Vec<String>,
    /// The cells of the groups that are not shown.
    pub(crate) others: &'a dyn Fn(&[G]) -> Vec<Cell>,
}

/// The choices that a table's builder methods make.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) rows: usize,
    pub(crate) by: Grouping,
    /// Overrides the metric of the grouping.
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

    /// The grouping with the metric of the table.
    pub(crate) fn grouping(&self) -> Grouping {
        self.by.clone().with_metric(self.metric())
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric.unwrap_or(self.by.metric())
    }

    /// The number of groups to show at a nesting level: half as many as one level up.
    pub(crate) fn rows_at(&self, level: usize) -> usize {
        (0..level).fold(self.rows, |rows, _| rows.div_ceil(2))
    }

    /// The style of a row: bold if it has parts.
    pub(crate) fn style<T>(&self, parts: &[T]) -> Style {
        if parts.is_empty() { PLAIN } else { BOLD }
    }

    /// The sum over all traces of a snapshot.
    ///
    /// The sum over groups would be larger where a trace is in several groups.
    pub(crate) fn total(&self, snapshot: &Snapshot) -> Amount {
        let mut total = Amount::default();
        for trace in snapshot.traces() {
            total += trace.counters.amount(self.metric());
        }
        total
    }

    /// The place of each row, and its line of source.
    ///
    /// Files with equal short paths show their full paths.
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

    /// The stack below a row, if the rows are stacks.
    ///
    /// The row represents `others` more stacks that look the same.
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

    /// The outline of a stack. It is `None` for other keys, and if every frame is shown.
    fn outline(&self, key: &GroupKey, snapshot: &Snapshot) -> Option<Vec<String>> {
        match key {
            GroupKey::Traceback(traceback) if !self.is_full => {
                let charged = snapshot.charged_frame(traceback);
                Some(stack::outline(traceback, charged, self.depth))
            }
            _ => None,
        }
    }

    /// The groups to show, with stacks that look the same merged.
    ///
    /// Each comes with the number of other groups that were merged into it.
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

    /// The noun for one row of a nesting level.
    pub(crate) fn noun(&self, level: usize) -> &'static str {
        noun(self.by.keys().nth(level).flatten())
    }

    /// A table with a row for each of the first groups, and one for the others together.
    pub(crate) fn list<G>(&self, snapshot: &Snapshot, groups: &[G], list: List<'_, G>) -> Table {
        let (shown, others) = groups.split_at(self.rows.min(groups.len()));
        let places = self.places(shown.iter().map(list.key), snapshot);
        let mut rows = Vec::new();
        for ((group, (place, source)), rank) in shown.iter().zip(places).zip(1_u64..) {
            rows.push(Row {
                style: PLAIN,
                cells: (list.cells)(text::grouped(rank), group),
                level: 0,
                place,
                source,
                details: (list.details)(group),
            });
        }
        if !others.is_empty() {
            let name = text::plural(others.len() as u64, self.noun(0));
            rows.push(Row {
                style: BOLD,
                cells: (list.others)(others),
                level: 0,
                place: format!("other ({name})"),
                source: None,
                details: Vec::new(),
            });
        }
        Table {
            heads: list.heads,
            place: self.nouns(),
            rows,
        }
    }

    /// The head of the column of places.
    pub(crate) fn nouns(&self) -> String {
        self.by.keys().map(noun).collect::<Vec<_>>().join(", ")
    }

    /// The grouping in words.
    pub(crate) fn grouped(&self, snapshot: &Snapshot) -> String {
        let names: Vec<_> = self.by.keys().map(noun).collect();
        let mut words = format!("by {}", names.join(", then "));
        let is_charged = |key| match key {
            Some(GroupBy::Traceback | GroupBy::FoldedTraceback) => false,
            Some(GroupBy::Thread | GroupBy::Label | GroupBy::Type) => false,
            Some(GroupBy::Domain | GroupBy::SizeClass) | None => false,
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

    /// Whether the grouping depends on whole stacks.
    pub(crate) fn groups_by_stack(&self) -> bool {
        let is_stack = |key| matches!(key, Some(GroupBy::Traceback | GroupBy::FoldedTraceback));
        self.by.is_cumulative() || self.by.keys().any(is_stack)
    }

    /// A size of the metric, or `?` if the file does not contain it.
    pub(crate) fn known(&self, snapshot: &Snapshot, size: impl ToString) -> String {
        match snapshot.knows(self.metric()) {
            true => size.to_string(),
            false => "?".to_owned(),
        }
    }

    /// A number of blocks of the metric, or `?` if the file does not contain it.
    pub(crate) fn blocks(&self, snapshot: &Snapshot, blocks: u64) -> String {
        match snapshot.knows(self.metric()) && snapshot.knows_blocks() {
            true => text::plural(blocks, self.block()),
            false => format!("? {}s", self.block()),
        }
    }

    /// Whether the table shows a number about the heap's peak.
    pub(crate) fn shows_peak(&self, snapshot: &Snapshot) -> bool {
        match self.metric() {
            Metric::Peak | Metric::AtPeak => true,
            Metric::Current => self.moment(snapshot).is_some(),
            _ => false,
        }
    }

    /// The noun that a heading counts.
    pub(crate) fn block(&self) -> &'static str {
        match self.metric() {
            Metric::Current => "live block",
            _ => "block",
        }
    }

    /// The words for the metric's sum in a heading.
    pub(crate) fn what(&self) -> &'static str {
        match self.metric() {
            Metric::Peak => " summed over individual peaks",
            Metric::AtPeak => " at the peak",
            Metric::Total => " ever allocated",
            Metric::Freed => " ever freed",
            _ => "",
        }
    }

    /// The other moment of the heap, for comparison: its peak, or the time of the snapshot.
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

    /// Processes, heading, table and notes as one text.
    pub(crate) fn page(
        &self,
        processes: Vec<String>,
        heading: &str,
        table: Option<Table>,
        notes: &[String],
    ) -> String {
        let table = table.map(|it| it.lines(self.width, self.paint()));
        self.page_of(processes, heading, table, notes)
    }

    /// A page with a table that was already made.
    pub(crate) fn page_of(
        &self,
        processes: Vec<String>,
        heading: &str,
        table: Option<Vec<String>>,
        notes: &[String],
    ) -> String {
        let paint = self.paint();
        let mut lines = processes;
        lines.push(paint.text(BOLD, heading));
        if let Some(table) = table {
            lines.push(String::new());
            lines.extend(table);
            // The details of the last row end in an empty line, too.
            lines.pop_if(|it| it.is_empty());
        }
        lines.join("\n") + &self.below(notes)
    }

    /// Notes as they follow a table.
    pub(crate) fn below(&self, notes: &[String]) -> String {
        let note = |(at, note): (usize, &String)| {
            let gap = if at == 0 { "\n\n" } else { "\n" };
            format!("{gap}{} {note}", self.paint().text(NOTE, "note:"))
        };
        notes.iter().enumerate().map(note).collect()
    }
}

/// The program, its process and the time of a snapshot, as far as known.
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
        Some(GroupBy::Label) => "label",
        Some(GroupBy::Domain) => "domain",
        Some(GroupBy::Type) => "type",
        _ => "group",
    }
}
