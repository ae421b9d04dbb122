//! Answers as text for people.
//!
//! In: a graph and a question. Out: text of a chosen width, with colours on request. It answers
//! nothing by itself: see [`queries`](super::queries).

pub(in crate::graph) mod health;
mod lists;
pub(in crate::graph) mod phrases;
pub(in crate::graph) mod summary;
mod tables;
mod why;

use std::fmt;

use alloc_core_snapshot::{Bytes, GroupBy};

use super::{BlockId, Graph, Selected};
use crate::show::table::{BOLD, Cell, NOTE, PLAIN, Paint, Row, Table};

/// The default width of text.
const WIDTH: usize = 100;

/// What text is about.
///
/// ```
/// use alloc_report::graph::{Graph, Show, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let text = graph.show(Show::Cycles, 10).to_string();
/// assert!(text.contains("Rc<Parent> -> Vec<Rc<Child>> -> Rc<Child> -> Rc<Parent>"));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Show {
    /// The half screen that answers most questions.
    Summary,
    /// What each root retains.
    Roots,
    /// What blocks retain, by a key.
    Retained(GroupBy),
    /// What nothing reaches.
    Leaks,
    /// Cycles of `Rc` and `Arc`.
    Cycles,
    /// Equal contents.
    Duplicates,
    /// Vectors that hold more than they use.
    Spare,
    /// Counts that do not add up.
    Counts,
    /// Why blocks are alive: in detail for the first, and which roots hold the others.
    Why(Selected),
    /// What points to a block.
    Referrers(BlockId),
    /// What a block points to.
    Referents(BlockId),
}

impl Graph {
    /// Text for people, with tables of at most `rows` rows.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, Show, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let text = graph.show(Show::Leaks, 10).width(80).to_string();
    /// assert!(text.starts_with("190 B in 2 trees are reached by nothing"));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn show(&self, what: Show, rows: usize) -> GraphText<'_> {
        GraphText {
            graph: self,
            old: None,
            what,
            look: Look::new(rows),
        }
    }

    /// Text on what changed since an older graph.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// assert_eq!(graph.show_diff(&graph, 10).to_string(), "nothing changed: 1402 B in 11 blocks");
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn show_diff<'a>(&'a self, old: &'a Graph, rows: usize) -> GraphText<'a> {
        GraphText {
            old: Some(old),
            ..self.show(Show::Summary, rows)
        }
    }
}

/// Text about a graph, made by [`Graph::show`]. It prints without a final newline.
///
/// ```
/// use alloc_report::graph::{Graph, Show, builder};
///
/// let graph = Graph::read(&builder::sample().file())?;
/// let roots = graph.show(Show::Roots, 1).to_string();
/// assert!(roots.contains("the stack of main"));
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[must_use = "text does nothing until it is printed"]
pub struct GraphText<'a> {
    graph: &'a Graph,
    old: Option<&'a Graph>,
    what: Show,
    look: Look,
}

impl GraphText<'_> {
    /// Turns ANSI colours on or off; off is the default.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, Show, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let text = graph.show(Show::Roots, 10).colour(true).to_string();
    /// assert!(text.contains('\u{1b}'));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn colour(mut self, colour: bool) -> Self {
        self.look.colour = colour;
        self
    }

    /// Fits tables into `width` columns; 100 is the default, `usize::MAX` no limit.
    ///
    /// ```
    /// use alloc_report::graph::{Graph, Show, builder};
    ///
    /// let graph = Graph::read(&builder::sample().file())?;
    /// let text = graph.show(Show::Roots, 10).width(60).to_string();
    /// assert!(text.lines().all(|line| line.chars().count() <= 60));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn width(mut self, width: usize) -> Self {
        self.look.width = width;
        self
    }
}

impl fmt::Display for GraphText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let text = alloc_core_snapshot::seam::untraced(|| {
            let (graph, look) = (self.graph, &self.look);
            if let Some(old) = self.old {
                return tables::diff(graph, old, look);
            }
            match &self.what {
                Show::Summary => summary::summary(graph, look),
                Show::Roots => tables::roots(graph, look),
                Show::Retained(by) => tables::retained(graph, *by, look),
                Show::Leaks => tables::leaks(graph, look),
                Show::Cycles => lists::cycles(graph, look),
                Show::Duplicates => lists::duplicates(graph, look),
                Show::Spare => tables::spare(graph, look),
                Show::Counts => tables::counts(graph, look),
                Show::Why(selected) => why::why(graph, selected, look),
                Show::Referrers(block) => why::referrers(graph, *block, look),
                Show::Referents(block) => why::referents(graph, *block, look),
            }
        });
        f.write_str(text.trim_end())
    }
}

/// How text looks.
#[derive(Clone, Copy, Debug)]
struct Look {
    rows: usize,
    width: usize,
    colour: bool,
}

impl Look {
    fn new(rows: usize) -> Look {
        Look {
            rows,
            width: WIDTH,
            colour: false,
        }
    }

    /// A heading, and a table below it.
    fn table(&self, heading: &str, heads: &[&'static str], place: &str, rows: Vec<Row>) -> String {
        let table = Table {
            heads: heads.to_vec(),
            place: place.to_owned(),
            rows,
        };
        let paint = Paint(self.colour);
        let lines = table.lines(self.width, paint);
        format!("{}\n\n{}\n", paint.text(BOLD, heading), lines.join("\n"))
    }

    fn notes(&self, notes: &[String]) -> String {
        let label = Paint(self.colour).text(NOTE, "note:");
        let notes = notes.iter().map(|it| format!("{label} {it}\n"));
        notes.collect()
    }
}

fn row(cells: Vec<Cell>, place: String) -> Row {
    Row {
        style: PLAIN,
        cells,
        level: 0,
        place,
        source: None,
        details: Vec::new(),
    }
}

/// A row for what is not shown one by one.
fn others(cells: Vec<Cell>, place: String) -> Row {
    Row {
        style: BOLD,
        ..row(cells, place)
    }
}

/// `12.5%`.
fn share(part: Bytes, whole: Bytes) -> Cell {
    let percent = part.get() as f64 / whole.get().max(1) as f64 * 100.0;
    Cell::new(match percent {
        it if it > 0.0 && it < 0.05 => "<0.1%".to_owned(),
        it => format!("{it:.1}%"),
    })
}
