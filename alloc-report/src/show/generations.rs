//! [`generations`]: how many snapshots the live blocks survived, by line.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use alloc_core_snapshot::{Bytes, GroupKey, Metric, Snapshot, Statistic};

use super::builder::plain;
use super::lifetimes::notes_of;
use super::table::{Cell, DIM, Table};
use super::text;
use super::view::{List, View, process};

/// Most blocks of a line die young if this part of those that were freed did.
const MOST: f64 = 0.9;

/// The columns of survivors: of no snapshot, of one, of two, and of three or more.
const COLUMNS: usize = 4;

/// Makes a table of how many of the older snapshots the blocks survived that live in the newest, of `n`
/// lines: those that hold the most in old blocks.
///
/// It also says of the blocks that were freed how many died young: younger than the median time between two
/// snapshots. All of this comes from the ages in the newest snapshot, which is one of a session with
/// `Config::lifetimes`, and from the times of the others. An age is known to within a factor of 1.5: a block
/// counts as a survivor if it surely is one.
///
/// ```
/// use std::time::Duration;
/// use alloc_core::{Ages, Amount, Counters, Frame, Lifetimes, Snapshot, Trace, Traceback};
///
/// let mut lived = Lifetimes::default();
/// lived.freed = Ages::default().with_times(Duration::from_micros(5), 900);
/// lived.live = Ages::default().with_times(Duration::from_secs(30), 100);
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let (current, total) = (Amount::new(6400, 100), Amount::new(64_000, 1000));
/// let counters = Counters { current, total, ..Counters::default() };
/// let trace = Trace::new(Traceback::new(vec![frame]), counters).with_lifetimes(lived);
/// let newest = Snapshot::from_traces(vec![trace], 32);
/// // Snapshots that were taken ten and twenty seconds before.
/// let before = [Duration::from_secs(20), Duration::from_secs(10)];
/// assert_eq!(
///     alloc_report::generations(&newest, &before, 10).to_string(),
///     "\
/// Of 100 live blocks, 100 survived a snapshot, and 100 survived 2; of 900 that were freed, 900 died young, by line
///
/// ##  live  new  1    2  3+  freed  young  line
/// 1   100    0  0  100   0    900   100%  src/cache.rs:41
///        Most die young; what stays is old."
/// );
/// ```
pub fn generations<'a>(
    newest: &'a Snapshot,
    before: &[Duration],
    n: usize,
) -> GenerationsTable<'a> {
    let mut before = before.to_vec();
    before.sort();
    GenerationsTable {
        newest,
        before,
        view: View::new(n),
    }
}

/// A table of how many snapshots blocks survived, made by [`generations`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct GenerationsTable<'a> {
    newest: &'a Snapshot,
    /// How long before the newest snapshot the others were taken, the latest first.
    before: Vec<Duration>,
    view: View,
}

/// What became of the blocks of a group.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct GenerationsGroup {
    pub key: GroupKey,
    /// Live blocks by how many snapshots they survived: none, one, two, three or more.
    pub survived: [u64; COLUMNS],
    /// Blocks that were freed, and those of them that died young.
    pub freed: u64,
    pub young: u64,
    /// The bytes of the blocks that survived any.
    pub old_bytes: Bytes,
}

plain!(GenerationsTable);

impl GenerationsTable<'_> {
    /// The groups with lifetimes, those that hold the most in old blocks first.
    #[doc(hidden)]
    pub fn groups(&self) -> Vec<GenerationsGroup> {
        alloc_core_snapshot::seam::untraced(|| {
            let by = self.view.by.clone().with_metric(Metric::Total);
            let groups = self.newest.statistics(by).into_iter();
            let mut groups: Vec<_> = groups.filter_map(|it| self.fate(it)).collect();
            groups.sort_by_key(|it| Reverse((it.old_bytes, it.live(), it.freed)));
            groups
        })
    }

    /// The notes below the table.
    pub fn notes(&self) -> Vec<String> {
        alloc_core_snapshot::seam::untraced(|| {
            let mut notes = notes_of(self.newest);
            if self.before.is_empty() {
                notes.insert(
                    0,
                    "what survived shows between snapshots: expected two or more, found 1"
                        .to_owned(),
                );
            }
            notes
        })
    }

    /// The median time between two snapshots: a block that did not live so long died young.
    #[doc(hidden)]
    pub fn gap(&self) -> Duration {
        let starts = [Duration::ZERO]
            .into_iter()
            .chain(self.before.iter().copied());
        let mut gaps: Vec<Duration> = starts
            .zip(&self.before)
            .map(|(a, b)| b.saturating_sub(a))
            .collect();
        gaps.sort();
        gaps.get(gaps.len() / 2).copied().unwrap_or_default()
    }

    fn fate(&self, group: Statistic) -> Option<GenerationsGroup> {
        let lifetimes = group.lifetimes?;
        let mut survived = [0; COLUMNS];
        for (end, blocks) in lifetimes.live.times() {
            // Above some microseconds a bucket begins at two thirds of its end, or later.
            let age = end * 2 / 3;
            let snapshots = self.before.iter().filter(|it| **it <= age).count();
            survived[snapshots.min(COLUMNS - 1)] += blocks;
        }
        let gap = self.gap();
        let young = lifetimes.freed.times().filter(|(age, _)| *age <= gap);
        let young = young.map(|(_, blocks)| blocks).sum();
        let old: u64 = survived[1..].iter().sum();
        let current = group.counters.current;
        let old_bytes =
            u128::from(current.bytes.get()) * u128::from(old) / u128::from(current.blocks.max(1));
        Some(GenerationsGroup {
            key: group.key,
            survived,
            freed: lifetimes.freed.count(),
            young,
            old_bytes: Bytes::new(old_bytes as u64),
        })
    }

    fn table(&self, groups: &[GenerationsGroup]) -> Table {
        let list = List::<GenerationsGroup> {
            heads: vec!["#", "live", "new", "1", "2", "3+", "freed", "young"],
            key: |it| &it.key,
            cells: &|rank, it| it.cells(rank),
            details: |it| vec![format!("       {}", it.verdict())],
            others: &|_| vec![Cell::new(""); 4 + COLUMNS],
        };
        self.view.list(self.newest, groups, list)
    }
}

impl GenerationsGroup {
    /// The sum of groups, with an empty key.
    pub fn sum(groups: &[GenerationsGroup]) -> GenerationsGroup {
        let mut sum = GenerationsGroup {
            key: "".into(),
            survived: [0; COLUMNS],
            freed: 0,
            young: 0,
            old_bytes: Bytes::ZERO,
        };
        for group in groups {
            let all = sum.survived.iter_mut().zip(group.survived);
            all.for_each(|(sum, blocks)| *sum += blocks);
            sum.freed += group.freed;
            sum.young += group.young;
            sum.old_bytes += group.old_bytes;
        }
        sum
    }

    pub fn live(&self) -> u64 {
        self.survived.iter().sum()
    }

    fn old(&self) -> u64 {
        self.survived[1..].iter().sum()
    }

    /// What the numbers say.
    pub fn verdict(&self) -> &'static str {
        let dies_young = self.freed > 0 && self.young as f64 >= MOST * self.freed as f64;
        let all = self.freed + self.live();
        match (self.old() > 0, self.survived[0] > 0) {
            _ if self.freed == 0 && self.old() > 0 && self.survived[0] > 0 => {
                "What is made stays, and more is made."
            }
            (true, _) if self.freed == 0 => "What is made stays.",
            (true, true) if self.live() as f64 >= MOST * all as f64 => {
                "Most of what is made stays, and more is made."
            }
            (true, true) if dies_young => "Most die young; some stay, and more are made.",
            (true, false) if dies_young => "Most die young; what stays is old.",
            (true, _) => "Blocks of all ages are freed; some are old.",
            (false, _) if self.freed == 0 => "Nothing is old yet.",
            (false, _) if dies_young => "Most die young, and nothing is old.",
            (false, _) => "Nothing that lives is old.",
        }
    }

    fn cells(&self, rank: String) -> Vec<Cell> {
        let mut cells = vec![
            Cell::styled(DIM, rank),
            Cell::new(text::grouped(self.live())),
        ];
        cells.extend(self.survived.map(|it| Cell::new(text::grouped(it))));
        cells.push(Cell::new(text::grouped(self.freed)));
        cells.push(match self.freed {
            0 => Cell::new(""),
            freed => Cell::new(format!("{:.0}%", 100.0 * self.young as f64 / freed as f64)),
        });
        cells
    }
}

impl fmt::Display for GenerationsTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let groups = self.groups();
            let sum = GenerationsGroup::sum(&groups);
            let twice: u64 = sum.survived[2..].iter().sum();
            let heading = format!(
                "Of {}, {} survived a snapshot, and {} survived 2; of {} that were freed, {} died young, {}",
                text::plural(sum.live(), "live block"),
                text::grouped(sum.old()),
                text::grouped(twice),
                text::grouped(sum.freed),
                text::grouped(sum.young),
                self.view.grouped(self.newest),
            );
            let table = (!groups.is_empty()).then(|| self.table(&groups));
            let process = process(self.newest).into_iter().collect();
            self.view.page(process, &heading, table, &self.notes())
        });
        f.write_str(&page)
    }
}
