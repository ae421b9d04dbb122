//! Notes: sentences on which numbers of a snapshot are inexact or incomplete.

use alloc_core_snapshot::{ChargeTo, GroupBy, Metric, Origin, Snapshot, Trace};

use super::text::{self, plural};
use super::view::View;
use crate::growth::{Moment, Order};

/// The notes on a table of one snapshot.
pub(crate) fn of(snapshot: &Snapshot, view: &View) -> Vec<String> {
    of_one(snapshot, view, view.shows_peak(snapshot))
}

fn of_one(snapshot: &Snapshot, view: &View, shows_peak: bool) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(changes(snapshot));
    notes.extend(unknown(snapshot, view));
    notes.extend(without_threads(snapshot, view));
    notes.extend(without_labels(snapshot, view));
    notes.extend(without_sizes(snapshot, view));
    notes.extend(filtered(snapshot));
    notes.extend(sampled(snapshot));
    notes.extend(individual_peaks(snapshot, view));
    notes.extend(peak_error(snapshot).filter(|_| shows_peak));
    notes.extend(truncated(snapshot, view));
    notes.extend(broken(snapshot));
    notes.extend(overflowed(snapshot));
    notes.extend(lost(snapshot));
    notes.extend(names(snapshot));
    notes
}

/// The notes on whole stacks, independent of a view.
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

/// The notes on both sides of a comparison, and on whether they are comparable.
pub(crate) fn of_both(new: &Snapshot, old: &Snapshot, view: &View) -> Vec<String> {
    let mut notes = Vec::new();
    let (new_program, old_program) = (new.program(), old.program());
    if new_program != old_program && !new_program.is_empty() && !old_program.is_empty() {
        notes.push(format!(
            "the snapshots come from different programs, {} now and {} before",
            text::name(new_program),
            text::name(old_program),
        ));
    }
    if old.time_since(new).is_some_and(|it| !it.is_zero()) {
        notes.push("the newer snapshot was taken before the older one".to_owned());
    }
    let of_new = of(new, view);
    // The heading shows the peak of the newer snapshot only.
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

/// The notes on what grew over several snapshots, and on whether they are comparable.
pub(crate) fn of_steps(order: &Order<'_>, view: &View) -> Vec<String> {
    let snapshots: Vec<&Snapshot> = order.moments.iter().map(Moment::about).collect();
    let mut notes = Vec::new();
    let mut note = |text: &str| notes.push(text.to_owned());
    match snapshots.len() {
        n @ (0 | 1) => note(&format!(
            "growth shows between snapshots: expected two or more, found {n}"
        )),
        2 => note("two snapshots cannot tell growth from a cache that fills up: add a third"),
        _ => {}
    }
    if order.omits_exit {
        note("left out what was written when the program ended: little is live by then");
    }
    if order.is_sorted {
        note("the snapshots were given in another order, and are compared in order of time");
    }
    match (order.duration(), &order.seconds) {
        _ if snapshots.len() < 2 => {}
        (None, None) => {
            note("the times of the snapshots are unknown: they are compared in the given order")
        }
        (None, Some(_)) => note("the snapshots were taken at the same time, so no rate is known"),
        _ => {}
    }
    let differ = |is_same: fn(&Snapshot, &Snapshot) -> bool| {
        snapshots.windows(2).any(|it| !is_same(it[0], it[1]))
    };
    if differ(|a, b| a.process_id() == b.process_id() && a.program() == b.program()) {
        note(
            "the snapshots come from different processes: what differs did not grow in any of them",
        );
    }
    if differ(|a, b| a.sampled_every() == b.sampled_every()) {
        note("the snapshots were recorded in different ways, one of them as a sample");
    }
    if order.allocations.as_ref().is_some_and(|it| !it.is_sorted()) {
        note("tracing began again between two snapshots, which then hold different memory");
    }
    if let Some(newest) = order.newest {
        notes.extend(of_one(newest, view, false));
    }
    notes
}

/// The note on `n` functions that are hidden as plumbing.
pub(crate) fn hidden(n: usize, view: &View) -> Option<String> {
    let functions = plural(n as u64, view.noun(0));
    let (call, allocate, them) = match n {
        1 => ("calls", "allocates", "it"),
        _ => ("call", "allocate", "them"),
    };
    (n > 0 && !view.is_full).then(|| {
        format!(
            "hid {functions} that only {call} the workspace or {allocate} for it; --full shows {them}"
        )
    })
}

fn changes(snapshot: &Snapshot) -> Option<String> {
    snapshot.is_difference().then(|| {
        "the file holds the change between two moments, not the amount at either".to_owned()
    })
}

fn unknown(snapshot: &Snapshot, view: &View) -> Option<String> {
    let what = match view.metric() {
        metric if snapshot.knows(metric) => None,
        Metric::Current => Some("live memory"),
        Metric::Total => Some("total allocations"),
        Metric::Freed => Some("freed memory"),
        Metric::Peak => Some("the peak of each callsite"),
        Metric::AtPeak => Some("live memory at the peak"),
        _ => Some("this metric"),
    };
    let blocks = (!snapshot.knows_blocks()).then_some("block counts");
    let both: Vec<&str> = what.into_iter().chain(blocks).collect();
    let both = both.join(" or ");
    (!both.is_empty()).then(|| format!("the file does not contain {both}"))
}

fn without_threads(snapshot: &Snapshot, view: &View) -> Option<String> {
    let by_thread = view.by.keys().any(|key| key == Some(GroupBy::Thread));
    let all_unnamed = snapshot.traces().iter().all(|it| it.thread.is_none());
    (by_thread && all_unnamed && !snapshot.traces().is_empty()).then(|| {
        "threads were not recorded: trace with ALLOC_TRACE_THREADS=1 or Config::threads(true)"
            .to_owned()
    })
}

fn without_labels(snapshot: &Snapshot, view: &View) -> Option<String> {
    let by_label = view.by.keys().any(|key| key == Some(GroupBy::Label));
    let has_none = snapshot.traces().iter().all(|it| it.label.is_none());
    (by_label && has_none && !snapshot.traces().is_empty()).then(|| {
        "nothing was allocated in a label: enter one with Label::enter, or add AllocLayer to the \
         subscriber of tracing"
            .to_owned()
    })
}

fn without_sizes(snapshot: &Snapshot, view: &View) -> Option<String> {
    let by_size = view.by.keys().any(|key| key == Some(GroupBy::SizeClass));
    let are_mean = snapshot.traces().iter().any(|it| it.size_class.is_none());
    (by_size && are_mean).then(|| {
        "classes are those of each callsite's mean size: for each block's own size, trace with \
         ALLOC_TRACE_SIZES=1 or Config::sizes(true)"
            .to_owned()
    })
}

fn filtered(snapshot: &Snapshot) -> Option<String> {
    let n = snapshot.filtered_out();
    let all = n + snapshot.traces().len() as u64;
    (n > 0).then(|| {
        format!(
            "filters removed {} of {}",
            text::grouped(n),
            plural(all, "callsite"),
        )
    })
}

fn sampled(snapshot: &Snapshot) -> Option<String> {
    let every = snapshot.sampled_every()?;
    Some(format!(
        "sampled every {every} on average: all numbers are estimates"
    ))
}

fn individual_peaks(snapshot: &Snapshot, view: &View) -> Option<String> {
    (view.metric() == Metric::Peak && snapshot.knows(Metric::Peak)).then(|| {
        format!(
            "each row peaked at its own moment: the sum may exceed the heap's peak, {}",
            snapshot.traced_memory().peak
        )
    })
}

fn peak_error(snapshot: &Snapshot) -> Option<String> {
    let error = snapshot.traced_memory().peak_error;
    (error > 0).then(|| {
        format!(
            "several threads allocated at once: the peak may be off by up to {error} either way"
        )
    })
}

/// The note on truncated stacks.
///
/// Charging starts at the inner end of a stack, so a truncated stack matters to a line only if the
/// frame to charge is missing.
fn truncated(snapshot: &Snapshot, view: &View) -> Vec<String> {
    let charge = snapshot.charged_to();
    let of_stacks = view.groups_by_stack();
    let cut = |is_of_table| {
        count(snapshot, |trace| {
            trace.traceback.is_truncated()
                && is_below_limit(trace, snapshot) == is_of_table
                && (of_stacks || !has_charged_frame(trace, charge))
        })
    };
    let without = if of_stacks {
        ""
    } else {
        ", before a frame to charge"
    };
    let by_limit = |n| {
        format!(
            "{} truncated at {}{without}: trace with more frames to see more",
            stacks(n, snapshot),
            plural(snapshot.traceback_limit().into(), "frame"),
        )
    };
    let by_table = |n| {
        format!(
            "{} cut short{without}, since the table of callsites was filling: raise \
             Config::max_callsites to see more",
            stacks(n, snapshot),
        )
    };
    let notes = [(cut(false), true), (cut(true), false)].into_iter();
    let notes = notes.filter(|(n, _)| *n > 0);
    notes
        .map(|(n, is_by_limit)| {
            if is_by_limit {
                by_limit(n)
            } else {
                by_table(n)
            }
        })
        .collect()
}

/// Whether a stack has fewer frames than the session records. If it is truncated, the table of callsites
/// was filling, which cuts new stacks.
fn is_below_limit(trace: &Trace, snapshot: &Snapshot) -> bool {
    let frames = trace.traceback.iter().filter(|it| !it.is_inlined());
    frames.count() < usize::from(snapshot.traceback_limit())
}

fn broken(snapshot: &Snapshot) -> Option<String> {
    let n = count(snapshot, |trace| trace.traceback.is_broken());
    (n > 0).then(|| {
        format!(
            "{} incomplete: the unwinder could not reach the outer frames",
            stacks(n, snapshot)
        )
    })
}

fn overflowed(snapshot: &Snapshot) -> Option<String> {
    let n = snapshot.health().overflowed;
    (n > 0).then(|| {
        format!(
            "the table of callsites was full: {} not charged to a line; raise Config::max_callsites",
            were(n, "allocation"),
        )
    })
}

fn lost(snapshot: &Snapshot) -> Option<String> {
    let n = snapshot.health().lost_blocks;
    (n > 0).then(|| {
        format!(
            "{} freed without the tracer's knowledge and still counted",
            were(n, "block")
        )
    })
}

/// The notes on missing names and on names that may be wrong.
fn names(snapshot: &Snapshot) -> Vec<String> {
    let missing = snapshot.missing_debug_info().map(|hint| hint.to_string());
    let unverified = snapshot.unverified_files().iter().map(|file| {
        format!(
            "names come from {}, which could not be verified as the build that ran",
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
