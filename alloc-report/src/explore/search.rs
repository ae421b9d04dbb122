//! [`Search`]: rows whose names or places contain a text.

use super::row::Row;
use super::state::State;

/// What is searched for.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Empty if nothing is searched for.
    pub(super) text: String,
    /// Whether keys change the text.
    pub(super) is_typing: bool,
    /// The row at which typing began.
    from: u64,
}

impl Search {
    /// Whether a row matches. Upper and lower case are the same.
    pub(super) fn matches(&self, row: &Row) -> bool {
        if self.text.is_empty() {
            return false;
        }
        let wanted = self.text.to_lowercase();
        let texts = [&row.whole, &row.name, &row.place];
        texts
            .into_iter()
            .any(|it| it.to_lowercase().contains(&wanted))
    }
}

impl State {
    pub(super) fn begin_search(&mut self) {
        self.search = Search {
            text: String::new(),
            is_typing: true,
            from: self.row().map_or(0, |it| it.id),
        };
    }

    pub(super) fn end_search(&mut self, is_kept: bool) {
        self.search.is_typing = false;
        if !is_kept {
            self.search.text.clear();
            self.message = None;
        }
    }

    pub(super) fn type_search(&mut self, change: impl FnOnce(&mut String)) {
        change(&mut self.search.text);
        self.find(true, true);
    }

    /// Goes to the next match, or the one before; `from_start` begins where typing began, and a match
    /// there counts.
    pub(super) fn find(&mut self, forwards: bool, from_start: bool) {
        if self.search.text.is_empty() {
            return;
        }
        let all = self.all_rows();
        let from = match from_start {
            true => self.search.from,
            false => self.row().map_or(0, |it| it.id),
        };
        let from = all.iter().position(|it| it.id == from).unwrap_or(0);
        let count = all.len();
        let steps = usize::from(!from_start)..count + usize::from(!from_start);
        let places = steps.map(|step| match forwards {
            true => (from + step) % count,
            false => (from + count - step % count) % count,
        });
        let found = places.into_iter().find(|at| self.search.matches(&all[*at]));
        match found {
            Some(at) => {
                self.message = None;
                self.reveal(&all, at);
            }
            None => self.message = Some(format!("no match for {}", self.search.text)),
        }
    }
}
