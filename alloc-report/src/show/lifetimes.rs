//! [`lifetimes`]: how long blocks live, by line.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use alloc_core_snapshot::{Ages, Metric, Snapshot, Statistic};

use super::builder::plain;
use super::notes;
use super::table::{Cell, DIM, Table};
use super::text;
use super::view::{List, View, process};

/// The notes on a snapshot that is asked for lifetimes.
pub(super) fn notes_of(snapshot: &Snapshot) -> Vec<String> {
    let mut notes = notes::of_snapshot(snapshot);
    let traces = snapshot.traces();
    if traces.iter().all(|it| it.lifetimes.is_none()) && !traces.is_empty() {
        let how = "trace with ALLOC_TRACE_LIFETIMES=1 or Config::lifetimes(true)";
        notes.insert(0, format!("lifetimes were not recorded: {how}"));
    }
    notes
}

/// Makes a table of how long blocks live, of the `n` lines that freed the most blocks.
///
/// Of the blocks that were freed, it has the median of their lifetimes, and the lifetime that nine
/// in ten and all of them did not reach; of those that live, how old half of them and the oldest
/// are. Ages are exact to within a factor of 1.5, or of two below some three microseconds. The
/// snapshot is one of a session with `Config::lifetimes`; the blocks of others have no ages.
///
/// ```
/// use std::time::Duration;
/// use alloc_core::{Ages, Amount, Counters, Frame, Lifetimes, Snapshot, Trace, Traceback};
///
/// let mut lived = Lifetimes::default();
/// lived.freed = Ages::default().with_times(Duration::from_micros(5), 100);
/// let frame = Frame::new(Some("demo::parse"), Some("src/parse.rs"), 41, 9);
/// let counters = Counters { total: Amount::new(6400, 100), ..Counters::default() };
/// let trace = Trace::new(Traceback::new(vec![frame]), counters).with_lifetimes(lived);
/// let snapshot = Snapshot::from_traces(vec![trace], 32);
/// assert_eq!(
///     alloc_report::lifetimes(&snapshot, 10).to_string(),
///     "\
/// 100 blocks were freed, and 0 live, by line
///
/// ##  freed  half below  90% below  all below  live  half below  oldest  line
/// 1    100        6 µs       6 µs       6 µs     0                      src/parse.rs:41"
/// );
/// ```
pub fn lifetimes(snapshot: &Snapshot, n: usize) -> LifetimesTable<'_> {
    LifetimesTable {
        snapshot,
        view: View::new(n),
    }
}

/// A table of how long blocks live, made by [`lifetimes`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct LifetimesTable<'a> {
    snapshot: &'a Snapshot,
    view: View,
}

plain!(LifetimesTable);

impl LifetimesTable<'_> {
    /// The groups with lifetimes, those of which most blocks were freed first.
    #[doc(hidden)]
    pub fn groups(&self) -> Vec<Statistic> {
        alloc_core_snapshot::seam::untraced(|| self.all())
    }

    /// The notes below the table.
    pub fn notes(&self) -> Vec<String> {
        alloc_core_snapshot::seam::untraced(|| {
            let mut notes = notes_of(self.snapshot);
            if self.snapshot.has_mean_ages() {
                notes.insert(
                    0,
                    "the file has one lifetime for each callsite, the mean of all its blocks"
                        .to_owned(),
                );
            }
            notes
        })
    }

    fn all(&self) -> Vec<Statistic> {
        let by = self.view.by.clone().with_metric(Metric::Total);
        let mut groups = self.snapshot.statistics(by);
        groups.retain(|it| it.lifetimes.is_some());
        groups.sort_by_key(|it| Reverse(counts(it)));
        groups
    }

    fn table(&self, groups: &[Statistic]) -> Table {
        let list = List::<Statistic> {
            heads: vec![
                "#",
                "freed",
                "half below",
                "90% below",
                "all below",
                "live",
                "half below",
                "oldest",
            ],
            key: |it| &it.key,
            cells: &cells,
            details: |_| Vec::new(),
            others: &|_| vec![Cell::new(""); 8],
        };
        self.view.list(self.snapshot, groups, list)
    }
}

fn cells(rank: String, group: &Statistic) -> Vec<Cell> {
    let lifetimes = group.lifetimes.clone().unwrap_or_default();
    let (freed, live) = (&lifetimes.freed, &lifetimes.live);
    let at = |ages: &Ages, part| Cell::new(ages.quantile(part).map_or_else(String::new, shown));
    vec![
        Cell::styled(DIM, rank),
        Cell::new(text::grouped(freed.count())),
        at(freed, 0.5),
        at(freed, 0.9),
        at(freed, 1.0),
        Cell::new(text::grouped(live.count())),
        at(live, 0.5),
        at(live, 1.0),
    ]
}

/// A time with two digits, in the largest unit of which it has one.
pub(super) fn shown(time: Duration) -> String {
    const UNITS: [(f64, &str); 6] = [
        (86_400.0, "d"),
        (3600.0, "h"),
        (60.0, "min"),
        (1.0, "s"),
        (1e-3, "ms"),
        (1e-6, "µs"),
    ];
    let seconds = time.as_secs_f64();
    let fits = |(unit, _): &&(f64, &str)| seconds >= *unit;
    let (unit, name) = UNITS.iter().find(fits).unwrap_or(&UNITS[5]);
    let number = seconds / unit;
    match number < 9.95 && number.fract() >= 0.05 && number.fract() <= 0.95 {
        true => format!("{number:.1} {name}"),
        false => format!("{number:.0} {name}"),
    }
}

/// How many blocks of a group were freed, and how many live.
fn counts(group: &Statistic) -> (u64, u64) {
    let lifetimes = group.lifetimes.as_ref();
    lifetimes.map_or((0, 0), |it| (it.freed.count(), it.live.count()))
}

impl fmt::Display for LifetimesTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let groups = self.all();
            let (mut freed, mut live) = (0, 0);
            groups.iter().map(counts).for_each(|(of_freed, of_live)| {
                freed += of_freed;
                live += of_live;
            });
            let heading = format!(
                "{} {} freed, and {} live, {}",
                text::plural(freed, "block"),
                if freed == 1 { "was" } else { "were" },
                text::grouped(live),
                self.view.grouped(self.snapshot),
            );
            let table = (!groups.is_empty()).then(|| self.table(&groups));
            let process = process(self.snapshot).into_iter().collect();
            self.view.page(process, &heading, table, &self.notes())
        });
        f.write_str(&page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_digits() {
        #[track_caller]
        fn check(microseconds: u64, expected: &str) {
            assert_eq!(shown(Duration::from_micros(microseconds)), expected);
        }
        check(0, "0 µs");
        check(6, "6 µs");
        check(1536, "1.5 ms");
        check(24_000, "24 ms");
        check(1_572_864, "1.6 s");
        check(90_000_000, "1.5 min");
        check(7_200_000_000, "2 h");
        check(200_000_000_000, "2.3 d");
    }
}
