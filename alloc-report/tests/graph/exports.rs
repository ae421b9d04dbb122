//! Graphs for other programs.

use std::collections::HashMap;

use alloc_report::Graph;
use alloc_report::graph::builder::{Builder, sample};
use alloc_report::graph::{write_dot, write_heap_snapshot};
use expect_test::expect;
use serde_json::Value;

fn heap_snapshot(graph: &Graph) -> Value {
    let mut text = Vec::new();
    write_heap_snapshot(graph, &mut text).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// What each node of a snapshot retains, by its id: the size of all that cannot be reached without
/// it, computed by leaving each node out.
fn retained(snapshot: &Value) -> HashMap<u64, u64> {
    let numbers = |name: &str| -> Vec<u64> {
        let list = snapshot[name].as_array().unwrap();
        list.iter().map(|it| it.as_u64().unwrap()).collect()
    };
    let (nodes, edges) = (numbers("nodes"), numbers("edges"));
    let nodes: Vec<&[u64]> = nodes.chunks(7).collect();
    let counts = &snapshot["snapshot"];
    assert_eq!(counts["node_count"], nodes.len());
    assert_eq!(counts["edge_count"], edges.len() / 3);
    let mut edges = edges.chunks(3).map(|it| {
        assert_eq!(it[2] % 7, 0);
        (it[2] / 7) as usize
    });
    let to: Vec<Vec<usize>> = nodes
        .iter()
        .map(|it| edges.by_ref().take(it[4] as usize).collect())
        .collect();
    assert_eq!(edges.next(), None);
    let reached = |without: usize| {
        let mut seen = vec![false; nodes.len()];
        let mut open = vec![0];
        while let Some(at) = open.pop() {
            if at == without || std::mem::replace(&mut seen[at], true) {
                continue;
            }
            open.extend(&to[at]);
        }
        let sizes = nodes.iter().zip(&seen).filter(|(_, seen)| **seen);
        sizes.map(|(it, _)| it[3]).sum::<u64>()
    };
    let whole = reached(usize::MAX);
    let of = |at: usize| (nodes[at][2], whole - reached(at));
    (0..nodes.len()).map(of).collect()
}

#[track_caller]
fn check_retained(graph: &Graph) {
    let retained = retained(&heap_snapshot(graph));
    for block in graph.blocks() {
        let id = graph.id_in_heap_snapshot(block);
        assert_eq!(
            graph.retained(block),
            retained[&id],
            "{}",
            graph.block(block)
        );
    }
    assert_eq!(graph.bytes(), retained[&1]);
}

/// Numbers from a seed, by Knuth's MMIX.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % n
    }
}

/// A graph of at least two blocks and less than `most + 2`, with all kinds of roots.
pub(crate) fn random_graph(random: &mut Random, most: u64) -> Graph {
    let mut builder = Builder::default();
    let types = ["Vec<u8>", "Box<Node>", "Rc<Node>", "", "Vec<Box<Node>>"];
    let callsites = types.map(|it| builder.callsite(it, "app::f", "src/a.rs", 1));
    let thread = builder.thread("main", &[(1, 0x100), (2, 0x100)]);
    let blocks = 2 + random.below(most);
    for _ in 0..blocks {
        let callsite = callsites[random.below(5) as usize];
        builder.block(callsite, 8 + random.below(100));
    }
    for _ in 0..random.below(3 * blocks) {
        let (from, to) = (random.below(blocks) as u32, random.below(blocks) as u32);
        builder.edge_into(from, random.below(4), to, 8 * random.below(3));
    }
    for _ in 0..random.below(8.max(blocks / 4)) {
        let (kind, to) = (1 + random.below(6), random.below(blocks) as u32);
        let place = builder.stack(thread) + 8 * random.below(60);
        builder.root_into(kind as u8, 0, place, to, 8 * random.below(3));
    }
    Graph::read(&builder.file()).unwrap()
}

#[test]
fn a_heap_snapshot_has_the_same_retained_sizes() {
    check_retained(&Graph::read(&sample().file()).unwrap());
    let mut random = Random(1);
    for _ in 0..60 {
        check_retained(&random_graph(&mut random, 30));
    }
}

/// A node's size has 32 bits, so that larger blocks have several nodes.
#[test]
fn large_blocks_are_in_parts() {
    let mut builder = Builder::default();
    let bytes = builder.callsite("Vec<u8>", "app::f", "src/a.rs", 1);
    let block = builder.block(bytes, 10 << 30);
    builder.in_static(0x10, block);
    check_retained(&Graph::read(&builder.file()).unwrap());
}

#[test]
fn a_picture_has_what_retains_the_most() {
    let graph = Graph::read(&sample().file()).unwrap();
    let mut text = Vec::new();
    write_dot(&graph, 7, &mut text).unwrap();
    expect![[r##"
        digraph heap {
          node [shape=box, fontname="sans-serif", fontsize=10];
          edge [fontname="sans-serif", fontsize=9];
          n12 [label="the stack of main\nretains 800 B", style=filled, fillcolor="#dde8f5"];
          n5 [label="Vec<u64>\nsrc/main.rs:7\n800 B, retains 800 B"];
          n11 [label="static program+0x1000\nretains 412 B", style=filled, fillcolor="#dde8f5"];
          n0 [label="HashMap<u64, Rc<Node>>\nsrc/cache.rs:41\n84 B, retains 412 B"];
          n13 [label="nothing\nretains 190 B", style=filled, fillcolor="#dde8f5"];
          n3 [label="Rc<Node>\nsrc/cache.rs:52\n64 B, retains 164 B"];
          n1 [label="Rc<Node>\nsrc/cache.rs:52\n64 B, retains 164 B"];
          n0 -> n1;
          n0 -> n3;
          n11 -> n0;
          n12 -> n5;
        }
    "##]]
    .assert_eq(&String::from_utf8(text).unwrap());
}
