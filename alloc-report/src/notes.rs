//! What is not exact or not complete about a snapshot's numbers, in sentences.

use std::time::UNIX_EPOCH;

use alloc_core::{ChargeTo, GroupBy, Metric, Origin, Snapshot, Trace};

use crate::text::{self, plural};
use crate::view::View;

/// The notes that matter to what is shown.
pub(crate) fn of(snapshot: &Snapshot, view: &View) -> Vec<String> {
    of_one(snapshot, view, view.shows_peak(snapshot))
}

fn of_one(snapshot: &Snapshot, view: &View, shows_peak: bool) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(changes(snapshot));
    notes.extend(unknown(snapshot, view));
    notes.extend(without_threads(snapshot, view));
    notes.extend(filtered(snapshot));
    notes.extend(sampled(snapshot));
    notes.extend(own_peaks(snapshot, view));
    notes.extend(peak_error(snapshot).filter(|_| shows_peak));
    notes.extend(truncated(snapshot, view));
    notes.extend(broken(snapshot));
    notes.extend(overflowed(snapshot));
    notes.extend(lost(snapshot));
    notes.extend(names(snapshot));
    notes
}

/// The notes that matter to whole stacks, whatever is shown of them.
pub(crate) fn of_snapshot(snapshot: &Snapshot) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(filtered(snapshot));
    notes.extend(sampled(snapshot));
    notes.extend(broken(snapshot));
    notes.extend(overflowed(snapshot));
    notes.extend(lost(snapshot));
    notes.extend(names(snapshot));
    notes
}

/// The notes on both sides of a comparison, and on whether they can be compared.
pub(crate) fn of_both(new: &Snapshot, old: &Snapshot, view: &View) -> Vec<String> {
    let mut notes = Vec::new();
    let (new_program, old_program) = (new.program(), old.program());
    if new_program != old_program && !new_program.is_empty() && !old_program.is_empty() {
        notes.push(format!(
            "the snapshots are of two programs, {} now and {} before",
            text::name(new_program),
            text::name(old_program),
        ));
    }
    // NOTE: where the time is not known, it is 1970.
    if UNIX_EPOCH < new.taken_at() && new.taken_at() < old.taken_at() {
        notes.push("the newer snapshot was taken before the older one".to_owned());
    }
    let of_new = of(new, view);
    // The heading has the peak of the new one only.
    let shows_peak = view.shows_peak(old) && view.metric() != Metric::Current;
    let of_old = of_one(old, view, shows_peak)
        .into_iter()
        .filter(|note| !of_new.contains(note));
    let of_old: Vec<String> = of_old
        .map(|note| format!("in the older snapshot: {note}"))
        .collect();
    notes.extend(of_new);
    notes.extend(of_old);
    notes
}

/// How many functions are not shown since they do little but call the program, or allocate for it.
pub(crate) fn left_out(n: usize, view: &View) -> Option<String> {
    let functions = plural(n as u64, view.noun(0));
    let (call, allocate, them) = match n {
        1 => ("calls", "allocates", "it"),
        _ => ("call", "allocate", "them"),
    };
    (n > 0 && !view.is_full).then(|| {
        format!(
            "left out {functions} that only {call} the workspace or {allocate} for it; --full shows {them}"
        )
    })
}

fn changes(snapshot: &Snapshot) -> Option<String> {
    snapshot.is_difference().then(|| {
        "the file tells what changed between two moments, not how much there was at either"
            .to_owned()
    })
}

fn unknown(snapshot: &Snapshot, view: &View) -> Option<String> {
    let what = match view.metric() {
        metric if snapshot.knows(metric) => None,
        Metric::Current => Some("what is live"),
        Metric::Total => Some("what was ever allocated"),
        Metric::Freed => Some("what was freed"),
        Metric::Peak => Some("the peaks of callsites"),
        Metric::AtPeak => Some("what was live at the peak"),
        _ => Some("this"),
    };
    let blocks = (!snapshot.knows_blocks()).then_some("how many blocks there are");
    let both: Vec<&str> = what.into_iter().chain(blocks).collect();
    let both = both.join(", nor ");
    (!both.is_empty()).then(|| format!("the file does not tell {both}"))
}

fn without_threads(snapshot: &Snapshot, view: &View) -> Option<String> {
    let by_thread = view.by.keys().any(|key| key == Some(GroupBy::Thread));
    let nobody_has_a_name = snapshot.traces().iter().all(|it| it.thread.is_none());
    (by_thread && nobody_has_a_name && !snapshot.traces().is_empty()).then(|| {
        "threads were not told apart: trace with ALLOC_TRACE_THREADS=1 or Config::threads(true) to have their names"
            .to_owned()
    })
}

fn filtered(snapshot: &Snapshot) -> Option<String> {
    let n = snapshot.filtered_out();
    let all = n + snapshot.traces().len() as u64;
    (n > 0).then(|| {
        format!(
            "filters left {} of {} out",
            text::grouped(n),
            plural(all, "callsite"),
        )
    })
}

fn sampled(snapshot: &Snapshot) -> Option<String> {
    let every = snapshot.sampled_every()?;
    Some(format!(
        "a sample, drawn every {every} on average: all numbers are estimates"
    ))
}

fn own_peaks(snapshot: &Snapshot, view: &View) -> Option<String> {
    (view.metric() == Metric::Peak && snapshot.knows(Metric::Peak)).then(|| {
        format!(
            "own peaks were reached at different moments: their sum may exceed the peak of the \
             heap, {}",
            snapshot.traced_memory().peak
        )
    })
}

fn peak_error(snapshot: &Snapshot) -> Option<String> {
    let error = snapshot.traced_memory().peak_error;
    (error > 0).then(|| {
        format!(
            "several threads allocated at once: the peak may be off by up to {error}, either way"
        )
    })
}

/// A line is charged from the inner end of a stack, so a cut stack matters to it only where the
/// frame to charge is among those that are missing.
fn truncated(snapshot: &Snapshot, view: &View) -> Option<String> {
    let charge = snapshot.charged_to();
    let of_stacks = view.is_of_stacks();
    let n = count(snapshot, |trace| {
        trace.traceback.is_truncated() && (of_stacks || !has_charged_frame(trace, charge))
    });
    let without = if of_stacks {
        ""
    } else {
        " before a line to charge was met"
    };
    (n > 0).then(|| {
        format!(
            "{} cut at {}{without}: trace with more frames to see more",
            stacks(n, snapshot),
            plural(snapshot.traceback_limit().into(), "frame"),
        )
    })
}

fn broken(snapshot: &Snapshot) -> Option<String> {
    let n = count(snapshot, |trace| trace.traceback.is_broken());
    (n > 0).then(|| {
        format!(
            "{} incomplete: the walk could not be followed outwards",
            stacks(n, snapshot)
        )
    })
}

fn overflowed(snapshot: &Snapshot) -> Option<String> {
    let n = snapshot.health().overflowed;
    (n > 0).then(|| {
        format!(
            "the table of callsites was full: {} charged to no line; raise Config::max_callsites",
            were(n, "allocation"),
        )
    })
}

fn lost(snapshot: &Snapshot) -> Option<String> {
    let n = snapshot.health().lost_blocks;
    (n > 0).then(|| {
        format!(
            "{} released behind the tracer's back and still counted",
            were(n, "block")
        )
    })
}

/// What is missing of names, and what of them may be wrong.
fn names(snapshot: &Snapshot) -> Vec<String> {
    let missing = snapshot.missing_debug_info().map(|hint| hint.to_string());
    let unverified = snapshot.unverified_files().iter().map(|file| {
        format!(
            "names are from {}, of which nothing tells whether it is the build that ran",
            text::name(file)
        )
    });
    missing.into_iter().chain(unverified).collect()
}

fn has_charged_frame(trace: &Trace, charge: ChargeTo) -> bool {
    trace.traceback.iter().any(|frame| match charge {
        ChargeTo::Workspace => frame.origin() == Origin::Workspace,
        _ => !frame.is_passed_over(),
    })
}

fn count(snapshot: &Snapshot, is_it: impl Fn(&Trace) -> bool) -> u64 {
    snapshot
        .traces()
        .iter()
        .filter(|trace| is_it(trace))
        .count() as u64
}

/// `3 of 12 stacks are`.
fn stacks(n: u64, snapshot: &Snapshot) -> String {
    let verb = if n == 1 { "is" } else { "are" };
    let all = plural(snapshot.traces().len() as u64, "stack");
    format!("{} of {all} {verb}", text::grouped(n))
}

/// `1 block was`, `2 blocks were`.
fn were(n: u64, noun: &str) -> String {
    let verb = if n == 1 { "was" } else { "were" };
    format!("{} {verb}", plural(n, noun))
}
