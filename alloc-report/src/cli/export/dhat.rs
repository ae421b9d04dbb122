//! DHAT's JSON, version 2: for valgrind's `dh_view.html` and the Firefox Profiler.
//!
//! # Lifetimes
//!
//! A file with lifetimes has all metrics of each stack: total, at its own peak, at the peak of the
//! heap, and now. If the session recorded lifetimes, the file has the sum of a stack's lifetimes,
//! from which the viewer computes their mean: each block counts with the middle of its bucket in
//! the histogram, so the sum is off by a quarter at most. A live block counts with its age.
//! The end of the run is the age of the oldest block, and the time of the peak, which is unknown,
//! is 0.
//!
//! A file without lifetimes has one number of bytes and one of blocks for each stack.

use std::time::Duration;

use alloc_core_snapshot::{Escaped, Frame, Metric, Snapshot};
use anyhow::Result;
use serde::Serialize;

use super::json;
use super::stacks::{Row, Stacks, name};

/// Blocks that live less are short-lived to the viewer, as in dhat-rs: in microseconds.
const SHORT_LIVED: u64 = 10;

/// Whether the file has all metrics.
pub(super) fn has_lifetimes(snapshot: &Snapshot) -> bool {
    snapshot.traces().iter().any(|it| it.lifetimes.is_some())
}

/// The stacks, the largest by `metric` first. Without lifetimes they have this metric only.
pub(super) fn write(snapshot: &Snapshot, metric: Metric) -> Result<Vec<u8>> {
    let has_lifetimes = has_lifetimes(snapshot);
    let stacks = Stacks::of(snapshot, frame);
    let mut points: Vec<&Row> = match has_lifetimes {
        true => stacks.rows.iter().collect(),
        false => (stacks.by_size(metric).into_iter())
            .map(|it| it.0)
            .collect(),
    };
    points.sort_by_key(|it| std::cmp::Reverse(it.counters.amount(metric).bytes));
    let ages = stacks.rows.iter().flat_map(|it| {
        let Row { lifetimes, .. } = it;
        [lifetimes.freed.oldest(), lifetimes.live.oldest()]
    });
    let command_line = snapshot.command_line().join(" ");
    json(&Profile {
        version: 2,
        mode: match has_lifetimes || metric == Metric::Total {
            true => "rust-heap".to_owned(),
            false => format!("rust-heap, {metric}"),
        },
        verb: "Allocated",
        has_lifetimes,
        has_accesses: false,
        unit: "µs",
        million_units: "s",
        command: match command_line.is_empty() {
            true => snapshot.program().to_owned(),
            false => command_line,
        },
        process: snapshot.process_id(),
        end: microseconds(ages.flatten().max().unwrap_or_default()),
        peak: has_lifetimes.then_some(0),
        short_lived: has_lifetimes.then_some(SHORT_LIVED),
        points: points
            .into_iter()
            .map(|it| Point::of(it, metric, has_lifetimes))
            .collect(),
        frames: ["[root]".to_owned()]
            .into_iter()
            .chain(stacks.frames)
            .collect(),
    })
}

/// A frame as the Firefox Profiler parses it: `0x401136: demo::fill (src/cache.rs:41:9)`.
fn frame(frame: &Frame) -> String {
    let name = name(frame);
    let address = frame.address();
    match frame.file() {
        Some(file) => {
            let (path, line, column) = (Escaped(file.full()), frame.line(), frame.column());
            format!("0x{address:x}: {name} ({path}:{line}:{column})")
        }
        None => format!("0x{address:x}: {name} (???:0:0)"),
    }
}

fn microseconds(age: Duration) -> u64 {
    age.as_micros().try_into().unwrap_or(u64::MAX)
}

/// A file. The viewer needs all of the keys that it has.
#[derive(Serialize)]
struct Profile {
    #[serde(rename = "dhatFileVersion")]
    version: u32,
    mode: String,
    verb: &'static str,
    #[serde(rename = "bklt")]
    has_lifetimes: bool,
    #[serde(rename = "bkacc")]
    has_accesses: bool,
    #[serde(rename = "tu")]
    unit: &'static str,
    #[serde(rename = "Mtu")]
    million_units: &'static str,
    #[serde(rename = "tuth", skip_serializing_if = "Option::is_none")]
    short_lived: Option<u64>,
    #[serde(rename = "cmd")]
    command: String,
    #[serde(rename = "pid")]
    process: u32,
    #[serde(rename = "tg", skip_serializing_if = "Option::is_none")]
    peak: Option<u64>,
    #[serde(rename = "te")]
    end: u64,
    #[serde(rename = "pps")]
    points: Vec<Point>,
    #[serde(rename = "ftbl")]
    frames: Vec<String>,
}

/// A stack.
#[derive(Serialize)]
struct Point {
    #[serde(rename = "tb")]
    bytes: u64,
    #[serde(rename = "tbk")]
    blocks: u64,
    #[serde(flatten)]
    lives: Option<Lives>,
    /// Indices of frames, the innermost first.
    #[serde(rename = "fs")]
    frames: Vec<usize>,
}

/// The other metrics of a stack, and its lifetimes.
#[derive(Serialize)]
struct Lives {
    #[serde(rename = "tl")]
    lifetimes: u64,
    #[serde(rename = "mb")]
    peak_bytes: u64,
    #[serde(rename = "mbk")]
    peak_blocks: u64,
    #[serde(rename = "gb")]
    at_peak_bytes: u64,
    #[serde(rename = "gbk")]
    at_peak_blocks: u64,
    #[serde(rename = "eb")]
    bytes: u64,
    #[serde(rename = "ebk")]
    blocks: u64,
}

impl Point {
    fn of(row: &Row, metric: Metric, has_lifetimes: bool) -> Point {
        let counters = &row.counters;
        let amount = match has_lifetimes {
            true => counters.total,
            false => counters.amount(metric),
        };
        Point {
            bytes: amount.bytes.get(),
            blocks: amount.blocks,
            lives: has_lifetimes.then(|| Lives {
                lifetimes: {
                    let (freed, live) = (row.lifetimes.freed.sum(), row.lifetimes.live.sum());
                    microseconds(freed.saturating_add(live))
                },
                peak_bytes: counters.peak.bytes.get(),
                peak_blocks: counters.peak.blocks,
                at_peak_bytes: counters.at_peak.bytes.get(),
                at_peak_blocks: counters.at_peak.blocks,
                bytes: counters.current.bytes.get(),
                blocks: counters.current.blocks,
            }),
            // The first frame of the file is the root, which no stack has.
            frames: row.frames.iter().map(|it| it + 1).collect(),
        }
    }
}
