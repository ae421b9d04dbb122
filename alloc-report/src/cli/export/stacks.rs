//! [`Stacks`]: the stacks of a snapshot, each once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;

use alloc_core_snapshot::{
    Amount, Counters, Escaped, Frame, Lifetimes, Metric, Snapshot, Traceback,
};

/// The stacks of a snapshot, each once, with the sums of its callsites' counters.
///
/// Stacks are equal if a format writes their frames alike. A snapshot may have a callsite for each
/// thread, label and size class of a stack.
#[derive(Debug)]
pub(super) struct Stacks<F> {
    /// The frames as a format writes them, each once.
    pub(super) frames: Vec<F>,
    pub(super) rows: Vec<Row>,
}

/// A stack.
#[derive(Debug)]
pub(super) struct Row {
    /// Indices of frames, the innermost first. There is at least one.
    pub(super) frames: Vec<usize>,
    pub(super) counters: Counters,
    pub(super) lifetimes: Lifetimes,
}

impl<F: Clone + Eq + Hash> Stacks<F> {
    /// The stacks of a snapshot, in its order. `write` makes a frame as it appears in the file.
    pub(super) fn of(snapshot: &Snapshot, write: impl Fn(&Frame) -> F) -> Stacks<F> {
        let mut stacks = Stacks {
            frames: Vec::new(),
            rows: Vec::new(),
        };
        let mut frames: HashMap<F, usize> = HashMap::new();
        // NOTE: frames at different addresses are equal, and a format may write addresses.
        let mut known: HashMap<(&Frame, u64), usize> = HashMap::new();
        let mut rows: HashMap<Vec<usize>, usize> = HashMap::new();
        let mut add = |frame: &Frame| {
            let frame = write(frame);
            *frames.entry(frame).or_insert_with_key(|frame| {
                stacks.frames.push(frame.clone());
                stacks.frames.len() - 1
            })
        };
        for trace in snapshot.traces() {
            let mut stack: Vec<usize> = Vec::with_capacity(trace.traceback.len() + 1);
            for frame in trace.traceback.iter() {
                let at = known.entry((frame, frame.address()));
                stack.push(*at.or_insert_with(|| add(frame)));
            }
            if let Some(end) = end_of(&trace.traceback) {
                stack.push(add(&Frame::new(Some(end), None, 0, 0)));
            }
            let row = match rows.entry(stack) {
                Entry::Occupied(row) => *row.get(),
                Entry::Vacant(row) => {
                    stacks.rows.push(Row {
                        frames: row.key().clone(),
                        counters: Counters::default(),
                        lifetimes: Lifetimes::default(),
                    });
                    *row.insert(stacks.rows.len() - 1)
                }
            };
            stacks.rows[row].counters += trace.counters;
            if let Some(lifetimes) = &trace.lifetimes {
                stacks.rows[row].lifetimes += lifetimes;
            }
        }
        stacks
    }

    /// The stacks that have any bytes or blocks of a metric, the most bytes first.
    pub(super) fn by_size(&self, metric: Metric) -> Vec<(&Row, Amount)> {
        let rows = self.rows.iter();
        let mut rows: Vec<_> = rows.map(|it| (it, it.counters.amount(metric))).collect();
        rows.retain(|(_, amount)| *amount != Amount::default());
        rows.sort_by_key(|(_, amount)| std::cmp::Reverse((amount.bytes, amount.blocks)));
        rows
    }
}

/// What stands for the frames that a stack lacks.
pub(super) fn end_of(stack: &Traceback) -> Option<&'static str> {
    if stack.is_truncated() {
        return Some("<deeper frames were not kept>");
    }
    if stack.is_broken() {
        return Some("<the stack could not be followed further>");
    }
    stack.is_empty().then_some("<unknown>")
}

/// The function of a frame, or what is known in its place.
pub(super) fn name(frame: &Frame) -> String {
    match frame.function() {
        Some(function) => Escaped(function).to_string(),
        None => frame.to_string(),
    }
}

/// The function and its place in the source: `demo::fill (src/cache.rs:41)`.
pub(super) fn name_and_place(frame: &Frame) -> String {
    match (frame.function(), frame.file()) {
        (Some(_), Some(_)) => format!("{} ({frame})", name(frame)),
        _ => name(frame),
    }
}

/// The metrics that formats with all of them write, `first` in front.
pub(super) fn metrics(snapshot: &Snapshot, first: Metric) -> Vec<Metric> {
    let others = Metric::ALL.iter().copied().filter(|it| *it != first);
    let all = [first].into_iter().chain(others);
    all.filter(|it| snapshot.knows(*it)).collect()
}
