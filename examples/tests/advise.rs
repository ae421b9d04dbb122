//! The advice on wasteful programs: it is first at its line, following it saves what was promised, and then
//! nothing is said.

mod support;

use alloc_core::{ChargeTo, Frame, Snapshot};
use alloc_report::{Advice, AdviceKind, Advise, Graph, advise};

const SOURCE: &str = include_str!("../wasteful.rs");

/// Runs a form of a program. Returns its snapshot, and its heap graph if it writes one.
fn run(program: &str, form: &str) -> (Snapshot, Option<Graph>) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("heap.pb.gz");
    let output = support::example("wasteful")
        .args([program, form])
        .arg(&file)
        .output()
        .expect("cargo runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {form}: {error}");
    let graph = folder.path().join("heap.pb.heapgraph");
    let graph = graph
        .exists()
        .then(|| Graph::load(&graph).expect("a heap graph"));
    (Snapshot::load(&file).expect("a snapshot"), graph)
}

/// The advice on what a run left.
fn advice((snapshot, graph): &(Snapshot, Option<Graph>)) -> Advise<'_> {
    let table = advise(snapshot);
    match graph {
        Some(graph) => table.graph(graph),
        None => table,
    }
}

/// All calls, all bytes, and the peak.
fn numbers(snapshot: &Snapshot) -> [u64; 3] {
    let totals = snapshot.traces().iter().map(|it| it.counters.total);
    let (mut calls, mut bytes) = (0, 0);
    for total in totals {
        calls += total.blocks;
        bytes += total.bytes.get();
    }
    [calls, bytes, snapshot.traced_memory().peak.get()]
}

/// Checks that the first advice is of this kind at the marked line, and that the better form draws none of
/// its kind. Returns the advice, and what the better form saves: calls, bytes, and of the peak.
#[track_caller]
fn check(program: &str, kind: AdviceKind, words: &str) -> (Advice, [i64; 3]) {
    let [wasteful, better] = ["wasteful", "better"].map(|form| run(program, form));
    let table = advice(&wasteful);
    let first = table
        .list()
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("{table}"));
    assert_eq!(first.kind, kind, "{table}");
    let mark = format!("// mark: {program}");
    let line = SOURCE
        .lines()
        .position(|it| it.ends_with(&mark))
        .expect("a marked line")
        + 1;
    let frame = first.key.charged(ChargeTo::Caller).map(Frame::line);
    assert_eq!(frame, Some(line as u32), "{table}");
    assert!(first.to_string().contains(words), "{first}");
    let after = advice(&better);
    assert!(after.list().iter().all(|it| it.kind != kind), "{after}");
    let (before, after) = (numbers(&wasteful.0), numbers(&better.0));
    (
        first,
        [0, 1, 2].map(|at| before[at] as i64 - after[at] as i64),
    )
}

#[test]
fn a_buffer_that_grows_is_reserved() {
    let (advice, saved) = check(
        "reserve",
        AdviceKind::Reserve,
        "grows 8 times on average: begin with `with_capacity(1024)`",
    );
    // Eight steps of each of a thousand lists, which then begin with 1,024 numbers.
    assert_eq!(advice.calls, 8_000);
    assert_eq!(
        advice.bytes.get(),
        1_000 * 8 * (4 + 8 + 16 + 32 + 64 + 128 + 256 + 512)
    );
    assert_eq!(saved[..2], [8_000, advice.bytes.get() as i64]);
}

#[test]
fn a_value_that_is_thrown_away_is_used_again() {
    let (advice, saved) = check(
        "reuse",
        AdviceKind::Reuse,
        "all 10,000 blocks are freed at once: borrow, write into what is there",
    );
    assert_eq!((advice.calls, advice.bytes.get()), (10_000, 240_000));
    // One String is left, which grows twice.
    assert!((9_990..=10_000).contains(&saved[0]), "{saved:?}");
}

#[test]
fn a_value_that_is_held_too_long_is_dropped() {
    let (advice, saved) = check(
        "drop-earlier",
        AdviceKind::DropEarlier,
        "4096 KiB are held while line ",
    );
    assert_eq!(advice.peak.get(), 3 << 20);
    assert_eq!(saved[2], 3 << 20);
}

#[test]
fn many_small_blocks_are_gathered() {
    let (advice, saved) = check(
        "gather",
        AdviceKind::Gather,
        "200,000 blocks of 24 B are held at once",
    );
    // A block of 24 bytes takes 32 of glibc's heap. The pointers to them are 8 bytes each.
    assert_eq!((advice.calls, advice.peak.get()), (200_000, 200_000 * 8));
    assert_eq!(saved, [200_000, 200_000 * 8, 200_000 * 8]);
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn collections_with_too_much_room_are_shrunk() {
    let (advice, saved) = check(
        "shrink",
        AdviceKind::Shrink,
        "1,000 collections hold 7812 KiB and use 156 KiB: reserve less",
    );
    // Twenty numbers of eight bytes are in use of a thousand.
    assert_eq!(advice.peak.get(), 1_000 * 980 * 8);
    assert_eq!(saved, [0, 1_000 * 980 * 8, 1_000 * 980 * 8]);
}
