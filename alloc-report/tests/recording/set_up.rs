//! The recorded program, and the files of a recording.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{command, text};

pub(crate) const ROLE: &str = "RECORDING_ROLE";

/// The folder in which the recorded program waits for two snapshots, however long they take.
pub(crate) const SNAPSHOTS: &str = "RECORDING_SNAPSHOTS";

pub(crate) const MIB: usize = 1 << 20;

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// `alloc-report run` on this binary in a role.
pub(crate) fn record(folder: &Path, role: &str, options: &str) -> Command {
    let program = std::env::current_exe().expect("a path");
    let mut command = command(folder, &format!("run {options} --"));
    command.arg(program).env(ROLE, role);
    command
}

#[track_caller]
pub(crate) fn succeeds(output: &Output) -> &str {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// A row of `memory.csv`, in bytes. An empty cell is 0.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) heap: u64,
    pub(crate) peak: u64,
    pub(crate) rss: u64,
    pub(crate) pss: u64,
    pub(crate) uss: u64,
    pub(crate) tracer: u64,
}

pub(crate) fn memory(recording: &Path) -> Vec<Row> {
    let text = fs::read_to_string(recording.join("memory.csv")).expect("a file");
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(
            "seconds,heap_bytes,heap_peak_bytes,total_bytes,total_blocks,rss_bytes,pss_bytes,\
             uss_bytes,tracer_bytes"
        )
    );
    lines.map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.split(',').collect();
    let number = |column: usize| match cells[column] {
        "" => 0,
        digits => digits.parse().expect("a number"),
    };
    Row {
        heap: number(1),
        peak: number(2),
        rss: number(5),
        pss: number(6),
        uss: number(7),
        tracer: number(8),
    }
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = entries.map(|it| it.expect("a file").path()).collect();
    files.sort_unstable();
    files
}

pub(crate) fn snapshots(recording: &Path) -> Vec<PathBuf> {
    let mut files = files(recording);
    files.retain(|it| it.to_string_lossy().contains("heap-"));
    files
}
