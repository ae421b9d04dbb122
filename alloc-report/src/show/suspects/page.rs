//! The parts of the page that [`Suspects`] prints: processes, heading, table, and what is held.

use std::cmp::Ordering;

use alloc_core_snapshot::{Bytes, ChargeTo, GroupBy, GroupKey, Metric, Snapshot, Statistic};

use super::Suspects;
use crate::growth::{Moment, Order, Suspect};
use crate::show::table::{BOLD, Cell, DIM, PLAIN, Row, Table};
use crate::show::text::{self, plural};
use crate::show::view::process;
use crate::show::words::{self, words};

/// The indentation of the sentence below a row.
const INDENT: &str = "       ";

impl Suspects<'_> {
    pub(super) fn held_words(&self, held: &Statistic, newest: &Snapshot) -> String {
        let heap = newest.traced_memory().current.get().max(1);
        format!(
            "{} held {} in {} from the first snapshot to the last, {:.0} % of the heap, and \
             allocated and freed nothing in that time",
            self.place(&held.key, newest),
            held.size,
            plural(held.count, "block"),
            held.size.get() as f64 * 100.0 / heap as f64,
        )
    }

    fn place(&self, key: &GroupKey, snapshot: &Snapshot) -> String {
        match key.charged_in(snapshot) {
            Some(frame) => text::place(frame),
            None => key.to_string(),
        }
    }

    pub(super) fn processes(&self, order: &Order<'_>) -> Vec<String> {
        let about = order.moments.iter().map(Moment::about);
        let about: Vec<&Snapshot> = about.collect();
        let [first, .., last] = about[..] else {
            return about.into_iter().filter_map(process).collect();
        };
        let side = |name, snapshot| process(snapshot).map(|it| format!("{name}: {it}"));
        let sides = [side("last", last), side("first", first)];
        sides.into_iter().flatten().collect()
    }

    pub(super) fn heading(&self, order: &Order<'_>, suspects: &[Suspect]) -> String {
        let steps = match order.steps() as u64 {
            0 | 1 => "from the first snapshot to the second".to_owned(),
            n => format!("in each of {n} steps"),
        };
        let noun = self.view.noun(0);
        let of = match order.newest {
            Some(newest) if is_of_workspace(newest, self.by) => " of the workspace",
            _ => "",
        };
        let heading = match suspects.len() as u64 {
            0 => format!("No {noun}{of} grew {steps}"),
            n => {
                let growth: Bytes = suspects.iter().map(|it| it.growth).sum();
                let time = order.duration().map(words::duration);
                let time = time.map_or(String::new(), |it| format!(" in {it}"));
                format!("{}{of} grew {steps}, by {growth}{time}", plural(n, noun))
            }
        };
        let heap = self.heap_words(order, suspects);
        let lines: Vec<String> = [Some(heading), heap].into_iter().flatten().collect();
        lines.join("\n")
    }

    /// How the whole heap changed, and when it reaches the limit.
    fn heap_words(&self, order: &Order<'_>, suspects: &[Suspect]) -> Option<String> {
        let [first, .., last] = &order.moments[..] else {
            return None;
        };
        if ![first, last]
            .iter()
            .all(|it| it.about().knows(Metric::Current))
        {
            return None;
        }
        let [then, now] = [first, last].map(Moment::heap);
        let heap = match now.cmp(&then) {
            Ordering::Greater => format!("The heap grew by {} to {now}", now - then),
            Ordering::Less => format!("The heap shrank by {} to {now}", then - now),
            Ordering::Equal => format!("The heap stayed at {now}"),
        };
        let Some((limit, seconds)) = self.limit.zip(self.until_limit(order, suspects)) else {
            return Some(heap);
        };
        Some(match seconds {
            0.0 => format!("{heap}, and so the limit of {limit} is reached"),
            _ => format!(
                "{heap}; at this rate it reaches the limit of {limit} in {}",
                words::duration(seconds)
            ),
        })
    }

    pub(super) fn table(&self, order: &Order<'_>, suspects: &[Suspect]) -> Option<Table> {
        let newest = order.newest.filter(|_| !suspects.is_empty())?;
        let has_rates = order.duration().is_some();
        let knows_blocks = order.moments.iter().all(|it| it.about().knows_blocks());
        let mut heads = vec!["#", "growth", "count", "size"];
        if has_rates {
            heads.push("an hour");
        }
        if has_rates && self.limit.is_some() {
            heads.push("limit in");
        }
        let cells = |rank: String, of: &[Suspect]| {
            let growth: Bytes = of.iter().map(|it| it.growth).sum();
            let size: Bytes = of.iter().map(|it| it.size).sum();
            let count = of.iter().map(|it| it.count_diff);
            let count = count.fold(0, i64::saturating_add);
            let rate: f64 = of.iter().filter_map(|it| it.rate).sum();
            let mut cells = vec![
                Cell::styled(DIM, rank),
                Cell::size(growth),
                match knows_blocks {
                    true => Cell::change(count),
                    false => Cell::unknown(),
                },
                Cell::size(size),
            ];
            if has_rates {
                cells.push(Cell::size(words::size(rate * 3600.0)));
            }
            if has_rates && self.limit.is_some() {
                let seconds = self.until_limit(order, of);
                cells.push(Cell::new(match seconds {
                    None => String::new(),
                    Some(0.0) => "reached".to_owned(),
                    Some(seconds) => words::short_duration(seconds),
                }));
            }
            cells
        };
        let (shown, others) = suspects.split_at(self.view.rows.min(suspects.len()));
        let places = self.view.places(shown.iter().map(|it| &it.key), newest);
        let rows = shown.iter().zip(places).zip(1_u64..);
        let mut rows: Vec<Row> = rows
            .map(|((suspect, (place, source)), rank)| Row {
                style: PLAIN,
                cells: cells(text::grouped(rank), std::slice::from_ref(suspect)),
                level: 0,
                place,
                source,
                details: self.details(suspect, newest),
            })
            .collect();
        let mut summary = |name: String, of: &[Suspect], style| {
            rows.push(Row {
                style,
                cells: cells(String::new(), of),
                level: 0,
                place: name,
                source: None,
                details: Vec::new(),
            });
        };
        if !others.is_empty() {
            let n = plural(others.len() as u64, self.view.noun(0));
            summary(format!("other ({n})"), others, PLAIN);
        }
        summary("total".to_owned(), suspects, BOLD);
        Some(Table {
            heads,
            place: self.view.nouns(),
            rows,
        })
    }

    /// The sentence below a row, and the stack if the rows are stacks.
    fn details(&self, suspect: &Suspect, newest: &Snapshot) -> Vec<String> {
        let sentence = format!("It {}.", words(suspect));
        let room = self.view.width.saturating_sub(INDENT.len());
        let lines = words::lines(&sentence, room).into_iter();
        let mut lines: Vec<String> = lines.map(|it| format!("{INDENT}{it}")).collect();
        lines.extend(self.view.details(&suspect.key, 0, 0, newest));
        lines
    }
}

/// Whether the groups of a key are of the workspace only.
fn is_of_workspace(snapshot: &Snapshot, by: GroupBy) -> bool {
    let is_charged = matches!(
        by,
        GroupBy::Line | GroupBy::File | GroupBy::Function | GroupBy::Module | GroupBy::Crate
    );
    is_charged && snapshot.charged_to() == ChargeTo::Workspace
}
