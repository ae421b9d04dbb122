//! The lines above and below the rows.

use alloc_core_snapshot::{Bytes, GroupBy};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use super::super::data::Shown;
use super::super::state::{Layout, Live, State};
use super::Theme;
use super::rows::size;
use crate::show::text;
use crate::show::view::process;
use crate::stacks::Frames;

/// The program, its process and the time; on the right, whether it is watched.
pub(super) fn title(state: &State, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let width = usize::from(area.width);
    let program = process(&state.data.now).unwrap_or_else(|| "alloc-report".to_owned());
    let status = match state.live {
        Live::No => String::new(),
        Live::Running => "● live".to_owned(),
        Live::Paused => "‖ paused".to_owned(),
        Live::Ended => "■ ended".to_owned(),
    };
    let room = width.saturating_sub(text::width(&status) + 2);
    let program = text::cut_end(&program, room).into_owned();
    let space = room + 2 - text::width(&program).min(room) - 1;
    let style = match state.live {
        Live::Running => theme.shrunk(),
        _ => theme.message(),
    };
    let line = Line::from(vec![
        Span::styled(program, theme.title()),
        Span::raw(" ".repeat(space.min(width))),
        Span::styled(status, style),
    ]);
    frame.render_widget(Paragraph::new(line), area);
}

/// All metrics with their sums; if they do not fit, the one that is shown.
pub(super) fn metrics(state: &State, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let known = Shown::ALL.into_iter().filter(|it| state.data.knows(*it));
    let known: Vec<(Shown, String)> = known
        .map(|it| {
            let sum = size(state.data.sum(it).bytes, it == Shown::Growth);
            (it, format!(" {} {} ", it.name(&state.data.now), sum))
        })
        .collect();
    let whole: usize = known.iter().map(|(_, text)| text::width(text)).sum();
    let fits = whole <= usize::from(area.width);
    let spans = known.into_iter().filter_map(|(shown, text)| {
        let is_chosen = shown == state.shown;
        let style = if is_chosen {
            theme.chosen()
        } else {
            theme.dim()
        };
        (fits || is_chosen).then(|| Span::styled(text, style))
    });
    let mut spans: Vec<Span<'_>> = spans.collect();
    if !fits {
        spans.push(Span::styled(" m: others", theme.dim()));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// How rows are grouped, filtered and sorted.
pub(super) fn choices(state: &State, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let frames = match (state.frames, state.layout) {
        (Frames::Mine, _) => "my code only",
        (Frames::Folded, Layout::Tree) => "libraries folded",
        (Frames::All, Layout::Tree) => "all frames",
        (_, Layout::Table) => "callers of libraries",
    };
    let layout = match state.layout {
        Layout::Tree => "tree",
        Layout::Table => "table",
    };
    let by = match state.by {
        GroupBy::Type => "type".to_owned(),
        by => by.to_string(),
    };
    let choice = |key: &'static str, value: String| {
        [
            Span::styled(key, theme.key()),
            Span::raw(format!(" {value}   ")),
        ]
    };
    let choices = [
        choice("Tab", layout.to_owned()),
        choice("g", format!("by {by}")),
        choice("f", frames.to_owned()),
        choice("o", format!("sorted by {}", state.order.name())),
    ];
    let mut room = usize::from(area.width);
    let mut spans = Vec::new();
    for choice in choices {
        let width: usize = choice.iter().map(Span::width).sum();
        if width > room + 3 {
            break;
        }
        room = room.saturating_sub(width);
        spans.extend(choice);
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// The heap over time, and by how much it grew.
pub(super) fn history(state: &State, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    if area.height == 0 {
        return;
    }
    let history = &state.data.history;
    let (Some(first), Some(last)) = (history.first(), history.last()) else {
        return;
    };
    let most = history.iter().map(|it| it.1).max().unwrap_or(0);
    let grown = last.1 as i64 - first.1 as i64;
    let words = [
        format!("heap {}", Bytes::new(last.1)),
        format!("{} in {}", size(grown, true), time(last.0 - first.0)),
        format!("most {}", Bytes::new(most)),
    ];
    let styles = [
        theme.bold(),
        if grown > 0 {
            theme.grown()
        } else {
            theme.shrunk()
        },
        theme.dim(),
    ];
    let left = 22.min(area.width);
    let lines = words.into_iter().zip(styles);
    let lines: Vec<Line<'_>> = lines.map(|(it, style)| Line::styled(it, style)).collect();
    let [text, graph] = [
        Rect {
            width: left,
            ..area
        },
        Rect {
            x: area.x + left,
            width: area.width - left,
            ..area
        },
    ];
    frame.render_widget(Paragraph::new(lines), text);
    let columns = usize::from(graph.width);
    let newest = &history[history.len().saturating_sub(columns)..];
    let values: Vec<u64> = newest.iter().map(|it| it.1).collect();
    let graph_of = Sparkline::default()
        .data(&values)
        .max(most.max(1))
        .style(theme.share(0.0));
    frame.render_widget(graph_of, graph);
}

fn time(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.0} s"),
        ..6000.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// The search that is typed, a message, or the keys.
pub(super) fn footer(state: &State, frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let width = usize::from(area.width);
    let search = &state.search;
    if search.is_typing {
        let wanted = text::name(&search.text);
        let message = state.message.as_deref().map_or("", |_| "   no match");
        let line = Line::from(vec![
            Span::styled("/", theme.key()),
            Span::raw(wanted),
            Span::raw("▏"),
            Span::styled(message, theme.message()),
        ]);
        frame.render_widget(Paragraph::new(line), area);
        return;
    }
    if let Some(message) = &state.message {
        let message = text::cut_end(&text::name(message), width).into_owned();
        frame.render_widget(Paragraph::new(message).style(theme.message()), area);
        return;
    }
    let mut keys = vec![
        ("q", "quit"),
        ("?", "help"),
        ("/", "search"),
        ("m", "metric"),
        ("g", "group"),
        ("Tab", "tree/table"),
        ("f", "my code"),
        ("←→", "open/close"),
        ("e", "largest"),
        ("o", "sort"),
        ("s", "source"),
    ];
    if state.is_live() {
        keys.insert(2, ("Space", "pause"));
    }
    if !search.text.is_empty() {
        keys.insert(2, ("n N", "next match"));
    }
    let mut spans = Vec::new();
    let mut room = width;
    for (key, what) in keys {
        let needed = text::width(key) + text::width(what) + 3;
        if needed > room + 2 {
            break;
        }
        room = room.saturating_sub(needed);
        spans.push(Span::styled(key, theme.key()));
        spans.push(Span::raw(format!(" {what}  ")));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}
