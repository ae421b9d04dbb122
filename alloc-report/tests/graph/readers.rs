//! What memlab and Chrome's DevTools read in a heap snapshot: the same retained size of each block.
//!
//! memlab comes from `.ci/viewers`. DevTools are those within Chromium. Where one is missing, a test
//! is skipped, unless `ALLOC_TESTS_REQUIRE_TOOLS` is set.

use alloc_report::Graph;
use alloc_report::graph::write_heap_snapshot;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::exports::{Random, random_graph};
use crate::tools;

fn graphs() -> impl Iterator<Item = Graph> {
    let mut random = Random(7);
    (0..10).map(move |_| random_graph(&mut random, 2000))
}

/// Compares pairs of an id and a retained size with those of a graph, for every block.
#[track_caller]
fn check(graph: &Graph, found: &Value) {
    let pair = |it: &Value| (it[0].as_u64().unwrap(), it[1].as_u64().unwrap());
    let found: std::collections::HashMap<u64, u64> =
        found.as_array().unwrap().iter().map(pair).collect();
    for block in graph.blocks() {
        let retained = found.get(&graph.id_in_heap_snapshot(block)).copied();
        let expected = graph.retained(block).get();
        assert_eq!(retained, Some(expected), "{}", graph.block(block));
    }
    assert_eq!(found[&1], graph.bytes().get(), "the root");
}

#[test]
fn memlab_finds_the_same_retained_sizes() {
    const SCRIPT: &str = "
        const { analysis, config, utils } = require('@memlab/core');
        config.muteConsole = true;
        (async () => {
            const snapshot = await utils.getSnapshotFromFile(process.argv[2], { buildNodeIdIndex: true });
            analysis.preparePathFinder(snapshot);
            const pairs = [];
            snapshot.nodes.forEach(it => { pairs.push([it.id, it.retainedSize]); });
            process.stdout.write(JSON.stringify(pairs));
        })();";
    if tools::package("@memlab/core").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.heapsnapshot");
    for graph in graphs() {
        write_heap_snapshot(&graph, std::fs::File::create(&path).unwrap()).unwrap();
        let Some(found) = tools::node(SCRIPT, &path) else {
            return;
        };
        check(&graph, &found);
    }
}

/// DevTools compute the sizes in a worker, whose modules are loaded here into a page.
#[test]
fn devtools_find_the_same_retained_sizes() {
    const WORKER: &str =
        "devtools://devtools/bundled/entrypoints/heap_snapshot_worker/heap_snapshot_worker.js";
    const SCRIPT: &str = "async (url, text) => {
        const { HeapSnapshot, HeapSnapshotLoader } = await import(url);
        const loader = new HeapSnapshotLoader.HeapSnapshotLoader({ sendEvent() {} });
        loader.write(text);
        loader.close();
        const { port1, port2 } = new MessageChannel();
        new HeapSnapshot.SecondaryInitManager(port2);
        const snapshot = await loader.buildSnapshot(port1), pairs = [];
        for (const nodes = snapshot.allNodes(); nodes.hasNext(); nodes.next()) {
            pairs.push([nodes.node.id(), nodes.node.retainedSize()]);
        }
        return pairs;
    }";
    let Some(mut browser) = Browser::start() else {
        return;
    };
    browser.go(WORKER);
    for graph in graphs() {
        let mut text = Vec::new();
        write_heap_snapshot(&graph, &mut text).unwrap();
        let text = json!(String::from_utf8(text).unwrap());
        let found = browser.evaluate(&format!("({SCRIPT})({}, {text})", json!(WORKER)));
        check(&graph, &found);
    }
}
