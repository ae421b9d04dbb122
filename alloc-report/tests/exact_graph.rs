//! A heap graph with exact sizes and ages.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloc_core::{Config, TraceAlloc};
use alloc_report::Graph;
use alloc_report::graph::BlockId;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

/// Held by a test: the sessions of tests differ.
static ALONE: Mutex<()> = Mutex::new(());

/// Three times the step of an age on any machine.
const STEPS: Duration = Duration::from_millis(50);

/// A block of one line, whose sizes would be spread over all of them otherwise.
#[inline(never)]
fn bytes(len: usize) -> Vec<u8> {
    black_box(vec![7; len])
}

/// The bytes that vectors of numbers and strings hold and do not use.
fn spare(folder: &tempfile::TempDir) -> Vec<(String, u64, u64)> {
    let path = folder.path().join("spare.heapgraph");
    alloc_core::heap_graph(&path).expect("a heap graph");
    let graph = Graph::load(&path).expect("a graph");
    let here = graph.spare().into_iter();
    // NOTE: the harness has vectors of other types.
    let here = here.filter(|it| matches!(&*it.type_name, "Vec<u64>" | "String" | "Vec<u32>"));
    here.map(|it| (it.type_name, it.blocks, it.spare.get()))
        .collect()
}

#[test]
fn vectors_that_hold_more_than_they_use_are_found() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    alloc_core::start_with(Config::default().exact_graph(true)).expect("tracing starts");
    let mut numbers: Vec<Vec<u64>> = (0..3).map(|_| Vec::with_capacity(10_000)).collect();
    numbers.iter_mut().for_each(|it| it.extend(0..100));
    let mut text = String::with_capacity(5000);
    text.push_str("abc");
    let full = black_box(vec![1_u32; 1000]);

    let folder = tempfile::tempdir().expect("a folder");
    black_box((&mut numbers, &mut text));
    assert_eq!(
        spare(&folder),
        [
            ("Vec<u64>".to_owned(), 3, 3 * 9_900 * 8),
            ("String".to_owned(), 1, 4_997)
        ]
    );
    // What it says to do leaves nothing to say.
    numbers.iter_mut().for_each(Vec::shrink_to_fit);
    text.shrink_to_fit();
    black_box((&mut numbers, &mut text));
    assert_eq!(spare(&folder), []);
    black_box((numbers, text, full));
    alloc_core::stop();
}

#[test]
fn sizes_and_ages_are_exact() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    alloc_core::start_with(Config::default().exact_graph(true)).expect("tracing starts");
    let before = Instant::now();
    let old = [bytes(1_000_003), bytes(12_345), bytes(1_023)];
    let after = Instant::now();
    std::thread::sleep(4 * STEPS);
    let between = Instant::now();
    let mut grown = bytes(70_001);
    // In place or not, it is as old as its last size.
    grown.reserve_exact(100_000);
    // A block at the place of one that was freed has its own size and age.
    drop(bytes(54_321));
    let young = [grown, bytes(54_320)];

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("exact.heapgraph");
    let start = Instant::now();
    alloc_core::heap_graph(&path).expect("a heap graph");
    let end = Instant::now();
    let graph = Graph::load(&path).expect("a graph");
    let find = |block: &Vec<u8>| {
        let address = block.as_ptr().addr() as u64;
        let id = graph
            .blocks()
            .find(|it| graph.block(*it).address == address);
        graph.block(id.expect("a block"))
    };
    for block in &old {
        let found = find(block);
        assert_eq!(found.size.get(), block.capacity() as u64);
        let age = found.age.expect("an age");
        let range = (start - after).saturating_sub(STEPS)..=(end - before) + STEPS;
        assert!(range.contains(&age), "{age:?} in {range:?}");
    }
    for block in &young {
        let found = find(block);
        assert_eq!(found.size.get(), block.capacity() as u64);
        let age = found.age.expect("an age");
        let range = Duration::ZERO..=(end - between) + STEPS;
        assert!(range.contains(&age), "{age:?} in {range:?}");
    }
    assert!(graph.facts().exact_sizes);
    let sum: u64 = graph.blocks().map(|it| graph.block(it).size.get()).sum();
    assert_eq!(graph.bytes(), sum);
    black_box((old, young));

    // Without it, a block of one line has the size that its code has.
    alloc_core::stop();
    alloc_core::start().expect("tracing starts");
    let blocks = [bytes(70_001), bytes(65_537)];
    alloc_core::heap_graph(&path).expect("a heap graph");
    let graph = Graph::load(&path).expect("a graph");
    let ages = graph
        .blocks()
        .filter(|it: &BlockId| graph.block(*it).age.is_some());
    assert_eq!(ages.count(), 0);
    assert!(!graph.facts().exact_sizes);
    black_box(blocks);
    alloc_core::stop();
}
