//! Snapshots for the tests, in temporary folders.

use std::fs;
use std::io::Read as _;

use alloc_core::{Amount, Bytes, Counters, Frame, Snapshot, Trace, Traceback};
use expect_test::Expect;
use flate2::read::GzDecoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::support;

/// A folder with two snapshots, `old` and `new`.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    old_snapshot().dump(folder.path().join("old")).unwrap();
    new_snapshot().dump(folder.path().join("new")).unwrap();
    folder
}

pub(crate) fn old_snapshot() -> Snapshot {
    Snapshot::from_traces(
        vec![
            trace("demo::load", "src/load.rs", 7, (300_000, 3), (300_000, 3)),
            trace("demo::fill", "src/cache.rs", 41, (1_000, 10), (1_000, 10)),
        ],
        32,
    )
}

pub(crate) fn new_snapshot() -> Snapshot {
    Snapshot::from_traces(
        vec![
            trace("demo::load", "src/load.rs", 7, (0, 0), (300_000, 3)),
            trace(
                "demo::fill",
                "src/cache.rs",
                41,
                (12_500_000, 99_746),
                (12_400_000, 99_000),
            ),
            trace("demo::fill", "src/cache.rs", 52, (4_096, 1), (0, 0)),
            trace("demo::index", "src/index.rs", 5, (2_048, 2), (2_048, 2)),
        ],
        32,
    )
}

pub(crate) fn trace(
    function: &str,
    file: &str,
    line: u32,
    current: (u64, u64),
    at_peak: (u64, u64),
) -> Trace {
    let grow = "/rustc/59807616e/library/alloc/src/raw_vec/mod.rs";
    let start = "/rustc/59807616e/library/std/src/rt.rs";
    let frames = vec![
        Frame::new(
            Some("alloc::raw_vec::RawVec<T,A>::grow_one"),
            Some(grow),
            340,
            9,
        ),
        Frame::new(Some("alloc::vec::Vec<T,A>::push"), Some(grow), 341, 9),
        Frame::new(Some(function), Some(file), line, 9),
        Frame::new(Some("demo::main"), Some("src/main.rs"), 3, 5),
        Frame::new(Some("std::rt::lang_start"), Some(start), 200, 5),
    ];
    let amount = |(bytes, blocks)| Amount::new(bytes, blocks);
    let counters = Counters {
        current: amount(current),
        peak: amount(current.max(at_peak)),
        at_peak: amount(at_peak),
        total: amount((current.0 + at_peak.0, current.1 + at_peak.1)),
        reallocations: 2,
        copied: Bytes::new(current.0 / 2),
    };
    Trace::new(Traceback::new(frames), counters)
}

/// An uncompressed snapshot file of process 4242, written at a second of 2025.
pub(crate) fn of_a_process(
    snapshot: &Snapshot,
    second: u64,
    at_exit: bool,
    peak_error: u64,
) -> Vec<u8> {
    let program = "/srv/bin/server";
    let mut extension = Vec::new();
    field(3, 0, &mut extension);
    varint(peak_error, &mut extension);
    field(5, 0, &mut extension);
    varint(4242, &mut extension);
    field(6, 2, &mut extension);
    varint(program.len() as u64, &mut extension);
    extension.extend_from_slice(program.as_bytes());
    field(12, 0, &mut extension);
    varint(at_exit.into(), &mut extension);

    let (mut packed, mut file) = (Vec::new(), Vec::new());
    snapshot.write_to(&mut packed).unwrap();
    GzDecoder::new(&packed[..]).read_to_end(&mut file).unwrap();
    // NOTE: protobuf merges concatenated messages.
    field(9, 0, &mut file);
    varint((1_735_689_600 + second) * 1_000_000_000, &mut file);
    field(7100, 2, &mut file);
    varint(extension.len() as u64, &mut file);
    file.extend(extension);
    file
}

/// The file with another number in a field of alloc-core's extension.
pub(crate) fn with_number(mut file: Vec<u8>, number: u64, value: u64) -> Vec<u8> {
    let mut extension = Vec::new();
    field(number, 0, &mut extension);
    varint(value, &mut extension);
    field(7100, 2, &mut file);
    varint(extension.len() as u64, &mut file);
    file.extend(extension);
    file
}

fn field(number: u64, kind: u64, file: &mut Vec<u8>) {
    varint(number << 3 | kind, file);
}

fn varint(mut value: u64, file: &mut Vec<u8>) {
    while value >= 0x80 {
        file.push(value as u8 | 0x80);
        value >>= 7;
    }
    file.push(value as u8);
}

/// A folder with two snapshots of a program: `clock`, and the later `end`, written at exit.
pub(crate) fn folder_of_a_process() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let clock = of_a_process(&old_snapshot(), 5, false, 0);
    let end = of_a_process(&new_snapshot(), 65, true, 0);
    fs::write(folder.path().join("clock"), clock).unwrap();
    fs::write(folder.path().join("end"), end).unwrap();
    folder
}

/// A folder with the snapshot `service` of a web service.
///
/// A handler, called through tokio, hyper and axum, fills a map; tokio allocates a timer.
pub(crate) fn service() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let library =
        |name: &str, version: &str| format!("/c/registry/src/i-1/{name}-{version}/src/lib.rs");
    let [hashbrown, axum, hyper, tokio] = [
        ("hashbrown", "0.15.2"),
        ("axum", "0.8.1"),
        ("hyper", "1.6.0"),
        ("tokio", "1.47.0"),
    ]
    .map(|(name, version)| library(name, version));
    let std = "/rustc/59807616e/library/std/src/rt.rs";
    let frame = |name: &str, file: &str, line| Frame::new(Some(name), Some(file), line, 5);
    let mut handler = vec![
        frame(
            "hashbrown::raw::RawTable<T>::reserve_rehash",
            &hashbrown,
            90,
        ),
        frame("hashbrown::map::HashMap<K,V>::insert", &hashbrown, 40),
        frame("demo::session::Sessions::open", "src/session.rs", 41),
        frame("demo::login", "src/main.rs", 12),
    ];
    handler.extend((1..=9).map(|line| frame("axum::handler::call", &axum, line)));
    handler.push(frame("<F as core::future::Future>::poll", std, 8));
    handler.extend((1..=20).map(|line| frame("hyper::proto::poll", &hyper, line)));
    let runtime = [
        frame("tokio::runtime::task::poll", &tokio, 1),
        frame("tokio::runtime::task::run", &tokio, 2),
        frame("core::ops::FnOnce::call_once", std, 20),
        frame("std::sys::backtrace::__rust_begin_short_backtrace", std, 50),
        frame("std::rt::lang_start", std, 60),
    ];
    handler.extend(runtime.clone());
    let timer = [frame("tokio::time::Wheel::new", &tokio, 30)]
        .into_iter()
        .chain(runtime)
        .collect();
    let trace = |frames, bytes, blocks| {
        let current = Amount::new(bytes, blocks);
        let counters = Counters {
            current,
            at_peak: current,
            ..Counters::default()
        };
        Trace::new(Traceback::new(frames), counters)
    };
    let traces = vec![trace(handler, 4_000_000, 400), trace(timer, 5_000, 5)];
    Snapshot::from_traces(traces, 64)
        .dump(folder.path().join("service"))
        .unwrap();
    folder
}

/// Runs a command in [`folder`] and compares the whole output.
#[track_caller]
pub(crate) fn check(arguments: &str, expected: Expect) {
    support::check(folder().path(), arguments, expected);
}

/// Runs a command in [`folder`]. Returns the report as JSON.
#[track_caller]
pub(crate) fn check_json(arguments: &str, check: impl FnOnce(Value)) {
    check(support::json(folder().path(), arguments));
}
