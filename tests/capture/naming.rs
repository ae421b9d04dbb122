//! Names of frames when the program's file has been moved, deleted or replaced, and what names
//! cost.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use alloc_core::{ChargeTo, GroupBy, Snapshot, SymbolSearch};

/// A folder with a copy of the program.
struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Copy {
        let folder = tempfile::tempdir().expect("a folder");
        alloc_tests::copy_program(env!("CARGO_BIN_EXE_names"), folder.path().join("names"));
        Copy(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.at("names"));
        let output = command.args(arguments).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        output
    }

    #[track_caller]
    fn prints_its_line(&self, arguments: &[&str]) {
        let output = String::from_utf8(self.run(arguments).stdout).expect("UTF-8");
        assert!(output.contains("tests/programs/names.rs:"), "{output}");
    }

    fn objcopy(&self, arguments: &[&str]) {
        let mut command = Command::new("objcopy");
        let status = command.current_dir(self.0.path()).args(arguments).status();
        assert!(status.expect("it runs").success());
    }
}

#[track_caller]
fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_program_whose_file_is_gone_or_replaced_keeps_its_names() {
    Copy::new().prints_its_line(&["as it is"]);
    Copy::new().prints_its_line(&["deleted"]);
    let copy = Copy::new();
    alloc_tests::copy_program("/bin/true", copy.at("other"));
    copy.prints_its_line(&["replaced", path(&copy.at("other"))]);
}

/// Only root may change the root folder.
#[test]
fn an_unreachable_file_is_named_in_a_hint() {
    // SAFETY: the function has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return alloc_tests::skip("only root may change the root folder");
    }
    let copy = Copy::new();
    let root = copy.at("root");
    std::fs::create_dir(&root).expect("a folder");
    let output = copy.run(&["chroot", path(&root)]);
    let output = String::from_utf8(output.stdout).expect("UTF-8");
    let (line, hint) = output.split_once('\n').expect("two lines");
    assert!(line.starts_with("names+0x"), "{line}");
    assert!(hint.contains("is not there any more"), "{hint}");
}

#[test]
fn memory_for_names_is_given_back_and_what_is_kept_is_counted() {
    let output = Copy::new().run(&["memory"]);
    let output = String::from_utf8(output.stdout).expect("UTF-8");
    let numbers: Vec<u64> = output
        .lines()
        .map(|it| it.parse().expect("a number"))
        .collect();
    // About ten megabytes of debug information are read.
    assert!(numbers[0] < 3 << 20, "resident: {output}");
    assert!(numbers[1] > 1000 && numbers[1] < 4 << 20, "kept: {output}");
}

#[test]
fn no_lock_of_naming_is_found_taken_after_a_fork() {
    let output = Copy::new().run(&["forks"]);
    assert_eq!(output.stdout, b"done\n");
}

#[test]
fn a_file_is_named_where_it_is_read_and_by_no_other_build() {
    let copy = Copy::new();
    let (file, named) = (copy.at("heap.pb.gz"), copy.at("heap.pb.named"));
    copy.run(&["dump", path(&file)]);
    let top = |snapshot: &Snapshot| snapshot.statistics(GroupBy::Line)[0].key.to_string();
    let load = || Snapshot::load(&file).expect("it loads");

    let snapshot = load();
    assert!(!snapshot.is_named());
    assert!(top(&snapshot).contains("tests/programs/names.rs:"));
    assert_eq!(snapshot.missing_debug_info(), None);
    let itself = Snapshot::load(&named).expect("it loads");
    assert!(itself.is_named());
    assert_eq!(itself.traces().len(), snapshot.traces().len());
    for (one, other) in itself.traces().iter().zip(snapshot.traces()) {
        assert_eq!(one.counters, other.counters);
        assert_eq!(one.traceback, other.traceback);
        assert_eq!(one.traceback.is_truncated(), other.traceback.is_truncated());
    }

    // A snapshot with symbols needs no file. A snapshot with addresses names the file it lacks.
    std::fs::rename(copy.at("names"), copy.at("elsewhere")).expect("it was there");
    assert_eq!(
        top(&Snapshot::load(&named).expect("it loads")),
        top(&itself)
    );
    let without = load();
    assert!(top(&without).starts_with("names+0x"), "{}", top(&without));
    let hint = |snapshot: &Snapshot| snapshot.missing_debug_info().expect("a hint").to_string();
    assert!(hint(&without).contains("is not there any more"));
    alloc_tests::copy_program("/bin/true", copy.at("names"));
    let other = hint(&load());
    assert!(
        other.contains("is another build: expected build id "),
        "{other}"
    );

    // The program is stripped, and its debug information is in a folder.
    copy.objcopy(&["--only-keep-debug", "elsewhere", "names.debug"]);
    copy.objcopy(&["--strip-all", "elsewhere", "names"]);
    std::fs::remove_file(copy.at("elsewhere")).expect("it was there");
    let symbols = tempfile::tempdir().expect("a folder");
    std::fs::rename(copy.at("names.debug"), symbols.path().join("any.debug")).expect("a file");
    assert!(hint(&load()).contains("was stripped"));
    let mut found = load();
    found.name(&SymbolSearch {
        folders: vec![symbols.path().to_owned()],
        ..SymbolSearch::default()
    });
    assert_eq!(top(&found), top(&itself));
    let frame = found.traces()[0].traceback.charged(ChargeTo::Caller);
    assert!(frame.address() > 0);
}

/// Linux appends ` (deleted)` to the path of such a program. A deployment puts the new file at the
/// path.
#[test]
fn a_file_of_a_program_that_was_deleted_is_named_by_the_same_build_at_its_place() {
    let copy = Copy::new();
    let output = Command::new(copy.at("names"))
        .arg("deleted")
        .env("ALLOC_TRACE", "8")
        .env("ALLOC_TRACE_OUT", copy.at("heap.pb.gz"))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let top = || {
        let snapshot = Snapshot::load(copy.at("heap.pb.gz")).expect("it loads");
        let statistics = snapshot.statistics_by(GroupBy::Line, alloc_core::Metric::Total);
        let lines: Vec<String> = statistics.iter().map(|it| it.key.to_string()).collect();
        lines.join("\n")
    };
    assert!(top().contains("names+0x"), "{}", top());
    alloc_tests::copy_program(env!("CARGO_BIN_EXE_names"), copy.at("names"));
    assert!(top().contains("tests/programs/names.rs:"), "{}", top());
}

#[test]
fn the_environment_asks_for_names_or_addresses() {
    let written = |names: &str| {
        let copy = Copy::new();
        let output = Command::new(copy.at("names"))
            .arg("as it is")
            .env("ALLOC_TRACE", "8")
            .env("ALLOC_TRACE_OUT", copy.at("heap.pb.gz"))
            .env("ALLOC_TRACE_NAMES", names)
            .output()
            .expect("it runs");
        (output, Snapshot::load(copy.at("heap.pb.gz")))
    };
    let is_named = |names| written(names).1.expect("it loads").is_named();
    assert!(is_named("1"));
    assert!(!is_named("0") && !is_named(""));
    let (output, file) = written("yes");
    assert_eq!(output.status.code(), Some(2));
    assert!(file.is_err());
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(said.contains("ALLOC_TRACE_NAMES: expected 1 for"), "{said}");
}
