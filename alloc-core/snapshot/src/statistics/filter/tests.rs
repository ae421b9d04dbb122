//! Which traces a filter keeps.

use super::*;
use crate::{ChargeTo, Counters, Traceback};

#[track_caller]
fn check(filter: &Filter, trace: &Trace, kept: bool) {
    let snapshot = Snapshot::from_traces(vec![trace.clone()], 8);
    let filtered = snapshot.filter_traces(std::slice::from_ref(filter));
    assert_eq!(filtered.traces().len() == 1, kept, "{filter:?}");
}

/// A vector that serde_json grew, called from the program.
fn parsed() -> Trace {
    let frames = [
        (
            "alloc::raw_vec::grow",
            "/rustc/5/library/alloc/src/raw_vec/mod.rs",
            7,
        ),
        (
            "serde_json::de::parse",
            "/c/registry/src/i-1/serde_json-1.0.154/src/de.rs",
            9,
        ),
        ("demo::load", "/w/demo/src/load.rs", 3),
    ];
    let frames = frames.map(|(name, file, line)| Frame::new(Some(name), Some(file), line, 1));
    Trace::new(Traceback::new(frames.to_vec()), Counters::default())
}

#[test]
fn filters_match_the_charged_frame_and_its_short_path() {
    let trace = parsed();
    for pattern in [
        "serde_json-1.0.154/src/de.rs",
        "/c/registry/src/i-1/serde_json-1.0.154/src/de.rs",
        "*/de.rs",
        "*",
    ] {
        check(&Filter::include(pattern), &trace, true);
        check(&Filter::exclude(pattern), &trace, false);
    }
    for pattern in [
        "de.rs",
        "src/de.rs",
        "*/load.rs",
        "*/raw_vec/*",
        "<unknown>",
        "",
    ] {
        check(&Filter::include(pattern), &trace, false);
        check(&Filter::exclude(pattern), &trace, true);
    }
    check(&Filter::include("*/load.rs").all_frames(true), &trace, true);
    let workspace = Snapshot::from_traces(vec![trace], 8).charge_to(ChargeTo::Workspace);
    assert_eq!(
        workspace
            .filter_traces(&[Filter::include("*/load.rs")])
            .traces()
            .len(),
        1
    );
}

#[test]
fn functions_crates_and_file_names() {
    let trace = parsed();
    let any = || Filter::include("*");
    check(&any().function("serde_json::de::*"), &trace, true);
    check(&any().function("demo::load"), &trace, false);
    check(&any().function("demo::load").all_frames(true), &trace, true);
    check(&any().function("parse"), &trace, true);
    check(&any().function("de::parse"), &trace, true);
    check(&any().function("pars"), &trace, false);
    check(&any().in_crate("serde_json"), &trace, true);
    check(&any().in_crate("serde_json 1.*"), &trace, true);
    check(&any().in_crate("serde_json 2.*"), &trace, false);
    check(&any().in_crate("demo"), &trace, false);
    check(&any().in_crate("demo").all_frames(true), &trace, true);
    check(&any().file_name("de.rs"), &trace, true);
    check(&any().file_name("[a-c]e.rs"), &trace, false);
    // A single frame must meet all conditions.
    let elsewhere = any().file_name("de.rs").line(3);
    check(&elsewhere.all_frames(true), &trace, false);
}

#[test]
fn threads_and_domains() {
    let trace = parsed().with_thread("worker-3").with_domain(5);
    check(&Filter::include("*").thread("worker-*"), &trace, true);
    check(&Filter::include("*").thread("worker"), &trace, false);
    check(&Filter::exclude("*").thread("worker-?"), &trace, false);
    check(&Filter::include("*").thread("worker-*"), &parsed(), false);
    check(&Filter::include_domain(5), &trace, true);
    check(&Filter::include_domain(0), &trace, false);
    check(&Filter::include_domain(0), &parsed(), true);
    check(&Filter::exclude_domain(5), &trace, false);
    let decoded = parsed().with_label("request > decode");
    check(&Filter::include("*").label("request > *"), &decoded, true);
    check(&Filter::include("*").label("request"), &decoded, false);
    check(&Filter::include("*").label("<no label>"), &parsed(), true);
    check(
        &Filter::exclude("*").thread("worker-*").domain(0),
        &trace,
        true,
    );
}

#[test]
fn unknown_fields_match_the_placeholder() {
    let unknown = Trace::new(Traceback::new(vec![Frame::default()]), Counters::default());
    check(&Filter::include("<unknown>"), &unknown, true);
    check(&Filter::include("*").function("<unknown>"), &unknown, true);
    check(&Filter::include("*").in_crate("<unknown>"), &unknown, true);
    check(&Filter::include("*").file_name("<unknown>"), &unknown, true);
    check(&Filter::include("*").line(0), &unknown, true);
    check(&Filter::include("*").line(0), &parsed(), false);
}

#[test]
fn the_new_snapshot_counts_omitted_traces_and_sums_the_others() {
    let counters = |current, at_peak| Counters {
        current: crate::Amount::new(current, 1),
        at_peak: crate::Amount::new(at_peak, 1),
        ..Counters::default()
    };
    let at = |line, counters| {
        let frame = Frame::new(None, Some("a.rs"), line, 0);
        Trace::new(Traceback::new(vec![frame]), counters)
    };
    let traces = vec![
        at(1, counters(5, 7)),
        at(2, counters(100, 200)),
        at(3, counters(1, 0)),
    ];
    let snapshot = Snapshot::from_traces(traces, 3);
    let without = snapshot.filter_traces(&[Filter::exclude("*").line(2)]);
    let heap = without.traced_memory();
    assert_eq!((heap.current.get(), heap.peak.get()), (6, 7));
    assert_eq!((without.filtered_out(), without.traceback_limit()), (1, 3));
    let one = without.filter_traces(&[Filter::include("*").line(3)]);
    assert_eq!((one.traces().len(), one.filtered_out()), (1, 2));
    assert_eq!((snapshot.traces().len(), snapshot.filtered_out()), (3, 0));
    assert_eq!(snapshot.traced_memory().current.get(), 106);
}
