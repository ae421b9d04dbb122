//! [`Program`]: the lines of a snapshot, and what its shares are of.

use std::collections::HashMap;

use alloc_core_snapshot::{
    Amount, Bytes, Counters, Frame, GroupBy, GroupKey, Grouping, Lifetimes, Metric, Origin,
    Snapshot,
};

use super::{Advice, AdviceKind};

/// A line and the type of its blocks.
pub(super) struct Line {
    pub(super) key: GroupKey,
    pub(super) type_name: Option<String>,
    pub(super) counters: Counters,
    pub(super) lifetimes: Option<Lifetimes>,
    /// The size of the largest blocks of each size class, if sizes are known.
    pub(super) size_classes: usize,
}

/// The lines of a snapshot, and what its shares are of.
pub(super) struct Program {
    pub(super) lines: Vec<Line>,
    /// All that was ever allocated.
    total: Amount,
    pub(super) peak: Bytes,
}

impl Program {
    pub(super) fn of(snapshot: &Snapshot, all: bool) -> Program {
        let by = Grouping::by(GroupBy::Line)
            .then(GroupBy::Type)
            .then(GroupBy::SizeClass);
        let mut lines = Vec::new();
        let mut total = Amount::default();
        for line in snapshot.statistics_by(by, Metric::Total) {
            total += line.counters.total;
            if !all && !line.key.charged_in(snapshot).is_some_and(is_own) {
                continue;
            }
            lines.extend(line.parts.into_iter().map(|part| Line {
                key: line.key.clone(),
                type_name: Some(part.key.to_string()).filter(|it| !it.starts_with('<')),
                counters: part.counters,
                lifetimes: part.lifetimes,
                size_classes: part.parts.len(),
            }));
        }
        let peak = snapshot.traced_memory().peak;
        Program { lines, total, peak }
    }

    pub(super) fn calls(&self, calls: u64) -> f64 {
        calls as f64 / self.total.blocks.max(1) as f64
    }

    pub(super) fn part_of_peak(&self, bytes: Bytes) -> f64 {
        bytes.get() as f64 / self.peak.get().max(1) as f64
    }

    /// Advice that saves so much.
    pub(super) fn advice(
        &self,
        line: &Line,
        kind: AdviceKind,
        saved: Saved,
        words: [String; 2],
    ) -> Advice {
        let [finding, remedy] = words;
        Advice {
            key: line.key.clone(),
            type_name: line.type_name.clone(),
            kind,
            finding,
            remedy,
            calls: saved.calls,
            bytes: saved.bytes,
            peak: saved.peak,
            share: self.calls(saved.calls).max(self.part_of_peak(saved.peak)),
        }
    }
}

/// What following an advice saves.
#[derive(Clone, Copy, Default)]
pub(super) struct Saved {
    pub(super) calls: u64,
    pub(super) bytes: Bytes,
    pub(super) peak: Bytes,
}

/// Whether a line can be changed by who reads the advice.
pub(super) fn is_own(frame: &Frame) -> bool {
    frame.origin() == Origin::Workspace
}

/// What was held at the peak by the place and the function that it is charged to.
pub(super) fn held_at_peak(snapshot: &Snapshot) -> HashMap<&Frame, Amount> {
    let mut held: HashMap<&Frame, Amount> = HashMap::new();
    for trace in snapshot.traces() {
        let frame = snapshot.charged_frame(&trace.traceback);
        *held.entry(frame).or_default() += trace.counters.at_peak;
    }
    held
}
