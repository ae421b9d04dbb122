//! [`summary`]: the half screen that answers most questions.

use std::fmt;

use alloc_core_snapshot::{
    Amount, Bytes, GroupBy, GroupKey, Grouping, Metric, Snapshot, Statistic,
};

use super::lifetimes::shown;
use super::notes;
use super::table::{BOLD, DIM, Paint};
use super::text::{self, plural};
use super::top::share;
use super::view::{View, process};

/// Makes a summary of a snapshot: totals, the lines that hold the most memory now and at the peak,
/// sizes, lifetimes, and what is incomplete. It has at most 20 lines.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let frame = Frame::new(Some("demo::fill"), Some("src/cache.rs"), 41, 9);
/// let live = Amount::new(9_000, 70);
/// let total = Amount::new(36_000, 280);
/// let counters = Counters { current: live, peak: live, at_peak: live, total, ..Counters::default() };
/// let traces = vec![Trace::new(Traceback::new(vec![frame]), counters)];
/// let snapshot = Snapshot::from_traces(traces, 32);
/// assert_eq!(
///     alloc_report::summary(&snapshot).to_string(),
///     "\
/// now         9000 B in 70 blocks
/// peak        9000 B
/// allocated   35.2 KiB in 280 blocks, of which 75.0% were freed
/// recorded    every allocation, 1 callsite, up to 32 frames
/// block size  129 B on average
///
/// Lines that hold it now, and held the peak:
///     9000 B  100.0%  src/cache.rs:41"
/// );
/// ```
pub fn summary(snapshot: &Snapshot) -> Summary<'_> {
    Summary {
        snapshot,
        view: View {
            width: 80,
            ..View::new(LINES)
        },
    }
}

/// A summary, made by [`summary`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a summary does nothing until it is printed"]
pub struct Summary<'a> {
    snapshot: &'a Snapshot,
    view: View,
}

/// A summary names this many lines of source at each moment.
const LINES: usize = 5;
/// A summary has at most this many lines of text.
const HEIGHT: usize = 20;
/// A fact has at most this many columns.
const FACT: usize = 68;
/// Blocks that were freed sooner are temporary, in milliseconds.
const TEMPORARY: u64 = 1;

impl Summary<'_> {
    /// Turns ANSI colours on or off; off is the default.
    ///
    /// ```
    /// let empty = alloc_core::Snapshot::from_traces(vec![], 32);
    /// assert!(alloc_report::summary(&empty).colour(true).to_string().contains('\u{1b}'));
    /// ```
    pub fn colour(mut self, colour: bool) -> Self {
        self.view.colour = colour;
        self
    }

    /// Fits the summary into `width` columns; 80 is the default. Names and notes are cut, never
    /// numbers.
    ///
    /// ```
    /// let empty = alloc_core::Snapshot::from_traces(vec![], 32);
    /// let summary = alloc_report::summary(&empty).width(60).to_string();
    /// assert!(summary.lines().all(|line| line.chars().count() <= 60));
    /// ```
    pub fn width(mut self, width: usize) -> Self {
        self.view.width = width;
        self
    }

    fn sum(&self, metric: Metric) -> Option<Amount> {
        let mut sum = Amount::default();
        for trace in self.snapshot.traces() {
            sum += trace.counters.amount(metric);
        }
        self.snapshot.knows(metric).then_some(sum)
    }

    /// The first lines: a name and what is known of it.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let snapshot = self.snapshot;
        let heap = snapshot.traced_memory();
        let in_blocks = |amount: Amount| match snapshot.knows_blocks() {
            true => format!("{} in {}", amount.bytes, plural(amount.blocks, "block")),
            false => amount.bytes.to_string(),
        };
        let now = match snapshot.is_at_exit() {
            true => "at the end",
            false => "now",
        };
        let total = self.sum(Metric::Total);
        let current = self.sum(Metric::Current);
        let error = match heap.peak_error {
            Bytes::ZERO => String::new(),
            error => format!(", or up to {error} more or less"),
        };
        let allocated = total.map(|total| {
            let freed = total
                .blocks
                .saturating_sub(current.map_or(0, |it| it.blocks));
            let freed = match (current, snapshot.knows_blocks()) {
                (Some(_), true) if total.blocks > 0 => format!(
                    ", of which {} were freed",
                    share(freed.into(), total.blocks.into())
                ),
                _ => String::new(),
            };
            in_blocks(total) + &freed
        });
        let recorded = format!(
            "{}, {}, up to {}",
            match snapshot.sampled_every() {
                Some(bytes) => format!("a sample of one block every {bytes}"),
                None => "every allocation".to_owned(),
            },
            plural(snapshot.traces().len() as u64, "callsite"),
            plural(snapshot.traceback_limit().into(), "frame"),
        );
        let mut facts = Vec::new();
        facts.extend(current.map(|it| (now, in_blocks(it))));
        if current.is_some() && snapshot.knows(Metric::AtPeak) && !snapshot.is_difference() {
            facts.push(("peak", format!("{}{error}", heap.peak)));
        }
        facts.extend(allocated.map(|it| ("allocated", it)));
        facts.push(("recorded", recorded));
        facts.extend(self.sizes().map(|it| ("block size", it)));
        facts.extend(self.lifetimes().map(|it| ("lifetime", it)));
        facts
    }

    /// The sizes of all blocks ever allocated: the classes with the most blocks if they are known, or
    /// else the mean.
    fn sizes(&self) -> Option<String> {
        let snapshot = self.snapshot;
        let metrics = [Metric::Total, Metric::Current];
        let metric = metrics.into_iter().find(|it| snapshot.knows(*it))?;
        let sum = self.sum(metric)?;
        if !snapshot.knows_blocks() || sum.blocks == 0 {
            return None;
        }
        let mean = sum.bytes.get() as f64 / sum.blocks as f64;
        let mut text = format!("{} on average", Bytes::new(mean.round_ties_even() as u64));
        if snapshot.traces().iter().any(|it| it.size_class.is_some()) {
            let by = Grouping::by(GroupBy::SizeClass)
                .with_metric(metric)
                .sorted_by(alloc_core_snapshot::SortBy::Blocks);
            let classes = snapshot.statistics(by);
            for class in classes.iter().take(3) {
                let part = share(class.count.into(), sum.blocks.into());
                let class = format!("; {part} {}", class.key);
                if text.len() + class.len() > FACT {
                    break;
                }
                text += &class;
            }
        }
        Some(text)
    }

    fn lifetimes(&self) -> Option<String> {
        let all = self.snapshot.traces().iter();
        let freed = all.filter_map(|it| it.lifetimes.as_ref());
        let (mut soon, mut count) = (0, 0);
        let mut known = Vec::new();
        for lifetimes in freed {
            let limit = std::time::Duration::from_millis(TEMPORARY);
            let times = lifetimes.freed.times();
            for (age, blocks) in times {
                count += blocks;
                soon += if age <= limit { blocks } else { 0 };
                known.push((age, blocks));
            }
        }
        if count == 0 {
            return None;
        }
        known.sort_unstable();
        let mut below = 0;
        let median = known.iter().find(|(_, blocks)| {
            below += blocks;
            below * 2 >= count
        });
        Some(format!(
            "{} of the freed were temporary (within {TEMPORARY} ms); half within {}",
            share(soon.into(), count.into()),
            median.map_or_else(String::new, |(age, _)| shown(*age)),
        ))
    }

    fn top(&self, metric: Metric) -> Vec<Statistic> {
        let by = Grouping::by(GroupBy::Line).with_metric(metric);
        let mut lines = self.snapshot.statistics(by);
        lines.retain(|it| it.size > Bytes::ZERO);
        lines
    }

    fn rows(&self, lines: &[Statistic], n: usize, metric: Metric) -> Vec<String> {
        let total = self.sum(metric).unwrap_or_default().bytes;
        let shown = &lines[..n.min(lines.len())];
        let places = self
            .view
            .places(shown.iter().map(|it| &it.key), self.snapshot);
        let row = |(line, (place, source)): (&Statistic, (String, Option<String>))| {
            let numbers = format!(
                "{:>10}  {:>6}  ",
                line.size.to_string(),
                share(line.size, total)
            );
            let room = self.view.width.saturating_sub(numbers.len());
            let place = text::cut_path(&place, room);
            let rest = room.saturating_sub(text::width(&place) + 2);
            let mut row = format!("{numbers}{place}");
            if let Some(source) = source.filter(|_| rest >= 12) {
                let source = text::cut_end(&source, rest);
                row += &format!("  {}", self.view.paint().text(DIM, &source));
            }
            row
        };
        shown.iter().zip(places).map(row).collect()
    }

    /// The lines of source, at one moment if both have the same, under a heading each.
    fn moments(&self, room: usize) -> Vec<String> {
        let paint = self.view.paint();
        let knows = |metric| self.snapshot.knows(metric) && !self.snapshot.is_difference();
        let mut lists = Vec::new();
        for metric in [Metric::Current, Metric::AtPeak] {
            if knows(metric) || metric == Metric::Current && self.snapshot.knows(metric) {
                lists.push((metric, self.top(metric)));
            }
        }
        if lists.is_empty() && self.snapshot.knows(Metric::Total) {
            lists.push((Metric::Total, self.top(Metric::Total)));
        }
        lists.retain(|(_, lines)| !lines.is_empty());
        let first = |lines: &[Statistic]| -> Vec<GroupKey> {
            lines.iter().take(LINES).map(|it| it.key.clone()).collect()
        };
        let is_same = matches!(&lists[..], [(_, a), (_, b)] if first(a) == first(b));
        if is_same {
            lists.truncate(1);
        }
        let room = room / lists.len().max(1);
        let now = match self.snapshot.is_at_exit() {
            true => "at the end",
            false => "now",
        };
        let mut text = Vec::new();
        for (metric, lines) in &lists {
            let heading = match metric {
                Metric::Current if is_same => {
                    format!("Lines that hold it {now}, and held the peak:")
                }
                Metric::Current => format!("Lines that hold it {now}:"),
                Metric::AtPeak => "Lines that held the peak:".to_owned(),
                _ => "Lines that allocated it:".to_owned(),
            };
            text.push(paint.text(BOLD, &heading));
            text.extend(self.rows(lines, LINES.min(room.saturating_sub(1)), *metric));
        }
        text
    }

    fn lines(&self) -> Vec<String> {
        let paint: Paint = self.view.paint();
        let width = self.view.width;
        let mut lines = Vec::new();
        if let Some(process) = process(self.snapshot) {
            lines.push(paint.text(BOLD, &text::cut_end(&process, width)));
        }
        for (name, value) in self.facts() {
            let value = text::cut_end(&value, width.saturating_sub(12)).into_owned();
            lines.push(format!(
                "{}{value}",
                paint.text(DIM, &format!("{name:<12}"))
            ));
        }
        let notes = notes::of_snapshot(self.snapshot);
        let notes = notes.into_iter().filter(|it| !it.contains("sample"));
        let notes: Vec<String> = notes
            .map(|it| text::cut_end(&format!("note: {it}"), width).into_owned())
            .collect();
        let of_notes = notes.len().min(3);
        let gap = usize::from(of_notes > 0);
        let moments = self.moments(HEIGHT - lines.len() - 1 - of_notes - gap);
        if !moments.is_empty() {
            lines.push(String::new());
            lines.extend(moments);
        }
        if of_notes > 0 {
            lines.push(String::new());
            lines.extend(notes.into_iter().take(of_notes));
        }
        lines
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A report must not appear in the next snapshot.
        let lines = alloc_core_snapshot::seam::untraced(|| self.lines());
        f.write_str(&lines.join("\n"))
    }
}
