//! A clock of the day that is set by days while the program runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use alloc_core::Snapshot;
use alloc_tests::skip;

use crate::holding::{Holding, PROGRAM, newest, snapshots};

/// A library that sets the program's clock of the day forward by the seconds that are in a file.
const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && clock == CLOCK_REALTIME) {
        char text[32] = {0};
        int file = open(getenv("SHIFT_FILE"), O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, 31) > 0) time->tv_sec += atol(text);
            close(file);
        }
    }
    return failed;
}
"#;

/// Compiles the library. `None` without a compiler, which is reported.
fn shift(folder: &Path) -> Option<PathBuf> {
    let (source, library) = (folder.join("shift.c"), folder.join("shift.so"));
    fs::write(&source, SHIFT).expect("a file");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    match compiler.status() {
        Ok(status) => assert!(status.success()),
        Err(error) => {
            skip(&format!("no C compiler: {error}"));
            return None;
        }
    }
    Some(library)
}

#[test]
fn a_clock_that_is_set_changes_neither_the_ring_nor_its_order() {
    const DAY: i64 = 86_400;
    let parent = tempfile::tempdir().expect("a folder");
    let Some(library) = shift(parent.path()) else {
        return;
    };
    let (folder, file) = (parent.path().join("ring"), parent.path().join("seconds"));
    fs::create_dir(&folder).expect("a folder");
    let mut command = Command::new(PROGRAM);
    command.env("LD_PRELOAD", library).env("SHIFT_FILE", &file);
    let variables = [("ALLOC_TRACE_EVERY", "0.2"), ("ALLOC_TRACE_KEEP", "10")];
    let mut program = Holding::start_as(command, &folder.join("heap-%n.pb.gz"), &variables);
    let mut seen = 0;
    for seconds in [0, 3 * DAY, DAY, -5 * DAY] {
        // NOTE: in one step, so that no half of it is read.
        let new = parent.path().join("new");
        fs::write(&new, seconds.to_string()).expect("a file");
        fs::rename(new, &file).expect("a file");
        // The period goes on, so it takes no day until the next one.
        program.wait_for("next", || newest(&folder) >= Some(seen + 3));
        seen = newest(&folder).expect("one");
        program.hold_more();
    }
    program.wait_for("last", || newest(&folder) >= Some(seen + 1));
    drop(program);

    let all = snapshots(&folder);
    assert!(all.len() == 10, "{} files", all.len());
    assert!(all.is_sorted_by(|one, next| one.0 + 1 == next.0), "no gap");
    let all: Vec<&Snapshot> = all.iter().map(|it| &it.1).collect();
    let is_later = |pair: &[&Snapshot]| pair[1].taken_at() > pair[0].taken_at();
    assert!(!all.windows(2).all(is_later), "the clock was set");
    for pair in all.windows(2) {
        let time = pair[1].time_since(pair[0]).expect("it is later");
        assert!(
            time > Duration::ZERO && time < Duration::from_secs(60),
            "{time:?}"
        );
        assert_eq!(pair[0].time_since(pair[1]), None);
    }
    // How fast it grew is right.
    let text = alloc_report::oom(all[all.len() - 1], all[0], 3).paragraph();
    assert!(text.contains("the heap grew by "), "{text}");
    let is_short = [" ms, by ", " second, by ", " seconds, by "];
    assert!(is_short.iter().any(|it| text.contains(it)), "{text}");
}
