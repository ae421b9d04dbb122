//! The Firefox Profiler's JSON. The viewer is only on the web, so the file is checked here; the
//! crate that writes it is that of samply.

use std::collections::BTreeMap;

use alloc_core::{GroupBy, Metric, Snapshot};
use serde_json::Value;

use crate::exported_text;
use crate::samples::of_a_program;

/// The stacks of a thread, the innermost function first, and the bytes of each.
fn retained(thread: &Value) -> BTreeMap<Vec<String>, u64> {
    let column = |table: &str, name: &str, at: u64| thread[table][name][at as usize].clone();
    let number = |table: &str, name: &str, at: u64| column(table, name, at).as_u64();
    let allocations = &thread["nativeAllocations"];
    let mut retained = BTreeMap::new();
    for at in 0..allocations["length"].as_u64().unwrap_or_default() {
        let mut names = Vec::new();
        let mut stack = number("nativeAllocations", "stack", at);
        while let Some(at) = stack {
            let frame = number("stackTable", "frame", at).unwrap();
            let function = number("frameTable", "func", frame).unwrap();
            let name = number("funcTable", "name", function).unwrap();
            let name = thread["stringArray"][name as usize].as_str().unwrap();
            names.push(name.to_owned());
            stack = number("stackTable", "prefix", at);
        }
        let bytes = number("nativeAllocations", "weight", at).unwrap();
        assert_eq!(retained.insert(names, bytes), None);
    }
    retained
}

#[test]
fn each_metric_has_the_bytes_of_every_stack() {
    let folder = of_a_program();
    let snapshot = Snapshot::load(folder.path().join("heap")).unwrap();
    let profile: Value =
        serde_json::from_str(&exported_text(folder.path(), "heap --to firefox")).unwrap();
    let threads = profile["threads"].as_array().unwrap();
    assert_eq!(threads.len(), 5);
    for metric in Metric::ALL {
        let name = metric.to_string();
        let thread = threads.iter().find(|it| it["name"] == name.as_str());
        let retained = retained(thread.unwrap());
        let sum: u64 = retained.values().sum();
        let total = snapshot.statistics_by(GroupBy::Domain, *metric)[0]
            .size
            .get();
        assert_eq!(sum, total, "{metric}");
        let kept: u64 = retained
            .iter()
            .filter(|(stack, _)| stack.iter().any(|it| it.contains("samples::keep (")))
            .map(|(_, bytes)| bytes)
            .sum();
        let by = alloc_core::Grouping::by(GroupBy::Function)
            .cumulative()
            .unwrap();
        let functions = snapshot.statistics(by.with_metric(*metric));
        let keep = functions
            .iter()
            .find(|it| it.key.to_string().ends_with("samples::keep"));
        assert_eq!(kept, keep.unwrap().size.get(), "{metric}");
    }
}
