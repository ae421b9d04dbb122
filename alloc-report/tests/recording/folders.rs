//! The commands `list`, `peak` and `clean`, and the protection of existing files.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::set_up::{files, folder, succeeds};
use crate::support::{check_error, check_failure, command, run, stdout, text};

pub(crate) fn recordings_are_listed_and_removed() {
    let folder = folder();
    let path = folder.path();
    assert_eq!(
        stdout(path, "list"),
        "No recordings in this folder; alloc-report run makes one.\n"
    );
    for name in ["alloc-trace-1", "alloc-trace-2"] {
        succeeds(&run(path, &format!("run -o {name} -- sleep 0.1")));
    }
    let list = stdout(path, "list");
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].starts_with("  0  alloc-trace-1") && lines[1].ends_with("sleep 0.1"),
        "{lines:?}"
    );
    assert!(stdout(path, "peak -2").starts_with("alloc-trace-1  heap ?"));

    assert_eq!(
        stdout(path, "clean --dry-run"),
        "would remove alloc-trace-1\nwould remove alloc-trace-2\n"
    );
    assert_eq!(files(path).len(), 2);
    // A folder with other files stays.
    fs::write(path.join("alloc-trace-2/notes"), "mine").expect("a file");
    check_error(
        path,
        "clean 1",
        "cannot remove alloc-trace-2: it contains files that alloc-report did not write",
    );
    assert!(path.join("alloc-trace-2/notes").exists());
    assert_eq!(stdout(path, "clean 0"), "removed alloc-trace-1\n");
    assert_eq!(files(path).len(), 1);
}

/// Runs `clean` with an answer to its question.
fn clean(folder: &Path, answer: &str) -> Output {
    let mut clean = command(folder, "clean")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut stdin = clean.stdin.take().expect("a pipe");
    stdin.write_all(answer.as_bytes()).expect("it is read");
    drop(stdin);
    clean.wait_with_output().expect("it ends")
}

pub(crate) fn clean_asks_for_confirmation() {
    let folder = folder();
    let path = folder.path();
    let record = |name| {
        succeeds(&run(path, &format!("run -o {name} -- true")));
    };
    record("a");
    record("b");
    let question = "a  true\nb  true\nRemove these recordings? [y/N] ";
    for (answer, end) in [("n\n", ""), ("\n", ""), ("", "\n")] {
        let refused = clean(path, answer);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert_eq!(
            text(&refused.stderr),
            format!("{question}{end}error: nothing was removed; clean --all does not ask\n")
        );
        assert_eq!(files(path).len(), 2);
    }
    let agreed = clean(path, "y\n");
    assert_eq!(text(&agreed.stderr), question);
    assert_eq!(succeeds(&agreed), "removed a\nremoved b\n");
    assert!(files(path).is_empty());
    record("c");
    assert_eq!(stdout(path, "clean --all"), "removed c\n");
    assert_eq!(stdout(path, "clean"), "No recordings in this folder.\n");
}

pub(crate) fn nothing_is_overwritten_without_force() {
    let folder = folder();
    let path = folder.path();
    let mine = |name: &str| fs::write(path.join(name), "mine").expect("a file");
    succeeds(&run(path, "run -o a -- sleep 0.3"));
    fs::create_dir(path.join("pages")).expect("a folder");
    for (command, options, file) in [
        ("timeline", "a", "timeline.svg"),
        ("timeline", "a -o x.html", "x.html"),
        ("run", "-o b --report r.txt -- true", "r.txt"),
        ("man", "pages", "pages/alloc-report.1"),
    ] {
        mine(file);
        let message = format!("expected a new path, found a file at {file}; --force replaces it");
        check_error(path, &format!("{command} {options}"), &message);
        assert_eq!(fs::read(path.join(file)).expect("a file"), b"mine");
        succeeds(&run(path, &format!("{command} --force {options}")));
        assert_ne!(fs::read(path.join(file)).expect("a file"), b"mine");
    }
    let shown = fs::read_to_string(path.join("r.txt")).expect("a file");
    assert!(shown.ends_with("Written to b.\n"), "{shown}");

    // A recording is replaced only if its folder contains nothing else.
    check_error(
        path,
        "run -o a -- true",
        "expected an empty or a new folder, found files in a; --force replaces a recording",
    );
    let forced = "run --force -o a -- true";
    succeeds(&run(path, forced));
    assert!(stdout(path, "list").contains("  true\n"));
    mine("a/notes");
    check_failure(path, forced, 1, "found files in a");
    assert_eq!(fs::read(path.join("a/notes")).expect("a file"), b"mine");
    assert!(path.join("a/memory.csv").exists());
}

pub(crate) fn damaged_recordings_are_errors() {
    let folder = folder();
    let path = folder.path();
    succeeds(&run(path, "run -o a -- sleep 0.3"));
    let memory = path.join("a/memory.csv");
    let whole = fs::read_to_string(&memory).expect("a file");
    // The command was killed in the middle of a row.
    fs::write(&memory, whole.trim_end().to_owned() + "\n17").expect("a file");
    stdout(path, "peak a");
    fs::write(&memory, whole.replace("seconds", "minutes")).expect("a file");
    check_failure(path, "peak a", 1, "memory.csv");
    fs::write(path.join("a/run.json"), "{").expect("a file");
    check_failure(path, "timeline a", 1, "cannot read a/run.json");
}
