//! Annotated source of synthetic snapshots, by the library and by the command.

use std::fs;

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use alloc_report::annotate;
use expect_test::expect;
use tempfile::TempDir;

mod support;

use support::{check_error, check_failure, stdout};

const SOURCE: &str = "\
use std::mem;

pub fn fill(cache: &mut Cache) {
    for entry in entries() {
\tcache.insert(entry);
    }
}

fn entries() -> Vec<Entry> {
    let a = 1;
    let b = 2;
    let c = 3;
    let d = 4;
    let e = 5;
    let f = 6;
    let g = 7;
    let h = 8;
    vec![a, b, c, d, e, f, g, h]
}
";

fn frame(function: &str, file: &str, line: u32) -> Frame {
    Frame::new(Some(function), Some(file), line, 9)
}

fn trace(total: u64, held: u64, frames: Vec<Frame>) -> Trace {
    let amount = |bytes: u64| Amount::new(bytes, u64::from(bytes > 0));
    let counters = Counters {
        current: amount(held),
        peak: amount(total),
        at_peak: amount(held),
        total: amount(total),
        ..Counters::default()
    };
    Trace::new(Traceback::new(frames), counters)
}

/// A folder with a source file, and a snapshot of the program, which was built elsewhere.
fn folder() -> (TempDir, Snapshot) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/cache.rs"), SOURCE).unwrap();
    let file = "/elsewhere/demo/src/cache.rs";
    let push = || {
        let grow = "/rustc/5980/library/alloc/src/raw_vec/mod.rs";
        frame("alloc::raw_vec::RawVec<T,A>::grow_one", grow, 340)
    };
    let fill = |line| frame("demo::fill::<u8>::{closure#0}", file, line);
    let traces = vec![
        trace(
            1000,
            400,
            vec![push(), fill(5), frame("demo::fill", file, 4)],
        ),
        trace(
            8192,
            0,
            vec![push(), frame("demo::entries", file, 18), fill(4)],
        ),
        // A recursion that passes one line twice.
        trace(64, 64, vec![fill(5), fill(5), frame("fill<u16>", file, 5)]),
        // Code of a dependency.
        trace(
            9999,
            9999,
            vec![frame(
                "dep::f",
                "/c/registry/src/i-1/dep-1.0.0/src/lib.rs",
                3,
            )],
        ),
    ];
    let snapshot = Snapshot::from_traces(traces, 32);
    snapshot.dump(folder.path().join("heap")).unwrap();
    (folder, snapshot)
}

#[test]
fn a_line_has_its_own_and_inclusive_numbers() {
    let (folder, snapshot) = folder();
    let annotated = annotate(&snapshot).source_root(folder.path()).width(150);
    expect![[r#"
        demo::fill  /elsewhere/demo/src/cache.rs:3
        9256 B allocated in 3 blocks, 464 B held, peak 9256 B
              the line itself ──────────────────────  with callees ───────────
        line  allocated  freed   held    peak  count  allocated   held    peak    source
           3                                                                      pub fn fill(cache: &mut Cache) {
           4          ·      ·      ·       ·      ·     9192 B  400 B  9192 B  █     for entry in entries() {
           5     1064 B  600 B  464 B  1064 B      2     1064 B  464 B  1064 B  ▒     cache.insert(entry);
           6                                                                          }
           7                                                                      }

        demo::entries  /elsewhere/demo/src/cache.rs:9
        8192 B allocated in 1 block, 0 B held, peak 8192 B
              the line itself ──────────────────────  with callees ──────────
        line  allocated   freed  held    peak  count  allocated  held    peak    source
           9                                                                     fn entries() -> Vec<Entry> {
          10                                                                         let a = 1;
          11                                                                         let b = 2;
           ⋮                                                                     … 3 lines
          15                                                                         let f = 6;
          16                                                                         let g = 7;
          17                                                                         let h = 8;
          18     8192 B  8192 B     ·  8192 B      1     8192 B     ·  8192 B  █     vec![a, b, c, d, e, f, g, h]
          19                                                                     }"#]]
    .assert_eq(&annotated.to_string());
}

#[test]
fn a_stack_counts_once_for_a_line_and_for_a_function() {
    let (folder, snapshot) = folder();
    let functions = annotate(&snapshot).source_root(folder.path()).functions();
    let fill = functions
        .iter()
        .find(|it| it.bare_name() == "fill")
        .unwrap();
    // Closures and instances are one function, and the recursion counts once.
    assert_eq!(fill.inclusive.total, Amount::new(1000 + 8192 + 64, 3));
    assert_eq!(fill.lines[1].inclusive.total, Amount::new(1064, 2));
    assert_eq!((fill.start, fill.end), (Some(3), Some(7)));
}

#[test]
fn functions_of_dependencies_are_shown_if_selected() {
    let (_folder, snapshot) = folder();
    let names = |annotated: alloc_report::Annotate<'_>| -> Vec<String> {
        let functions = annotated.functions();
        functions.iter().map(|it| it.name.clone()).collect()
    };
    assert_eq!(names(annotate(&snapshot)), ["demo::fill", "demo::entries"]);
    assert_eq!(names(annotate(&snapshot).most(1)), ["demo::fill"]);
    assert_eq!(names(annotate(&snapshot).function("dep::f")), ["dep::f"]);
    assert_eq!(
        names(annotate(&snapshot).function("entries")),
        ["demo::entries"]
    );
    assert_eq!(names(annotate(&snapshot).file("src/cache.rs")).len(), 2);
    assert_eq!(
        names(annotate(&snapshot).file("cache.rs").function("fill")).len(),
        1
    );
    assert!(names(annotate(&snapshot).file("ache.rs")).is_empty());
    assert!(names(annotate(&snapshot).function("no such")).is_empty());
}

#[test]
fn functions_below_1_percent_are_hidden() {
    let at = |line, bytes| {
        trace(
            bytes,
            0,
            vec![frame(&format!("demo::f{line}"), "src/a.rs", line)],
        )
    };
    let snapshot = Snapshot::from_traces(vec![at(1, 98_500), at(2, 1_000), at(3, 500)], 8);
    let names: Vec<_> = annotate(&snapshot)
        .functions()
        .into_iter()
        .map(|it| it.name)
        .collect();
    // `f2` has 1 % of everything, `f3` half of that.
    assert_eq!(names, ["demo::f1", "demo::f2"]);
}

#[test]
fn the_command_shows_source_and_notes_a_missing_file() {
    let (folder, _) = folder();
    let text = stdout(folder.path(), "annotate heap --source-root .");
    assert!(text.contains("cache.insert(entry)"), "{text}");
    assert!(!text.contains('\u{1b}'));

    let text = stdout(folder.path(), "annotate heap --function fill");
    expect![[r#"
        demo::fill  /elsewhere/demo/src/cache.rs:4
        9256 B allocated in 3 blocks, 464 B held, peak 9256 B
              the line itself ──────────────────────  with callees ───────────
        line  allocated  freed   held    peak  count  allocated   held    peak    source
           4          ·      ·      ·       ·      ·     9192 B  400 B  9192 B  █
           5     1064 B  600 B  464 B  1064 B      2     1064 B  464 B  1064 B  ▒

        note: the source of /elsewhere/demo/src/cache.rs is missing; --source-root DIR looks for it below DIR
    "#]].assert_eq(&text);
}

#[test]
fn a_wrong_selection_is_an_error() {
    let (folder, _) = folder();
    check_error(
        folder.path(),
        "annotate heap --function Fil",
        "no stack contains a function \"Fil\"; did you mean: demo::fill",
    );
    check_failure(
        folder.path(),
        "annotate heap --file nowhere.rs",
        1,
        "no stack contains a file \"nowhere.rs\"; the largest allocators are: ",
    );
    check_error(
        folder.path(),
        "annotate heap --source-root nowhere",
        "expected a folder after --source-root, found nowhere",
    );
    check_failure(
        folder.path(),
        "annotate src/cache.rs",
        1,
        "cannot read the snapshot src/cache.rs: expected a heap profile in pprof's format",
    );
}
