//! Annotated source as text.

use std::rc::Rc;

use alloc_core_snapshot::{Amount, Bytes, Counters, Snapshot};
use anstyle::{AnsiColor, Style};

use super::count::{Annotated, AnnotatedLine};
use super::source::{Source, Sources};
use crate::show::table::{BOLD, DIM, NOTE, PLAIN, Paint};
use crate::show::{notes, text};

/// The space between two columns.
const GAP: &str = "  ";
/// The minimum width for all columns.
const WIDE: usize = 112;
/// The minimum width of a line of source, however narrow the terminal.
const MIN_SOURCE_WIDTH: usize = 20;
/// The longest run of lines without numbers that is shown whole.
const MAX_RUN: u32 = 7;

const HOT: Style = AnsiColor::Red.on_default().bold();
const WARM: Style = AnsiColor::Yellow.on_default();

type Number = fn(&Counters) -> String;

/// A column of numbers.
struct Column {
    head: &'static str,
    number: Number,
    /// Whether the numbers include callees.
    inclusive: bool,
    /// Whether a narrow page omits the column.
    optional: bool,
}

const fn column(head: &'static str, number: Number, inclusive: bool, optional: bool) -> Column {
    Column {
        head,
        number,
        inclusive,
        optional,
    }
}

const COLUMNS: [Column; 8] = [
    column("allocated", |it| bytes(it.total), false, false),
    column("freed", |it| bytes(it.freed()), false, true),
    column("held", |it| bytes(it.current), false, false),
    column("peak", |it| bytes(it.peak), false, true),
    column("count", |it| count(it.total), false, false),
    column("allocated", |it| bytes(it.total), true, false),
    column("held", |it| bytes(it.current), true, true),
    column("peak", |it| bytes(it.peak), true, false),
];

fn bytes(amount: Amount) -> String {
    match amount.bytes {
        Bytes::ZERO => "·".to_owned(),
        bytes => bytes.to_string(),
    }
}

fn count(amount: Amount) -> String {
    match amount.blocks {
        0 => "·".to_owned(),
        blocks => text::grouped(blocks),
    }
}

/// The page of one snapshot.
pub(super) struct Page<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) colour: bool,
    pub(super) width: usize,
}

impl Page<'_> {
    /// A table for each function, and the notes.
    pub(super) fn text(&self, functions: &[Annotated], sources: &mut Sources) -> String {
        let paint = Paint(self.colour);
        let mut lines = Vec::new();
        let mut notes = Vec::new();
        for function in functions {
            let source = sources.file(&function.file);
            lines.extend(table(function, source.as_deref(), self.width, paint));
            lines.push(String::new());
            notes.extend(self.note(function, source));
        }
        if functions.is_empty() {
            lines.push(paint.text(BOLD, "No functions to show"));
            lines.push(String::new());
        }
        notes.extend(notes::of_snapshot(self.snapshot));
        notes.dedup();
        for note in notes {
            lines.push(format!("{} {note}", paint.text(NOTE, "note:")));
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines.join("\n")
    }

    fn note(&self, function: &Annotated, source: Option<Rc<Source>>) -> Option<String> {
        let file = &function.file;
        let Some(source) = source else {
            return Some(format!(
                "the source of {file} is missing; --source-root DIR looks for it below DIR"
            ));
        };
        let taken = self.snapshot.taken_at();
        (source.changed_at? > taken && taken != std::time::SystemTime::UNIX_EPOCH)
            .then(|| format!("{file} changed after the snapshot was taken: lines may have moved"))
    }
}

fn table(
    function: &Annotated,
    source: Option<&Source>,
    page_width: usize,
    paint: Paint,
) -> Vec<String> {
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|it| page_width >= WIDE || !it.optional)
        .collect();
    let rows = rows(function, source);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| match row {
            Row::Line(_, Some(line)) => columns.iter().map(|it| it.number_of(line)).collect(),
            _ => vec![String::new(); columns.len()],
        })
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = cells.iter().map(|row| text::width(&row[at]));
            cells.max().unwrap_or(0).max(column.head.len())
        })
        .collect();
    let last = rows.iter().filter_map(Row::number).max().unwrap_or(0);
    let digits = last.to_string().len().max(4);
    let taken = digits + widths.iter().map(|it| it + GAP.len()).sum::<usize>() + GAP.len() + 2;
    let room = page_width.saturating_sub(taken).max(MIN_SOURCE_WIDTH);

    let mut lines = vec![heading(function, paint)];
    lines.extend(heads(&columns, &widths, digits, paint));
    let most = function.inclusive.peak.bytes.get();
    for (row, cells) in rows.iter().zip(&cells) {
        let number = match row {
            Row::Line(number, _) => number.to_string(),
            Row::Skipped(_) => "⋮".to_owned(),
        };
        let heat = Heat::of(row, most);
        let mut line = paint.text(DIM, &format!("{number:>digits$}"));
        for (cell, (column, width)) in cells.iter().zip(columns.iter().zip(&widths)) {
            let space = " ".repeat(width - text::width(cell));
            let style = if cell == "·" || column.inclusive && cells[0] == *cell {
                DIM
            } else {
                heat.style()
            };
            line += &format!("{GAP}{space}{}", paint.text(style, cell));
        }
        let text = match row {
            Row::Line(number, _) => source
                .and_then(|it| it.lines.get(*number as usize - 1))
                .map(|it| shown(it, room))
                .unwrap_or_default(),
            Row::Skipped(n) => format!("… {}", text::plural(u64::from(*n), "line")),
        };
        let style = match row {
            Row::Line(_, Some(_)) => PLAIN,
            _ => DIM,
        };
        let mark = paint.text(heat.style(), heat.mark());
        line += &format!("{GAP}{mark} {}", paint.text(style, &text));
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn heading(function: &Annotated, paint: Paint) -> String {
    let Counters {
        current,
        peak,
        total,
        ..
    } = function.inclusive;
    let line = function.start.or(function.lines.first().map(|it| it.line));
    let name = paint.text(BOLD, &text::name(&function.name));
    let place = format!("{}:{}", function.file, line.unwrap_or(0));
    format!(
        "{name}  {}\n{} allocated in {}, {} held, peak {}",
        paint.text(DIM, &place),
        total.bytes,
        text::plural(total.blocks, "block"),
        current.bytes,
        peak.bytes,
    )
}

/// The two header lines: the groups of columns, and the columns.
fn heads(columns: &[&Column], widths: &[usize], digits: usize, paint: Paint) -> [String; 2] {
    let wide = |inclusive: bool| {
        let mine = columns.iter().zip(widths);
        let mine = mine.filter(|(column, _)| column.inclusive == inclusive);
        mine.map(|(_, width)| width + GAP.len()).sum::<usize>() - GAP.len()
    };
    let group = |name: &str, width: usize| {
        let rule = width.saturating_sub(name.len() + 1);
        format!("{GAP}{name} {}", "─".repeat(rule))
    };
    let space = " ".repeat(digits);
    let groups =
        space + &group("the line itself", wide(false)) + &group("with callees", wide(true));
    let mut heads = format!("{:>digits$}", "line");
    for (column, width) in columns.iter().zip(widths) {
        heads += &format!("{GAP}{:>width$}", column.head);
    }
    [
        paint.text(DIM, &groups),
        paint.text(DIM, &(heads + GAP + "  source")),
    ]
}

/// A printable line of source: tabs become spaces, control characters are escaped, the end is cut.
fn shown(line: &str, room: usize) -> String {
    let line = line.trim_end().replace('\t', "    ");
    text::cut_end(&text::name(&line), room).into_owned()
}

impl Column {
    fn number_of(&self, line: &AnnotatedLine) -> String {
        (self.number)(if self.inclusive {
            &line.inclusive
        } else {
            &line.own
        })
    }
}

enum Row {
    Line(u32, Option<AnnotatedLine>),
    /// The number of lines that are not shown.
    Skipped(u32),
}

impl Row {
    fn number(&self) -> Option<u32> {
        match self {
            Row::Line(number, _) => Some(*number),
            Row::Skipped(_) => None,
        }
    }
}

/// All lines of the function if the source was found, else the lines with numbers.
fn rows(function: &Annotated, source: Option<&Source>) -> Vec<Row> {
    let numbered = |line: &AnnotatedLine| Row::Line(line.line, Some(*line));
    let (Some(source), Some(last)) = (source, function.lines.last()) else {
        return function.lines.iter().map(numbered).collect();
    };
    let first = function.start.unwrap_or(function.lines[0].line);
    let end = function.end.unwrap_or(last.line).max(last.line);
    let end = end.min(source.lines.len() as u32).max(last.line);
    let mut rows = Vec::new();
    let mut next = first;
    for line in &function.lines {
        plain(&mut rows, next, line.line);
        rows.push(numbered(line));
        next = line.line + 1;
    }
    plain(&mut rows, next, end + 1);
    rows
}

/// Adds the lines `start..end`, which have no numbers. A long run is cut in its middle.
fn plain(rows: &mut Vec<Row>, start: u32, end: u32) {
    let run = end.saturating_sub(start);
    let kept = if run > MAX_RUN { MAX_RUN / 2 } else { run };
    rows.extend((start..start + kept).map(|number| Row::Line(number, None)));
    if run > MAX_RUN {
        rows.push(Row::Skipped(run - 2 * kept));
        rows.extend((end - kept..end).map(|number| Row::Line(number, None)));
    }
}

/// The part of the function's peak that a line has.
enum Heat {
    None,
    Little,
    Some,
    Much,
    Most,
}

impl Heat {
    fn of(row: &Row, most: u64) -> Heat {
        let Row::Line(_, Some(line)) = row else {
            return Heat::None;
        };
        let peak = line.inclusive.peak.bytes.get() as f64;
        match peak / most.max(1) as f64 {
            0.6.. => Heat::Most,
            0.25.. => Heat::Much,
            0.05.. => Heat::Some,
            _ => Heat::Little,
        }
    }

    fn mark(&self) -> &'static str {
        match self {
            Heat::None => " ",
            Heat::Little => "░",
            Heat::Some => "▒",
            Heat::Much => "▓",
            Heat::Most => "█",
        }
    }

    fn style(&self) -> Style {
        match self {
            Heat::None | Heat::Little => PLAIN,
            Heat::Some | Heat::Much => WARM,
            Heat::Most => HOT,
        }
    }
}
