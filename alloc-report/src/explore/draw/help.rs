//! The page of help, over the rest.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::super::keys::HELP;
use super::Theme;
use crate::show::text;

/// Draws the keys in as many columns as a low screen needs.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    const KEY: usize = 11;
    let widest = HELP.iter().map(|(_, what)| text::width(what)).max();
    let widest = (KEY + 1 + widest.unwrap_or(0)) as u16;
    let rows = area.height.saturating_sub(2).max(1);
    let columns = (HELP.len() as u16).div_ceil(rows);
    let width = (widest * columns + 4).min(area.width);
    let height = (HELP.len() as u16).div_ceil(columns) + 2;
    let height = height.min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let of_each = usize::from((width.saturating_sub(4) / columns).max(1));
    let per_column = usize::from(height.saturating_sub(2)).max(1);
    let line = |row: usize| {
        let keys = HELP.iter().skip(row).step_by(per_column);
        let spans = keys.flat_map(|(key, what)| {
            let room = of_each.saturating_sub(KEY + 1);
            let what = text::cut_end(what, room);
            let space = " ".repeat(room.saturating_sub(text::width(&what)));
            let indent = " ".repeat(KEY.saturating_sub(text::width(key)));
            [
                Span::styled(format!(" {key}{indent}"), theme.key()),
                Span::raw(format!("{what}{space}")),
            ]
        });
        Line::from(spans.collect::<Vec<_>>())
    };
    let lines: Vec<Line<'_>> = (0..per_column).map(line).collect();
    let block = Block::bordered().title(" Keys: any key goes back ");
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}
