//! The text of a failed assertion: the broken limits, and the stacks that broke them.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use super::terms::{Limit, Term};
use crate::scope::Usage;
use crate::snapshot::snapshot::Snapshot;
use crate::{Amount, ChargeTo, Frame, Metric, Origin, Trace};

pub(super) fn message(terms: &[Term], usage: &Usage, snapshot: &Snapshot) -> String {
    let limits = terms.iter().filter_map(|term| match term {
        Term::Limit(limit) => Some(limit),
        Term::Threads(_) => None,
    });
    let broken: Vec<&Limit> = limits.filter(|it| !it.is_kept(usage)).collect();
    let mut message = String::new();
    for limit in &broken {
        let _ = writeln!(message, "{}", limit.failure(usage));
    }
    let mut shown = Vec::new();
    for limit in broken {
        let (metric, what) = limit.quantity.metric();
        if !shown.contains(&metric) {
            shown.push(metric);
            // NOTE: writing to a string does not fail.
            let _ = lines(&mut message, snapshot, metric, what);
        }
    }
    message.truncate(message.trim_end().len());
    message
}

/// How many stacks a message shows, and how many frames of each.
const STACKS: usize = 3;
const FRAMES: usize = 5;

fn lines(message: &mut String, snapshot: &Snapshot, metric: Metric, what: &str) -> fmt::Result {
    // NOTE: stacks that look alike are one: they differ in a column, or in frames that are not
    // shown.
    let mut stacks: HashMap<String, Amount> = HashMap::new();
    for trace in snapshot.traces() {
        let amount = trace.counters.amount(metric);
        if amount != Amount::default() {
            *stacks.entry(shown(trace)?).or_default() += amount;
        }
    }
    let mut stacks: Vec<(String, Amount)> = stacks.into_iter().collect();
    stacks.sort_by(|(one, a), (other, b)| {
        let larger_first = (b.bytes, b.blocks).cmp(&(a.bytes, a.blocks));
        larger_first.then_with(|| one.cmp(other))
    });
    for (frames, Amount { bytes, blocks }) in stacks.iter().take(STACKS) {
        let s = if *blocks == 1 { "" } else { "s" };
        writeln!(message, "  {bytes} in {blocks} block{s} {what} by")?;
        message.push_str(frames);
    }
    match stacks.len().saturating_sub(STACKS) {
        0 => Ok(()),
        1 => writeln!(message, "  and 1 more stack"),
        more => writeln!(message, "  and {more} more stacks"),
    }
}

/// The lines of a stack.
fn shown(trace: &Trace) -> Result<String, fmt::Error> {
    let mut text = String::new();
    for frame in frames(trace) {
        let function = frame.function().unwrap_or_default();
        writeln!(text, "    {frame} {function}")?;
    }
    Ok(text)
}

/// The frames that tell something: the program's own and its dependencies', from the line that is charged to
/// the assertion.
fn frames(trace: &Trace) -> Vec<&Frame> {
    let frames: &[Frame] = &trace.traceback;
    let is_ours = |frame: &&Frame| frame.origin() == Origin::Tracer;
    let inner = frames.iter().take_while(is_ours).count();
    let told: Vec<&Frame> = frames[inner..]
        .iter()
        .take_while(|frame| !is_ours(frame))
        .filter(|frame| frame.origin() != Origin::Std)
        .take(FRAMES)
        .collect();
    if told.is_empty() {
        return vec![trace.traceback.charged(ChargeTo::Caller)];
    }
    told
}
