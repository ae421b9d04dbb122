//! The state as a picture: [`draw`].
//!
//! From top to bottom: the program, the metrics, the choices, the heap over time, the rows, the source,
//! and the keys. What does not fit is left out, the rows last.
//!
//! Each module imports only from those before it: `theme`, `header`, `rows`, `source`, `help`.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

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
        let lengths = [least(6, 1), least(5, 1), least(14, 1), history, least(4, 1)];
        let [title, metrics, choices, history, heads] = lengths.map(Constraint::Length);
        let constraints = [
            title,
            metrics,
            choices,
            history,
            heads,
            Constraint::Min(1),
            Constraint::Length(source),
            Constraint::Length(least(3, 1)),
        ];
        let [
            title,
            metrics,
            choices,
            history,
            heads,
            rows,
            source,
            footer,
        ] = Layout::vertical(constraints).areas(area);
        Parts {
            title,
            metrics,
            choices,
            history,
            heads,
            rows,
            source,
            footer,
        }
    }
}
