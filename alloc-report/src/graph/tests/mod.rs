//! Each rule on graphs made by hand.

mod answers;
mod evidence;

use super::builder::Builder;
use super::{BlockId, Graph, Reach};

fn read(graph: &Builder) -> Graph {
    Graph::read(&graph.file()).expect("a graph")
}

/// The names of roots and what they retain, without those that retain nothing.
#[track_caller]
fn check_roots(graph: &Graph, expected: &[(&str, u64)]) {
    let roots = graph.roots();
    let found: Vec<(&str, u64)> = roots
        .iter()
        .map(|it| (it.name.as_str(), it.retained.get()))
        .filter(|it| it.1 > 0)
        .collect();
    assert_eq!(found, expected);
    let sum: u64 = found.iter().map(|it| it.1).sum();
    assert_eq!(graph.bytes(), sum + graph.shared().bytes.get());
}

fn reach(graph: &Graph, block: u32) -> Reach {
    graph.block(BlockId(block)).reach
}
