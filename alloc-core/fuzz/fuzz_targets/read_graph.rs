//! Reads arbitrary bytes as a heap graph. The result is an error, or a graph that answers every
//! question. Reading takes at most 4 MiB and twenty-five times the file's size.
//!
//! The fuzzer's `-timeout` bounds the time.

#![no_main]

mod counting;

use alloc_core::GroupBy;
use alloc_report::Graph;
use alloc_report::graph::{Show, write_dot, write_heap_snapshot};
use counting::counted;
use libfuzzer_sys::fuzz_target;

/// How many blocks are asked about: each answer looks at the whole graph.
const BLOCKS: usize = 20;

fuzz_target!(|bytes: &[u8]| {
    let (read, most) = counted(|| Graph::read(bytes));
    let bound = 25 * bytes.len() + (4 << 20);
    // A compressed snapshot within it may expand beyond the bound.
    let is_packed = bytes.windows(2).any(|it| it == [0x1F, 0x8B]);
    assert!(
        is_packed || most <= bound,
        "{most} bytes for {}",
        bytes.len()
    );
    if let Ok(graph) = read {
        ask(&graph);
    }
});

/// Asks everything, and adds up what the roots retain.
fn ask(graph: &Graph) {
    for show in [
        Show::Summary,
        Show::Roots,
        Show::Retained(GroupBy::Type),
        Show::Leaks,
        Show::Cycles,
        Show::Duplicates,
        Show::Counts,
    ] {
        drop(graph.show(show, 5).to_string());
    }
    for block in graph.blocks().take(BLOCKS) {
        let address = format!("{:#x}", graph.block(block).address);
        if let Ok(selected) = graph.select(&address) {
            drop(graph.show(Show::Why(selected), 5).to_string());
        }
        drop(graph.show(Show::Referrers(block), 5).to_string());
        drop(graph.show(Show::Referents(block), 5).to_string());
        drop(graph.deep_size(block));
    }
    drop(graph.show_diff(graph, 5).to_string());
    write_dot(graph, 10, Vec::new()).expect("memory");
    write_heap_snapshot(graph, Vec::new()).expect("memory");
    let retained: u64 = graph.roots().iter().map(|it| it.retained.get()).sum();
    assert_eq!(graph.bytes(), retained + graph.shared().bytes.get());
}
