//! Files of other tools: their numbers, the snapshots made of them, and their names.
//!
//! `data/foreign/README.md` says how each file was made, and with which command the numbers here
//! were printed.

#[path = "../support/mod.rs"]
mod support;

mod command;
#[cfg(target_os = "linux")]
mod names;
mod numbers;

use std::path::{Path, PathBuf};

use alloc_core::Snapshot;

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/foreign")
}

/// All files that are read.
const FILES: [&str; 7] = [
    "valgrind.json",
    "dhat-rs.json",
    "heaptrack.zst",
    "jemalloc-exact.heap",
    "jemalloc-sampled.heap",
    "go-debug1.txt",
    "memray.csv",
];

#[track_caller]
fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(data().join(file)).expect("a file of the tests")
}

#[track_caller]
fn import(file: &str) -> Snapshot {
    alloc_report::import(&bytes(file)[..]).expect("a heap profile")
}
