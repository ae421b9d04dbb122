//! The reports as CSV.

use alloc_core_snapshot::{
    Amount, Escaped, Frame, Freer, GroupKey, Grouping, Metric, Snapshot, Statistic,
};
use alloc_report::{
    GenerationsGroup, PinnedGroup, SlackGroup, StatisticDiff, Suspect, TemporaryGroup,
};
use anyhow::Result;

use super::frees::parts;
use super::lifetimes::nanoseconds;
use super::report::Question;
use super::{average, copied, diffs, name_of, statistics, total};
use crate::view::View;

/// The columns that identify a row.
const KEY_COLUMNS: [&str; 8] = [
    "rank",
    "by",
    "key",
    "function",
    "file",
    "path",
    "line",
    "functions",
];

const TOP_COLUMNS: [&str; 16] = [
    "bytes",
    "blocks",
    "average_bytes",
    "share",
    "current_bytes",
    "current_blocks",
    "peak_bytes",
    "peak_blocks",
    "at_peak_bytes",
    "at_peak_blocks",
    "total_bytes",
    "total_blocks",
    "freed_bytes",
    "freed_blocks",
    "reallocations",
    "copied_bytes",
];

const DIFF_COLUMNS: [&str; 5] = [
    "bytes",
    "bytes_diff",
    "blocks",
    "blocks_diff",
    "average_bytes",
];

pub(crate) fn top(snapshot: &Snapshot, view: &View, by: &Grouping) -> Result<String> {
    let total = total(snapshot, by).bytes.get();
    let mut rows = Rows::new(snapshot, view.rows, by, &TOP_COLUMNS)?;
    rows.add(&statistics(snapshot, view, by), &|statistic: &Statistic| {
        let (bytes, blocks) = (statistic.size.get(), statistic.count);
        let share = (total > 0).then(|| bytes as f64 / total as f64);
        let counters = &statistic.counters;
        let knows_blocks = snapshot.knows_blocks();
        let mut cells = vec![
            bytes.to_string(),
            known(knows_blocks.then_some(blocks)),
            known(average(bytes, blocks).filter(|_| knows_blocks)),
            known(share),
        ];
        for metric in Metric::ALL {
            let Amount { bytes, blocks } = counters.amount(*metric);
            let knows = snapshot.knows(*metric);
            cells.push(known(knows.then(|| bytes.get())));
            cells.push(known((knows && knows_blocks).then_some(blocks)));
        }
        cells.push(counters.reallocations.to_string());
        cells.push(known(copied(statistic, snapshot)));
        cells
    })?;
    rows.text()
}

pub(crate) fn diff(new: &Snapshot, old: &Snapshot, view: &View, by: &Grouping) -> Result<String> {
    let mut rows = Rows::new(new, view.rows, by, &DIFF_COLUMNS)?;
    let diffs = diffs(new, old, view, by);
    let has_amounts = !new.is_difference();
    let knows_blocks = new.knows_blocks();
    rows.add(&diffs, &|diff: &StatisticDiff| {
        vec![
            known(has_amounts.then(|| diff.size.get())),
            diff.size_diff.get().to_string(),
            known((has_amounts && knows_blocks).then_some(diff.count)),
            known(knows_blocks.then_some(diff.count_diff)),
            known(average(diff.size.get(), diff.count).filter(|_| has_amounts && knows_blocks)),
        ]
    })?;
    rows.text()
}

const SUSPECTS_COLUMNS: [&str; 14] = [
    "bytes",
    "bytes_diff",
    "blocks",
    "blocks_diff",
    "bytes_per_second",
    "bytes_per_hour",
    "seconds_to_limit",
    "allocated_bytes",
    "allocated_blocks",
    "freed_bytes",
    "freed_blocks",
    "thread",
    "label",
    "sentence",
];

pub(crate) fn suspects(report: &super::suspects::Report<'_>) -> Result<String> {
    let newest = report.newest;
    let mut rows = Rows::new(newest, report.rows, &report.by.into(), &SUSPECTS_COLUMNS)?;
    let knows_blocks = newest.knows_blocks();
    let if_total = |number: u64| newest.knows(Metric::Total).then_some(number);
    rows.add(&report.list, &|it: &Suspect| {
        vec![
            it.size.get().to_string(),
            it.growth.get().to_string(),
            known(knows_blocks.then_some(it.count)),
            known(knows_blocks.then_some(it.count_diff)),
            known(it.rate),
            known(it.rate_per_hour()),
            known(report.seconds_to_limit(it.rate)),
            known(if_total(it.allocated.bytes.get())),
            known(if_total(it.allocated.blocks).filter(|_| knows_blocks)),
            known(if_total(it.freed.bytes.get())),
            known(if_total(it.freed.blocks).filter(|_| knows_blocks)),
            it.thread.clone().unwrap_or_default(),
            it.label.clone().unwrap_or_default(),
            text(Some(&it.to_string())),
        ]
    })?;
    rows.text()
}

const LIFETIMES_COLUMNS: [&str; 8] = [
    "freed_blocks",
    "freed_half_below_nanoseconds",
    "freed_ninety_percent_below_nanoseconds",
    "freed_all_below_nanoseconds",
    "live_blocks",
    "live_half_below_nanoseconds",
    "live_ninety_percent_below_nanoseconds",
    "live_all_below_nanoseconds",
];

pub(crate) fn lifetimes(question: &Question<'_>, groups: &[Statistic]) -> Result<String> {
    let Question { snapshot, by, .. } = *question;
    let mut rows = Rows::new(snapshot, question.rows, &by.into(), &LIFETIMES_COLUMNS)?;
    rows.add(groups, &|it: &Statistic| {
        let lifetimes = it.lifetimes.clone().unwrap_or_default();
        let mut cells = Vec::new();
        for ages in [&lifetimes.freed, &lifetimes.live] {
            cells.push(ages.count().to_string());
            cells.extend([0.5, 0.9, 1.0].map(|it| known(ages.quantile(it).map(nanoseconds))));
        }
        cells
    })?;
    rows.text()
}

const TEMPORARY_COLUMNS: [&str; 4] = [
    "temporary_blocks",
    "temporary_bytes",
    "freed_blocks",
    "share",
];

pub(crate) fn temporary(question: &Question<'_>, groups: &[TemporaryGroup]) -> Result<String> {
    let Question { snapshot, by, .. } = *question;
    let mut rows = Rows::new(snapshot, question.rows, &by.into(), &TEMPORARY_COLUMNS)?;
    rows.add(groups, &|it: &TemporaryGroup| {
        vec![
            it.soon.blocks.to_string(),
            it.soon.bytes.get().to_string(),
            it.freed.to_string(),
            it.share().to_string(),
        ]
    })?;
    rows.text()
}

const GENERATIONS_COLUMNS: [&str; 9] = [
    "live_blocks",
    "survived_0",
    "survived_1",
    "survived_2",
    "survived_3_or_more",
    "old_bytes",
    "freed_blocks",
    "young_blocks",
    "verdict",
];

pub(crate) fn generations(question: &Question<'_>, groups: &[GenerationsGroup]) -> Result<String> {
    let Question { snapshot, by, .. } = *question;
    let mut rows = Rows::new(snapshot, question.rows, &by.into(), &GENERATIONS_COLUMNS)?;
    rows.add(groups, &|it: &GenerationsGroup| {
        let mut cells = vec![it.live().to_string()];
        cells.extend(it.survived.map(|it| it.to_string()));
        cells.push(it.old_bytes.get().to_string());
        cells.extend([it.freed, it.young].map(|it| it.to_string()));
        cells.push(it.verdict().to_owned());
        cells
    })?;
    rows.text()
}

const FREES_COLUMNS: [&str; 3] = ["freed_by", "freed_bytes", "freed_blocks"];

/// A line for each group and each that freed something of it.
pub(crate) fn frees(question: &Question<'_>, freer: Freer) -> Result<String> {
    let Question { snapshot, by, .. } = *question;
    let mut rows = Rows::new(snapshot, question.rows, &by.into(), &FREES_COLUMNS)?;
    let frees = snapshot.frees(by, freer);
    for (group, rank) in frees.rows.iter().zip(1..).take(question.rows) {
        for (name, freed) in parts(&frees, group) {
            let numbers = [
                text(Some(name)),
                freed.bytes.get().to_string(),
                freed.blocks.to_string(),
            ];
            rows.write(&format!("{rank}"), 0, &group.key, numbers)?;
        }
    }
    rows.text()
}

const SLACK_COLUMNS: [&str; 5] = [
    "slack_bytes",
    "asked_bytes",
    "usable_bytes",
    "blocks",
    "share",
];

pub(crate) fn slack(question: &Question<'_>, groups: &[SlackGroup]) -> Result<String> {
    let Question { snapshot, by, .. } = *question;
    let mut rows = Rows::new(snapshot, question.rows, &by.into(), &SLACK_COLUMNS)?;
    rows.add(groups, &|it: &SlackGroup| {
        vec![
            it.slack.get().to_string(),
            it.asked.bytes.get().to_string(),
            it.usable().get().to_string(),
            it.asked.blocks.to_string(),
            known(it.share()),
        ]
    })?;
    rows.text()
}

const RESIDENT_COLUMNS: [&str; 5] = [
    "unused_bytes",
    "given_back_bytes",
    "if_together_bytes",
    "live_bytes",
    "blocks",
];

pub(crate) fn resident(question: &Question<'_>, groups: &[PinnedGroup]) -> Result<String> {
    let Question { snapshot, by, .. } = *question;
    let mut rows = Rows::new(snapshot, question.rows, &by.into(), &RESIDENT_COLUMNS)?;
    rows.add(groups, &|it: &PinnedGroup| {
        vec![
            it.pinned.unused.get().to_string(),
            it.pinned.alone.get().to_string(),
            it.together().get().to_string(),
            it.held.bytes.get().to_string(),
            it.held.blocks.to_string(),
        ]
    })?;
    rows.text()
}

/// A group of any report.
trait Group {
    fn key(&self) -> &GroupKey;
    /// What it consists of; nothing in most reports.
    fn parts(&self) -> &[Self]
    where
        Self: Sized,
    {
        &[]
    }
}

impl Group for Statistic {
    fn key(&self) -> &GroupKey {
        &self.key
    }
    fn parts(&self) -> &[Statistic] {
        &self.parts
    }
}

impl Group for StatisticDiff {
    fn key(&self) -> &GroupKey {
        &self.key
    }
    fn parts(&self) -> &[StatisticDiff] {
        &self.parts
    }
}

impl Group for Suspect {
    fn key(&self) -> &GroupKey {
        &self.key
    }
}

impl Group for SlackGroup {
    fn key(&self) -> &GroupKey {
        &self.key
    }
}

impl Group for TemporaryGroup {
    fn key(&self) -> &GroupKey {
        &self.key
    }
}

impl Group for GenerationsGroup {
    fn key(&self) -> &GroupKey {
        &self.key
    }
}

impl Group for PinnedGroup {
    fn key(&self) -> &GroupKey {
        &self.key
    }
}

/// A table under construction.
struct Rows<'a> {
    writer: csv::Writer<Vec<u8>>,
    snapshot: &'a Snapshot,
    rows: usize,
    names: Vec<String>,
}

impl<'a> Rows<'a> {
    fn new(
        snapshot: &'a Snapshot,
        rows: usize,
        by: &Grouping,
        numbers: &[&str],
    ) -> Result<Rows<'a>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(KEY_COLUMNS.iter().chain(numbers))?;
        let names = by.to_string().split(',').map(str::to_owned).collect();
        Ok(Rows {
            writer,
            snapshot,
            rows,
            names,
        })
    }

    fn add<G: Group>(&mut self, groups: &[G], numbers: &dyn Fn(&G) -> Vec<String>) -> Result<()> {
        self.add_within("", 0, groups, numbers)
    }

    /// Adds the first groups, each followed by its parts.
    fn add_within<G: Group>(
        &mut self,
        rank: &str,
        level: usize,
        groups: &[G],
        numbers: &dyn Fn(&G) -> Vec<String>,
    ) -> Result<()> {
        for (group, number) in groups.iter().zip(1..).take(self.rows) {
            let rank = match rank {
                "" => number.to_string(),
                outer => format!("{outer}.{number}"),
            };
            self.write(&rank, level, group.key(), numbers(group))?;
            self.add_within(&rank, level + 1, group.parts(), numbers)?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        rank: &str,
        level: usize,
        key: &GroupKey,
        numbers: impl IntoIterator<Item = String>,
    ) -> Result<()> {
        let mut row = vec![rank.to_owned(), self.names[level].clone()];
        row.extend(self.place(key));
        row.extend(numbers);
        Ok(self.writer.write_record(row)?)
    }

    /// The cells of a key: its text, function, file, path and line, and the functions of a stack.
    fn place(&self, key: &GroupKey) -> [String; 6] {
        let name = match key {
            GroupKey::Traceback(traceback) => {
                let frames: Vec<String> = traceback.iter().map(Frame::to_string).collect();
                frames.join(" < ")
            }
            key => name_of(key, self.snapshot),
        };
        let functions = match key {
            GroupKey::Traceback(traceback) => {
                let name = |frame: &Frame| text(frame.function().or(Some("<unknown>")));
                let functions: Vec<String> = traceback.iter().map(name).collect();
                Some(functions.join(" < "))
            }
            _ => None,
        };
        let frame = key.charged_in(self.snapshot);
        let file = frame.and_then(Frame::file);
        [
            name,
            text(frame.and_then(Frame::function)),
            text(file.map(|file| file.short())),
            text(file.map(|file| file.full())),
            known(frame.map(Frame::line).filter(|line| *line > 0)),
            known(functions),
        ]
    }

    fn text(self) -> Result<String> {
        Ok(String::from_utf8(self.writer.into_inner()?)?)
    }
}

fn text(text: Option<&str>) -> String {
    text.map_or(String::new(), |it| Escaped(it).to_string())
}

/// A number, or an empty cell.
fn known<T: ToString>(number: Option<T>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}
