//! Columns of numbers, right-aligned, and at their right the place that the numbers belong to.

use anstyle::{AnsiColor, Style};

use crate::text;
use crate::view::INDENT;

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GROWN: Style = AnsiColor::Red.on_default();
pub(crate) const SHRUNK: Style = AnsiColor::Green.on_default();
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default().bold();

/// What stands between two columns.
const GAP: &str = "  ";

/// However narrow the terminal: a place shorter than this names nothing.
const LEAST_ROOM: usize = 24;

/// Beside a place, a line of source is worth showing from this width on; otherwise it stands below.
const LEAST_SOURCE: usize = 32;

/// Text, in colour where that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn text(self, style: Style, text: &str) -> String {
        if self.0 && style != PLAIN && !text.is_empty() {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// A table for people.
///
/// Every number is right-aligned in a column as wide as it must be. What is left of the width is for
/// the places; those that do not fit are cut. Lines of source stand at the right of the places if all
/// places and enough of the sources fit there, and otherwise below them.
///
/// Cells are plain text: colours are added when the table is written, so that widths are those of
/// what is seen.
#[derive(Debug)]
pub(crate) struct Table {
    /// The heads of the columns of numbers.
    pub(crate) heads: Vec<&'static str>,
    /// The head of the places.
    pub(crate) place: String,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) style: Style,
    pub(crate) cells: Vec<Cell>,
    /// How many groups the row is in.
    pub(crate) level: usize,
    pub(crate) place: Place,
    /// The line of source at the place.
    pub(crate) source: Option<String>,
    /// Lines that follow the row, already as wide and as colourful as they shall be.
    pub(crate) details: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) style: Style,
    pub(crate) text: String,
}

impl Cell {
    pub(crate) fn new(text: impl ToString) -> Cell {
        Cell::styled(PLAIN, text)
    }

    pub(crate) fn styled(style: Style, text: impl ToString) -> Cell {
        Cell {
            style,
            text: text.to_string(),
        }
    }

    pub(crate) fn change(change: i64, text: impl ToString) -> Cell {
        let style = match change {
            1.. => GROWN,
            0 => DIM,
            ..0 => SHRUNK,
        };
        Cell::styled(style, text)
    }
}

/// What a row is about, and where it may be cut.
#[derive(Debug)]
pub(crate) enum Place {
    Path(String),
    Name(String),
}

impl Place {
    fn full(&self) -> &str {
        match self {
            Place::Path(text) | Place::Name(text) => text,
        }
    }

    fn fit(&self, room: usize) -> String {
        match self {
            Place::Path(path) => text::cut_path(path, room).into_owned(),
            Place::Name(name) => text::cut_middle(name, room).into_owned(),
        }
    }
}

impl Table {
    /// The lines of the table, at most `width` columns wide.
    pub(crate) fn lines(mut self, width: usize, paint: Paint) -> Vec<String> {
        self.align_units();
        let widths = self.widths();
        let left: usize = widths.iter().map(|width| width + GAP.len()).sum();
        let room = width.saturating_sub(left).max(LEAST_ROOM);
        let beside = self.place_width_beside_sources(room);

        let mut lines = Vec::new();
        let mut heads = String::new();
        for (head, width) in self.heads.iter().zip(&widths) {
            heads.push_str(&format!("{head:>width$}{GAP}"));
        }
        heads.push_str(&self.place);
        lines.push(paint.text(DIM, &heads));

        for row in self.rows {
            let mut line = String::new();
            for (cell, width) in row.cells.iter().zip(&widths) {
                let style = cell.style | row.style.get_effects();
                line.push_str(&spaces(width - text::width(&cell.text)));
                line.push_str(&paint.text(style, &cell.text));
                line.push_str(GAP);
            }
            let level = row.level * INDENT;
            let place = row.place.fit(room.saturating_sub(level));
            line.push_str(&spaces(level));
            line.push_str(&paint.text(row.style, &place));
            let mut below = None;
            if let Some(source) = row.source {
                let width = level + text::width(&place);
                let indent = beside.map_or(level, |column| column - width) + GAP.len();
                let taken = beside.unwrap_or(level) + GAP.len();
                let source = text::cut_end(&source, room.saturating_sub(taken));
                let source = paint.text(DIM, &source);
                match beside {
                    Some(_) => line.push_str(&(spaces(indent) + &source)),
                    None => below = Some(spaces(left + indent) + &source),
                }
            }
            lines.push(line);
            lines.extend(below);
            if !row.details.is_empty() {
                lines.extend(row.details);
                lines.push(String::new());
            }
        }
        lines
    }

    /// Pads the units of sizes, so that the numbers before them stand in one column.
    fn align_units(&mut self) {
        for column in 0..self.heads.len() {
            let cells = || self.rows.iter().map(|row| &row.cells[column].text);
            let unit = |text: &str| text.rsplit_once(' ').map_or(0, |(_, unit)| unit.len());
            let widest = cells().map(|text| unit(text)).max().unwrap_or(0);
            for row in &mut self.rows {
                let text = &mut row.cells[column].text;
                if !text.is_empty() {
                    let missing = widest - unit(text);
                    text.extend(std::iter::repeat_n(' ', missing));
                }
            }
        }
    }

    fn widths(&self) -> Vec<usize> {
        let of_column = |(column, head): (usize, &&str)| {
            let cells = self
                .rows
                .iter()
                .map(|row| text::width(&row.cells[column].text));
            cells.max().unwrap_or(0).max(text::width(head))
        };
        self.heads.iter().enumerate().map(of_column).collect()
    }

    /// How wide the places are, if the sources fit at their right.
    fn place_width_beside_sources(&self, room: usize) -> Option<usize> {
        let with_source = self.rows.iter().filter(|row| row.source.is_some());
        let places = with_source
            .clone()
            .map(|row| row.level * INDENT + text::width(row.place.full()))
            .max()?;
        let sources = with_source
            .flat_map(|row| row.source.as_deref().map(text::width))
            .max()?;
        (places + GAP.len() + sources.min(LEAST_SOURCE) <= room).then_some(places)
    }
}

fn spaces(n: usize) -> String {
    " ".repeat(n)
}
