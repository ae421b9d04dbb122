//! Advice as a table and as JSON.

use alloc_core::{Amount, Counters, Frame, Snapshot, Trace, Traceback};
use expect_test::expect;
use serde_json::json;

use crate::support::{check as check_in, check_failure, stdout};

/// A vector of u64 that grows to 128 elements, at one line of the program and one of a dependency.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let registry = "/home/x/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
    let files = [
        "src/cache.rs".to_owned(),
        format!("{registry}/parser-1.0.0/src/lib.rs"),
    ];
    let traces = files.map(|file| {
        let frame = Frame::new(Some("demo::fill"), Some(&file), 41, 9);
        let total = Amount::new(8 * (4 + 8 + 16 + 32 + 64 + 128), 6);
        let counters = Counters {
            total,
            reallocations: 5,
            ..Counters::default()
        };
        Trace::new(Traceback::new(vec![frame]), counters).with_type("Vec<u64>")
    });
    let snapshot = Snapshot::from_traces(traces.into(), 32);
    snapshot.dump(folder.path().join("new")).unwrap();
    folder
}

#[test]
fn advice_is_a_table() {
    let folder = folder();
    check_in(
        folder.path(),
        "advise new --all",
        expect![[r#"
            2 pieces of advice, for 83.3% of all calls

            #  calls  share  bytes  peak  line
            1      5  41.7%  992 B        parser-1.0.0/src/lib.rs:41
                   A buffer here grows 5 times: begin with `with_capacity(128)`. (Vec<u64>)

            2      5  41.7%  992 B        src/cache.rs:41
                   A buffer here grows 5 times: begin with `with_capacity(128)`. (Vec<u64>)

            note: without lifetimes it is unknown what is freed at once: trace with ALLOC_TRACE_LIFETIMES=1
        "#]],
    );
    check_in(
        folder.path(),
        "advise new --exclude src/cache.rs",
        expect![[r#"
            No advice: nothing that is known here would save a hundredth of the calls or of the peak

            note: without lifetimes it is unknown what is freed at once: trace with ALLOC_TRACE_LIFETIMES=1
            note: filters removed 1 of 2 callsites
        "#]],
    );
}

#[test]
fn advice_is_json() {
    let folder = folder();
    let text = stdout(folder.path(), "advise new --format json");
    let advice: serde_json::Value = serde_json::from_str(&text).unwrap();
    let row = &advice["rows"][0];
    assert_eq!(advice["rows"].as_array().unwrap().len(), 1, "{text}");
    for (name, expected) in [
        ("file", json!("src/cache.rs")),
        ("line", json!(41)),
        ("kind", json!("reserve")),
        ("type", json!("Vec<u64>")),
        ("calls", json!(5)),
        ("bytes", json!(992)),
        ("peak_bytes", json!(0)),
        ("share", json!(5.0 / 12.0)),
        (
            "sentence",
            json!("src/cache.rs:41 a buffer here grows 5 times: begin with `with_capacity(128)`"),
        ),
    ] {
        assert_eq!(row[name], expected, "{name}: {text}");
    }
}

#[test]
fn a_heap_graph_tells_what_collections_use() {
    let folder = tempfile::tempdir().unwrap();
    let (heap, graph) = (
        folder.path().join("heap"),
        folder.path().join("app.heapgraph"),
    );
    let file = alloc_report::graph::builder::sample().file();
    let sample = alloc_report::Graph::read(&file).unwrap();
    sample.snapshot().dump(heap).unwrap();
    std::fs::write(graph, file).unwrap();
    check_in(
        folder.path(),
        "advise heap --all --graph app.heapgraph",
        expect![[r#"
            1 piece of advice

            #  calls  share  bytes  peak  line
            1          1.7%         24 B  src/family.rs:21
                   1 collection holds 32 B and uses 8 B: reserve less, or call `shrink_to_fit` once it is filled. (Vec<Rc<Child>>)

            note: without lifetimes it is unknown what is freed at once: trace with ALLOC_TRACE_LIFETIMES=1
        "#]],
    );
    check_failure(folder.path(), "advise heap --graph heap", 1, "expected");
    check_failure(
        folder.path(),
        "advise heap --graph none.heapgraph",
        1,
        "none.heapgraph",
    );
}
