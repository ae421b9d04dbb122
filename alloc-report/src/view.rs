//! What a table shows, and how: shared by [`Top`](crate::Top) and [`Diff`](crate::Diff).

use alloc_core::{Bytes, ChargeTo, Frame, GroupBy, GroupKey, Metric, Snapshot};

use crate::stack;
use crate::table::{BOLD, NOTE, Paint, Place, Table};
use crate::text;

/// How wide a table is unless told otherwise.
const WIDTH: usize = 100;

#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) rows: usize,
    pub(crate) by: GroupBy,
    pub(crate) metric: Metric,
    pub(crate) colour: bool,
    pub(crate) width: usize,
    pub(crate) sources: bool,
}

impl View {
    pub(crate) fn new(rows: usize) -> View {
        View {
            rows,
            by: GroupBy::Line,
            metric: Metric::Current,
            colour: false,
            width: WIDTH,
            sources: true,
        }
    }

    /// What stands at the right of the numbers, and the line of source that belongs to it.
    pub(crate) fn place(&self, key: &GroupKey, charge: ChargeTo) -> (Place, Option<String>) {
        let frame = key.charged(charge);
        let name = text::place(frame);
        let place = match frame.file() {
            Some(_) => Place::Path(name),
            None => Place::Name(name),
        };
        (place, self.source(frame))
    }

    fn source(&self, frame: &Frame) -> Option<String> {
        if !self.sources {
            return None;
        }
        let line = frame.file()?.read_line(frame.line())?;
        Some(text::source(&line)).filter(|line| !line.is_empty())
    }

    /// The stack below a row, if it is stacks that are shown.
    pub(crate) fn details(&self, key: &GroupKey, snapshot: &Snapshot) -> Vec<String> {
        match key {
            GroupKey::Traceback(traceback) => {
                let charged = traceback.charged(snapshot.charged_to());
                stack::lines(traceback, charged, self.width, self.paint())
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn paint(&self) -> Paint {
        Paint(self.colour)
    }

    /// One of the things that the rows are.
    pub(crate) fn noun(&self) -> &'static str {
        match self.by {
            GroupBy::File => "file",
            GroupBy::Function => "function",
            GroupBy::Traceback => "traceback",
            GroupBy::FoldedTraceback => "folded traceback",
            _ => "line",
        }
    }

    /// How the snapshot was grouped, in words.
    pub(crate) fn grouping(&self, snapshot: &Snapshot) -> String {
        let workspace = snapshot.charged_to() == ChargeTo::Workspace;
        let whose = match self.by {
            GroupBy::Traceback | GroupBy::FoldedTraceback => "",
            _ if workspace => " of the workspace",
            _ => "",
        };
        format!("by {}{whose}", self.noun())
    }

    /// How the metric's sum is called in a heading.
    pub(crate) fn what(&self) -> &'static str {
        match self.metric {
            Metric::Peak => " summed over own peaks",
            Metric::AtPeak => " at the peak",
            Metric::Total => " ever allocated",
            _ => "",
        }
    }

    /// The other moment of the heap, for comparison: its peak, or how it is now.
    pub(crate) fn moment(&self, snapshot: &Snapshot) -> Option<(&'static str, Bytes)> {
        let memory = snapshot.traced_memory();
        match self.metric {
            Metric::AtPeak | Metric::Total => Some(("now", memory.current)),
            _ if memory.peak < memory.current => None,
            _ => Some(("at the peak", memory.peak)),
        }
    }

    /// Heading, table and notes as one text.
    pub(crate) fn page(&self, heading: &str, table: Option<Table>, notes: &[String]) -> String {
        let paint = self.paint();
        let mut lines = vec![paint.text(BOLD, heading)];
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

/// The builder methods that `Top` and `Diff` have in common.
macro_rules! builder {
    ($type:ident) => {
        impl $type<'_> {
            /// Shows files, functions or tracebacks; lines are the default.
            pub fn by(mut self, by: alloc_core::GroupBy) -> Self {
                self.view.by = by;
                self
            }

            /// Shows another metric than [`Metric::Current`](alloc_core::Metric::Current).
            pub fn metric(mut self, metric: alloc_core::Metric) -> Self {
                self.view.metric = metric;
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

            /// Leaves the lines of source out, and opens no file.
            pub fn without_sources(mut self) -> Self {
                self.view.sources = false;
                self
            }
        }
    };
}

pub(crate) use builder;
