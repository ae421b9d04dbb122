//! [`Frees`]: who freed whose memory.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::GroupKey;
use super::group::Member;
use super::grouping::{GroupBy, Grouping, Key};
use crate::error::Error;
use crate::snapshot::{NO_LABEL, NO_THREAD, Snapshot, Trace};
use crate::{Amount, FreedBy, process};

/// What the freeing side of [`Frees`] is grouped by.
///
/// ```
/// use alloc_core::Freer;
///
/// assert_eq!("thread".parse::<Freer>()?, Freer::Thread);
/// assert_eq!(Freer::Label.to_string(), "label");
/// # Ok::<(), alloc_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Freer {
    /// The label that the thread was in when it freed.
    #[default]
    Label,
    /// The name of the thread that freed, if the session distinguished threads by name
    /// (`Config::threads`).
    Thread,
}

impl Freer {
    fn name_in(self, freed: &FreedBy) -> Arc<str> {
        let (name, none) = match self {
            Freer::Label => (&freed.label, NO_LABEL),
            Freer::Thread => (&freed.thread, NO_THREAD),
        };
        name.clone().unwrap_or_else(|| none.into())
    }
}

impl fmt::Display for Freer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Freer::Label => "label",
            Freer::Thread => "thread",
        })
    }
}

impl FromStr for Freer {
    type Err = Error;

    /// # Errors
    ///
    /// [`Error::is_invalid_grouping`] for anything but `label` and `thread`.
    fn from_str(text: &str) -> Result<Freer, Error> {
        match text {
            "label" => Ok(Freer::Label),
            "thread" => Ok(Freer::Thread),
            _ => Err(Error::invalid_grouping(format!(
                "expected label or thread, found {text:?}"
            ))),
        }
    }
}

/// Who freed whose memory: groups of callsites against those that freed, made by
/// [`Snapshot::frees`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frees {
    /// Those that freed: the paths of labels, or the names of threads. The one that freed the most
    /// bytes comes first, and [`NOT_RECORDED`](Self::NOT_RECORDED) last, if there is any.
    pub freers: Vec<Arc<str>>,
    /// The groups whose blocks were freed, the most bytes first.
    pub rows: Vec<FreesRow>,
}

/// What was freed of one group of callsites.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FreesRow {
    /// What the group has in common.
    pub key: GroupKey,
    /// All that was freed.
    pub freed: Amount,
    /// What each of [`Frees::freers`] freed, in the same order. It adds up to all that was freed.
    pub by: Vec<Amount>,
}

impl Frees {
    /// The freer of blocks of which is not known who freed them: a table of the tracer was full, a
    /// block was freed while the snapshot was taken, or the session did not count it.
    pub const NOT_RECORDED: &str = "<not recorded>";
}

impl Snapshot {
    /// Who freed whose memory: callsites grouped by a key, against the labels or threads that freed
    /// their blocks.
    ///
    /// A session counts this with `Config::frees`. Otherwise all that was freed is
    /// [`Frees::NOT_RECORDED`]. A reallocation frees the old block.
    ///
    /// ```
    /// use alloc_core::{Amount, Counters, FreedBy, Freer, GroupBy, Snapshot, Trace, Traceback};
    ///
    /// let counters = Counters { total: Amount::new(500, 5), ..Counters::default() };
    /// let freed = |label, bytes| FreedBy::new(Amount::new(bytes, bytes / 100)).in_label(label);
    /// let trace = Trace::new(Traceback::new(vec![]), counters)
    ///     .with_label("parse")
    ///     .with_freed_by([freed("answer", 400), freed("parse", 100)]);
    ///
    /// let frees = Snapshot::from_traces(vec![trace], 32).frees(GroupBy::Label, Freer::Label);
    /// assert_eq!(*frees.freers, ["answer".into(), "parse".into()]);
    /// assert_eq!(frees.rows[0].key.to_string(), "parse");
    /// assert_eq!(frees.rows[0].by, [Amount::new(400, 4), Amount::new(100, 1)]);
    /// ```
    pub fn frees(&self, by: GroupBy, freer: Freer) -> Frees {
        let _muted = process::mute();
        let grouping = Grouping::by(by);
        let of = self.of(&grouping);
        let mut freers = Freers::default();
        let mut rows: HashMap<GroupKey, Row> = HashMap::new();
        for (number, trace) in self.traces().iter().enumerate() {
            if trace.counters.freed() == Amount::default() {
                continue;
            }
            let member = Member {
                number,
                trace,
                frame: self.charged_frame(&trace.traceback),
                is_plumbing: false,
            };
            let row = rows.entry(of.key(&Key::By(by), member)).or_default();
            row.add(trace, |freed| freers.number(freer.name_in(freed)));
        }
        freers.table(rows)
    }
}

/// Those that freed so far, by number.
#[derive(Default)]
struct Freers {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, usize>,
}

/// A row under construction.
#[derive(Default)]
struct Row {
    freed: Amount,
    by: HashMap<usize, Amount>,
    not_recorded: Amount,
}

impl Row {
    fn add(&mut self, trace: &Trace, mut number: impl FnMut(&FreedBy) -> usize) {
        let freed = trace.counters.freed();
        let mut rest = freed;
        for it in trace.freed_by.iter().flat_map(|all| all.iter()) {
            // NOTE: a file may say that more was freed than was ever allocated.
            let part = Amount {
                bytes: it.amount.bytes.min(rest.bytes),
                blocks: it.amount.blocks.min(rest.blocks),
            };
            rest.bytes = rest.bytes.saturating_sub(part.bytes);
            rest.blocks -= part.blocks;
            *self.by.entry(number(it)).or_default() += part;
        }
        self.freed += freed;
        self.not_recorded += rest;
    }
}

impl Freers {
    fn number(&mut self, name: Arc<str>) -> usize {
        let names = &mut self.names;
        *self.numbers.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            names.len() - 1
        })
    }

    fn table(self, rows: HashMap<GroupKey, Row>) -> Frees {
        let mut sums = vec![Amount::default(); self.names.len()];
        let mut not_recorded = Amount::default();
        for row in rows.values() {
            row.by
                .iter()
                .for_each(|(&number, part)| sums[number] += *part);
            not_recorded += row.not_recorded;
        }
        let mut order: Vec<usize> = (0..sums.len())
            .filter(|&it| sums[it] != Amount::default())
            .collect();
        order.sort_by_key(|&it| (largest_first(sums[it]), self.names[it].clone()));
        let shows_rest = not_recorded != Amount::default();
        let rest = |amount| shows_rest.then_some(amount);
        let mut rows: Vec<FreesRow> = rows
            .into_iter()
            .map(|(key, row)| {
                let by = order
                    .iter()
                    .map(|it| row.by.get(it).copied().unwrap_or_default());
                FreesRow {
                    key,
                    freed: row.freed,
                    by: by.chain(rest(row.not_recorded)).collect(),
                }
            })
            .collect();
        rows.sort_by(|a, b| {
            let (first, second) = (largest_first(a.freed), largest_first(b.freed));
            first.cmp(&second).then_with(|| a.key.cmp(&b.key))
        });
        let names = order.iter().map(|&it| self.names[it].clone());
        let rest = shows_rest.then(|| Frees::NOT_RECORDED.into());
        Frees {
            freers: names.chain(rest).collect(),
            rows,
        }
    }
}

fn largest_first(amount: Amount) -> Reverse<(u64, u64)> {
    Reverse((amount.bytes.get(), amount.blocks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counters, Traceback};

    fn trace(label: Option<&str>, freed: u64, by: &[(&str, &str, u64)]) -> Trace {
        let counters = Counters {
            current: Amount::new(1000, 10),
            total: Amount::new(1000 + freed, 10 + freed / 10),
            ..Counters::default()
        };
        let freed_by = by.iter().map(|&(label, thread, bytes)| {
            let freed = FreedBy::new(Amount::new(bytes, bytes / 10)).on_thread(thread);
            match label {
                "" => freed,
                label => freed.in_label(label),
            }
        });
        let trace = Trace::new(Traceback::new(vec![]), counters)
            .with_thread("main")
            .with_freed_by(freed_by.collect::<Vec<_>>());
        match label {
            Some(label) => trace.with_label(label),
            None => trace,
        }
    }

    /// A line for each row, with what each of the freers freed.
    #[track_caller]
    fn check(traces: Vec<Trace>, by: GroupBy, freer: Freer, expected: &[&str]) {
        let frees = Snapshot::from_traces(traces, 32).frees(by, freer);
        let row = |row: &FreesRow| {
            let by = row.by.iter().map(|it| it.bytes.get().to_string());
            let by: Vec<String> = by.collect();
            assert_eq!(
                row.by.iter().map(|it| it.bytes).sum::<crate::Bytes>(),
                row.freed.bytes
            );
            format!(
                "{}: {} = {}",
                row.key,
                row.freed.bytes.get(),
                by.join(" + ")
            )
        };
        let mut lines = vec![frees.freers.join(", ")];
        lines.extend(frees.rows.iter().map(row));
        assert_eq!(lines, expected);
    }

    fn traces() -> Vec<Trace> {
        vec![
            trace(
                Some("parse"),
                500,
                &[("parse", "a", 100), ("answer", "b", 400)],
            ),
            trace(Some("answer"), 90, &[("", "a", 50), ("answer", "a", 40)]),
            trace(Some("parse"), 30, &[("parse", "b", 30)]),
            trace(None, 0, &[]),
        ]
    }

    #[test]
    fn labels_and_threads_add_up() {
        check(
            traces(),
            GroupBy::Label,
            Freer::Label,
            &[
                "answer, parse, <no label>",
                "parse: 530 = 400 + 130 + 0",
                "answer: 90 = 40 + 0 + 50",
            ],
        );
        check(
            traces(),
            GroupBy::Thread,
            Freer::Thread,
            &["b, a", "main: 620 = 430 + 190"],
        );
    }

    #[test]
    fn what_is_not_recorded_is_the_last_freer() {
        let mut traces = traces();
        traces.push(trace(None, 100, &[("parse", "a", 60)]));
        traces.push(Trace {
            freed_by: None,
            ..trace(Some("old"), 7, &[])
        });
        check(
            traces,
            GroupBy::Label,
            Freer::Label,
            &[
                "answer, parse, <no label>, <not recorded>",
                "parse: 530 = 400 + 130 + 0 + 0",
                "<no label>: 100 = 0 + 60 + 0 + 40",
                "answer: 90 = 40 + 0 + 50 + 0",
                "old: 7 = 0 + 0 + 0 + 7",
            ],
        );
        // A wrong file.
        let traces = vec![trace(None, 10, &[("a", "a", u64::MAX), ("b", "a", 5)])];
        let expected = ["a", "<no label>: 10 = 10"];
        check(traces, GroupBy::Label, Freer::Label, &expected);
    }
}
