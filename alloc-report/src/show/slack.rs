//! [`slack`]: how many more bytes blocks have than were asked for, by line.

use std::cmp::Reverse;
use std::fmt;

use alloc_core_snapshot::{Amount, Bytes, GroupKey, Metric, Snapshot, Statistic};

use super::builder::plain;
use super::notes;
use super::table::{Cell, DIM, Table};
use super::text;
use super::view::{List, View, process};

/// Makes a table of slack, of the `n` lines that have the most: how many more bytes their blocks
/// have than were asked for, since the allocator rounds sizes up.
///
/// It has what was asked for and what is usable, and both for a block of mean size. It counts live
/// blocks; for a snapshot that was written when the program ended, all blocks that were ever
/// allocated. The snapshot is one of a session with `Config::slack`; the blocks of others have no
/// known slack.
///
/// ```
/// use alloc_core::{Amount, Bytes, Counters, Frame, Slack, Snapshot, Trace, Traceback};
///
/// let frame = Frame::new(Some("demo::parse"), Some("src/parse.rs"), 41, 9);
/// let amount = Amount::new(2500, 100);
/// let counters = Counters { current: amount, total: amount, ..Counters::default() };
/// let slack = Slack { current: Bytes::new(1500), total: Bytes::new(1500) };
/// let trace = Trace::new(Traceback::new(vec![frame]), counters).with_slack(slack);
/// let snapshot = Snapshot::from_traces(vec![trace], 32);
/// assert_eq!(
///     alloc_report::slack(&snapshot, 10).to_string(),
///     "\
/// 1500 B of 4000 B in live blocks are slack (37.5%), by line
///
/// ##   slack  of usable  asked for  usable  blocks       average  line
/// 1  1500 B      37.5%     2500 B  4000 B     100  25 B in 40 B  src/parse.rs:41"
/// );
/// ```
pub fn slack(snapshot: &Snapshot, n: usize) -> SlackTable<'_> {
    SlackTable {
        snapshot,
        view: View::new(n),
        counts_all: snapshot.is_at_exit(),
    }
}

/// A table of slack, made by [`slack`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a table does nothing until it is printed"]
pub struct SlackTable<'a> {
    snapshot: &'a Snapshot,
    view: View,
    counts_all: bool,
}

plain!(SlackTable);

impl SlackTable<'_> {
    /// Counts all blocks that were ever allocated, or only those that are live.
    pub fn count_all(mut self, all: bool) -> Self {
        self.counts_all = all;
        self
    }

    /// The groups with slack, the largest first.
    #[doc(hidden)]
    pub fn groups(&self) -> Vec<SlackGroup> {
        alloc_core_snapshot::seam::untraced(|| self.all())
    }

    /// Whether all blocks that were ever allocated are counted, not only those that are live.
    #[doc(hidden)]
    pub fn counts_all(&self) -> bool {
        self.counts_all
    }

    /// The notes below the table.
    pub fn notes(&self) -> Vec<String> {
        alloc_core_snapshot::seam::untraced(|| {
            let mut notes = notes::of_snapshot(self.snapshot);
            let was_measured = self.snapshot.traces().iter().any(|it| it.slack.is_some());
            if !was_measured && !self.snapshot.traces().is_empty() {
                notes.insert(
                    0,
                    "slack was not measured: trace with ALLOC_TRACE_SLACK=1 or Config::slack(true)"
                        .to_owned(),
                );
            }
            notes
        })
    }

    fn all(&self) -> Vec<SlackGroup> {
        let metric = if self.counts_all {
            Metric::Total
        } else {
            Metric::Current
        };
        let by = self.view.by.clone().with_metric(metric);
        let statistics = self.snapshot.statistics(by);
        let of = |it: Statistic| {
            let slack = it.slack?;
            Some(SlackGroup {
                asked: it.counters.amount(metric),
                slack: if self.counts_all {
                    slack.total
                } else {
                    slack.current
                },
                key: it.key,
            })
        };
        let mut groups: Vec<_> = statistics.into_iter().filter_map(of).collect();
        groups.sort_by_key(|it| Reverse((it.slack, it.asked)));
        groups
    }

    fn table(&self, groups: &[SlackGroup]) -> Table {
        let list = List::<SlackGroup> {
            heads: vec![
                "#",
                "slack",
                "of usable",
                "asked for",
                "usable",
                "blocks",
                "average",
            ],
            key: |it| &it.key,
            cells: &|rank, it| it.cells(rank),
            details: |_| Vec::new(),
            others: &|it| SlackGroup::sum(it).cells(String::new()),
        };
        self.view.list(self.snapshot, groups, list)
    }

    fn heading(&self, sum: &SlackGroup) -> String {
        format!(
            "{} of {} in {} are slack ({}), {}",
            sum.slack,
            sum.usable(),
            if self.counts_all {
                "all blocks ever allocated"
            } else {
                "live blocks"
            },
            sum.percentage(),
            self.view.grouped(self.snapshot),
        )
    }
}

/// What the blocks of a group have.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct SlackGroup {
    pub key: GroupKey,
    /// What was asked for.
    pub asked: Amount,
    pub slack: Bytes,
}

impl SlackGroup {
    /// The sum of groups, with an empty key.
    pub fn sum(groups: &[SlackGroup]) -> SlackGroup {
        let mut sum = SlackGroup {
            key: "".into(),
            asked: Amount::default(),
            slack: Bytes::ZERO,
        };
        for group in groups {
            sum.asked += group.asked;
            sum.slack += group.slack;
        }
        sum
    }

    pub fn usable(&self) -> Bytes {
        self.asked.bytes + self.slack
    }

    /// The part of the usable bytes that is slack; `None` if there are none.
    pub fn share(&self) -> Option<f64> {
        let usable = self.usable().get();
        (usable > 0).then(|| self.slack.get() as f64 / usable as f64)
    }

    fn percentage(&self) -> String {
        format!("{:.1}%", self.share().unwrap_or_default() * 100.0)
    }

    /// What is asked for and what is usable in a block of mean size.
    fn average(&self) -> String {
        let mean = |bytes: Bytes| {
            let mean = bytes.get() as f64 / self.asked.blocks as f64;
            Bytes::new(mean.round_ties_even() as u64)
        };
        match self.asked.blocks {
            0 => String::new(),
            _ => format!("{} in {}", mean(self.asked.bytes), mean(self.usable())),
        }
    }

    fn cells(&self, rank: String) -> Vec<Cell> {
        vec![
            Cell::styled(DIM, rank),
            Cell::new(self.slack.to_string()),
            Cell::new(self.percentage()),
            Cell::new(self.asked.bytes.to_string()),
            Cell::new(self.usable().to_string()),
            Cell::new(text::grouped(self.asked.blocks)),
            Cell::new(self.average()),
        ]
    }
}

impl fmt::Display for SlackTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let page = alloc_core_snapshot::seam::untraced(|| {
            let groups = self.all();
            let heading = self.heading(&SlackGroup::sum(&groups));
            let table = (!groups.is_empty()).then(|| self.table(&groups));
            let process = process(self.snapshot).into_iter().collect();
            self.view.page(process, &heading, table, &self.notes())
        });
        f.write_str(&page)
    }
}
