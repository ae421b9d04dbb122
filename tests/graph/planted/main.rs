//! What heap graphs say of a program whose heap is known, while other threads allocate and free.
//!
//! Thirty-nine blocks are planted, each with a truth: who holds it, or that nothing does. Around
//! them are structures of an asynchronous runtime, all of them alive. Every finding that no truth
//! explains is a false one.
//!
//! Five graphs are taken. For the figures in `docs/gc-sys-weakref.md` there were a hundred:
//!
//! ```text
//! ALLOC_TESTS_GRAPHS=100 cargo test -p alloc-tests --test planted
//! CARGO_PROFILE_DEV_DEBUG=1 ALLOC_TESTS_GRAPHS=100 cargo test -p alloc-tests --test planted
//! ```

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

mod churn;
mod left;
mod runtimes;
mod score;
mod statics;
mod threads;
mod truth;

use std::path::PathBuf;
use std::time::Duration;

use alloc_core::{Error, GraphOptions, HeapGraph, SymbolSearch, TraceAlloc};
use alloc_report::Graph;
use alloc_tests::Folder;

use score::Score;

#[global_allocator]
static ALLOC: TraceAlloc = TraceAlloc::system();

alloc_tests::tests![planted_truths_are_found_under_churn];

/// How many graphs are taken, unless `ALLOC_TESTS_GRAPHS` says otherwise.
const GRAPHS: usize = 5;

fn planted_truths_are_found_under_churn() {
    let number = std::env::var("ALLOC_TESTS_GRAPHS");
    let number = number.map_or(GRAPHS, |it| it.parse().expect("a number of graphs"));
    let folder = Folder::new("planted");
    let files: Vec<PathBuf> = (0..number)
        .map(|it| folder.path().join(format!("{it}.heapgraph")))
        .collect();
    alloc_core::start().unwrap();
    statics::plant();
    left::plant();
    // NOTE: a panic among the threads would wait for them for ever.
    let mut taken = Vec::new();
    threads::with_stacks(|| {
        runtimes::with_runtimes(|| churn::beside(|| taken.extend(files.iter().map(take))));
    });
    alloc_core::stop();
    for graph in taken {
        assert_eq!(graph.unwrap().threads_missed, 0);
    }

    // NOTE: read after the last was taken. What a graph takes in memory is in no graph.
    let truths = truth::all();
    assert_eq!(truths.len(), 39);
    let mut score = Score::default();
    for file in &files {
        let mut graph = Graph::load(file).unwrap();
        graph.name_all(&SymbolSearch::default());
        score.add(&graph, &truths);
    }
    println!("{score}");
    score.check();
}

fn take(file: &PathBuf) -> Result<HeapGraph, Error> {
    // NOTE: the machine may be busy, or emulated.
    let options = GraphOptions::default().hashes(true);
    let options = options.deadline(Duration::from_secs(30));
    alloc_core::heap_graph_with(file, &options.timeout(Duration::from_secs(3600)))
}
