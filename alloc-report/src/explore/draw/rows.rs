//! The rows of the tree and the table, under their heads.

use alloc_core_snapshot::Bytes;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::data::Shown;
use super::super::row::{Fold, Row};
use super::super::state::{GROUPS, Layout, State};
use super::Theme;
use crate::show::text;

/// Which columns of numbers fit.
#[derive(Clone, Copy, Debug)]
struct Columns {
    layout: Layout,
    has_share: bool,
    /// The columns of the bar; 0 without one.
    bar: usize,
    has_own: bool,
    has_mark: bool,
    has_source: bool,
    is_change: bool,
}

impl Columns {
    fn of(width: usize, state: &State) -> Columns {
        Columns {
            layout: state.layout,
            has_share: width >= 36 && state.shown != Shown::Growth,
            bar: match width {
                ..60 => 0,
                60..100 => 6,
                _ => 12,
            },
            has_own: width >= 76,
            has_mark: state.marks_growth(),
            has_source: state.by == GROUPS[0],
            is_change: state.shown == Shown::Growth,
        }
    }
}

pub(super) fn draw(
    state: &mut State,
    frame: &mut Frame<'_>,
    heads: Rect,
    area: Rect,
    theme: Theme,
) {
    let width = usize::from(area.width);
    let columns = Columns::of(width, state);
    let head = head(state, columns);
    frame.render_widget(Paragraph::new(head).style(theme.dim()), heads);
    let visible = state.rows.iter().enumerate();
    let visible: Vec<(usize, Row)> = visible
        .skip(state.top)
        .take(usize::from(area.height))
        .map(|(at, row)| (at, row.clone()))
        .collect();
    let mut lines = Vec::new();
    for (at, row) in visible {
        let has_source = columns.has_source && columns.layout == Layout::Table;
        let source = row.frame.as_ref().filter(|_| has_source);
        let source = source.and_then(|it| state.sources.line(it));
        let is_selected = at == state.selected;
        let is_found = state.search.matches(&row);
        let line = line(&row, source, columns, width, is_found, theme);
        lines.push(match is_selected {
            true => selected(line, width, theme),
            false => line,
        });
    }
    if lines.is_empty() {
        let nothing = Line::styled("Nothing: this metric is zero everywhere.", theme.dim());
        lines.push(nothing);
    }
    frame.render_widget(Paragraph::new(lines), area);
}

fn head(state: &State, columns: Columns) -> String {
    let mut head = format!("{:>10} ", if columns.is_change { "growth" } else { "size" });
    if columns.has_share {
        head += "  share ";
    }
    if columns.bar > 0 {
        head += &" ".repeat(columns.bar + 1);
    }
    if columns.has_own {
        head += &match columns.layout {
            Layout::Tree => format!("{:>10} ", "own"),
            Layout::Table => format!("{:>10} {:>9} ", "count", "average"),
        };
    }
    if columns.has_mark {
        head += "  ";
    }
    head += match (columns.layout, state.by) {
        (Layout::Tree, _) => "stack",
        (Layout::Table, by) => by.name(),
    };
    head
}

/// The name of a grouping, for the head of a column.
trait Named {
    fn name(self) -> &'static str;
}

impl Named for alloc_core_snapshot::GroupBy {
    fn name(self) -> &'static str {
        use alloc_core_snapshot::GroupBy::*;
        match self {
            Line => "line",
            Function => "function",
            Module => "module",
            Crate => "crate",
            Type => "type",
            Label => "label",
            Thread => "thread",
            _ => "group",
        }
    }
}

fn line(
    row: &Row,
    source: Option<String>,
    columns: Columns,
    width: usize,
    is_found: bool,
    theme: Theme,
) -> Line<'static> {
    let mut spans = Vec::new();
    let heat = match columns.is_change {
        true if row.value.bytes > 0 => theme.grown(),
        true => theme.shrunk(),
        false => theme.share(row.share),
    };
    let bytes = size(row.value.bytes, columns.is_change);
    spans.push(Span::styled(format!("{bytes:>10} "), heat));
    if columns.has_share {
        spans.push(Span::styled(format!("{:>7} ", percent(row.share)), heat));
    }
    if columns.bar > 0 {
        spans.push(Span::styled(bar(row.share, columns.bar) + " ", heat));
    }
    if columns.has_own {
        let numbers = match columns.layout {
            Layout::Tree if row.own.bytes == 0 => format!("{:>10} ", ""),
            Layout::Tree => format!("{:>10} ", size(row.own.bytes, columns.is_change)),
            Layout::Table => format!(
                "{:>10} {:>9} ",
                count(row.value.blocks, columns.is_change),
                size(row.average().round() as i64, false)
            ),
        };
        spans.push(Span::styled(numbers, theme.dim()));
    }
    if columns.has_mark {
        let (mark, style) = match row.recent.bytes {
            1.. => ("▲ ", theme.grown()),
            0 => ("  ", Style::new()),
            ..0 => ("▼ ", theme.shrunk()),
        };
        spans.push(Span::styled(mark, style));
    }
    if columns.layout == Layout::Tree {
        spans.push(Span::styled(guides(row), theme.dim()));
    }
    let taken: usize = spans.iter().map(Span::width).sum();
    let room = width.saturating_sub(taken);
    let style = match (is_found, row.is_mine) {
        (true, _) => theme.found(),
        (false, true) => theme.bold(),
        (false, false) => Style::new(),
    };
    let name = match columns.layout {
        Layout::Table if row.frame.is_some() => text::cut_path(&row.name, room),
        _ => text::cut_middle(&row.name, room),
    };
    let rest = room.saturating_sub(text::width(&name) + 2);
    spans.push(Span::styled(name.into_owned(), style));
    let after = match source {
        Some(source) if rest >= 8 => text::cut_end(&source, rest).into_owned(),
        _ if rest >= 6 => text::cut_path(&row.place, rest).into_owned(),
        _ => String::new(),
    };
    if !after.is_empty() {
        spans.push(Span::styled(format!("  {after}"), theme.dim()));
    }
    Line::from(spans)
}

/// The same line over the whole width, in one style.
fn selected(line: Line<'static>, width: usize, theme: Theme) -> Line<'static> {
    let used = line.width();
    let texts = line.spans.into_iter().map(|it| it.content.into_owned());
    let mut text: String = texts.collect();
    text += &" ".repeat(width.saturating_sub(used));
    Line::styled(text, theme.selected())
}

/// The lines in front of a branch, and whether it is open. A deep branch shows the innermost ones.
fn guides(row: &Row) -> String {
    const MOST: usize = 24;
    let mut text = String::new();
    if let Some((last, above)) = row.guides.split_last() {
        let hidden = above.len().saturating_sub(MOST);
        if hidden > 0 {
            text += "…";
        }
        for &goes_on in &above[hidden..] {
            text += if goes_on { "│ " } else { "  " };
        }
        text += if *last { "├─" } else { "└─" };
    }
    text + match row.fold {
        Fold::Open => "▾ ",
        Fold::Closed => "▸ ",
        Fold::Leaf if row.depth == 0 => "",
        Fold::Leaf => "─ ",
    }
}

/// A size, with its sign if it is a change.
pub(super) fn size(bytes: i64, is_change: bool) -> String {
    let size = Bytes::new(bytes.unsigned_abs());
    match (is_change, bytes) {
        (true, 1..) => format!("+{size}"),
        (_, ..=-1) => format!("-{size}"),
        _ => size.to_string(),
    }
}

fn count(blocks: i64, is_change: bool) -> String {
    match is_change {
        true => text::grouped_change(blocks),
        false => text::grouped(blocks.unsigned_abs()),
    }
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 0.1 => "<0.1%".to_owned(),
        percent if percent > 99.9 && percent < 100.0 => ">99.9%".to_owned(),
        percent => format!("{percent:.1}%"),
    }
}

/// A bar, exact to an eighth of a column. What is not nothing is visible.
fn bar(share: f64, columns: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share * columns as f64 * 8.0).round() as usize;
    let eighths = eighths.clamp(usize::from(share > 0.0), columns * 8);
    let mut bar = "█".repeat(eighths / 8) + PARTS[eighths % 8];
    let used = eighths.div_ceil(8);
    bar += &" ".repeat(columns - used);
    bar
}
