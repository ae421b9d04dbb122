//! [`frees`]: who freed whose memory, as a matrix.

use std::fmt;

use alloc_core_snapshot::{Amount, Escaped, Freer, Frees, FreesRow, GroupBy, GroupKey, Snapshot};

use super::notes;
use super::table::{BOLD, Cell, DIM, PLAIN, Row, Table};
use super::text;
use super::view::{View, process};

/// Makes a matrix of who freed whose memory: the `n` labels of which most was freed, against the
/// labels that freed it.
///
/// A row is a label that allocated, a column one that freed; both are in order of bytes. The columns
/// have letters, which are explained below the table. As many have a column of their own as fit the
/// width, and the rest share one. The snapshot is one of a session with `Config::frees`.
///
/// ```
/// use alloc_core::{Amount, Counters, FreedBy, Snapshot, Trace, Traceback};
///
/// let trace = |label, by, bytes| {
///     let counters = Counters { total: Amount::new(bytes, 1), ..Counters::default() };
///     let freed = FreedBy::new(Amount::new(bytes, 1)).in_label(by);
///     Trace::new(Traceback::new(vec![]), counters).with_label(label).with_freed_by([freed])
/// };
/// let traces = vec![trace("parse", "answer", 600), trace("answer", "answer", 300)];
/// let snapshot = Snapshot::from_traces(traces, 32);
/// assert_eq!(
///     alloc_report::frees(&snapshot, 10).to_string(),
///     "\
/// 900 B in 2 blocks were freed, by label; columns by freeing label
///
///    freed      a  label
///    600 B  600 B  parse
/// a  300 B  300 B  answer
///    900 B  900 B  total
///
/// a  answer"
/// );
/// ```
pub fn frees(snapshot: &Snapshot, n: usize) -> FreesTable<'_> {
    let mut view = View::new(n);
    view.by = GroupBy::Label.into();
    FreesTable {
        snapshot,
        view,
        by: GroupBy::Label,
        freer: Freer::Label,
    }
}

/// A matrix of who freed whose memory, made by [`frees`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct FreesTable<'a> {
    snapshot: &'a Snapshot,
    view: View,
    by: GroupBy,
    freer: Freer,
}

/// The heads of columns.
const LETTERS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// The width of a column with its gap, and that of everything else.
const COLUMN: usize = 10;
const REST: usize = 38;

/// The columns of the matrix: those with a letter, and how many share the last one.
struct Columns<'a> {
    shown: &'a [std::sync::Arc<str>],
    others: usize,
}

impl FreesTable<'_> {
    /// Groups what was allocated by lines, threads, functions and so on; labels are the default.
    pub fn by(mut self, by: GroupBy) -> Self {
        self.view.by = by.into();
        self.by = by;
        self
    }

    /// Shows what threads freed instead of labels.
    ///
    /// ```
    /// use alloc_core::{Freer, Snapshot};
    ///
    /// let empty = Snapshot::from_traces(vec![], 32);
    /// let table = alloc_report::frees(&empty, 10).freed_by(Freer::Thread);
    /// assert_eq!(
    ///     table.to_string(),
    ///     "0 B in 0 blocks were freed, by label; columns by freeing thread"
    /// );
    /// ```
    pub fn freed_by(mut self, freer: Freer) -> Self {
        self.freer = freer;
        self
    }

    /// Turns ANSI colours on or off; off is the default.
    pub fn colour(mut self, colour: bool) -> Self {
        self.view.colour = colour;
        self
    }

    /// Fits the table into `width` columns, as [`Top::width`](crate::Top::width) does.
    pub fn width(mut self, width: usize) -> Self {
        self.view.width = width;
        self
    }

    /// The notes below the table.
    pub fn notes(&self) -> Vec<String> {
        alloc_core_snapshot::seam::untraced(|| {
            self.notes_on(&self.snapshot.frees(self.by, self.freer))
        })
    }

    fn notes_on(&self, frees: &Frees) -> Vec<String> {
        let mut notes = Vec::new();
        let traces = self.snapshot.traces();
        if traces.iter().all(|it| it.freed_by.is_none()) && !traces.is_empty() {
            notes.push(
                "who freed blocks was not recorded: trace with ALLOC_TRACE_FREES=1 or \
                 Config::frees(true)"
                    .to_owned(),
            );
        } else if frees
            .freers
            .last()
            .is_some_and(|it| **it == *Frees::NOT_RECORDED)
        {
            let parts = frees.rows.iter().filter_map(|it| it.by.last());
            let rest = sum(parts.copied());
            notes.push(format!(
                "who freed {} in {} was not recorded: blocks that were freed while the snapshot \
                 was taken, or beyond what the tracer distinguishes",
                rest.bytes,
                text::plural(rest.blocks, "block"),
            ));
        }
        let names_threads = traces.iter().any(|it| it.thread.is_some());
        if self.freer == Freer::Thread && !names_threads && !traces.is_empty() {
            notes.push(
                "threads were not recorded: trace with ALLOC_TRACE_THREADS=1 or \
                 Config::threads(true)"
                    .to_owned(),
            );
        }
        notes.extend(notes::of_snapshot(self.snapshot));
        notes
    }

    fn columns<'a>(&self, frees: &'a Frees) -> Columns<'a> {
        let fit = (self.view.width.saturating_sub(REST) / COLUMN).clamp(2, LETTERS.len());
        let all = frees.freers.len();
        let shown = if all <= fit { all } else { fit - 1 };
        Columns {
            shown: &frees.freers[..shown],
            others: all - shown,
        }
    }

    fn table(&self, frees: &Frees, columns: &Columns<'_>) -> Table {
        let (shown, others) = frees.rows.split_at(self.view.rows.min(frees.rows.len()));
        let keys = shown.iter().map(|it| &it.key);
        let places = self.view.places(keys, self.snapshot);
        let rows = shown.iter().zip(places).map(|(row, (place, source))| {
            let own = columns.shown.iter().position(|it| is(&row.key, it));
            Row {
                style: PLAIN,
                cells: columns.cells(own, row.freed, &row.by),
                level: 0,
                place,
                source,
                details: Vec::new(),
            }
        });
        let mut rows: Vec<Row> = rows.collect();
        if !others.is_empty() {
            let groups = text::plural(others.len() as u64, self.view.noun(0));
            rows.push(columns.summary(others, format!("other ({groups})")));
        }
        rows.push(columns.summary(&frees.rows, "total".to_owned()));
        let letters = &LETTERS[..columns.shown.len()];
        let rest = (columns.others > 0).then_some("others");
        let heads = ["", "freed"].iter().chain(letters).copied();
        Table {
            heads: heads.chain(rest).collect(),
            place: self.view.nouns(),
            rows,
        }
    }

    /// What the letters stand for.
    fn legend(&self, columns: &Columns<'_>) -> Vec<String> {
        let paint = self.view.paint();
        let mut lines = Vec::new();
        for (letter, name) in LETTERS.iter().zip(columns.shown) {
            let name = Escaped(name).to_string();
            let parts = text::wrap(&name, self.view.width.saturating_sub(3), 2);
            for (part, is_first) in parts.zip(std::iter::once(true).chain(std::iter::repeat(false)))
            {
                lines.push(match is_first {
                    true => format!("{}  {}", paint.text(DIM, letter), part.trim_end()),
                    false => format!("     {}", part.trim_end()),
                });
            }
        }
        lines
    }
}

impl Columns<'_> {
    fn cells(&self, own: Option<usize>, freed: Amount, by: &[Amount]) -> Vec<Cell> {
        let cell = |it: Amount| match it.blocks {
            0 => Cell::new(""),
            _ => Cell::size(it.bytes),
        };
        let (shown, others) = by.split_at(self.shown.len());
        let letter = own.map_or("", |at| LETTERS[at]);
        let mut cells = vec![Cell::styled(DIM, letter), Cell::size(freed.bytes)];
        cells.extend(shown.iter().map(|it| cell(*it)));
        if self.others > 0 {
            cells.push(cell(sum(others.iter().copied())));
        }
        cells
    }

    fn summary(&self, rows: &[FreesRow], place: String) -> Row {
        let columns = self.shown.len() + self.others;
        let of_column = |at: usize| sum(rows.iter().map(|it| it.by[at]));
        let by: Vec<Amount> = (0..columns).map(of_column).collect();
        Row {
            style: BOLD,
            cells: self.cells(None, sum(rows.iter().map(|it| it.freed)), &by),
            level: 0,
            place,
            source: None,
            details: Vec::new(),
        }
    }
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::default(), |mut sum, it| {
        sum += it;
        sum
    })
}

/// Whether a group is the label or thread of this name.
fn is(key: &GroupKey, name: &str) -> bool {
    matches!(key, GroupKey::Name(it) if **it == *name)
}

impl fmt::Display for FreesTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let frees = self.snapshot.frees(self.by, self.freer);
            let freed = sum(frees.rows.iter().map(|it| it.freed));
            let heading = format!(
                "{} in {} {} freed, {}; columns by freeing {}",
                self.view.known(self.snapshot, freed.bytes),
                text::plural(freed.blocks, "block"),
                if freed.blocks == 1 { "was" } else { "were" },
                self.view.grouped(self.snapshot),
                self.freer,
            );
            let columns = self.columns(&frees);
            let is_empty = frees.rows.is_empty();
            let table = (!is_empty).then(|| self.table(&frees, &columns));
            let process = process(self.snapshot).into_iter().collect();
            let mut page = self.view.page(process, &heading, table, &[]);
            if !is_empty {
                page += &format!("\n\n{}", self.legend(&columns).join("\n"));
            }
            page + &self.view.below(&self.notes_on(&frees))
        });
        f.write_str(&page)
    }
}
