//! The state as a picture: [`draw`].
//!
//! From top to bottom: the program, the metrics, the choices, the heap over time, the rows, the source,
//! and the keys. What does not fit is left out, the rows last.
//!
//! Each module imports only from those before it: `theme`, `header`, `rows`, `source`, `help`.

use ratatui::Frame;
use ratatui::layout::Rect;

use super::state::State;

mod header;
mod help;
mod rows;
mod source;
mod theme;

pub(super) use theme::Theme;

/// Draws the state. What is visible depends on the size, so that also scrolls.
pub(super) fn draw(state: &mut State, frame: &mut Frame<'_>, theme: Theme) {
    let area = frame.area();
    let parts = Parts::of(area, state);
    state.set_room(usize::from(parts.rows.height));
    header::title(state, frame, parts.title, theme);
    header::metrics(state, frame, parts.metrics, theme);
    header::choices(state, frame, parts.choices, theme);
    header::history(state, frame, parts.history, theme);
    rows::draw(state, frame, parts.heads, parts.rows, theme);
    source::draw(state, frame, parts.source, theme);
    header::footer(state, frame, parts.footer, theme);
    if let Some(first) = state.help {
        help::draw(first, frame, area, theme);
    }
}

/// The parts of the screen. Those that do not fit are empty.
struct Parts {
    title: Rect,
    metrics: Rect,
    choices: Rect,
    history: Rect,
    heads: Rect,
    rows: Rect,
    source: Rect,
    footer: Rect,
}

impl Parts {
    fn of(area: Rect, state: &State) -> Parts {
        let height = area.height;
        let least = |needed: u16, lines: u16| if height >= needed { lines } else { 0 };
        let source = match state.has_source {
            true => least(20, (height / 4).clamp(4, 11)),
            false => 0,
        };
        // The whole name of what is selected.
        let source = source.max(least(12, 1));
        let history = match state.is_live() {
            true => least(16, if height >= 30 { 3 } else { 2 }),
            false => 0,
        };
        let above = [least(6, 1), least(5, 1), least(14, 1), history, least(4, 1)];
        let footer = least(3, 1);
        let taken = above.iter().sum::<u16>() + source + footer;
        let [title, metrics, choices, history, heads] = above;
        let rows = height.saturating_sub(taken);
        let mut y = area.y;
        let mut next = |height: u16| {
            let part = Rect { y, height, ..area };
            y += height;
            part
        };
        // NOTE: fields are evaluated in this order, from top to bottom.
        Parts {
            title: next(title),
            metrics: next(metrics),
            choices: next(choices),
            history: next(history),
            heads: next(heads),
            rows: next(rows),
            source: next(source),
            footer: next(footer),
        }
    }
}
