//! [`Table`]: right-aligned columns of numbers, followed by the place they belong to.

use alloc_core_snapshot::Bytes;
use anstyle::{AnsiColor, Style};

use super::text;

pub(crate) const PLAIN: Style = Style::new();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GROWN: Style = AnsiColor::Red.on_default();
pub(crate) const SHRUNK: Style = AnsiColor::Green.on_default();
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default().bold();

/// The space between two columns.
const GAP: &str = "  ";

/// The indentation of a group within a group.
pub(crate) const INDENT: usize = 2;

/// The minimum width of a place, however narrow the terminal: a shorter one is unreadable.
const MIN_PLACE_WIDTH: usize = 24;

/// The minimum width of a line of source next to its place. A narrower one moves below the place.
const MIN_SOURCE_WIDTH: usize = 32;

/// Whether text is written in colour.
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
/// Every number is right-aligned in a column of minimal width, and all sizes of a column share one
/// unit. The rest of the width is for the places. A place that does not fit is wrapped, never cut,
/// so that no two rows look alike. Lines of source follow the places on the same line if all places
/// and enough of the sources fit there; otherwise they go below.
///
/// Cells are plain text. Colours are added at the end, so that a width is a visible width.
#[derive(Debug)]
pub(crate) struct Table {
    /// The heads of the columns of numbers.
    pub(crate) heads: Vec<&'static str>,
    /// The head of the column of places.
    pub(crate) place: String,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) style: Style,
    pub(crate) cells: Vec<Cell>,
    /// The nesting depth of the row's group.
    pub(crate) level: usize,
    /// The line, function or other key of the row.
    pub(crate) place: String,
    /// The line of source at the place.
    pub(crate) source: Option<String>,
    /// Lines that follow the row, already cut and coloured.
    pub(crate) details: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Cell {
    style: Style,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Text(String),
    Size(u64),
    Change(i64),
    Average(u64),
}

impl Cell {
    pub(crate) fn new(text: impl ToString) -> Cell {
        Cell::styled(PLAIN, text)
    }

    pub(crate) fn styled(style: Style, text: impl ToString) -> Cell {
        Cell {
            style,
            content: Content::Text(text.to_string()),
        }
    }

    /// A number that the file does not contain.
    pub(crate) fn unknown() -> Cell {
        Cell::styled(DIM, "?")
    }

    pub(crate) fn size(size: Bytes) -> Cell {
        Cell {
            style: PLAIN,
            content: Content::Size(size.get()),
        }
    }

    pub(crate) fn size_change(change: i64) -> Cell {
        Cell {
            style: style_of(change),
            content: Content::Change(change),
        }
    }

    pub(crate) fn change(change: i64) -> Cell {
        Cell::styled(style_of(change), text::grouped_change(change))
    }

    /// The mean size of a block; an empty cell without blocks.
    pub(crate) fn average(size: Bytes, blocks: u64) -> Cell {
        if blocks == 0 {
            return Cell::new("");
        }
        let mean = size.get() as f64 / blocks as f64;
        Cell {
            style: PLAIN,
            content: Content::Average(mean.round_ties_even() as u64),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.content, Content::Text(text) if text.is_empty())
    }

    /// The magnitude of the cell in bytes, if it is a size.
    fn bytes(&self) -> Option<u64> {
        match self.content {
            Content::Text(_) => None,
            Content::Size(bytes) | Content::Average(bytes) => Some(bytes),
            Content::Change(change) => Some(change.unsigned_abs()),
        }
    }

    fn text(&self, unit: Unit) -> String {
        match &self.content {
            Content::Text(text) => text.clone(),
            Content::Size(bytes) | Content::Average(bytes) => unit.text(*bytes),
            Content::Change(change) => {
                let sign = if *change < 0 { '-' } else { '+' };
                format!("{sign}{}", unit.text(change.unsigned_abs()))
            }
        }
    }
}

fn style_of(change: i64) -> Style {
    match change {
        1.. => GROWN,
        0 => DIM,
        ..0 => SHRUNK,
    }
}

/// The common unit of a column's sizes, so that the longest number is the largest.
#[derive(Clone, Copy, Debug)]
struct Unit {
    name: &'static str,
    bytes: u64,
}

impl Unit {
    const ALL: [Unit; 5] = [
        Unit {
            name: "B",
            bytes: 1,
        },
        Unit {
            name: "KiB",
            bytes: 1 << 10,
        },
        Unit {
            name: "MiB",
            bytes: 1 << 20,
        },
        Unit {
            name: "GiB",
            bytes: 1 << 30,
        },
        Unit {
            name: "TiB",
            bytes: 1 << 40,
        },
    ];

    /// The unit of a column: the one in which [`Bytes`] print its largest cell.
    ///
    /// Averages stay in bytes: one large block must not turn all others into `<0.1 MiB`.
    fn of<'a>(cells: impl Iterator<Item = &'a Cell> + Clone) -> Unit {
        let most = cells.clone().filter_map(Cell::bytes).max().unwrap_or(0);
        let is_average = |cell: &Cell| matches!(cell.content, Content::Average(_));
        let most = match cells.clone().any(is_average) {
            true => 0,
            false => most,
        };
        let [units @ .., last] = Unit::ALL;
        let fits = |unit: &Unit| most < unit.bytes * 10 * 1024;
        units.into_iter().find(fits).unwrap_or(last)
    }

    fn text(self, bytes: u64) -> String {
        let Unit { name, bytes: unit } = self;
        let size = bytes as f64 / unit as f64;
        match unit {
            1 => format!("{} {name}", text::grouped(bytes)),
            _ if bytes > 0 && size < 0.05 => format!("<0.1 {name}"),
            _ => {
                let tenths = (size * 10.0).round() as u64;
                format!("{}.{} {name}", text::grouped(tenths / 10), tenths % 10)
            }
        }
    }
}

impl Table {
    /// The lines of the table, at most `width` columns wide.
    pub(crate) fn lines(self, width: usize, paint: Paint) -> Vec<String> {
        let texts = self.texts();
        let widths = self.widths(&texts);
        let left: usize = widths.iter().map(|width| width + GAP.len()).sum();
        let room = width.saturating_sub(left).max(MIN_PLACE_WIDTH);
        let source_column = self.place_width_next_to_sources(room);

        let mut lines = Vec::new();
        let mut heads = String::new();
        for (head, width) in self.heads.iter().zip(&widths) {
            heads.push_str(&format!("{head:>width$}{GAP}"));
        }
        heads.push_str(&self.place);
        lines.push(paint.text(DIM, &heads));

        for (row, texts) in self.rows.into_iter().zip(texts) {
            let mut line = String::new();
            for ((cell, text), width) in row.cells.iter().zip(&texts).zip(&widths) {
                let style = cell.style | row.style.get_effects();
                line.push_str(&spaces(width - text::width(text)));
                line.push_str(&paint.text(style, text));
                line.push_str(GAP);
            }
            let level = row.level * INDENT;
            let mut parts = text::wrap(&row.place, room.saturating_sub(level), GAP.len());
            let place = parts.next().unwrap_or_default();
            line.push_str(&spaces(level));
            line.push_str(&paint.text(row.style, place.trim_end()));
            let rest = parts.map(|part| {
                spaces(left + level + GAP.len()) + &paint.text(row.style, part.trim_end())
            });
            let rest: Vec<String> = rest.collect();
            let mut below = None;
            if let Some(source) = row.source {
                let width = level + text::width(place.trim_end());
                let indent = source_column.map_or(level, |column| column - width) + GAP.len();
                let taken = source_column.unwrap_or(level) + GAP.len();
                let source = text::cut_end(&source, room.saturating_sub(taken));
                let source = paint.text(DIM, &source);
                match source_column {
                    Some(_) => line.push_str(&(spaces(indent) + &source)),
                    None => below = Some(spaces(left + indent) + &source),
                }
            }
            lines.push(line);
            lines.extend(rest);
            lines.extend(below);
            if !row.details.is_empty() {
                lines.extend(row.details);
                lines.push(String::new());
            }
        }
        lines
    }

    /// The columns that are left for a place.
    pub(crate) fn room(&self, width: usize) -> usize {
        let widths = self.widths(&self.texts());
        let left: usize = widths.iter().map(|width| width + GAP.len()).sum();
        width.saturating_sub(left).max(MIN_PLACE_WIDTH)
    }

    /// The cells of each row as text.
    fn texts(&self) -> Vec<Vec<String>> {
        let column = |column: usize| self.rows.iter().map(move |row| &row.cells[column]);
        let units = (0..self.heads.len()).map(|at| Unit::of(column(at)));
        let units: Vec<Unit> = units.collect();
        let of_row = |row: &Row| {
            let cells = row.cells.iter().zip(&units);
            cells.map(|(cell, unit)| cell.text(*unit)).collect()
        };
        self.rows.iter().map(of_row).collect()
    }

    fn widths(&self, texts: &[Vec<String>]) -> Vec<usize> {
        let of_column = |(column, head): (usize, &&str)| {
            let cells = texts.iter().map(|row| text::width(&row[column]));
            cells.max().unwrap_or(0).max(text::width(head))
        };
        self.heads.iter().enumerate().map(of_column).collect()
    }

    /// The width of the places if the sources fit next to them.
    fn place_width_next_to_sources(&self, room: usize) -> Option<usize> {
        let with_source = self.rows.iter().filter(|row| row.source.is_some());
        let places = with_source
            .clone()
            .map(|row| row.level * INDENT + text::width(&row.place))
            .max()?;
        let sources = with_source
            .flat_map(|row| row.source.as_deref().map(text::width))
            .max()?;
        (places + GAP.len() + sources.min(MIN_SOURCE_WIDTH) <= room).then_some(places)
    }
}

fn spaces(n: usize) -> String {
    " ".repeat(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cells: &[Cell], expected: &[&str]) {
        let unit = Unit::of(cells.iter());
        let texts: Vec<String> = cells.iter().map(|cell| cell.text(unit)).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn the_sizes_of_a_column_share_one_unit() {
        let size = |bytes| Cell::size(Bytes::new(bytes));
        check(
            &[size(10_239), size(5), size(0)],
            &["10,239 B", "5 B", "0 B"],
        );
        check(
            &[size(10_240), size(1_000), size(51), size(0)],
            &["10.0 KiB", "1.0 KiB", "<0.1 KiB", "0.0 KiB"],
        );
        check(
            &[size(10_345_472), size(13_421_773)],
            &["9.9 MiB", "12.8 MiB"],
        );
        check(&[size(u64::MAX)], &["16,777,216.0 TiB"]);
        check(
            &[
                Cell::size_change(-20_000),
                Cell::size_change(0),
                Cell::size_change(-5),
                Cell::size_change(7),
            ],
            &["-19.5 KiB", "+0.0 KiB", "-<0.1 KiB", "+<0.1 KiB"],
        );
        check(
            &[Cell::new(""), size(3), Cell::unknown()],
            &["", "3 B", "?"],
        );
        let average = |bytes| Cell::average(Bytes::new(bytes), 2);
        check(&[average(209_715), average(48)], &["104,858 B", "24 B"]);
        check(
            &[average(209_715_200), average(48)],
            &["104,857,600 B", "24 B"],
        );
    }
}
