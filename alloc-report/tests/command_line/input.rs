//! Snapshot files, standard input, and source files.

use std::fs;
use std::process::Stdio;

use alloc_core::Snapshot;
use expect_test::expect;

use crate::set_up::{
    check, folder, folder_of_a_process, new_snapshot, of_a_process, old_snapshot, trace,
};
use crate::support::{check_error, check_failure, command, stdout, text};

#[test]
fn standard_input_may_be_compressed_or_not() {
    let folder = folder_of_a_process();
    let mut packed = Vec::new();
    new_snapshot().write_to(&mut packed).unwrap();
    let unpacked = fs::read(folder.path().join("end")).unwrap();
    for (file, expected) in [(packed, "11.9 MiB in"), (unpacked, "server, pid 4242")] {
        let path = folder.path().join("input");
        fs::write(&path, file).unwrap();
        let input = fs::File::open(&path).unwrap();
        let output = command(folder.path(), "top - -n 1")
            .stdin(input)
            .output()
            .unwrap();
        let shown = text(&output.stdout);
        assert!(shown.starts_with(expected), "{shown}");
        assert_eq!(stdout(folder.path(), "top input -n 1"), shown);
    }
    let nothing = command(folder.path(), "diff old -")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let message = text(&nothing.stderr);
    assert!(
        message.contains("cannot read the snapshot from standard input: expected"),
        "{message}"
    );
}

#[test]
fn an_unreadable_file_is_named_with_what_was_expected() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("notes.txt"), "not a snapshot").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    let whole = fs::read(folder.join("new")).unwrap();
    fs::write(folder.join("cut"), &whole[..whole.len() / 2]).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();

    check_error(
        folder,
        "top sub",
        "expected a snapshot file or a recording by alloc-report run, found another folder at sub",
    );
    let not_a_profile = "expected a heap profile in pprof's format, found";
    for (arguments, file, found) in [
        ("top missing", "missing", "No such file"),
        ("top notes.txt", "notes.txt", not_a_profile),
        ("top empty", "empty", not_a_profile),
        ("top cut", "cut", not_a_profile),
        ("top cut --format json", "cut", not_a_profile),
        ("diff missing new", "missing", "No such file"),
        ("diff old cut", "cut", not_a_profile),
    ] {
        let message = format!("cannot read the snapshot {file}: {found}");
        check_failure(folder, arguments, 1, &message);
    }
}

#[test]
fn lines_of_source_are_quoted_and_escaped() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("cache.rs");
    fs::write(
        &source,
        "fn fill() {\n\tself.map\t.insert(key);\u{1b}[31m\n}\n",
    )
    .unwrap();
    let trace = trace("demo::fill", source.to_str().unwrap(), 2, (10, 1), (10, 1));
    Snapshot::from_traces(vec![trace], 32)
        .dump(folder.path().join("new"))
        .unwrap();

    let line = "self.map .insert(key);\\u{1b}[31m";
    assert!(stdout(folder.path(), "top new").contains(line));
    assert!(!stdout(folder.path(), "top new --no-source").contains("insert"));
}

#[test]
fn a_table_with_a_peak_notes_its_error() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (old_snapshot(), new_snapshot());
    fs::write(
        folder.path().join("old"),
        of_a_process(&old, 5, false, 1_000),
    )
    .unwrap();
    fs::write(
        folder.path().join("new"),
        of_a_process(&new, 65, false, 4_096),
    )
    .unwrap();
    let notes = |arguments| {
        let text = stdout(folder.path(), arguments);
        text.matches("the peak may be off by").count()
    };
    for (arguments, times) in [
        ("top new", 1),
        ("top new --sort at-peak", 1),
        ("top new --sort total", 0),
        ("top new --sort freed --format json", 0),
        // The heading shows the peak of the newer snapshot.
        ("diff old new", 1),
        ("diff old new --sort at-peak", 2),
        ("diff old new --sort total", 0),
    ] {
        assert_eq!(notes(arguments), times, "{arguments}");
    }
}

#[test]
fn a_note_explains_missing_threads() {
    check(
        "top new --by thread",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by thread; at the peak 12.1 MiB

            #      size   share   count  average  thread
            1  11.9 MiB  100.0%  99,749    125 B  <thread not recorded>
               11.9 MiB  100.0%  99,749    125 B  total

            note: threads were not recorded: trace with ALLOC_TRACE_THREADS=1 or Config::threads(true)
        "#]],
    );
}

#[test]
fn symbolize_replaces_its_input_but_no_other_file_without_force() {
    let folder = folder();
    let path = folder.path();
    let old = fs::read(path.join("old")).unwrap();
    check_error(
        path,
        "symbolize new -o old",
        "expected a new path, found a file at old; --force replaces it",
    );
    assert_eq!(fs::read(path.join("old")).unwrap(), old);
    for arguments in [
        "symbolize new",
        "symbolize new -o new",
        "symbolize new -o old --force",
    ] {
        stdout(path, arguments);
    }
    assert_ne!(fs::read(path.join("old")).unwrap(), old);
}
