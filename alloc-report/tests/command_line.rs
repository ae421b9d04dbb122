//! The command `alloc-report`, run as people and programs run it.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use expect_test::{Expect, expect};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with two snapshots, `old` and `new`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    old_snapshot().dump(folder.path().join("old")).unwrap();
    new_snapshot().dump(folder.path().join("new")).unwrap();
    folder
}

fn old_snapshot() -> Snapshot {
    Snapshot::from_traces(
        vec![
            trace("demo::load", "src/load.rs", 7, (300_000, 3), (300_000, 3)),
            trace("demo::fill", "src/cache.rs", 41, (1_000, 10), (1_000, 10)),
        ],
        32,
    )
}

fn new_snapshot() -> Snapshot {
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

fn trace(function: &str, file: &str, line: u32, current: (u64, u64), at_peak: (u64, u64)) -> Trace {
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
    };
    Trace::new(Traceback::new(frames), counters)
}

/// The file of a snapshot, unpacked, with what it says of its process: pid 4242, at a second of
/// 2025.
fn of_a_process(snapshot: &Snapshot, second: u64, at_exit: bool, peak_error: u64) -> Vec<u8> {
    let program = "/srv/bin/server";
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
    // Messages that follow each other are merged.
    field(9, 0, &mut file);
    varint((1_735_689_600 + second) * 1_000_000_000, &mut file);
    field(7100, 2, &mut file);
    varint(extension.len() as u64, &mut file);
    file.extend(extension);
    file
}

/// A folder with two snapshots of a program, `clock` and the later `end`.
fn folder_of_a_process() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let clock = of_a_process(&old_snapshot(), 5, false, 0);
    let end = of_a_process(&new_snapshot(), 65, true, 0);
    fs::write(folder.path().join("clock"), clock).unwrap();
    fs::write(folder.path().join("end"), end).unwrap();
    folder
}

fn command(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alloc-report"));
    command
        .current_dir(folder)
        .args(arguments.split_whitespace());
    // Each of these decides about colour or width; `CI` takes a terminal for one that has colour.
    for variable in ["CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(variable);
    }
    command
}

fn run(folder: &Path, arguments: &str) -> Output {
    command(folder, arguments).output().unwrap()
}

#[track_caller]
fn check(arguments: &str, expected: Expect) {
    check_in(folder().path(), arguments, expected);
}

#[track_caller]
fn check_in(folder: &Path, arguments: &str, expected: Expect) {
    let output = run(folder, arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    expected.assert_eq(&String::from_utf8(output.stdout).unwrap());
}

#[track_caller]
fn check_json(arguments: &str, check: impl FnOnce(Value)) {
    let output = run(folder().path(), arguments);
    assert_eq!(output.status.code(), Some(0));
    check(serde_json::from_slice(&output.stdout).unwrap());
}

#[track_caller]
fn check_failure(folder: &Path, arguments: &str, code: i32, message: &str) {
    let output = run(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(message), "{stderr}");
    assert_eq!(output.status.code(), Some(code));
    assert!(output.stdout.is_empty());
}

#[test]
fn top_shows_lines() {
    check(
        "top new",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by line; at the peak 12.1 MiB

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%       1  4,096 B  src/cache.rs:52
            3  <0.1 MiB   <0.1%       2  1,024 B  src/index.rs:5
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
}

#[test]
fn a_heading_says_the_program_its_process_and_the_time() {
    let folder = folder_of_a_process();
    check_in(
        folder.path(),
        "top clock -n 1",
        expect![[r#"
            server, pid 4242, 2025-01-01 00:00:05 UTC
            294 KiB in 13 live blocks, by line; at the peak 294 KiB

            #       size   share  count    average  line
            1  293.0 KiB   99.7%      3  100,000 B  src/load.rs:7
                 1.0 KiB    0.3%     10      100 B  other (1 line)
               293.9 KiB  100.0%     13   23,154 B  total
        "#]],
    );
    check_in(
        folder.path(),
        "diff clock clock -n 1 --by file",
        expect![[r#"
            new: server, pid 4242, 2025-01-01 00:00:05 UTC
            old: server, pid 4242, 2025-01-01 00:00:05 UTC
            294 KiB (+0 B) in 13 live blocks (+0), by file; at the peak 294 KiB

            #       size  change  count  change   average  file
               293.9 KiB    +0 B     13      +0  23,154 B  other (2 files, unchanged)
               293.9 KiB    +0 B     13      +0  23,154 B  total
        "#]],
    );
}

#[test]
fn of_a_snapshot_at_the_end_the_peak_is_shown_first() {
    let folder = folder_of_a_process();
    check_in(
        folder.path(),
        "top end",
        expect![[r#"
            server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
            12.1 MiB in 99,005 blocks at the peak, by line; at the end 11.9 MiB

            #      size   share   count    average  line
            1  11.8 MiB   97.6%  99,000      125 B  src/cache.rs:41
            2   0.3 MiB    2.4%       3  100,000 B  src/load.rs:7
            3  <0.1 MiB   <0.1%       2    1,024 B  src/index.rs:5
               12.1 MiB  100.0%  99,005      128 B  total
        "#]],
    );
    check_in(
        folder.path(),
        "top end --sort current -n 1",
        expect![[r#"
            server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
            11.9 MiB in 99,749 live blocks, by line; at the peak 12.1 MiB

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
               <0.1 MiB   <0.1%       3  2,048 B  other (2 lines)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
    check_in(
        folder.path(),
        "diff end end -n 1",
        expect![[r#"
        new: server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
        old: server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
        12.1 MiB (+0 B) in 99,005 blocks (+0) at the peak, by line; at the end 11.9 MiB

        #      size  change   count  change  average  line
           12.1 MiB    +0 B  99,005      +0    128 B  other (3 lines, unchanged)
           12.1 MiB    +0 B  99,005      +0    128 B  total
    "#]],
    );
    // What is live at two moments can be compared, also if one is the end.
    check_in(
        folder.path(),
        "diff clock end -n 1",
        expect![[r#"
            new: server, pid 4242, 2025-01-01 00:01:05 UTC, written when the program ended
            old: server, pid 4242, 2025-01-01 00:00:05 UTC
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by line; at the peak 12.1 MiB

            #      size     change   count   change  average  line
            1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
               <0.1 MiB   -0.3 MiB       3       +0  2,048 B  other (3 lines)
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
        "#]],
    );
}

#[test]
fn top_shows_as_many_rows_as_asked_for() {
    check(
        "top new -n 1",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by line; at the peak 12.1 MiB

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
               <0.1 MiB   <0.1%       3  2,048 B  other (2 lines)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
    check(
        "top new -n 0",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by line; at the peak 12.1 MiB

            #      size   share   count  average  line
               11.9 MiB  100.0%  99,749    125 B  other (3 lines)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
}

#[test]
fn top_groups_by_file_and_function_and_sorts_by_other_metrics() {
    check(
        "top new --by file --sort at-peak",
        expect![[r#"
            12.1 MiB in 99,005 blocks at the peak, by file; now 11.9 MiB

            #      size   share   count    average  file
            1  11.8 MiB   97.6%  99,000      125 B  src/cache.rs
            2   0.3 MiB    2.4%       3  100,000 B  src/load.rs
            3  <0.1 MiB   <0.1%       2    1,024 B  src/index.rs
               12.1 MiB  100.0%  99,005      128 B  total
        "#]],
    );
    check(
        "top new --by function --sort total",
        expect![[r#"
            24.0 MiB in 198,754 blocks ever allocated, by function; now 11.9 MiB

            #      size   share    count    average  function
            1  23.8 MiB   98.8%  198,747      125 B  demo::fill
            2   0.3 MiB    1.2%        3  100,000 B  demo::load
            3  <0.1 MiB   <0.1%        4    1,024 B  demo::index
               24.0 MiB  100.0%  198,754      127 B  total
        "#]],
    );
    check(
        "top new --by line --sort peak -n 2",
        expect![[r#"
            12.2 MiB in 99,752 blocks summed over own peaks, by line; at the peak 12.1 MiB

            #      size   share   count    average  line
            1  11.9 MiB   97.6%  99,746      125 B  src/cache.rs:41
            2   0.3 MiB    2.3%       3  100,000 B  src/load.rs:7
               <0.1 MiB   <0.1%       3    2,048 B  other (2 lines)
               12.2 MiB  100.0%  99,752      128 B  total

            note: own peaks were reached at different moments: their sum may exceed the peak of the heap, 12.1 MiB
        "#]],
    );
}

#[test]
fn top_shows_whole_stacks() {
    check(
        "top new --by traceback -n 2",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by traceback; at the peak 12.1 MiB

            #      size   share   count  average  traceback
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
                   … 2 frames of the standard library
                   src/cache.rs:41  demo::fill
                   src/main.rs:3    demo::main
                   … 1 frame of the runtime

            2  <0.1 MiB   <0.1%       1  4,096 B  src/cache.rs:52
                   … 2 frames of the standard library
                   src/cache.rs:52  demo::fill
                   src/main.rs:3    demo::main
                   … 1 frame of the runtime

               <0.1 MiB   <0.1%       2  1,024 B  other (1 traceback)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
}

/// A service: a handler that fills a map, called by way of hyper, axum and tokio, beside what tokio
/// does for itself.
fn service(folder: &Path) {
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
        .dump(folder.join("service"))
        .unwrap();
}

#[test]
fn frames_of_dependencies_are_one_line_unless_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    service(folder.path());
    let check = |arguments, expected| check_in(folder.path(), arguments, expected);
    check(
        "top service --by traceback",
        expect![[r#"
            3911 KiB in 405 live blocks, by traceback; at the peak 3911 KiB

            #         size   share  count   average  traceback
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
                   … 2 frames of hashbrown
                   src/session.rs:41  demo::session::Sessions::open
                   src/main.rs:12     demo::login
                   … 32 frames of hyper, axum, tokio
                   … 3 frames of the runtime

            2      4.9 KiB    0.1%      5   1,000 B  tokio-1.47.0/src/lib.rs:30
                   tokio-1.47.0/src/lib.rs:30  tokio::time::Wheel::new
                   … 2 frames of tokio
                   … 3 frames of the runtime

               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --by traceback -n 1 --depth 3",
        expect![[r#"
            3911 KiB in 405 live blocks, by traceback; at the peak 3911 KiB

            #         size   share  count   average  traceback
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
                   … 2 frames of hashbrown
                   src/session.rs:41  demo::session::Sessions::open
                   src/main.rs:12     demo::login
                   … 35 frames further out

                   4.9 KiB    0.1%      5   1,000 B  other (1 traceback)
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --by traceback -n 1 --full --depth 6",
        expect![[r#"
            3911 KiB in 405 live blocks, by traceback; at the peak 3911 KiB

            #         size   share  count   average  traceback
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
                   hashbrown-0.15.2/src/lib.rs:90  hashbrown::raw::RawTable<T>::reserve_rehash
                   hashbrown-0.15.2/src/lib.rs:40  hashbrown::map::HashMap<K,V>::insert
                   src/session.rs:41               demo::session::Sessions::open
                   src/main.rs:12                  demo::login
                   axum-0.8.1/src/lib.rs:1         axum::handler::call
                   axum-0.8.1/src/lib.rs:2         axum::handler::call
                   … 33 frames further out

                   4.9 KiB    0.1%      5   1,000 B  other (1 traceback)
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
}

#[test]
fn what_only_calls_the_program_is_left_out_of_cumulative_counts() {
    let folder = tempfile::tempdir().unwrap();
    service(folder.path());
    let check = |arguments, expected| check_in(folder.path(), arguments, expected);
    check(
        "top service --by function --cumulative",
        expect![[r#"
            3911 KiB in 405 live blocks, by function, cumulative; at the peak 3911 KiB

            #         size   share  count   average  function
            1  3,906.3 KiB   99.9%    400  10,000 B  demo::session::Sessions::open
            2  3,906.3 KiB   99.9%    400  10,000 B  demo::login
            3      4.9 KiB    0.1%      5   1,000 B  tokio::time::Wheel::new
               3,911.1 KiB  100.0%    405   9,889 B  total

            note: left out 10 functions that only call the workspace or allocate for it; --full shows them
        "#]],
    );
    check(
        "top service --by function --cumulative --full -n 20",
        expect![[r#"
            3911 KiB in 405 live blocks, by function, cumulative; at the peak 3911 KiB

             #         size   share  count   average  function
             1  3,911.1 KiB  100.0%    405   9,889 B  tokio::runtime::task::run
             2  3,911.1 KiB  100.0%    405   9,889 B  tokio::runtime::task::poll
             3  3,911.1 KiB  100.0%    405   9,889 B  std::sys::backtrace::__rust_begin_short_backtrace
             4  3,911.1 KiB  100.0%    405   9,889 B  std::rt::lang_start
             5  3,911.1 KiB  100.0%    405   9,889 B  core::ops::FnOnce::call_once
             6  3,906.3 KiB   99.9%    400  10,000 B  hyper::proto::poll
             7  3,906.3 KiB   99.9%    400  10,000 B  hashbrown::raw::RawTable<T>::reserve_rehash
             8  3,906.3 KiB   99.9%    400  10,000 B  hashbrown::map::HashMap<K,V>::insert
             9  3,906.3 KiB   99.9%    400  10,000 B  demo::session::Sessions::open
            10  3,906.3 KiB   99.9%    400  10,000 B  demo::login
            11  3,906.3 KiB   99.9%    400  10,000 B  axum::handler::call
            12  3,906.3 KiB   99.9%    400  10,000 B  <F as core::future::Future>::poll
            13      4.9 KiB    0.1%      5   1,000 B  tokio::time::Wheel::new
                3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "diff service service --by crate --cumulative",
        expect![[r#"
            3911 KiB (+0 B) in 405 live blocks (+0), by crate, cumulative; at the peak 3911 KiB

            #         size  change  count  change  average  crate
                                                            other (1 crate, unchanged)
               3,911.1 KiB    +0 B    405      +0  9,889 B  total

            note: left out 5 crates that only call the workspace or allocate for it; --full shows them
        "#]],
    );
}

#[test]
fn collections_are_passed_over_and_so_is_what_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    service(folder.path());
    let check = |arguments, expected| check_in(folder.path(), arguments, expected);
    check(
        "top service",
        expect![[r#"
            3911 KiB in 405 live blocks, by line; at the peak 3911 KiB

            #         size   share  count   average  line
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
            2      4.9 KiB    0.1%      5   1,000 B  tokio-1.47.0/src/lib.rs:30
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --skip demo,tokio",
        expect![[r#"
            3911 KiB in 405 live blocks, by line; at the peak 3911 KiB

            #         size   share  count   average  line
            1  3,906.3 KiB   99.9%    400  10,000 B  axum-0.8.1/src/lib.rs:1
            2      4.9 KiB    0.1%      5   1,000 B  tokio-1.47.0/src/lib.rs:30
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --charge workspace",
        expect![[r#"
            3911 KiB in 405 live blocks, by line of the workspace; at the peak 3911 KiB

            #         size   share  count   average  line
            1  3,906.3 KiB   99.9%    400  10,000 B  src/session.rs:41
            2      4.9 KiB    0.1%      5   1,000 B  <no frame of the workspace>
               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --charge workspace --by crate,traceback --depth 1",
        expect![[r#"
            3911 KiB in 405 live blocks, by crate, then traceback of the workspace; at the peak 3911 KiB

            #         size   share  count   average  crate, traceback
            1  3,906.3 KiB   99.9%    400  10,000 B  demo
               3,906.3 KiB   99.9%    400  10,000 B    src/session.rs:41
                     … 2 frames of hashbrown
                     … 37 frames further out

            2      4.9 KiB    0.1%      5   1,000 B  <no frame of the workspace>
                   4.9 KiB    0.1%      5   1,000 B    <no frame of the workspace>
                     … 3 frames of tokio
                     … 3 frames further out

               3,911.1 KiB  100.0%    405   9,889 B  total
        "#]],
    );
    check(
        "top service --include crate=demo -n 1 --skip tokio",
        expect![[r#"
            3906 KiB in 400 live blocks, by line; at the peak 3906 KiB

            #         size   share  count   average  line
            1  3,906.3 KiB  100.0%    400  10,000 B  src/session.rs:41
               3,906.3 KiB  100.0%    400  10,000 B  total

            note: filters left 1 of 2 callsites out
        "#]],
    );
}

#[test]
fn diff_shows_what_changed() {
    check(
        "diff old new",
        expect![[r#"
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by line; at the peak 12.1 MiB

            #      size     change   count   change  average  line
            1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
            2   0.0 MiB   -0.3 MiB       0       -3           src/load.rs:7
            3  <0.1 MiB  +<0.1 MiB       1       +1  4,096 B  src/cache.rs:52
            4  <0.1 MiB  +<0.1 MiB       2       +2  1,024 B  src/index.rs:5
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
        "#]],
    );
    check(
        "diff old new -n 1 --by file --sort at-peak",
        expect![[r#"
            12.1 MiB (+11.8 MiB) in 99,005 blocks (+98,992) at the peak, by file; now 11.9 MiB

            #      size     change   count   change   average  file
            1  11.8 MiB  +11.8 MiB  99,000  +98,990     125 B  src/cache.rs
                0.3 MiB  +<0.1 MiB       5       +2  60,410 B  other (2 files, 1 unchanged)
               12.1 MiB  +11.8 MiB  99,005  +98,992     128 B  total
        "#]],
    );
}

#[test]
fn diff_with_itself_shows_that_nothing_changed() {
    check(
        "diff new new",
        expect![[r#"
            11.9 MiB (+0 B) in 99,749 live blocks (+0), by line; at the peak 12.1 MiB

            #      size  change   count  change  average  line
               11.9 MiB    +0 B  99,749      +0    125 B  other (3 lines, unchanged)
               11.9 MiB    +0 B  99,749      +0    125 B  total
        "#]],
    );
}

#[test]
fn top_as_json_has_every_key_that_is_documented() {
    check_json("top new -n 1 --sort total --format json", |report| {
        assert_eq!(report["snapshot"]["file"], "new");
        assert_eq!(report["snapshot"]["taken_at"], Value::Null);
        assert_eq!(report["snapshot"]["traceback_limit"], 32);
        assert_eq!(report["snapshot"]["current_bytes"], 12_506_144);
        assert_eq!(report["snapshot"]["peak_bytes"], 12_702_048);
        assert_eq!(report["snapshot"]["peak_error_bytes"], 0);
        assert_eq!(report["snapshot"]["health"]["broken_stacks"], 0);
        let expected = json!({
            "report": "top",
            "by": "line",
            "cumulative": false,
            "metric": "total",
            "order": "bytes",
            "charge": "caller",
            "skip": [],
            "full": false,
            "include": [],
            "exclude": [],
            "all_frames": false,
            "snapshot": report["snapshot"],
            "rows": [{
                "rank": 1,
                "key": "src/cache.rs:41",
                "function": null,
                "file": "src/cache.rs",
                "path": "src/cache.rs",
                "line": 41,
                "bytes": 24_900_000,
                "blocks": 198_746,
                "average_bytes": 125,
                "share": 24_900_000.0 / 25_208_192.0,
                "current": { "bytes": 12_500_000, "blocks": 99_746 },
                "peak": { "bytes": 12_500_000, "blocks": 99_746 },
                "at_peak": { "bytes": 12_400_000, "blocks": 99_000 },
                "total": { "bytes": 24_900_000, "blocks": 198_746 },
                "freed": { "bytes": 12_400_000, "blocks": 99_000 },
                "reallocations": 2,
            }],
            "other": { "rows": 3, "bytes": 308_192, "blocks": 8 },
            "total": { "rows": 4, "bytes": 25_208_192, "blocks": 198_754 },
            "notes": [],
        });
        assert_eq!(report, expected);
    });
}

#[test]
fn stacks_as_json_are_whole() {
    check_json("top new -n 1 --by traceback --format json", |report| {
        let row = &report["rows"][0];
        assert_eq!(
            (&row["function"], &row["line"]),
            (&json!("demo::fill"), &json!(41))
        );
        let functions: Vec<_> = row["frames"]
            .as_array()
            .unwrap()
            .iter()
            .map(|frame| frame["function"].as_str().unwrap())
            .collect();
        assert_eq!(
            functions,
            [
                "alloc::raw_vec::RawVec<T,A>::grow_one",
                "alloc::vec::Vec<T,A>::push",
                "demo::fill",
                "demo::main",
                "std::rt::lang_start",
            ]
        );
        let fill = json!({
            "function": "demo::fill",
            "file": "src/cache.rs",
            "path": "src/cache.rs",
            "line": 41,
            "column": 9,
        });
        assert_eq!(row["frames"][2], fill);
        assert_eq!(row["frames"][0]["file"], "library/alloc/src/raw_vec/mod.rs");
    });
}

#[test]
fn diff_as_json_keeps_what_did_not_change() {
    check_json(
        "diff old new --sort at-peak --by file --format json",
        |report| {
            assert_eq!(report["report"], "diff");
            assert_eq!(
                (&report["old"]["file"], &report["new"]["file"]),
                (&json!("old"), &json!("new"))
            );
            let row = |rank, file, bytes: [i64; 2], blocks: [i64; 2], average| {
                json!({
                    "rank": rank,
                    "key": file,
                    "function": null,
                    "file": file,
                    "path": file,
                    "line": null,
                    "bytes": bytes[0],
                    "bytes_diff": bytes[1],
                    "blocks": blocks[0],
                    "blocks_diff": blocks[1],
                    "average_bytes": average,
                })
            };
            let rows = json!([
                row(
                    1,
                    "src/cache.rs",
                    [12_400_000, 12_399_000],
                    [99_000, 98_990],
                    125
                ),
                row(2, "src/index.rs", [2_048, 2_048], [2, 2], 1_024),
                row(3, "src/load.rs", [300_000, 0], [3, 0], 100_000),
            ]);
            assert_eq!(report["rows"], rows);
            let sum = |rows, bytes, bytes_diff, blocks, blocks_diff| {
                json!({
                    "rows": rows,
                    "bytes": bytes,
                    "bytes_diff": bytes_diff,
                    "blocks": blocks,
                    "blocks_diff": blocks_diff,
                })
            };
            assert_eq!(
                report["total"],
                sum(3, 12_702_048, 12_401_048, 99_005, 98_992)
            );
            assert_eq!(report["other"], sum(0, 0, 0, 0, 0));
        },
    );
}

#[test]
fn charging_the_workspace_finds_the_callers_of_a_library() {
    let folder = tempfile::tempdir().unwrap();
    let library = "/c/registry/src/i-1/serde_json-1.0.1/src/de.rs";
    let frames = vec![
        Frame::new(Some("serde_json::parse"), Some(library), 9, 1),
        Frame::new(Some("demo::main"), Some("src/main.rs"), 3, 5),
    ];
    let current = Amount::new(1_000, 1);
    let counters = Counters {
        current,
        at_peak: current,
        ..Counters::default()
    };
    let trace = Trace::new(Traceback::new(frames), counters);
    Snapshot::from_traces(vec![trace], 32)
        .dump(folder.path().join("new"))
        .unwrap();

    let shown = |arguments| String::from_utf8(run(folder.path(), arguments).stdout).unwrap();
    let by_caller = shown("top new");
    assert!(by_caller.contains("by line;") && by_caller.contains("serde_json-1.0.1/src/de.rs:9"));
    let by_workspace = shown("top new --charge workspace");
    assert!(
        by_workspace.contains("by line of the workspace;"),
        "{by_workspace}"
    );
    assert!(by_workspace.contains("src/main.rs:3"), "{by_workspace}");
    assert!(!by_workspace.contains("serde_json"), "{by_workspace}");
}

#[test]
fn lines_of_source_are_shown_where_the_file_is_at_hand() {
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
    let stdout = run(folder.path(), "top new").stdout;
    assert!(String::from_utf8(stdout).unwrap().contains(line));
    let stdout = run(folder.path(), "top new --no-source").stdout;
    assert!(!String::from_utf8(stdout).unwrap().contains("insert"));
}

#[test]
fn names_that_act_on_a_terminal_are_escaped_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let trace = trace(
        "f\u{9b}2J\u{202e}",
        "a\u{1b}[2J\u{7f}\u{202e}sr.rs",
        2,
        (10, 1),
        (10, 1),
    );
    let snapshot = Snapshot::from_traces(vec![trace], 32);
    snapshot.dump(folder.path().join("new\u{202e}")).unwrap();
    for format in ["text", "json", "csv"] {
        for by in [
            "line",
            "file",
            "function",
            "traceback",
            "folded",
            "module,line",
            "crate",
        ] {
            let arguments = format!("top new\u{202e} --by {by} --format {format}");
            let output = run(folder.path(), &arguments);
            assert_eq!(output.status.code(), Some(0));
            let text = String::from_utf8(output.stdout).unwrap();
            let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
            assert!(!text.contains(acts), "{by} as {format}: {text:?}");
        }
    }
    let json = run(folder.path(), "top new\u{202e} --format json").stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["rows"][0]["file"], "a\u{1b}[2J\u{7f}\u{202e}sr.rs");
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_what_was_expected() {
    let folder = folder();
    let folder = folder.path();
    fs::write(folder.join("notes.txt"), "not a snapshot").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    let whole = fs::read(folder.join("new")).unwrap();
    fs::write(folder.join("cut"), &whole[..whole.len() / 2]).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();

    let expected = "expected a heap profile in pprof's format, found";
    check_failure(
        folder,
        "top missing",
        1,
        "cannot read the snapshot missing: No such file",
    );
    check_failure(
        folder,
        "top sub",
        1,
        "expected a snapshot file, or a folder that alloc-report run wrote, found another folder at sub\n",
    );
    check_failure(
        folder,
        "top notes.txt",
        1,
        &format!("cannot read the snapshot notes.txt: {expected}"),
    );
    check_failure(
        folder,
        "top empty",
        1,
        &format!("cannot read the snapshot empty: {expected}"),
    );
    check_failure(
        folder,
        "top cut",
        1,
        &format!("cannot read the snapshot cut: {expected}"),
    );
    check_failure(
        folder,
        "top cut --format json",
        1,
        "cannot read the snapshot cut",
    );
    check_failure(
        folder,
        "diff missing new",
        1,
        "cannot read the snapshot missing",
    );
    check_failure(folder, "diff old cut", 1, "cannot read the snapshot cut");
}

#[test]
fn a_wrong_command_line_exits_with_two() {
    let folder = folder();
    let folder = folder.path();
    check_failure(folder, "", 2, "Usage: alloc-report [OPTIONS] <COMMAND>");
    check_failure(folder, "top", 2, "<FILE>");
    check_failure(folder, "diff old", 1, "two are compared by diff OLD NEW");
    check_failure(folder, "diff", 2, "<OLD>");
    check_failure(
        folder,
        "top new --by colour",
        2,
        "line, file, function, module, crate, traceback, folded, size-class, thread, domain",
    );
    check_failure(
        folder,
        "top new --sort colour",
        2,
        "current, peak, at-peak, total, freed, bytes, blocks, average",
    );
    check_failure(
        folder,
        "top new --by line,lines",
        2,
        "invalid value 'lines'",
    );
    check_failure(
        folder,
        "top new --sort peak,total",
        2,
        "expected one number at most",
    );
    check_failure(
        folder,
        "top new --sort blocks,bytes",
        2,
        "one order at most",
    );
    check_failure(
        folder,
        "top new --by traceback --cumulative",
        2,
        "expected line, file, function, module or crate, found traceback",
    );
    check_failure(
        folder,
        "top new --include fuction=main",
        2,
        "expected a file, or one of file=, line=, function=, crate=, thread=, domain=, found fuction=",
    );
    check_failure(
        folder,
        "diff old new --exclude cache.rs:forty",
        2,
        "expected the number of a line after the last colon, found \"forty\"",
    );
    check_failure(
        folder,
        "top new --include=",
        2,
        "expected a condition, found nothing",
    );
    check_failure(
        folder,
        "top new --all-frames",
        2,
        "<--include <CONDITIONS>|--exclude <CONDITIONS>>",
    );
    check_failure(
        folder,
        "completions tcsh",
        2,
        "bash, elvish, fish, powershell, zsh",
    );
    check_failure(folder, "top new --charge me", 2, "caller, workspace");
    check_failure(folder, "top new --format xml", 2, "text, json, csv");
    check_failure(folder, "top new -n -1", 2, "invalid value '-1'");
    check_failure(folder, "flame new", 2, "unrecognized subcommand");
}

#[test]
#[cfg(unix)]
fn the_examples_of_the_help_run() {
    let folder = folder();
    for name in [
        "after.pb.gz",
        "before.pb.gz",
        "monday.pb.gz",
        "friday.pb.gz",
    ] {
        fs::copy(folder.path().join("new"), folder.path().join(name)).unwrap();
    }
    let worker = trace("demo::work", "src/work.rs", 3, (10, 1), (10, 1)).with_thread("worker-1");
    let mut traces = new_snapshot().traces().to_vec();
    traces.push(worker);
    Snapshot::from_traces(traces, 32)
        .dump(folder.path().join("heap.pb.gz"))
        .unwrap();
    let recording = folder.path().join("morning");
    fs::create_dir(&recording).unwrap();
    let about = json!({ "command": [], "process_id": 7, "started_at": 0.0, "traced": true });
    fs::write(recording.join("run.json"), about.to_string()).unwrap();
    fs::write(recording.join("memory.csv"), "").unwrap();
    for (from, to) in [("old", "heap-7.0001.pb.gz"), ("new", "heap-7.pb.gz")] {
        fs::copy(folder.path().join(from), recording.join(to)).unwrap();
    }
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let delta = folder.path().join("delta.pb.gz");
    fs::copy(data.join("go-delta.pb.gz"), delta).unwrap();
    let mut examples = 0;
    for help in [
        "--help",
        "top --help",
        "diff --help",
        "completions --help",
        "man --help",
    ] {
        let help = run(folder.path(), help).stdout;
        let help = String::from_utf8(help).unwrap();
        let lines = help.lines().map(str::trim);
        for line in lines.filter_map(|line| line.strip_prefix("alloc-report ")) {
            // What a shell does with the output is not ours.
            let arguments = line.split([';', '|', '>']).next().unwrap();
            let output = Command::new("sh")
                .args(["-c", &format!("$REPORT {arguments}")])
                .env("REPORT", env!("CARGO_BIN_EXE_alloc-report"))
                .env("HOME", folder.path())
                .current_dir(folder.path())
                .output()
                .unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{line}: {stderr}");
            examples += 1;
        }
    }
    assert_eq!(examples, 33);
}

/// What a shell completes, and what the manual says, is made of the same description as the help.
#[test]
fn completions_and_the_manual_know_the_options() {
    let folder = folder();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(folder.path(), &format!("completions {shell}")).stdout;
        let script = String::from_utf8(script).unwrap();
        for word in ["diff", "all-frames", "cumulative", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let page = String::from_utf8(run(folder.path(), "man").stdout).unwrap();
    assert!(
        page.contains(".TH alloc") && page.contains("Exit status"),
        "{page}"
    );

    let written = run(folder.path(), "man pages").stdout;
    let written = String::from_utf8(written).unwrap();
    let names = [
        "",
        "-top",
        "-diff",
        "-check",
        "-annotate",
        "-symbolize",
        "-run",
        "-timeline",
        "-peak",
        "-list",
        "-clean",
        "-completions",
        "-man",
    ];
    let expected = names.map(|name| format!("pages/alloc-report{name}.1\n"));
    assert_eq!(written, expected.concat());
    let top = fs::read_to_string(folder.path().join("pages/alloc-report-top.1")).unwrap();
    assert!(
        top.contains("cumulative") && top.contains("cache.rs:41"),
        "{top}"
    );
}

#[test]
fn groups_within_groups_are_indented_and_half_as_many() {
    check(
        "top new --by function,line -n 2 --sort total",
        expect![[r#"
            24.0 MiB in 198,754 blocks ever allocated, by function, then line; now 11.9 MiB

            #      size   share    count    average  function, line
            1  23.8 MiB   98.8%  198,747      125 B  demo::fill
               23.7 MiB   98.8%  198,746      125 B    src/cache.rs:41
               <0.1 MiB   <0.1%        1    4,096 B    other (1 line)
            2   0.3 MiB    1.2%        3  100,000 B  demo::load
                0.3 MiB    1.2%        3  100,000 B    src/load.rs:7
               <0.1 MiB   <0.1%        4    1,024 B  other (1 function)
               24.0 MiB  100.0%  198,754      127 B  total
        "#]],
    );
    check(
        "top new --by file,traceback -n 1",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by file, then traceback; at the peak 12.1 MiB

            #      size   share   count  average  file, traceback
            1  11.9 MiB  >99.9%  99,747    125 B  src/cache.rs
               11.9 MiB  >99.9%  99,746    125 B    src/cache.rs:41
                     … 2 frames of the standard library
                     src/cache.rs:41  demo::fill
                     src/main.rs:3    demo::main
                     … 1 frame of the runtime

               <0.1 MiB   <0.1%       1  4,096 B    other (1 traceback)
               <0.1 MiB   <0.1%       2  1,024 B  other (1 file)
               11.9 MiB  100.0%  99,749    125 B  total
        "#]],
    );
    check(
        "diff old new --by file,line -n 3",
        expect![[r#"
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by file, then line; at the peak 12.1 MiB

            #      size     change   count   change  average  file, line
            1  11.9 MiB  +11.9 MiB  99,747  +99,737    125 B  src/cache.rs
               11.9 MiB  +11.9 MiB  99,746  +99,736    125 B    src/cache.rs:41
               <0.1 MiB  +<0.1 MiB       1       +1  4,096 B    src/cache.rs:52
            2   0.0 MiB   -0.3 MiB       0       -3           src/load.rs
                0.0 MiB   -0.3 MiB       0       -3             src/load.rs:7
            3  <0.1 MiB  +<0.1 MiB       2       +2  1,024 B  src/index.rs
               <0.1 MiB  +<0.1 MiB       2       +2  1,024 B    src/index.rs:5
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
        "#]],
    );
    check_json("top new --by function,line --format json -n 1", |report| {
        assert_eq!(report["by"], "function,line");
        let row = &report["rows"][0];
        assert_eq!(
            (&row["key"], &row["line"]),
            (&json!("demo::fill"), &Value::Null)
        );
        assert_eq!(row["within"]["rows"][0]["key"], "src/cache.rs:41");
        assert_eq!(
            row["within"]["other"],
            json!({ "rows": 1, "bytes": 4_096, "blocks": 1 })
        );
    });
}

#[test]
fn cumulative_counting_does_not_add_up() {
    check(
        "top new --by file --cumulative",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by file, cumulative; at the peak 12.1 MiB

            #      size   share   count  average  file
            1  11.9 MiB  100.0%  99,749    125 B  src/main.rs
            2  11.9 MiB  >99.9%  99,747    125 B  src/cache.rs
            3  <0.1 MiB   <0.1%       2  1,024 B  src/index.rs
               11.9 MiB  100.0%  99,749    125 B  total

            note: left out 2 files that only call the workspace or allocate for it; --full shows them
        "#]],
    );
    check(
        "diff old new --by line --cumulative -n 2",
        expect![[r#"
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by line, cumulative; at the peak 12.1 MiB

            #      size     change   count   change  average  line
            1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
            2  11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  src/main.rs:3
                                                              other (3 lines)
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total

            note: left out 3 lines that only call the workspace or allocate for it; --full shows them
        "#]],
    );
    check_json(
        "top new --by line --cumulative -n 1 --format json",
        |report| {
            assert_eq!(report["cumulative"], true);
            let nothing = json!({ "rows": 3, "bytes": null, "blocks": null });
            assert_eq!(report["other"], nothing);
            assert_eq!(report["total"]["bytes"], 12_506_144);
        },
    );
}

#[test]
fn filters_keep_and_drop() {
    check(
        "top new --include cache.rs",
        expect![[r#"
            11.9 MiB in 99,747 live blocks, by line

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%       1  4,096 B  src/cache.rs:52
               11.9 MiB  100.0%  99,747    125 B  total

            note: filters left 2 of 4 callsites out
        "#]],
    );
    check(
        "top new --include cache.rs:41 --include src/i*.rs",
        expect![[r#"
            11.9 MiB in 99,748 live blocks, by line

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%       2  1,024 B  src/index.rs:5
               11.9 MiB  100.0%  99,748    125 B  total

            note: filters left 2 of 4 callsites out
        "#]],
    );
    check(
        "top new --exclude function=demo::fill,line=41 --sort total",
        expect![[r#"
            301 KiB in 8 blocks ever allocated, by line; now 6144 B

            #       size   share  count    average  line
            1  293.0 KiB   97.3%      3  100,000 B  src/load.rs:7
            2    4.0 KiB    1.3%      4    1,024 B  src/index.rs:5
            3    4.0 KiB    1.3%      1    4,096 B  src/cache.rs:52
               301.0 KiB  100.0%      8   38,524 B  total

            note: filters left 1 of 4 callsites out
        "#]],
    );
    check(
        "top new --include main.rs:3 --exclude load.rs --all-frames",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by line

            #      size   share   count  average  line
            1  11.9 MiB  >99.9%  99,746    125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%       1  4,096 B  src/cache.rs:52
            3  <0.1 MiB   <0.1%       2  1,024 B  src/index.rs:5
               11.9 MiB  100.0%  99,749    125 B  total

            note: filters left 1 of 4 callsites out
        "#]],
    );
    check_json(
        "top new --exclude cache.rs --all-frames --format json",
        |report| {
            assert_eq!(
                (&report["exclude"], &report["all_frames"]),
                (&json!(["cache.rs"]), &json!(true))
            );
            assert_eq!(
                report["notes"],
                json!(["filters left 2 of 4 callsites out"])
            );
        },
    );
}

#[test]
fn filters_that_leave_nothing_say_what_there_is() {
    let folder = folder();
    let check = |arguments, message: &str| {
        check_failure(folder.path(), arguments, 1, &format!("error: {message}\n"));
    };
    check(
        "top new --include function=demo::lod",
        "no callsite meets --include function=demo::lod; near it: demo::load",
    );
    check(
        "top new --include cash.rs:41 --format json",
        "no callsite meets --include cash.rs:41; near it: src/cache.rs",
    );
    check(
        "top new --include crate=serde_json,line=7",
        "no callsite meets --include crate=serde_json,line=7; those of which the most was allocated: demo",
    );
    check(
        "top new --include thread=worker-*",
        "no callsite meets --include thread=worker-*; threads were not told apart: trace \
         with ALLOC_TRACE_THREADS=1 or Config::threads(true)",
    );
    check(
        "top new --include function=main",
        "no callsite meets --include function=main; outer frames of stacks do: add --all-frames",
    );
    check(
        "top new --include a.rs --include b.rs",
        "no callsite meets any of the 2 --include; those of which the most was allocated: src/cache.rs, \
         src/load.rs, src/index.rs",
    );
    // Each of them is met, but not both.
    check(
        "top new --include cache.rs,function=load",
        "no callsite meets --include cache.rs,function=load",
    );
    check(
        "top new --include cache.rs --exclude function=fill",
        "no callsite meets --include cache.rs and is left by --exclude",
    );
    check(
        "diff old new --exclude crate=demo",
        "--exclude crate=demo leaves no callsite",
    );
    // Of one of two snapshots it may well be nothing.
    let output = run(folder.path(), "diff old new --include index.rs");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn functions_are_meant_alike_by_include_and_annotate() {
    let folder = folder();
    for (name, is_met) in [
        ("fill", true),
        ("demo::fill", true),
        ("demo::f*", true),
        ("fil", false),
        ("f*", false),
    ] {
        for command in ["top new --include function=", "annotate new --function "] {
            let output = run(folder.path(), &format!("{command}{name}"));
            assert_eq!(
                output.status.success(),
                is_met,
                "{command}{name}: {output:?}"
            );
        }
    }
}

#[test]
fn the_peaks_error_is_told_where_a_peak_is_shown() {
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
    let told = |arguments| {
        let text = String::from_utf8(run(folder.path(), arguments).stdout).unwrap();
        text.matches("the peak may be off by").count()
    };
    for (arguments, times) in [
        ("top new", 1),
        ("top new --sort at-peak", 1),
        ("top new --sort total", 0),
        ("top new --sort freed --format json", 0),
        // The peak in the heading is the newer one's.
        ("diff old new", 1),
        ("diff old new --sort at-peak", 2),
        ("diff old new --sort total", 0),
    ] {
        assert_eq!(told(arguments), times, "{arguments}");
    }
}

#[test]
fn a_snapshot_is_read_from_the_standard_input_packed_or_not() {
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
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(expected), "{text}");
        let of_file = run(folder.path(), "top input -n 1").stdout;
        assert_eq!(String::from_utf8(of_file).unwrap(), text);
    }
    let nothing = command(folder.path(), "diff old -")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let message = String::from_utf8(nothing.stderr).unwrap();
    assert!(
        message.contains("cannot read the snapshot of the standard input: expected"),
        "{message}"
    );
}

#[test]
fn columns_are_sorted_by_the_words_of_their_heads() {
    let folder = folder();
    let shown = |arguments: &str| String::from_utf8(run(folder.path(), arguments).stdout).unwrap();
    for (word, order) in [
        ("size", "bytes"),
        ("share", "bytes"),
        ("count", "blocks"),
        ("average", "average"),
    ] {
        let by_word = shown(&format!("top new --sort {word}"));
        assert_eq!(by_word, shown(&format!("top new --sort {order}")));
    }
    let by_change = shown("diff old new --sort total,change");
    assert_eq!(by_change, shown("diff old new --sort total,bytes"));
}

#[test]
fn threads_that_were_not_told_apart_are_explained() {
    check(
        "top new --by thread",
        expect![[r#"
            11.9 MiB in 99,749 live blocks, by thread; at the peak 12.1 MiB

            #      size   share   count  average  thread
            1  11.9 MiB  100.0%  99,749    125 B  <thread not recorded>
               11.9 MiB  100.0%  99,749    125 B  total

            note: threads were not told apart: trace with ALLOC_TRACE_THREADS=1 or Config::threads(true) to have their names
        "#]],
    );
}

#[test]
fn rows_are_sorted_by_blocks_and_average() {
    check(
        "top new --sort total,blocks",
        expect![[r#"
            24.0 MiB in 198,754 blocks ever allocated, by line, sorted by blocks; now 11.9 MiB

            #      size   share    count    average  line
            1  23.7 MiB   98.8%  198,746      125 B  src/cache.rs:41
            2  <0.1 MiB   <0.1%        4    1,024 B  src/index.rs:5
            3   0.3 MiB    1.2%        3  100,000 B  src/load.rs:7
            4  <0.1 MiB   <0.1%        1    4,096 B  src/cache.rs:52
               24.0 MiB  100.0%  198,754      127 B  total
        "#]],
    );
    check(
        "top new --sort average,freed",
        expect![[r#"
            12.1 MiB in 99,005 blocks ever freed, by line, sorted by average; now 11.9 MiB

            #      size   share   count    average  line
            1   0.3 MiB    2.4%       3  100,000 B  src/load.rs:7
            2  <0.1 MiB   <0.1%       2    1,024 B  src/index.rs:5
            3  11.8 MiB   97.6%  99,000      125 B  src/cache.rs:41
               12.1 MiB  100.0%  99,005      128 B  total
        "#]],
    );
    check(
        "diff old new --sort blocks",
        expect![[r#"
            11.9 MiB (+11.6 MiB) in 99,749 live blocks (+99,736), by line, sorted by blocks; at the peak 12.1 MiB

            #      size     change   count   change  average  line
            1  11.9 MiB  +11.9 MiB  99,746  +99,736    125 B  src/cache.rs:41
            2   0.0 MiB   -0.3 MiB       0       -3           src/load.rs:7
            3  <0.1 MiB  +<0.1 MiB       2       +2  1,024 B  src/index.rs:5
            4  <0.1 MiB  +<0.1 MiB       1       +1  4,096 B  src/cache.rs:52
               11.9 MiB  +11.6 MiB  99,749  +99,736    125 B  total
        "#]],
    );
}

#[test]
fn as_csv_there_is_a_line_for_each_row() {
    check(
        "top new --by function,line -n 2 --format csv",
        expect![[r#"
            rank,by,key,function,file,path,line,functions,bytes,blocks,average_bytes,share,current_bytes,current_blocks,peak_bytes,peak_blocks,at_peak_bytes,at_peak_blocks,total_bytes,total_blocks,freed_bytes,freed_blocks,reallocations
            1,function,demo::fill,demo::fill,,,,,12504096,99747,125,0.9998362404910738,12504096,99747,12504096,99747,12400000,99000,24904096,198747,12400000,99000,4
            1.1,line,src/cache.rs:41,,src/cache.rs,src/cache.rs,41,,12500000,99746,125,0.9995087214732215,12500000,99746,12500000,99746,12400000,99000,24900000,198746,12400000,99000,2
            1.2,line,src/cache.rs:52,,src/cache.rs,src/cache.rs,52,,4096,1,4096,0.0003275190178523452,4096,1,4096,1,0,0,4096,1,0,0,2
            2,function,demo::index,demo::index,,,,,2048,2,1024,0.0001637595089261726,2048,2,2048,2,2048,2,4096,4,2048,2,2
            2.1,line,src/index.rs:5,,src/index.rs,src/index.rs,5,,2048,2,1024,0.0001637595089261726,2048,2,2048,2,2048,2,4096,4,2048,2,2
        "#]],
    );
    check(
        "diff old new -n 2 --by crate --format csv",
        expect![[r#"
            rank,by,key,function,file,path,line,functions,bytes,bytes_diff,blocks,blocks_diff,average_bytes
            1,crate,demo,,,,,,12506144,12205144,99749,99736,125
        "#]],
    );
    check(
        "top new -n 1 --by traceback --format csv",
        expect![[r#"
            rank,by,key,function,file,path,line,functions,bytes,blocks,average_bytes,share,current_bytes,current_blocks,peak_bytes,peak_blocks,at_peak_bytes,at_peak_blocks,total_bytes,total_blocks,freed_bytes,freed_blocks,reallocations
            1,traceback,library/alloc/src/raw_vec/mod.rs:340 < library/alloc/src/raw_vec/mod.rs:341 < src/cache.rs:41 < src/main.rs:3 < library/std/src/rt.rs:200,demo::fill,src/cache.rs,src/cache.rs,41,"alloc::raw_vec::RawVec<T,A>::grow_one < alloc::vec::Vec<T,A>::push < demo::fill < demo::main < std::rt::lang_start",12500000,99746,125,0.9995087214732215,12500000,99746,12500000,99746,12400000,99000,24900000,198746,12400000,99000,2
        "#]],
    );
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let folder = folder();
    for arguments in ["top new", "diff old new --format json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command(folder.path(), arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let folder = folder();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = command(folder.path(), "top new")
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("cannot write to the standard output: No space left"),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn without_a_terminal_there_is_colour_only_on_demand() {
    let folder = folder();
    let has_colour = |variables: &[(&str, &str)]| {
        let variables = variables.iter().copied();
        let output = command(folder.path(), "diff old new")
            .envs(variables)
            .output()
            .unwrap();
        output.stdout.contains(&b'\x1b')
    };
    assert!(!has_colour(&[]));
    assert!(has_colour(&[("CLICOLOR_FORCE", "1")]));
    assert!(!has_colour(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[cfg(target_os = "linux")]
mod on_a_terminal {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};

    use super::*;

    /// What the command writes to a terminal of so many columns.
    fn run(columns: u16, arguments: &str, variables: &[(&str, &str)]) -> String {
        let folder = folder();
        let file = "/c/registry/src/i-1/tree-sitter-0.25.10/binding_rust/parser/lib.rs";
        let function = "<tree_sitter::Tree as core::clone::Clone>::clone::from_raw_parts";
        let wide = trace(function, file, 1_234, (10, 1), (10, 1));
        Snapshot::from_traces(vec![wide], 32)
            .dump(folder.path().join("wide"))
            .unwrap();

        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let terminal = openpt(flags).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&terminal, size).unwrap();
        let stdout = ioctl_tiocgptpeer(&terminal, flags).unwrap();

        let mut command = command(folder.path(), arguments);
        command
            .env("TERM", "xterm-256color")
            .envs(variables.iter().copied())
            .stdout(stdout);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut shown = Vec::new();
        // The end of a terminal is an error (EIO), not an end of file.
        let _ = fs::File::from(terminal).read_to_end(&mut shown);
        assert!(child.wait().unwrap().success());
        String::from_utf8(shown).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn there_is_colour_unless_no_color_is_set() {
        let text = run(100, "diff old new", &[]);
        assert!(text.contains("\u{1b}[31m+11.9 MiB\u{1b}[0m"), "{text:?}");
        assert!(text.contains("\u{1b}[32m"), "{text:?}");
        assert!(!run(100, "diff old new", &[("NO_COLOR", "1")]).contains('\u{1b}'));
        assert!(!run(100, "diff old new", &[("TERM", "dumb")]).contains('\u{1b}'));
    }

    #[test]
    fn the_table_fits_the_width() {
        let text = run(60, "top wide --by traceback", &[("NO_COLOR", "1")]);
        expect![[r#"
            10 B in 1 live block, by traceback; at the peak 10 B

            #  size   share  count  average  traceback
            1  10 B  100.0%      1     10 B  tree-sitter-0.25.10/
                                               binding_rust/parser/
                                               lib.rs:1234
                   … 2 frames of the standard library
                   …/parser/lib.rs:1234  <tree_sitter::T…:from_raw_parts
                   src/main.rs:3         demo::main
                   … 1 frame of the runtime

               10 B  100.0%      1     10 B  total
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn without_a_known_width_the_table_is_eighty_columns_wide() {
        let arguments = "top wide --by traceback";
        let known = run(80, arguments, &[]);
        assert_eq!(run(0, arguments, &[]), known);
        assert_ne!(run(79, arguments, &[]), known);
        assert_ne!(run(81, arguments, &[]), known);
    }
}

#[test]
fn a_check_fails_if_memory_grew_by_more_than_is_allowed() {
    let folder = folder();
    let check = |arguments: &str| {
        let output = run(folder.path(), arguments);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (status, text) = check("check old new");
    expect![[r#"
        metric           old       new      growth         allowed  verdict
        peak         294 KiB  12.1 MiB    +4119.9%  2% or 64.0 KiB  grew by more than is allowed
        allocations       26    198754  +764338.5%       2% or 100  grew by more than is allowed

        What changed: held at the peak
           change       new  function
        +11.8 MiB  11.8 MiB  demo::fill
          +2048 B    2048 B  demo::index

        What changed: allocations
         change     new  function
        +198727  198747  demo::fill
             +4       4  demo::index
             -3       3  demo::load
    "#]]
    .assert_eq(&text);
    assert_eq!(status, Some(3));

    // What is the same, and what is less, is well.
    let (status, text) = check("check new new");
    assert_eq!(status, Some(0), "{text}");
    assert!(
        text.contains("unchanged") && !text.contains("What changed"),
        "{text}"
    );
    let (status, text) = check("check new old --metric current,allocated");
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("better"), "{text}");
    // A limit just above what it grew by, and one just below.
    assert_eq!(
        check("check old new --metric peak --max-growth 4121%").0,
        Some(0)
    );
    assert_eq!(
        check("check old new --metric peak --max-growth 4119%").0,
        Some(3)
    );
    for limits in ["much", "5", "peak=5", "heap=5%"] {
        check_failure(
            folder.path(),
            &format!("check old new --max-growth {limits}"),
            2,
            "expected a part such as 5%, or for one metric a part or an amount",
        );
    }

    // Each metric by its own limit, and only these.
    let limits = "peak=12MiB,allocations=198728,allocated=50%,current=0";
    let (status, text) = check(&format!("check old new --max-growth {limits} -n 0"));
    expect![[r#"
        metric           old       new      growth   allowed  verdict
        peak         294 KiB  12.1 MiB    +4119.9%  12.0 MiB  ok
        allocations       26    198754  +764338.5%    198728  ok
        allocated    588 KiB  24.0 MiB    +4087.4%       50%  grew by more than is allowed
        current      294 KiB  11.9 MiB    +4054.9%        0%  grew by more than is allowed
    "#]]
    .assert_eq(&text);
    assert_eq!(status, Some(3));

    let (_, text) = check("check old new --metric allocations --format markdown -n 1");
    expect![[r#"
        ### Memory

        | metric | old | new | growth | allowed | verdict |
        | --- | ---: | ---: | ---: | ---: | --- |
        | allocations | 26 | 198754 | +764338.5% | 2% or 100 | grew by more than is allowed |

        <details><summary>What changed: allocations</summary>

        | change | new | function |
        | ---: | ---: | --- |
        | +198727 | 198747 | demo::fill |
        | -3 | 3 | demo::load |

        </details>
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_check_is_an_object_too() {
    let folder = folder();
    let arguments = "check old new --max-growth peak=20MiB --metric peak --format json -n 1";
    let output = run(folder.path(), arguments);
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (old, new) = (301_000_u64, 12_702_048_u64);
    assert_eq!(
        report,
        json!({
            "report": "check",
            "passed": true,
            "by": "function",
            "old": "old",
            "new": "new",
            "metrics": [{
                "metric": "peak",
                "unit": "bytes",
                "old": old,
                "new": new,
                "growth_percent": (new as f64 / old as f64 - 1.0) * 100.0,
                "most": old + (20 << 20),
                "passed": true,
                "changes": [{ "change": 12_399_000, "new": 12_400_000, "name": "demo::fill" }],
            }],
            "notes": [],
        })
    );
}

/// What a program with threads does differently each time it runs fails no check that was not told
/// to be strict.
#[test]
fn a_check_passes_over_the_noise_of_threads_and_says_what_cannot_be_compared() {
    let folder = folder();
    let write = |name: &str, bytes: u64, blocks: u64| {
        let amount = (bytes, blocks);
        let traces = vec![trace("demo::serve", "src/serve.rs", 7, amount, amount)];
        let snapshot = Snapshot::from_traces(traces, 32);
        snapshot.dump(folder.path().join(name)).unwrap();
    };
    write("before", 10_000_000, 50_000);
    write("after", 10_150_000, 50_400);
    let check = |arguments: &str| {
        let output = run(folder.path(), arguments);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (status, text) = check("check before after");
    expect![[r#"
        metric            old       new  growth         allowed  verdict
        peak         9766 KiB  9912 KiB   +1.5%  2% or 64.0 KiB  ok
        allocations    100000    100800   +0.8%       2% or 100  ok

        What changed: held at the peak
          change       new  function
        +146 KiB  9912 KiB  demo::serve

        What changed: allocations
        change     new  function
          +800  100800  demo::serve
    "#]]
    .assert_eq(&text);
    assert_eq!(status, Some(0));
    assert_eq!(check("check before after --max-growth 0").0, Some(3));

    // What cannot be compared is said, as below a diff.
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    fs::copy(data.join("go-new.pb.gz"), folder.path().join("go")).unwrap();
    let (_, text) = check("check go before --metric peak -n 1");
    expect![[r#"
        metric       old       new  growth         allowed  verdict
        peak    5073 KiB  9766 KiB  +92.5%  2% or 64.0 KiB  grew by more than is allowed

        What changed: held at the peak
           change       new  function
        +9766 KiB  9766 KiB  demo::serve

        note: in the older snapshot: the file does not tell what was live at the peak
    "#]]
    .assert_eq(&text);
}

#[test]
fn symbolize_replaces_the_file_that_it_reads_and_no_other_unasked() {
    let folder = folder();
    let path = folder.path();
    let old = fs::read(path.join("old")).unwrap();
    check_failure(
        path,
        "symbolize new -o old",
        1,
        "error: expected a path where no file is, found one at old; --force replaces it\n",
    );
    assert_eq!(fs::read(path.join("old")).unwrap(), old);
    for arguments in [
        "symbolize new",
        "symbolize new -o new",
        "symbolize new -o old --force",
    ] {
        let output = run(path, arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments}: {output:?}");
    }
    assert_ne!(fs::read(path.join("old")).unwrap(), old);
}
