//! Snapshots to export.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use alloc_core::{
    Ages, Amount, Bytes, Config, Counters, Frame, FreedBy, Lifetimes, Slack, Snapshot, Trace,
    Traceback,
};
use tempfile::TempDir;

/// A folder with the snapshot `heap`, and `lives`, which is the same with lifetimes, slack and
/// frees.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plain = Snapshot::from_traces(traces(false), 32);
    plain.dump(folder.path().join("heap")).unwrap();
    let lives = Snapshot::from_traces(traces(true), 32);
    lives.dump(folder.path().join("lives")).unwrap();
    folder
}

/// One stack on two threads, a stack within it, and names that other formats must escape.
pub(crate) fn traces(has_lifetimes: bool) -> Vec<Trace> {
    let grow = "/rustc/59807616e/library/alloc/src/raw_vec/mod.rs";
    let frame = |name, file, line| Frame::new(Some(name), Some(file), line, 9);
    let main = frame("demo::main", "src/main.rs", 3);
    let fill = vec![
        frame("alloc::raw_vec::RawVec<T,A>::grow_one", grow, 340),
        frame("demo::fill", "src/cache.rs", 41),
        main.clone(),
    ];
    let load = vec![
        frame("demo::load::<[u8; 16]>", "src/load.rs", 7),
        main.clone(),
    ];
    let hostile = vec![
        frame("</script><b>;\n\u{202e}\"\\", "src/a;b.rs", 1),
        frame("demo::load::<[u8; 16]>", "src/load.rs", 7),
        main,
    ];
    let ages = |micros, blocks| Ages::default().with_times(Duration::from_micros(micros), blocks);
    let trace = |frames: &[Frame], current: (u64, u64), at_peak: (u64, u64), freed: (u64, u64)| {
        let amount = |(bytes, blocks)| Amount::new(bytes, blocks);
        let counters = Counters {
            current: amount(current),
            peak: amount(current.max(at_peak)),
            at_peak: amount(at_peak),
            total: amount((current.0 + freed.0, current.1 + freed.1)),
            reallocations: 2,
            ..Counters::default()
        };
        let trace = Trace::new(Traceback::new(frames.to_vec()), counters);
        match has_lifetimes {
            true => {
                let mut lives = Lifetimes::default();
                lives.freed = ages(5, freed.1);
                lives.live = ages(1 << 20, current.1);
                let (bytes, blocks) = freed;
                let freed_by = FreedBy::new(Amount::new(bytes, blocks)).in_label("request");
                let (current, total) = (Bytes::new(current.1), Bytes::new(current.1 + blocks));
                let slack = Slack { current, total };
                let trace = trace.with_lifetimes(lives).with_slack(slack);
                match blocks {
                    0 => trace,
                    _ => trace.with_freed_by([freed_by]),
                }
            }
            false => trace,
        }
    };
    vec![
        trace(&fill, (9_000, 90), (8_000, 80), (1_000, 10)).with_thread("main"),
        trace(&fill, (700, 7), (600, 6), (0, 0)).with_thread("worker"),
        trace(&load, (0, 0), (2_048, 2), (4_096, 4)).with_label("request > decode"),
        trace(&hostile, (33, 1), (0, 0), (0, 0)).with_type("Vec<u8>"),
        trace(&[], (5, 1), (5, 1), (0, 0)),
    ]
}

/// The test that runs in a child process, as a program that writes a snapshot.
const PROGRAM: &str = "samples::a_program_that_writes_a_snapshot";

#[test]
fn a_program_that_writes_a_snapshot() {
    let Some(file) = std::env::var_os("SNAPSHOT") else {
        return;
    };
    let config = Config::default().lifetimes(true).frames(12);
    alloc_core::start_with(config).unwrap();
    // NOTE: not `collect`, which pprof would show: it also calls the program, so it is not hidden.
    let mut kept = Vec::new();
    for size in 1..100 {
        kept.push(keep(size * 100));
        drop(keep(size * 1_000));
    }
    black_box(deep(40));
    alloc_core::take_snapshot().unwrap().dump(file).unwrap();
    drop(black_box(kept));
}

#[inline(never)]
fn keep(size: usize) -> Vec<u8> {
    black_box(vec![1_u8; size])
}

#[inline(never)]
fn deep(depth: usize) -> usize {
    let block = keep(64);
    let inner = if depth == 0 { 0 } else { deep(depth - 1) };
    black_box(block).len() + inner
}

/// A folder with the snapshot `heap` of a program that ran, with addresses, lifetimes, and stacks
/// that were cut.
pub(crate) fn of_a_program() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", PROGRAM])
        .env("SNAPSHOT", folder.path().join("heap"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    folder
}
