//! Pages and pictures as files. What they show is tested in a browser.

use std::fs;

use crate::set_up::folder;
use crate::support::{check_error, stdout};

#[test]
fn pages_and_pictures_are_files_or_standard_output() {
    let folder = folder();
    let folder = folder.path();
    for (command, name, begin) in [
        ("html", "report.html", "<!doctype html>"),
        ("flamegraph", "flamegraph.svg", "<svg xmlns="),
    ] {
        assert_eq!(
            stdout(folder, &format!("{command} new")),
            format!("Written to {name}\n")
        );
        let written = fs::read_to_string(folder.join(name)).unwrap();
        assert!(written.starts_with(begin), "{written}");
        assert_eq!(stdout(folder, &format!("{command} new -o -")), written);
        check_error(
            folder,
            &format!("{command} new"),
            &format!("expected a new path, found a file at {name}; --force replaces it"),
        );
        let forced = format!("{command} new --force --title <a&b> --include src/cache.rs");
        assert_eq!(stdout(folder, &forced), format!("Written to {name}\n"));
        let forced = fs::read_to_string(folder.join(name)).unwrap();
        assert!(
            forced.contains("&lt;a&amp;b&gt;") && forced != written,
            "{forced}"
        );
        check_error(
            folder,
            &format!("{command} new -o x --include nothing.rs"),
            "no callsite matches --include nothing.rs; the largest allocators are: src/cache.rs, \
             src/load.rs, src/index.rs",
        );
        assert!(!folder.join("x").exists(), "an error leaves no file");
        check_error(
            folder,
            &format!("{command} missing -o x"),
            "cannot read the snapshot missing: No such file or directory (os error 2)",
        );
    }
}

#[test]
fn differences_have_both_sides() {
    let folder = folder();
    let folder = folder.path();
    let picture = stdout(folder, "flamegraph new --diff old -o -");
    assert!(
        picture.contains("demo::load\nsrc/load.rs\n−293 KiB (293 KiB before, 0 B now)"),
        "{picture}"
    );
    let alone = stdout(folder, "html new -o -");
    assert_ne!(stdout(folder, "html new old -o -"), alone);
    check_error(
        folder,
        "html new missing -o -",
        "cannot read the snapshot missing: No such file or directory (os error 2)",
    );
    check_error(
        folder,
        "flamegraph new --diff missing -o -",
        "cannot read the snapshot missing: No such file or directory (os error 2)",
    );
}
