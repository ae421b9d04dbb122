//! The page of help, over the rest.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::super::keys::HELP;
use super::Theme;
use crate::show::text;

/// Draws the keys from the first visible one. A low screen shows a part of them.
pub(super) fn draw(first: usize, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    const KEY: usize = 11;
    let widest = HELP.iter().map(|(_, what)| text::width(what)).max();
    let width = (KEY + widest.unwrap_or(0) + 4).min(area.width.into());
    let height = (HELP.len() + 2).min(area.height.into());
    let rows = height.saturating_sub(2);
    let first = first.min(HELP.len() - rows.min(HELP.len()));
    let is_whole = rows == HELP.len();
    let lines = HELP.iter().skip(first).take(rows).map(|(key, what)| {
        let indent = " ".repeat(KEY.saturating_sub(text::width(key)));
        let what = text::cut_end(what, width.saturating_sub(KEY + 3));
        Line::from(vec![
            Span::styled(format!(" {key}{indent}"), theme.key()),
            Span::raw(what),
        ])
    });
    let lines: Vec<Line<'_>> = lines.collect();
    let title = match is_whole {
        true => " Keys: any key goes back ",
        false => " Keys: ↓ shows more ",
    };
    let [width, height] = [width, height].map(|it| it as u16);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(title)),
        place,
    );
}
