//! The source around the line of what is selected.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::row::Row;
use super::super::state::State;
use super::Theme;
use crate::show::text;

/// A rule with the whole name of what is selected; below it, the lines around it, if there is room.
pub(super) fn draw(state: &mut State, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    if area.height == 0 {
        return;
    }
    let width = usize::from(area.width);
    let Some(row) = state.row().cloned() else {
        return;
    };
    let mut lines = vec![Line::styled(
        rule(&row.whole, place(&row), width),
        theme.dim(),
    )];
    let room = usize::from(area.height) - 1;
    let selected = row.frame.as_ref().map_or(0, |it| it.line() as usize);
    let text = row.frame.as_ref().and_then(|it| state.sources.lines(it));
    match text {
        Some(text) if selected > 0 && room > 0 => {
            let first = selected.saturating_sub(room / 2).max(1);
            let first = first.min((text.len() + 1).saturating_sub(room).max(1));
            for (number, line) in (first..).zip(text.iter().skip(first - 1)).take(room) {
                lines.push(source(number, line, number == selected, width, theme));
            }
        }
        _ if room > 0 => {
            let file = row.frame.as_ref().and_then(|it| it.file());
            let why = match file {
                Some(file) if selected > 0 => format!("{file} cannot be read here."),
                _ => "No source belongs to this row.".to_owned(),
            };
            let why = text::cut_end(&why, width.saturating_sub(2)).into_owned();
            lines.push(Line::styled(format!("  {why}"), theme.dim()));
        }
        _ => {}
    }
    frame.render_widget(Paragraph::new(lines), area);
}

/// The place of a row; in a table of lines, it is the name.
fn place(row: &Row) -> &str {
    match row.whole == row.name {
        false if row.place.is_empty() && row.frame.is_some() => &row.name,
        _ => &row.place,
    }
}

fn rule(whole: &str, place: &str, width: usize) -> String {
    let room = width.saturating_sub(6);
    let whole = text::cut_middle(whole, room);
    let rest = room.saturating_sub(text::width(&whole) + 2);
    let place = match (place, rest) {
        ("", _) | (_, ..6) => String::new(),
        (place, rest) => format!("  {}", text::cut_path(place, rest)),
    };
    let title = format!("── {whole}{place} ");
    let used = text::width(&title);
    title + &"─".repeat(width.saturating_sub(used))
}

fn source(
    number: usize,
    line: &str,
    is_selected: bool,
    width: usize,
    theme: Theme,
) -> Line<'static> {
    let mark = if is_selected { '▶' } else { ' ' };
    let number = format!("{mark}{number:>5} ");
    let line = text::cut_end(line, width.saturating_sub(text::width(&number))).into_owned();
    match is_selected {
        true => {
            let used = text::width(&number) + text::width(&line);
            let space = " ".repeat(width.saturating_sub(used));
            Line::styled(format!("{number}{line}{space}"), theme.selected())
        }
        false => Line::from(vec![Span::styled(number, theme.dim()), Span::raw(line)]),
    }
}
