//! The text of a failed assertion: the broken limits, and the stacks that broke them.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use super::terms::{Limit, Term};
use crate::scope::Usage;
use crate::snapshot::snapshot::Snapshot;
use crate::{Amount, ChargeTo, Frame, Metric, Origin, SourcePath, Trace};

/// Formats the broken limits, then for each metric the stacks that hold the most.
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
            // Writing to a string does not fail.
            let _ = stacks(&mut message, snapshot, metric, what);
        }
    }
    message.truncate(message.trim_end().len());
    message
}

/// How many stacks a message shows.
const STACKS: usize = 3;
/// How many lines a message shows of a stack.
const FRAMES: usize = 5;

/// Appends the stacks that hold the most of a metric.
pub(super) fn stacks(
    message: &mut String,
    snapshot: &Snapshot,
    metric: Metric,
    what: &str,
) -> fmt::Result {
    // NOTE: stacks with the same text are merged. They differ only in columns or hidden frames.
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

/// Formats a stack. Consecutive frames of dependencies share a line, which leaves lines for the
/// program's own frames.
fn shown(trace: &Trace) -> Result<String, fmt::Error> {
    let frames = frames(trace);
    let (mut text, mut rest) = (String::new(), &frames[..]);
    for number in 0..FRAMES {
        let is_of_dependency = |frame: &&&Frame| frame.origin() == Origin::Dependency;
        let of_dependencies = rest.iter().take_while(is_of_dependency).count();
        // The innermost frame is the charged one, and is always shown.
        let folded = if number == 0 { 0 } else { of_dependencies };
        match (folded, rest.split_first()) {
            (_, None) => break,
            (0 | 1, Some((frame, outer))) => {
                let function = frame.function().unwrap_or_default();
                writeln!(text, "    {frame} {function}")?;
                rest = outer;
            }
            (folded, _) => {
                let (folded, outer) = rest.split_at(folded);
                let packages = packages(folded).join(", ");
                writeln!(text, "    … {} frames of {packages}", folded.len())?;
                rest = outer;
            }
        }
    }
    Ok(text)
}

/// The packages of some frames, in order of first appearance.
fn packages<'a>(frames: &[&'a Frame]) -> Vec<&'a str> {
    let mut packages = Vec::new();
    for frame in frames {
        let package = frame.file().and_then(SourcePath::package);
        if let Some(package) = package
            && !packages.contains(&package)
        {
            packages.push(package);
        }
    }
    packages
}

/// The frames from the charged one out to the assertion, without those of the standard library.
fn frames(trace: &Trace) -> Vec<&Frame> {
    let frames: &[Frame] = &trace.traceback;
    let is_ours = |frame: &&Frame| frame.origin() == Origin::Tracer;
    let inner = frames.iter().take_while(is_ours).count();
    let shown: Vec<&Frame> = frames[inner..]
        .iter()
        .take_while(|frame| !is_ours(frame))
        .filter(|frame| frame.origin() != Origin::Std)
        .collect();
    if shown.is_empty() {
        return vec![trace.traceback.charged(ChargeTo::Caller)];
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counters, Traceback};

    #[test]
    fn frames_of_dependencies_share_a_line_and_the_programs_own_are_shown() {
        let registry = "/c/registry/src/i-1";
        let frames = [
            (
                "alloc::vec::Vec<T>::push",
                "/rustc/1/library/alloc/src/vec.rs",
                9,
            ),
            ("serde::de::visit", "REGISTRY/serde-1.0.2/src/de.rs", 1165),
            (
                "serde_json::de::next",
                "REGISTRY/serde_json-1.0.1/src/de.rs",
                5,
            ),
            ("core::iter::map", "/rustc/1/library/core/src/iter.rs", 9),
            ("serde::de::seq", "REGISTRY/serde-1.0.2/src/de.rs", 7),
            ("demo::parse", "src/lib.rs", 3),
            ("nom::one", "REGISTRY/nom-8.0.0/src/lib.rs", 8),
            ("demo::tests::parses", "src/lib.rs", 40),
        ];
        let frames = frames.map(|(function, file, line)| {
            Frame::new(
                Some(function),
                Some(&file.replace("REGISTRY", registry)),
                line,
                0,
            )
        });
        let trace = Trace::new(Traceback::new(frames.into()), Counters::default());
        assert_eq!(
            shown(&trace).unwrap(),
            "    serde-1.0.2/src/de.rs:1165 serde::de::visit\n    \
             … 2 frames of serde_json, serde\n    \
             src/lib.rs:3 demo::parse\n    \
             nom-8.0.0/src/lib.rs:8 nom::one\n    \
             src/lib.rs:40 demo::tests::parses\n"
        );
    }
}
