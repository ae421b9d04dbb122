//! Folded stacks: a line for each stack, the outermost frame first, and a number.
//!
//! They are read by FlameGraph, inferno, speedscope, the Firefox Profiler, Perfetto and Pyroscope.
//! In a name `:` stands for `;`, as in FlameGraph's own scripts, and a line break is escaped.

use std::collections::BTreeMap;

use alloc_core_snapshot::{Frame, Metric, Snapshot};

use super::stacks::{Stacks, name_and_place};

/// The stacks in alphabetical order, with the bytes of a metric.
pub(super) fn write(snapshot: &Snapshot, metric: Metric) -> Vec<u8> {
    let stacks = Stacks::of(snapshot, frame);
    let mut lines = BTreeMap::new();
    for (row, amount) in stacks.by_size(metric) {
        let frames = row.frames.iter().rev();
        let frames: Vec<&str> = frames.map(|&it| stacks.frames[it].as_str()).collect();
        lines.insert(frames.join(";"), amount.bytes.get());
    }
    let lines = lines.iter().filter(|(_, bytes)| **bytes > 0);
    let lines = lines.map(|(stack, bytes)| format!("{stack} {bytes}\n"));
    lines.collect::<String>().into_bytes()
}

fn frame(frame: &Frame) -> String {
    name_and_place(frame).replace(';', ":")
}
