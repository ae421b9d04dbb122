//! What each key does.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::data::Shown;
use super::state::{Live, State};

/// What the terminal must do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Draw.
    None,
    /// End.
    Quit,
    /// Stop, as on Ctrl-Z.
    Suspend,
    /// Ask for a newer snapshot at once.
    Refresh,
}

/// The keys, and what they do, for the page of help.
pub(super) const HELP: [(&str, &str); 17] = [
    ("↑ ↓  j k", "go to another row"),
    ("PgUp PgDn", "go a screen further"),
    ("Home End", "go to the first row, the last"),
    ("→  l", "open a branch, or go into it"),
    ("←  h", "close a branch, or go out of it"),
    ("Enter", "open or close a branch"),
    ("e", "open the largest path below"),
    ("c", "close all branches"),
    ("Tab", "switch between tree and table"),
    ("m M  1-5", "switch the metric"),
    ("g G", "group by line, function, module ..."),
    ("f", "my code only, libraries folded, all frames"),
    ("o", "sort by another column"),
    ("/  n N", "search; the next match, the one before"),
    ("s", "show or hide the source"),
    ("Space r", "pause; refresh at once"),
    ("q  Ctrl-C", "quit"),
];

impl State {
    pub(super) fn press(&mut self, key: KeyEvent) -> Action {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if has_control => return Action::Quit,
            KeyCode::Char('z') if has_control => return Action::Suspend,
            KeyCode::Char('l') if has_control => return Action::None,
            _ if has_control => return Action::None,
            _ => {}
        }
        if self.search.is_typing {
            self.press_in_search(key.code);
            return Action::None;
        }
        if let Some(first) = self.help {
            self.help = match key.code {
                KeyCode::Down | KeyCode::PageDown | KeyCode::Char('j') => {
                    Some((first + 1).min(HELP.len() - 1))
                }
                KeyCode::Up | KeyCode::PageUp | KeyCode::Char('k') => Some(first.saturating_sub(1)),
                _ => None,
            };
            return Action::None;
        }
        if !self.is_live() {
            self.message = None;
        }
        let page = self.room as isize;
        match key.code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('?') | KeyCode::F(1) => self.help = Some(0),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-page),
            KeyCode::PageDown => self.step(page),
            KeyCode::Home => self.select(0),
            KeyCode::End => self.select(usize::MAX),
            KeyCode::Right | KeyCode::Char('l') => self.open(),
            KeyCode::Left | KeyCode::Char('h') => self.close(),
            KeyCode::Enter => self.toggle(),
            KeyCode::Char('e') => self.open_largest(),
            KeyCode::Char('c') => self.close_all(),
            KeyCode::Tab | KeyCode::BackTab => self.switch_layout(),
            KeyCode::Char('m') => self.next_metric(1),
            KeyCode::Char('M') => self.next_metric(-1),
            KeyCode::Char(digit @ '1'..='5') => {
                self.show(Shown::ALL[digit as usize - '1' as usize]);
            }
            KeyCode::Char('g') => self.next_group(1),
            KeyCode::Char('G') => self.next_group(-1),
            KeyCode::Char('f') => self.next_frames(),
            KeyCode::Char('o') => self.next_order(),
            KeyCode::Char('/') => self.begin_search(),
            KeyCode::Char('n') => self.find(true, false),
            KeyCode::Char('N') => self.find(false, false),
            KeyCode::Esc => self.end_search(false),
            KeyCode::Char('s') => self.has_source = !self.has_source,
            KeyCode::Char('r') if self.is_live() => return Action::Refresh,
            KeyCode::Char(' ') => {
                self.live = match self.live {
                    Live::Running => Live::Paused,
                    Live::Paused => Live::Running,
                    Live::No | Live::Ended => return Action::None,
                };
            }
            _ => {}
        }
        Action::None
    }

    fn press_in_search(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter | KeyCode::Down | KeyCode::Up => self.end_search(true),
            KeyCode::Esc => self.end_search(false),
            KeyCode::Backspace if self.search.text.is_empty() => self.end_search(false),
            KeyCode::Backspace => self.type_search(|text| {
                text.pop();
            }),
            KeyCode::Char(c) => self.type_search(|text| text.push(c)),
            _ => {}
        }
    }
}
