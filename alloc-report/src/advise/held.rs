//! Large values that are held while the function that made them allocates more.

use std::collections::HashMap;

use alloc_core_snapshot::{Amount, Bytes, Frame, Snapshot};

use super::lines::{Line, Program, Saved, held_at_peak, is_own};
use super::{Advice, AdviceKind};

/// A value is large if it is this part of the peak, and this many bytes.
const LEAST_PART: f64 = 0.1;
const LEAST_BYTES: Bytes = Bytes::kib(64);

/// A large value is one block, or a few. More are a collection's, and go with it.
const MOST_BLOCKS: u64 = 4;

/// What the function allocated after the value must be this part of the peak.
const LEAST_LATER: f64 = 0.1;

/// What a function allocated at and below one of its lines, at the peak.
#[derive(Default)]
struct Later {
    amount: Amount,
    types: Vec<String>,
}

pub(super) fn find(snapshot: &Snapshot, program: &Program) -> Vec<Advice> {
    let held = held_at_peak(snapshot);
    let large = |frame: &Frame, amount: Amount| {
        is_own(frame)
            && frame.line() > 0
            && amount.blocks <= MOST_BLOCKS
            && amount.bytes >= LEAST_BYTES
            && program.part_of_peak(amount.bytes) >= LEAST_PART
    };
    let large: Vec<(&Frame, Amount)> = held
        .into_iter()
        .filter(|&(frame, amount)| large(frame, amount))
        .collect();
    let mut list: Vec<Advice> = large
        .into_iter()
        .filter_map(|(frame, amount)| {
            // The key of a line has neither function nor column.
            let is_at = |it: &Frame| it.file() == frame.file() && it.line() == frame.line();
            let line = program
                .lines
                .iter()
                .find(|it| it.key.charged_in(snapshot).is_some_and(is_at))?;
            advice(snapshot, program, line, frame, amount)
        })
        .collect();
    // Only the largest of a function: which of them is used later is known to its author.
    list.sort_by(|a, b| b.peak.cmp(&a.peak).then_with(|| a.key.cmp(&b.key)));
    list.dedup_by(|a, b| a.key == b.key);
    list
}

fn advice(
    snapshot: &Snapshot,
    program: &Program,
    line: &Line,
    frame: &Frame,
    amount: Amount,
) -> Option<Advice> {
    let (at, later) = later_lines(snapshot, frame)
        .into_iter()
        // A collection of what is allocated later is filled then, and cannot be dropped before.
        .filter(|(_, it)| {
            !it.types.iter().any(|name| {
                line.type_name
                    .as_deref()
                    .is_some_and(|of| contains(of, name))
            })
        })
        .max_by_key(|(at, it)| (it.amount.bytes, std::cmp::Reverse(*at)))?;
    if program.part_of_peak(later.amount.bytes) < LEAST_LATER {
        return None;
    }
    let saved = Saved {
        calls: 0,
        bytes: Bytes::ZERO,
        peak: amount.bytes.min(later.amount.bytes),
    };
    let finding = format!(
        "{} are held while line {at} of the same function holds {} more",
        amount.bytes, later.amount.bytes
    );
    let remedy = format!(
        "if the value is not used after that line, drop it before, for a peak of up to {} less",
        saved.peak
    );
    Some(program.advice(line, AdviceKind::DropEarlier, saved, [finding, remedy]))
}

/// What was held at the peak by way of later lines of the function of a frame.
fn later_lines(snapshot: &Snapshot, frame: &Frame) -> HashMap<u32, Later> {
    let mut lines: HashMap<u32, Later> = HashMap::new();
    for trace in snapshot.traces() {
        let amount = trace.counters.at_peak;
        if amount.bytes == 0 {
            continue;
        }
        let is_same = |it: &&Frame| it.function() == frame.function() && it.file() == frame.file();
        // The outermost frame of the function: a call of itself is another value.
        let Some(caller) = trace.traceback.iter().rev().find(is_same) else {
            continue;
        };
        if caller.line() > frame.line() {
            let later = lines.entry(caller.line()).or_default();
            later.amount += amount;
            later
                .types
                .extend(trace.type_name.as_deref().map(str::to_owned));
        }
    }
    lines
}

/// Whether a type's name has another within its arguments.
fn contains(name: &str, inner: &str) -> bool {
    name.split_once('<')
        .is_some_and(|(_, arguments)| arguments.contains(inner))
}
