//! [`explore`]: snapshots on a screen that answers to keys.
//!
//! Snapshots and keys go in; a screen comes out. The only files that are opened are source files. What
//! the screen shows is decided by [`State`](state::State), which knows no terminal.
//!
//! Each module imports only from those before it: `data`, `sources`, `row`, `tree`, `table`, `state`
//! (with `keys` and `search`), `draw`, `worker`, `screen`.

use std::io;
use std::time::Duration;

use alloc_core_snapshot::{Metric, Snapshot};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

mod data;
mod draw;
mod keys;
mod row;
mod screen;
mod search;
mod sources;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod tree;
mod worker;

use data::{Data, Shown};
use state::State;
use worker::Worker;

/// Makes a screen of a snapshot: a tree of its stacks, a table, and the source of what is selected.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let counters = Counters { current: Amount::new(64, 1), ..Counters::default() };
/// let traces = vec![Trace::new(Traceback::new(vec![frame]), counters)];
/// let mut explorer = alloc_report::explore(Snapshot::from_traces(traces, 32));
/// assert!(explorer.screen(60, 12).contains("100.0%"));
/// ```
pub fn explore(snapshot: Snapshot) -> Explorer {
    Explorer {
        state: State::new(Data::of(snapshot)),
        refresh: None,
    }
}

/// A screen of a snapshot, made by [`explore`].
#[must_use = "an explorer does nothing until it runs"]
pub struct Explorer {
    state: State,
    refresh: Option<Refresh>,
}

struct Refresh {
    every: Duration,
    source: Box<dyn FnMut() -> Refreshed + Send>,
}

/// What a source of snapshots found.
#[derive(Debug)]
#[non_exhaustive]
pub enum Refreshed {
    /// A newer snapshot.
    Snapshot(Box<Snapshot>),
    /// Nothing new.
    Unchanged,
    /// No snapshot, for this reason; the next try may have one.
    Failed(String),
    /// The program ended, as this sentence says. There will be no more snapshots.
    Ended(String),
}

impl Explorer {
    /// Compares with an older snapshot: adds what grew.
    ///
    /// ```
    /// # let (old, new) = [(); 2].map(|()| alloc_core::Snapshot::from_traces(vec![], 32)).into();
    /// let mut explorer = alloc_report::explore(new).compared_to(old);
    /// assert!(explorer.screen(100, 12).contains("growth"));
    /// ```
    pub fn compared_to(mut self, old: Snapshot) -> Self {
        self.state.compare_to(old);
        self
    }

    /// Sets the metric that is shown first.
    ///
    /// ```
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let mut explorer = alloc_report::explore(snapshot).metric(alloc_core::Metric::Total);
    /// assert!(explorer.screen(40, 12).contains("total"));
    /// ```
    pub fn metric(mut self, metric: Metric) -> Self {
        if let Some(shown) = Shown::of(metric) {
            self.state.show(shown);
        }
        self
    }

    /// Asks for a newer snapshot again and again, on a thread of its own, and shows what grew since
    /// the first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use alloc_report::Refreshed;
    ///
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let explorer = alloc_report::explore(snapshot);
    /// let mut explorer = explorer.refreshed(Duration::from_secs(2), || Refreshed::Unchanged);
    /// assert!(explorer.screen(100, 20).contains("live"));
    /// ```
    pub fn refreshed(
        mut self,
        every: Duration,
        source: impl FnMut() -> Refreshed + Send + 'static,
    ) -> Self {
        self.state.set_live();
        self.refresh = Some(Refresh {
            every,
            source: Box::new(source),
        });
        self
    }

    /// The text of the screen at a size in columns and rows, without colours.
    ///
    /// ```
    /// # let snapshot = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let screen = alloc_report::explore(snapshot).screen(40, 10);
    /// assert_eq!(screen.lines().count(), 10);
    /// ```
    pub fn screen(&mut self, width: u16, height: u16) -> String {
        let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
        let Ok(_) = terminal.draw(|frame| draw::draw(&mut self.state, frame, draw::Theme::plain()));
        let buffer = terminal.backend().buffer();
        let mut text = String::new();
        for row in buffer.content().chunks(usize::from(width.max(1))) {
            let mut line = String::new();
            let mut hidden = 0;
            for cell in row {
                if hidden == 0 {
                    line.push_str(cell.symbol());
                    hidden = crate::show::text::width(cell.symbol()).saturating_sub(1);
                } else {
                    hidden -= 1;
                }
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// Shows the screen on the terminal, and answers to keys until the user quits.
    ///
    /// The terminal is restored at the end, also after a panic and when SIGTERM, SIGHUP or SIGINT
    /// ends the process.
    ///
    /// # Errors
    ///
    /// If standard output is no terminal, or cannot be written to.
    pub fn run(self) -> io::Result<()> {
        let Explorer { mut state, refresh } = self;
        let worker = refresh.map(|it| Worker::start(it.every, it.source));
        screen::run(&mut state, worker)
    }
}
