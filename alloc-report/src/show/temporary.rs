//! [`temporary`]: blocks that were freed soon, by line.

use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

use alloc_core_snapshot::{Ages, Amount, Bytes, GroupKey, Metric, Snapshot, Statistic};

use super::builder::plain;
use super::lifetimes::{notes_of, shown};
use super::table::{Cell, DIM, Table};
use super::text;
use super::view::{List, View, process};

/// How soon a block was freed.
///
/// ```
/// use std::time::Duration;
/// use alloc_core::Bytes;
/// use alloc_report::Within;
///
/// assert_eq!("10us".parse(), Ok(Within::Time(Duration::from_micros(10))));
/// assert_eq!("4KiB".parse(), Ok(Within::Bytes(Bytes::kib(4))));
/// assert!("soon".parse::<Within>().unwrap_err().contains("expected a time such as 10us"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// In less than this time.
    Time(Duration),
    /// Before the program allocated this much more. This is the same from run to run, for a program
    /// with one thread.
    Bytes(Bytes),
}

impl std::str::FromStr for Within {
    type Err = String;

    fn from_str(text: &str) -> Result<Within, String> {
        const UNITS: [(&str, u64); 5] = [
            ("ns", 1),
            ("us", 1_000),
            ("µs", 1_000),
            ("ms", 1_000_000),
            ("s", 1_000_000_000),
        ];
        let time = UNITS.iter().find_map(|(unit, nanoseconds)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            Some(Within::Time(Duration::from_nanos(
                number.checked_mul(*nanoseconds)?,
            )))
        });
        time.or_else(|| Bytes::parse(text).map(Within::Bytes))
            .ok_or_else(|| {
                format!(
                    "expected a time such as 10us or 5ms, or bytes such as 4KiB, found {text:?}"
                )
            })
    }
}

/// Makes a table of blocks that were freed soon, of the `n` lines that have the most of them.
///
/// Ages are kept in buckets. A bucket counts if it ends at or below the limit, so the limit that the
/// heading states is the end of a bucket. The snapshot is one of a session with `Config::lifetimes`.
/// A reallocation ends the life of the old block.
///
/// ```
/// use std::time::Duration;
/// use alloc_core::{Ages, Amount, Counters, Frame, Lifetimes, Snapshot, Trace, Traceback};
/// use alloc_report::Within;
///
/// let mut lived = Lifetimes::default();
/// lived.freed = Ages::default()
///     .with_times(Duration::from_micros(5), 60)
///     .with_times(Duration::from_secs(1), 40);
/// let frame = Frame::new(Some("demo::parse"), Some("src/parse.rs"), 41, 9);
/// let counters = Counters { total: Amount::new(6400, 100), ..Counters::default() };
/// let trace = Trace::new(Traceback::new(vec![frame]), counters).with_lifetimes(lived);
/// let snapshot = Snapshot::from_traces(vec![trace], 32);
/// let table = alloc_report::temporary(&snapshot, 10);
/// assert_eq!(
///     table.within(Within::Time(Duration::from_micros(10))).to_string(),
///     "\
/// 60 of 100 freed blocks were freed within 6 µs, by line
///
/// ##  temporary  share  freed    bytes  line
/// 1         60  60.0%    100  3,840 B  src/parse.rs:41"
/// );
/// ```
pub fn temporary(snapshot: &Snapshot, n: usize) -> TemporaryTable<'_> {
    TemporaryTable {
        snapshot,
        within: Within::Bytes(Bytes::kib(4)),
        view: View::new(n),
    }
}

/// A table of blocks that were freed soon, made by [`temporary`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct TemporaryTable<'a> {
    snapshot: &'a Snapshot,
    within: Within,
    view: View,
}

plain!(TemporaryTable);

impl TemporaryTable<'_> {
    /// Sets how soon a block was freed; before the program allocated 4 KiB more is the default.
    pub fn within(mut self, within: Within) -> Self {
        self.within = within;
        self
    }

    /// The groups with blocks that were freed soon, those with the most first.
    #[doc(hidden)]
    pub fn groups(&self) -> Vec<TemporaryGroup> {
        alloc_core_snapshot::seam::untraced(|| self.soon_of(self.with_lifetimes()))
    }

    /// The limit that counts: the end of the last bucket that is within the one that was asked for.
    #[doc(hidden)]
    pub fn limit(&self) -> Within {
        alloc_core_snapshot::seam::untraced(|| self.limit_of(&self.with_lifetimes()))
    }

    /// The notes below the table.
    pub fn notes(&self) -> Vec<String> {
        alloc_core_snapshot::seam::untraced(|| notes_of(self.snapshot))
    }

    fn with_lifetimes(&self) -> Vec<Statistic> {
        let by = self.view.by.clone().with_metric(Metric::Total);
        let mut groups = self.snapshot.statistics(by);
        groups.retain(|it| it.lifetimes.is_some());
        groups
    }

    fn soon_of(&self, groups: Vec<Statistic>) -> Vec<TemporaryGroup> {
        let groups = groups.into_iter().map(|it| {
            let (soon, freed) = freed(&it).map_or((0, 0), |it| (self.count(it), it.count()));
            let total = it.counters.total;
            // The blocks of a line are taken to be of one size.
            let bytes =
                u128::from(total.bytes.get()) * u128::from(soon) / u128::from(total.blocks.max(1));
            TemporaryGroup {
                key: it.key,
                soon: Amount::new(bytes as u64, soon),
                freed,
            }
        });
        let mut groups: Vec<_> = groups.filter(|it| it.soon.blocks > 0).collect();
        groups.sort_by_key(|it| Reverse(it.soon.blocks));
        groups
    }

    /// The blocks that were freed soon.
    fn count(&self, freed: &Ages) -> u64 {
        match self.within {
            Within::Time(most) => sum(freed.times().filter(|(age, _)| *age <= most)),
            Within::Bytes(most) => sum(freed.bytes().filter(|(age, _)| *age <= most)),
        }
    }

    fn limit_of(&self, groups: &[Statistic]) -> Within {
        let freed = || groups.iter().filter_map(freed);
        match self.within {
            Within::Time(most) => {
                let ends = freed().flat_map(Ages::times).map(|(age, _)| age);
                Within::Time(ends.filter(|it| *it <= most).max().unwrap_or(most))
            }
            Within::Bytes(most) => {
                let ends = freed().flat_map(Ages::bytes).map(|(age, _)| age);
                Within::Bytes(ends.filter(|it| *it <= most).max().unwrap_or(most))
            }
        }
    }

    fn table(&self, groups: &[TemporaryGroup]) -> Table {
        let list = List::<TemporaryGroup> {
            heads: vec!["#", "temporary", "share", "freed", "bytes"],
            key: |it| &it.key,
            cells: &|rank, it| it.cells(rank),
            details: |_| Vec::new(),
            others: &|_| vec![Cell::new(""); 5],
        };
        self.view.list(self.snapshot, groups, list)
    }
}

/// The blocks of a group that were freed soon.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct TemporaryGroup {
    pub key: GroupKey,
    /// The blocks, and the bytes that they take if the blocks of the group are of one size.
    pub soon: Amount,
    /// All blocks of the group that were freed.
    pub freed: u64,
}

impl TemporaryGroup {
    /// The part of the freed blocks that was freed soon.
    pub fn share(&self) -> f64 {
        self.soon.blocks as f64 / self.freed.max(1) as f64
    }

    fn cells(&self, rank: String) -> Vec<Cell> {
        vec![
            Cell::styled(DIM, rank),
            Cell::new(text::grouped(self.soon.blocks)),
            Cell::new(format!("{:.1}%", 100.0 * self.share())),
            Cell::new(text::grouped(self.freed)),
            Cell::size(self.soon.bytes),
        ]
    }
}

fn freed(group: &Statistic) -> Option<&Ages> {
    group.lifetimes.as_ref().map(|it| &it.freed)
}

fn sum<T>(buckets: impl Iterator<Item = (T, u64)>) -> u64 {
    buckets.map(|(_, blocks)| blocks).sum()
}

impl fmt::Display for TemporaryTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let groups = self.with_lifetimes();
            let freed: u64 = groups.iter().filter_map(freed).map(Ages::count).sum();
            let limit = match self.limit_of(&groups) {
                Within::Time(end) => shown(end),
                Within::Bytes(end) => format!("{end} of further allocations"),
            };
            let groups = self.soon_of(groups);
            let all: u64 = groups.iter().map(|it| it.soon.blocks).sum();
            let heading = format!(
                "{} of {} were freed within {limit}, {}",
                text::grouped(all),
                text::plural(freed, "freed block"),
                self.view.grouped(self.snapshot),
            );
            let table = (!groups.is_empty()).then(|| self.table(&groups));
            let process = process(self.snapshot).into_iter().collect();
            self.view.page(process, &heading, table, &self.notes())
        });
        f.write_str(&page)
    }
}
