//! Annotated source, from snapshots made by hand.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use alloc_report::annotate;
use expect_test::expect;
use tempfile::TempDir;

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
        reallocations: 0,
    };
    Trace::new(Traceback::new(frames), counters)
}

/// A folder with a source file, and the snapshot of a program made from it elsewhere.
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
        // A recursion, through one line twice.
        trace(64, 64, vec![fill(5), fill(5), frame("fill<u16>", file, 5)]),
        // Another's code.
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
fn the_table_shows_what_each_line_did_itself_and_with_its_callees() {
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
fn a_stack_counts_for_a_line_and_for_a_function_once() {
    let (folder, snapshot) = folder();
    let functions = annotate(&snapshot).source_root(folder.path()).functions();
    let fill = functions
        .iter()
        .find(|it| it.bare_name() == "fill")
        .unwrap();
    // Its closures and instances are one function, and the recursion is there once.
    assert_eq!(fill.inclusive.total, Amount::new(1000 + 8192 + 64, 3));
    assert_eq!(fill.lines[1].inclusive.total, Amount::new(1064, 2));
    assert_eq!((fill.start, fill.end), (Some(3), Some(7)));
}

#[test]
fn functions_of_others_are_shown_if_they_are_asked_for() {
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
fn what_allocated_little_is_left_out() {
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
    // One of a hundred, and one of two hundred.
    assert_eq!(names, ["demo::f1", "demo::f2"]);
}

fn command(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_alloc-report"))
        .current_dir(folder)
        .args(arguments.split_whitespace())
        .env_remove("CLICOLOR_FORCE")
        .output()
        .expect("the command runs")
}

#[track_caller]
fn fails(folder: &Path, arguments: &str, message: &str) {
    let output = command(folder, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(message), "{error}");
}

#[test]
fn the_command_shows_it_and_says_what_is_missing() {
    let (folder, _) = folder();
    let output = command(folder.path(), "annotate heap --source-root .");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("cache.insert(entry)"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));

    let without = command(folder.path(), "annotate heap --function fill");
    let text = String::from_utf8(without.stdout).unwrap();
    let note = "note: the source of /elsewhere/demo/src/cache.rs is not at hand; --source-root DIR";
    assert!(text.contains(note) && text.contains("9192 B"), "{text}");

    fails(
        folder.path(),
        "annotate heap --function Fil",
        "a function \"Fil\"; near it: demo::fill",
    );
    fails(
        folder.path(),
        "annotate heap --file nowhere.rs",
        "no stack passes a file \"nowhere.rs\"; those of which the most was allocated: ",
    );
    fails(
        folder.path(),
        "annotate heap --source-root nowhere",
        "expected a folder after --source-root, found nowhere",
    );
    fails(
        folder.path(),
        "annotate src/cache.rs",
        "cannot read the snapshot src/cache.rs: expected a heap profile in pprof's format",
    );
}
