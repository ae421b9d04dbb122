//! pprof: read by our own reader, by Go's pprof, and by the package pprof-format.

use std::collections::BTreeMap;
use std::path::Path;

use alloc_core::{Counters, Frame, GroupBy, Metric, Snapshot, Traceback};
use serde_json::json;

use crate::samples::{self, of_a_program};
use crate::tools::{go_tool_pprof, node};
use crate::{export, support};

/// Exports `heap` of a folder as `named.pb.gz`. Returns the snapshot.
fn named(folder: &Path) -> Snapshot {
    let (bytes, said) = export(folder, "heap --to pprof");
    assert_eq!(said, "");
    std::fs::write(folder.join("named.pb.gz"), &bytes).unwrap();
    Snapshot::read_from(&bytes[..]).unwrap()
}

#[test]
fn nothing_is_lost() {
    let folder = samples::folder();
    for (file, has_lifetimes) in [("heap", false), ("lives", true)] {
        let (bytes, _) = export(folder.path(), &format!("{file} --to pprof"));
        let read = Snapshot::read_from(&bytes[..]).unwrap();
        let mut expected = samples::traces(has_lifetimes);
        // Other readers need a frame.
        let unknown = Traceback::new(vec![Frame::default()]);
        expected.last_mut().unwrap().traceback = unknown;
        assert_eq!(read.traces(), expected);
    }
}

/// `symbolize` writes the same file.
#[test]
fn it_is_the_file_of_symbolize() {
    let folder = of_a_program();
    let exported = named(folder.path());
    support::stdout(folder.path(), "symbolize heap -o symbolized");
    let symbolized = Snapshot::load(folder.path().join("symbolized")).unwrap();
    assert!(symbolized.traces().len() > 10);
    assert_eq!(exported.traces(), symbolized.traces());
    let bytes = |name| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(bytes("named.pb.gz"), bytes("symbolized"));
}

/// The values of all samples in `go tool pprof -raw`, by their columns.
fn raw(text: &str) -> Vec<Vec<u64>> {
    let samples = text.lines().skip_while(|it| *it != "Samples:").skip(2);
    let samples = samples.take_while(|it| *it != "Locations");
    let values = samples.filter_map(|line| {
        let numbers = line.split_once(':')?.0.split_whitespace();
        numbers
            .map(|it| it.parse().ok())
            .collect::<Option<Vec<u64>>>()
    });
    values.collect()
}

#[test]
fn go_tool_pprof_reads_every_value() {
    let folder = of_a_program();
    let snapshot = named(folder.path());
    let Some(text) = go_tool_pprof(&folder.path().join("named.pb.gz"), &["-raw"]) else {
        return;
    };
    // It adds up samples whose stacks became equal when they were cut.
    let mut expected: BTreeMap<_, Counters> = BTreeMap::new();
    for trace in snapshot.traces() {
        let stack = (&trace.traceback, trace.traceback.is_truncated());
        *expected.entry(stack).or_default() += trace.counters;
    }
    let values = expected.values().map(|it| {
        let amounts = [it.total, it.current, it.peak, it.at_peak];
        let pairs = amounts.iter().flat_map(|it| [it.blocks, it.bytes.get()]);
        pairs.chain([it.reallocations, it.copied.get()]).collect()
    });
    let mut expected: Vec<Vec<u64>> = values.collect();
    expected.sort();
    let mut found = raw(&text);
    found.sort();
    assert!(expected.len() > 10);
    assert_eq!(found, expected);
}

/// The flat bytes of each function in `go tool pprof -top`.
fn flat(text: &str) -> BTreeMap<String, u64> {
    let rows = text
        .lines()
        .skip_while(|it| !it.trim_start().starts_with("flat"));
    let rows = rows.skip(1).map(|row| {
        let mut words = row.split_whitespace();
        let bytes = words.next().unwrap().trim_end_matches('B').parse().unwrap();
        (words.skip(4).collect::<Vec<_>>().join(" "), bytes)
    });
    rows.filter(|(_, bytes)| *bytes > 0).collect()
}

#[test]
fn go_tool_pprof_shows_the_numbers_of_top() {
    let folder = of_a_program();
    named(folder.path());
    let file = folder.path().join("named.pb.gz");
    for (metric, sample) in [
        (Metric::Current, "inuse_space"),
        (Metric::Peak, "peak_space"),
        (Metric::AtPeak, "at_peak_space"),
        (Metric::Total, "alloc_space"),
    ] {
        let sample = format!("-sample_index={sample}");
        let arguments = [
            "-top",
            "-nodecount=0",
            "-nodefraction=0",
            "-unit=b",
            &sample,
        ];
        let Some(text) = go_tool_pprof(&file, &arguments) else {
            return;
        };
        let top = format!("top heap --by function --full -n 1000 --sort {metric}");
        let report = support::json(folder.path(), &top);
        let rows = report["rows"].as_array().unwrap().iter();
        let rows = rows.map(|it| (it["key"].as_str().unwrap(), it["bytes"].as_u64().unwrap()));
        let expected: BTreeMap<String, u64> = rows
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(name, bytes)| (name.to_owned(), bytes))
            .collect();
        assert!(expected.keys().any(|it| it.ends_with("samples::keep")));
        assert_eq!(flat(&text), expected, "{metric}");
    }
}

#[test]
fn pprof_format_reads_every_value() {
    let folder = of_a_program();
    let snapshot = named(folder.path());
    let script = "
        const { Profile } = require('pprof-format');
        const bytes = require('zlib').gunzipSync(require('fs').readFileSync(process.argv[2]));
        const profile = Profile.decode(bytes);
        const name = it => profile.stringTable.strings[Number(it.type)];
        const sum = at => profile.sample.reduce((sum, it) => sum + BigInt(it.value[at]), 0n);
        const sums = profile.sampleType.map((it, at) => [name(it), String(sum(at))]);
        console.log(JSON.stringify({ samples: profile.sample.length, sums }));";
    let Some(read) = node(script, &folder.path().join("named.pb.gz")) else {
        return;
    };
    let sum = |metric| {
        let all = snapshot.statistics_by(GroupBy::Domain, metric);
        let (bytes, blocks) = (all[0].size.get(), all[0].count);
        [blocks.to_string(), bytes.to_string()]
    };
    let [total, current, peak, at_peak] =
        [Metric::Total, Metric::Current, Metric::Peak, Metric::AtPeak].map(sum);
    let traces = snapshot.traces();
    let reallocations: u64 = traces.iter().map(|it| it.counters.reallocations).sum();
    let copied: u64 = traces.iter().map(|it| it.counters.copied.get()).sum();
    assert!(copied > 0);
    let expected = json!({
        "samples": traces.len(),
        "sums": [
            ["alloc_objects", total[0]],
            ["alloc_space", total[1]],
            ["inuse_objects", current[0]],
            ["inuse_space", current[1]],
            ["peak_objects", peak[0]],
            ["peak_space", peak[1]],
            ["at_peak_objects", at_peak[0]],
            ["at_peak_space", at_peak[1]],
            ["reallocations", reallocations.to_string()],
            ["copied_space", copied.to_string()],
        ],
    });
    assert_eq!(read, expected);
}
