//! [`oom`]: what took the memory of a process that is gone.

use std::fmt;
use std::time::Duration;

use alloc_core_snapshot::{Bytes, GroupBy, Metric, Snapshot};

use super::words::{self, duration};
use super::{Diff, diff, sentence};
use crate::compare::{CompareTo as _, StatisticDiff};

/// Says what took the memory of a process that is gone: a paragraph, and a table of the `n` lines that
/// grew the most.
///
/// `last` is its last snapshot, and `since` an earlier one, from which the growth counts. If the
/// program ran with `ALLOC_TRACE_WHEN`, the paragraph also says why the last one was written, and how
/// far the heap was from what the kernel counted.
///
/// ```
/// use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
///
/// let snapshot = |bytes| {
///     let frame = Frame::new(Some("demo::keep"), Some("src/main.rs"), 22, 9);
///     let current = Amount::new(bytes, 7);
///     let counters = Counters { current, ..Counters::default() };
///     Snapshot::from_traces(vec![Trace::new(Traceback::new(vec![frame]), counters)], 32)
/// };
/// let (since, mut last) = (snapshot(1 << 20), snapshot(601 << 20));
/// last.set_metadata("reason", "memory was at 90 % of its limit");
///
/// let text = alloc_report::oom(&last, &since, 10).to_string();
/// assert!(text.contains("memory was at 90 % of its limit"));
/// assert!(text.contains("src/main.rs:22 grew by 600 MiB, 100 % of that"));
/// ```
pub fn oom<'a>(last: &'a Snapshot, since: &'a Snapshot, n: usize) -> Oom<'a> {
    Oom {
        last,
        since,
        table: diff(last, since, n),
        width: 100,
    }
}

/// What took the memory of a process, made by [`oom`].
///
/// It prints without a final newline.
#[derive(Clone, Debug)]
#[must_use = "a report does nothing until it is printed"]
pub struct Oom<'a> {
    last: &'a Snapshot,
    since: &'a Snapshot,
    table: Diff<'a>,
    width: usize,
}

impl Oom<'_> {
    /// Turns ANSI colours on or off; off is the default.
    pub fn colour(mut self, colour: bool) -> Self {
        self.table = self.table.colour(colour);
        self
    }

    /// Fits the report into `width` columns, as [`Top::width`](crate::Top::width) does.
    pub fn width(mut self, width: usize) -> Self {
        self.table = self.table.width(width);
        self.width = width;
        self
    }

    /// What took the memory, in a few sentences.
    pub fn paragraph(&self) -> String {
        alloc_core_snapshot::seam::untraced(|| {
            let parts = [Some(self.end()), Some(self.growth()), self.beyond()];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            parts.join(" ")
        })
    }

    /// When the process was last seen, and how much memory it had.
    fn end(&self) -> String {
        let at = self.last.taken_at_utc();
        let at = at.map_or_else(String::new, |it| format!(" at {it}"));
        let reason = self.last.metadata().get("reason");
        let reason = reason.map_or_else(String::new, |it| format!(": {it}"));
        let heap = heap(self.last);
        let counted = match (self.number("memory.current"), self.number("memory.limit")) {
            (Some(current), limit) => {
                let percent = 100.0 * heap.get() as f64 / current.get().max(1) as f64;
                let of = limit.map_or_else(String::new, |it| format!(", of a limit of {it}"));
                let part = match percent <= 100.0 {
                    true => format!("{percent:.0} % of"),
                    false => "more than".to_owned(),
                };
                let untouched = match percent <= 100.0 {
                    true => "",
                    false => "; what was never touched is not counted",
                };
                format!(", {part} the {current} that the kernel counted{of}{untouched}")
            }
            (None, _) => String::new(),
        };
        format!("The process was last seen{at}{reason}. Its live blocks were {heap}{counted}.")
    }

    /// How the heap grew, and by which line and label.
    fn growth(&self) -> String {
        let (before, after) = (heap(self.since), heap(self.last));
        let grown = after.saturating_sub(before);
        let Some(first) = self.largest(GroupBy::Line).filter(|_| grown > 0) else {
            return "In the snapshots that there are, the heap did not grow.".to_owned();
        };
        let time = self.last.time_since(self.since);
        let time = time.unwrap_or(Duration::ZERO).as_secs_f64();
        let pace = match time > 0.0 {
            true => {
                let rate = words::rate(grown.get() as f64 / time);
                format!(" in {}, by {rate}", duration(time))
            }
            false => String::new(),
        };
        let bytes = |diff: &StatisticDiff| Bytes::new(diff.size_diff.get().max(0) as u64);
        let percent = |diff: &StatisticDiff| 100.0 * bytes(diff).get() as f64 / grown.get() as f64;
        let label = self.largest(GroupBy::Label).filter(|it| {
            let is_named = !it.key.to_string().starts_with('<');
            is_named && percent(it) >= 50.0
        });
        let label = label.map_or_else(String::new, |it| {
            format!(", and the label {} by {}", it.key, bytes(&it))
        });
        format!(
            "Before that, the heap grew by {grown}{pace}. {} grew by {}, {:.0} % of that{label}.",
            first.key,
            bytes(&first),
            percent(&first)
        )
    }

    /// Where to look if most of the memory is not in live blocks.
    fn beyond(&self) -> Option<String> {
        let current = self.number("memory.current")?;
        (current.get() > 2 * heap(self.last).get()).then(|| {
            "More than half of what the kernel counted is not in live blocks: \
             ALLOC_TRACE_RESIDENT=1 and `alloc-report resident` say where it is."
                .to_owned()
        })
    }

    /// The group that grew the most.
    fn largest(&self, by: GroupBy) -> Option<StatisticDiff> {
        let all = self.last.compare_to_by(self.since, by, Metric::Current);
        all.into_iter().max_by_key(|it| it.size_diff.get())
    }

    fn number(&self, key: &str) -> Option<Bytes> {
        let number = self.last.metadata().get(key)?;
        number.parse::<u64>().ok().map(Bytes::new)
    }
}

/// The live bytes of a snapshot.
fn heap(snapshot: &Snapshot) -> Bytes {
    let traces = snapshot.traces().iter();
    traces.map(|it| it.counters.current.bytes).sum()
}

impl fmt::Display for Oom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = sentence(&self.paragraph(), self.width);
        write!(f, "{}\n\n{}", lines.join("\n"), self.table)
    }
}
