//! A program whose file is deleted or replaced while it runs, as by a deployment.

use std::fs;
use std::path::Path;
use std::process::Command;

use alloc_core::{GroupBy, Snapshot};
use alloc_tests::copy_program;

use crate::holding::{Holding, PROGRAM, newest};

/// The lines of the newest snapshot.
fn lines(folder: &Path) -> (Snapshot, String) {
    let newest = newest(folder).expect("a snapshot");
    let path = folder.join(format!("heap-{newest:04}.pb.gz"));
    let snapshot = Snapshot::load(path).expect("it loads");
    let lines = snapshot.statistics(GroupBy::Line);
    let lines: Vec<String> = lines.iter().map(|it| it.key.to_string()).collect();
    (snapshot, lines.join("\n"))
}

#[track_caller]
fn check(names: &str, are_known: impl Fn(&str) -> bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let (program, ring) = (folder.path().join("service"), folder.path().join("ring"));
    fs::create_dir(&ring).expect("a folder");
    copy_program(PROGRAM, &program);
    let variables = [
        ("ALLOC_TRACE_WHEN", "step=4MiB"),
        ("ALLOC_TRACE_SIGNAL", "USR1"),
        ("ALLOC_TRACE_NAMES", names),
    ];
    let out = ring.join("heap-%n.pb.gz");
    let mut holding = Holding::start_as(Command::new(&program), &out, &variables);
    let ask = |holding: &Holding, times: usize| {
        holding.signal(libc::SIGUSR1);
        holding.wait_for_message("alloc-core: wrote ", times);
    };
    ask(&holding, 1);
    let (_, text) = lines(&ring);
    assert!(text.contains("tests/programs/traced.rs:"), "{text}");
    fs::remove_file(&program).expect("it was there");
    holding.hold_more();
    ask(&holding, 2);
    let (_, text) = lines(&ring);
    assert!(are_known(&text), "deleted: {text}");
    // Another program is in its place.
    copy_program(env!("CARGO_BIN_EXE_bare"), &program);
    holding.hold_more();
    ask(&holding, 3);
    let (snapshot, text) = lines(&ring);
    assert!(are_known(&text), "replaced: {text}");
    assert!(!text.contains("bare"), "no name of the other: {text}");
    if names == "0" {
        let missing = snapshot.missing_debug_info().expect("a hint").to_string();
        assert!(missing.contains("is another build"), "{missing}");
    }
    holding.end();
    // A copy of the file names what was written by address.
    copy_program(PROGRAM, &program);
    let (_, text) = lines(&ring);
    assert!(text.contains("tests/programs/traced.rs:"), "{text}");
}

/// Files with addresses have no names until the same build is found.
#[test]
fn a_program_whose_file_is_gone_writes_files_without_names() {
    check("0", |text| text.contains("service+0x"));
}

/// A program that names its own frames has its file open.
#[test]
fn a_program_that_names_itself_needs_no_path() {
    check("1", |text| text.contains("tests/programs/traced.rs:"));
}
