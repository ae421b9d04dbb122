//! What a format cannot hold is said once on standard error.

use crate::export;
use crate::samples;
use crate::support::{check_error, check_failure};

#[track_caller]
fn check(arguments: &str, expected: &str) {
    let (_, said) = export(samples::folder().path(), arguments);
    assert_eq!(said, expected, "{arguments}");
}

#[test]
fn a_sentence_says_what_is_left_out() {
    check("heap --to pprof", "");
    check(
        "heap --to pprof --sort at-peak",
        "note: pprof profiles hold all metrics; -sample_index=at_peak_space shows one\n",
    );
    check(
        "heap --to dhat",
        "note: DHAT's files hold one metric without lifetimes: total; --sort chooses another, and a \
         run with ALLOC_TRACE_LIFETIMES=1 records all; reallocations, threads, labels and types are \
         left out\n",
    );
    check(
        "lives --to dhat",
        "note: DHAT's files hold mean lifetimes, and 0 for the unknown time of the peak; \
         reallocations, threads, labels, types, slack and frees are left out\n",
    );
    check(
        "heap --to folded --sort total",
        "note: folded stacks hold one metric: total; --sort chooses another; blocks, reallocations, \
         threads, labels and types are left out\n",
    );
    check(
        "lives --to speedscope",
        "note: speedscope's profiles hold stacks and metrics; reallocations, threads, labels, types, \
         lifetimes, slack and frees are left out\n",
    );
    check(
        "heap --to firefox",
        "note: Firefox's profiles hold stacks and bytes; blocks, reallocations, threads, labels and \
         types are left out\n",
    );
    check(
        "heap --to csv",
        "note: the rows hold stacks and metrics; threads, labels and types are left out\n",
    );
    check(
        "heap --to json --sort at-peak",
        "note: the rows hold stacks and metrics; stacks for which the metric is zero, threads, labels \
         and types are left out\n",
    );
    check(
        "heap --to csv --include src/a;b.rs",
        "note: the rows hold stacks and metrics; types are left out\n",
    );
    check(
        "heap --to json --exclude cache.rs --exclude load.rs --exclude src/a;b.rs",
        "",
    );
    check(
        "heap --to trace-events",
        "note: trace events hold the heap as a whole; stacks are left out\n",
    );
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let folder = samples::folder();
    std::fs::write(folder.path().join("there"), "kept").unwrap();
    check_error(
        folder.path(),
        "export heap --to folded -o there",
        "expected a new path, found a file at there; --force replaces it",
    );
    check_error(
        folder.path(),
        "export heap --to trace-events --sort total",
        "expected no --sort for trace-events, which are sorted by time",
    );
    check_error(
        folder.path(),
        "export heap --to folded --include src/none.rs",
        "no callsite matches --include src/none.rs; the largest allocators are: src/cache.rs, \
         src/load.rs, src/a;b.rs, <unknown>",
    );
    check_failure(folder.path(), "export heap", 2, "--to <FORMAT>");
    check_failure(
        folder.path(),
        "export heap --to svg",
        2,
        "possible values: pprof, dhat",
    );
    check_failure(
        folder.path(),
        "export heap --to csv --sort bytes",
        2,
        "--sort",
    );
}

#[test]
fn a_file_is_written_as_a_whole() {
    let folder = samples::folder();
    for to in [
        "pprof",
        "dhat",
        "folded",
        "speedscope",
        "firefox",
        "csv",
        "json",
        "trace-events",
    ] {
        let (printed, _) = export(folder.path(), &format!("heap --to {to}"));
        let (said, _) = export(folder.path(), &format!("heap --to {to} -o {to}"));
        assert_eq!(said, format!("Written to {to}\n").as_bytes());
        assert_eq!(
            std::fs::read(folder.path().join(to)).unwrap(),
            printed,
            "{to}"
        );
        let control = |it: &u8| it.is_ascii_control() && *it != b'\n';
        assert!(to == "pprof" || !printed.iter().any(control), "{to}");
    }
}
