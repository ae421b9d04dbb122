//! Annotated source as text.

use std::rc::Rc;

use alloc_core::{Amount, Bytes, Counters};
use anstyle::{AnsiColor, Style};

use super::functions::{Source, Sources};
use super::{Annotate, Annotated, AnnotatedLine};
use crate::notes;
use crate::table::{BOLD, DIM, NOTE, PLAIN, Paint};
use crate::text;

/// What stands between two columns.
const GAP: &str = "  ";
/// From this width on all columns are shown.
const WIDE: usize = 112;
/// However narrow the terminal: less of a line of source tells nothing.
const LEAST_SOURCE: usize = 20;
/// A run of lines without numbers that is longer than this is cut in its middle.
const LONGEST_RUN: u32 = 7;

const HOT: Style = AnsiColor::Red.on_default().bold();
const WARM: Style = AnsiColor::Yellow.on_default();

type Number = fn(&Counters) -> String;

/// A column of numbers: its head, what it shows, and whether it is left out where there is little room.
struct Column {
    head: &'static str,
    number: Number,
    of_callees: bool,
    may_go: bool,
}

const fn column(head: &'static str, number: Number, of_callees: bool, may_go: bool) -> Column {
    Column {
        head,
        number,
        of_callees,
        may_go,
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

pub(super) fn page(view: &Annotate<'_>, functions: &[Annotated], sources: &mut Sources) -> String {
    let paint = Paint(view.colour);
    let mut lines = Vec::new();
    let mut notes = Vec::new();
    for function in functions {
        let source = sources.file(&function.file);
        lines.extend(table(view, function, source.as_deref(), paint));
        lines.push(String::new());
        notes.extend(note(view, function, source));
    }
    if functions.is_empty() {
        lines.push(paint.text(BOLD, "No function to show"));
        lines.push(String::new());
    }
    notes.extend(notes::of_snapshot(view.snapshot));
    notes.dedup();
    for note in notes {
        lines.push(format!("{} {note}", paint.text(NOTE, "note:")));
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines.join("\n")
}

fn note(view: &Annotate<'_>, function: &Annotated, source: Option<Rc<Source>>) -> Option<String> {
    let file = &function.file;
    let Some(source) = source else {
        return Some(format!(
            "the source of {file} is not at hand; --source-root DIR says below which folder to look"
        ));
    };
    let taken = view.snapshot.taken_at();
    (source.changed_at? > taken && taken != std::time::SystemTime::UNIX_EPOCH)
        .then(|| format!("{file} changed after the snapshot was taken: lines may have moved"))
}

fn table(
    view: &Annotate<'_>,
    function: &Annotated,
    source: Option<&Source>,
    paint: Paint,
) -> Vec<String> {
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|it| view.width >= WIDE || !it.may_go)
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
    let room = view.width.saturating_sub(taken).max(LEAST_SOURCE);

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
            let style = if cell == "·" || column.of_callees && cells[0] == *cell {
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

/// Two lines: whose the numbers are, and what.
fn heads(columns: &[&Column], widths: &[usize], digits: usize, paint: Paint) -> [String; 2] {
    let wide = |of_callees: bool| {
        let mine = columns.iter().zip(widths);
        let mine = mine.filter(|(column, _)| column.of_callees == of_callees);
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

/// A line of source: tabs are spaces, the rest is escaped, and what does not fit is cut.
fn shown(line: &str, room: usize) -> String {
    let line = line.trim_end().replace('\t', "    ");
    text::cut_end(&text::name(&line), room).into_owned()
}

impl Column {
    fn number_of(&self, line: &AnnotatedLine) -> String {
        (self.number)(if self.of_callees {
            &line.inclusive
        } else {
            &line.own
        })
    }
}

enum Row {
    Line(u32, Option<AnnotatedLine>),
    /// So many lines without numbers.
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

/// From the function's first line to its last, where the source is at hand; else those with numbers.
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

/// Adds lines without numbers, from `start` to before `end`.
fn plain(rows: &mut Vec<Row>, start: u32, end: u32) {
    let run = end.saturating_sub(start);
    let kept = if run > LONGEST_RUN {
        LONGEST_RUN / 2
    } else {
        run
    };
    rows.extend((start..start + kept).map(|number| Row::Line(number, None)));
    if run > LONGEST_RUN {
        rows.push(Row::Skipped(run - 2 * kept));
        rows.extend((end - kept..end).map(|number| Row::Line(number, None)));
    }
}

/// How much of the function's peak a line has.
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
