//! A server on a machine in trouble: no room for temporary files, and files that are gone. It answers
//! with a profile or an error, and with no wrong name.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alloc_core::{GroupBy, Snapshot};
use alloc_tests::{SmallDisk, copy_program};

use crate::client::Served;
use crate::profiles::{alloc_report, command};

/// What needs no temporary file is answered, and memory stays as it is.
#[track_caller]
fn check_the_rest(served: &Served) {
    for target in ["/metrics", "/snapshot", "/debug/pprof/heap"] {
        assert_eq!(served.get(target).status, 200, "{target}");
    }
    let before = served.status("VmRSS:");
    for _ in 0..20 {
        served.get("/report");
    }
    let grown = served.status("VmRSS:").saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes");
}

#[track_caller]
fn check_error(served: &Served, status: u16, expected: &str) {
    let answer = served.get("/report");
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(expected), "{}", answer.text());
}

#[test]
fn a_folder_for_temporary_files_that_is_gone_for_a_while() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("temporary");
    fs::create_dir(&folder).expect("a folder");
    let served = Served::start_in(&folder, &[&command(&parent, "cat")]);
    assert_eq!(served.get("/report").status, 200);
    fs::remove_dir_all(&folder).expect("it was there");
    check_error(&served, 500, "cannot write a temporary file: No such file");
    check_the_rest(&served);
    fs::create_dir(&folder).expect("a folder");
    assert_eq!(served.get("/report").status, 200);
}

#[test]
fn a_disk_for_temporary_files_that_is_full_for_a_while() {
    let Some(disk) = SmallDisk::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut served = Served::start_in(disk.path(), &[&command(&folder, "cat")]);
    served.tell("callsites 200");
    assert_eq!(served.get("/report").status, 200);
    let filler = disk.fill();
    check_error(&served, 500, "No space left on device");
    check_the_rest(&served);
    fs::remove_file(filler).expect("it was there");
    assert_eq!(served.get("/report").status, 200);
    disk.remount(libc::MS_RDONLY).expect("nothing is open");
    check_error(&served, 500, "Read-only file system");
    check_the_rest(&served);
    disk.remount(0).expect("it was mounted");
    assert_eq!(served.get("/report").status, 200);
    let left = fs::read_dir(disk.path()).expect("a folder").count();
    assert_eq!(left, 0, "temporary files have no name");
}

#[test]
fn a_command_that_is_gone_is_named_in_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let option = command(&folder, "cat");
    let served = Served::start(&[&option]);
    assert_eq!(served.get("/report").status, 200);
    let path = PathBuf::from(option.strip_prefix("command=").expect("an option"));
    fs::remove_file(&path).expect("it was there");
    check_error(&served, 501, path.to_str().expect("UTF-8"));
    check_the_rest(&served);
    command(&folder, "cat");
    assert_eq!(served.get("/report").status, 200);
}

/// The lines of a profile.
fn lines(profile: &[u8]) -> String {
    let snapshot = Snapshot::read_from(profile).expect("a profile");
    let lines = snapshot.statistics(GroupBy::Line);
    let lines: Vec<String> = lines.iter().map(|it| it.key.to_string()).collect();
    lines.join("\n")
}

/// A program whose file is replaced by a new build has no names of the new one.
#[test]
fn a_program_whose_file_is_replaced_has_no_wrong_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("service");
    copy_program(env!("CARGO_BIN_EXE_served"), &program);
    let command = alloc_report();
    let options: Vec<&str> = command.iter().map(|it| &**it).collect();
    let mut served = Served::start_copy(&program, &options);
    served.tell("keep 300");
    let snapshot = |served: &Served| lines(&served.get("/snapshot").body);
    let text = snapshot(&served);
    assert!(text.contains("tests/programs/served.rs:"), "{text}");
    let others: [Option<&Path>; 2] = [None, Some(env!("CARGO_BIN_EXE_bare").as_ref())];
    for other in others {
        let _ = fs::remove_file(&program);
        if let Some(other) = other {
            copy_program(other, &program);
        }
        let text = snapshot(&served);
        assert!(text.contains("service+0x"), "{text}");
        assert!(!text.contains("bare"), "{text}");
        if command.is_none() {
            continue;
        }
        // Names from another process: an error, or a profile without names.
        let until = Instant::now() + Duration::from_secs(60);
        let named = loop {
            let named = served.get("/debug/pprof/heap?names=1");
            if named.status != 503 || Instant::now() > until {
                break named;
            }
        };
        match named.status {
            200 => assert!(
                !lines(&named.body).contains("bare"),
                "{}",
                lines(&named.body)
            ),
            _ => assert!(named.text().contains("build"), "{}", named.text()),
        }
    }
}
