//! The leak examples: what `suspects` says of each, and that it says nothing of its mended form.

mod support;

use std::path::Path;

use alloc_core::{ChargeTo, Frame, GroupKey, Snapshot};
use alloc_report::{Suspect, suspects};

/// The number of snapshots of a run, and so of steps and one.
const SNAPSHOTS: usize = 5;

/// How the example is recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Recorded {
    InFull,
    /// Every so many bytes. The examples are small, and so is the distance.
    Sampled(&'static str),
}

const BOTH: [Recorded; 2] = [Recorded::InFull, Recorded::Sampled("512")];

/// An example, and the text of its source.
#[derive(Clone, Copy)]
struct Example {
    name: &'static str,
    source: &'static str,
}

macro_rules! example {
    ($name:literal) => {
        Example {
            name: $name,
            source: include_str!(concat!("../leaks/", $name, ".rs")),
        }
    };
}

impl Example {
    /// Runs the example, built like this test. Returns its snapshots, charged to the workspace.
    fn run(self, form: &str, recorded: Recorded) -> Vec<Snapshot> {
        let folder = tempfile::tempdir().expect("a folder");
        let files = (1..=SNAPSHOTS).map(|at| folder.path().join(format!("{at}.pb.gz")));
        let files: Vec<_> = files.collect();
        let example = format!("leak_{}", self.name);
        let mut command = support::example(&example);
        if let Recorded::Sampled(distance) = recorded {
            command.env("ALLOC_TRACE_SAMPLE", distance);
        }
        command.arg(form).args(&files);
        let output = command.output().expect("cargo runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example} {form}: {error}");
        let load = |path: &std::path::PathBuf| Snapshot::load(path).expect("a snapshot");
        let snapshots: Vec<Snapshot> = files.iter().map(load).collect();
        let is_sample = snapshots[0].sampled_every().is_some();
        assert_eq!(is_sample, recorded != Recorded::InFull, "{example}");
        let charge = |it: Snapshot| it.charge_to(ChargeTo::Workspace);
        snapshots.into_iter().map(charge).collect()
    }

    /// The number of the line that ends in `// mark: name`.
    fn line(self, name: &str) -> u32 {
        let mark = format!("// mark: {name}");
        let mut lines = self.source.lines().zip(1..);
        let marked = lines.find(|(line, _)| line.ends_with(&mark));
        marked.unwrap_or_else(|| panic!("no line has {mark}")).1
    }

    /// Whether a key is the line with this mark.
    fn is_at(self, key: &GroupKey, mark: &str) -> bool {
        let frame = key.charged(ChargeTo::Workspace);
        let file = frame
            .and_then(Frame::file)
            .map(|it| Path::new(it.full()).to_owned());
        let name = format!("leaks/{}.rs", self.name);
        file.is_some_and(|it| it.ends_with(&name))
            && frame.map(Frame::line) == Some(self.line(mark))
    }
}

/// Checks that the marked line is the first suspect, with these words about its blocks, and that
/// the mended form has none. Returns the suspect of the run that was recorded in full.
#[track_caller]
fn check(example: Example, words: &str) -> Suspect {
    let mut in_full = None;
    for recorded in BOTH {
        let snapshots = example.run("leaking", recorded);
        let list = suspects(&snapshots).list();
        let table = suspects(&snapshots);
        let first = list
            .first()
            .unwrap_or_else(|| panic!("{recorded:?}: {table}"));
        assert!(example.is_at(&first.key, "leak"), "{recorded:?}: {table}");
        assert_eq!(first.steps.len(), SNAPSHOTS - 1);
        assert!(
            suspects(&snapshots).held().is_none(),
            "{recorded:?}: {table}"
        );
        if recorded == Recorded::InFull {
            let sentence = first.to_string();
            assert!(
                sentence.contains(" grew in each of 4 steps, by "),
                "{sentence}"
            );
            assert!(sentence.ends_with(words), "{sentence}");
            in_full = Some(first.clone());
        }
        check_nothing(example, recorded);
    }
    in_full.expect("one run is recorded in full")
}

/// Checks that nothing is said of the mended form.
#[track_caller]
fn check_nothing(example: Example, recorded: Recorded) {
    let snapshots = example.run("mended", recorded);
    let table = suspects(&snapshots);
    assert_eq!(table.list(), [], "{recorded:?}: {table}");
    assert!(table.held().is_none(), "{recorded:?}: {table}");
}

/// Checks the growth from the first snapshot to the last: bytes and blocks.
#[track_caller]
fn check_growth(suspect: &Suspect, bytes: u64, blocks: i64) {
    assert_eq!((suspect.growth.get(), suspect.count_diff), (bytes, blocks));
}

#[test]
fn a_cache_without_bound() {
    // The line also has the nodes of the map.
    let found = check(example!("cache"), "; nothing that it allocated was freed");
    let pages = 4 * 1_000 * 600;
    assert!(found.growth >= pages && found.growth < pages * 5 / 4);
}

#[test]
fn a_growing_global() {
    let found = check(example!("global"), "; nothing that it allocated was freed");
    assert_eq!(found.count_diff, 4_000);
}

#[test]
fn handlers_that_are_never_removed() {
    let found = check(
        example!("handlers"),
        "; nothing that it allocated was freed",
    );
    check_growth(&found, 4_000 * 128, 4_000);
}

#[test]
fn a_closure_that_keeps_a_large_buffer() {
    let found = check(example!("closure"), "; nothing that it allocated was freed");
    let a_hundred = (0..100).map(|it| 2_000 + it).sum::<u64>();
    check_growth(&found, 40 * a_hundred, 4_000);
}

#[test]
fn a_guard_that_is_never_dropped() {
    let found = check(
        example!("guard"),
        "; most of what it allocated was freed, but 3 of 100 blocks stayed",
    );
    check_growth(&found, 4 * 30 * 4_096, 4 * 30);
    assert_eq!((found.allocated.blocks, found.freed.blocks), (4_000, 3_880));
}

#[test]
fn a_cycle_of_rc() {
    let found = check(
        example!("rc_cycle"),
        "; nothing that it allocated was freed",
    );
    // Two counts, 64 numbers, and the cell: a borrow, a kind and a pointer.
    check_growth(&found, 4_000 * 8 * (2 + 64 + 3), 4_000);
}

/// What is held does not grow, so it is no suspect; a note says that it is held.
#[test]
fn a_large_value_held_through_a_long_function() {
    let example = example!("large_value");
    for recorded in BOTH {
        let snapshots = example.run("leaking", recorded);
        let table = suspects(&snapshots);
        assert_eq!(table.list(), [], "{recorded:?}: {table}");
        let held = table
            .held()
            .unwrap_or_else(|| panic!("{recorded:?}: {table}"));
        assert!(example.is_at(&held.key, "held"), "{recorded:?}: {table}");
        let note = &table.notes()[0];
        assert!(
            note.contains(" in 1 block from the first snapshot to the last, 100 %"),
            "{note}"
        );
        if recorded == Recorded::InFull {
            assert_eq!(held.size.get(), 24_000_000);
        }
        check_nothing(example, recorded);
    }
}
