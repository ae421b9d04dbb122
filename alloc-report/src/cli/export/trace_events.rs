//! Chrome's trace events: memory over time as counters, for Perfetto and `chrome://tracing`.
//!
//! A recording has a point for each moment that was measured; a snapshot is one point.

use std::path::Path;

use alloc_core_snapshot::{Metric, Snapshot};
use anyhow::Result;
use serde::Serialize;

use super::{json, title};
use crate::recording::{Moment, Recording};

/// The counters of a recording.
pub(super) fn of_recording(folder: &Path) -> Result<Vec<u8>> {
    let recording = Recording::open(folder)?;
    let start = recording.about.started_at;
    let process = recording.about.process_id;
    let mut events = vec![Event::process(process, recording.command())];
    for moment in &recording.moments {
        // A moment has whole milliseconds.
        let microseconds = ((moment.seconds - start).max(0.0) * 1000.0).round() as u64 * 1000;
        events.extend(counters(process, microseconds, moment));
    }
    json(&Trace::of(events))
}

/// The heap of a snapshot.
pub(super) fn of_snapshot(snapshot: &Snapshot) -> Result<Vec<u8>> {
    let process = snapshot.process_id();
    let memory = snapshot.traced_memory();
    let knows_total = snapshot.knows(Metric::Total);
    let total = || snapshot.traces().iter().map(|it| it.counters.total);
    let moment = Moment {
        heap_bytes: (snapshot.knows(Metric::Current)).then(|| memory.current.get()),
        heap_peak_bytes: (snapshot.knows(Metric::AtPeak)).then(|| memory.peak.get()),
        total_bytes: knows_total.then(|| total().map(|it| it.bytes.get()).sum()),
        total_blocks: (knows_total && snapshot.knows_blocks())
            .then(|| total().map(|it| it.blocks).sum()),
        ..Moment::default()
    };
    let mut events = vec![Event::process(process, title(snapshot))];
    events.extend(counters(process, 0, &moment));
    json(&Trace::of(events))
}

/// A point of each counter that was measured.
fn counters(process: u32, microseconds: u64, moment: &Moment) -> impl Iterator<Item = Event> {
    let values = [
        ("heap", "bytes", moment.heap_bytes),
        ("peak of the heap", "bytes", moment.heap_peak_bytes),
        ("allocated", "bytes", moment.total_bytes),
        ("allocations", "blocks", moment.total_blocks),
        ("resident", "bytes", moment.rss_bytes),
        ("resident, proportional", "bytes", moment.pss_bytes),
        ("resident, unshared", "bytes", moment.uss_bytes),
        ("tracer", "bytes", moment.tracer_bytes),
    ];
    values.into_iter().filter_map(move |(name, unit, value)| {
        let value = value?;
        Some(Event {
            name,
            category: "memory",
            phase: "C",
            process,
            thread: 0,
            microseconds,
            arguments: match unit {
                "blocks" => Arguments::Blocks { blocks: value },
                _ => Arguments::Bytes { bytes: value },
            },
        })
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    display_time_unit: &'static str,
    trace_events: Vec<Event>,
}

#[derive(Serialize)]
struct Event {
    name: &'static str,
    #[serde(rename = "cat")]
    category: &'static str,
    /// `C` for the value of a counter, `M` for a name.
    #[serde(rename = "ph")]
    phase: &'static str,
    #[serde(rename = "pid")]
    process: u32,
    /// Always 0: memory is of the process. Readers expect a number.
    #[serde(rename = "tid")]
    thread: u32,
    #[serde(rename = "ts")]
    microseconds: u64,
    #[serde(rename = "args")]
    arguments: Arguments,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Arguments {
    Name { name: String },
    Bytes { bytes: u64 },
    Blocks { blocks: u64 },
}

impl Trace {
    fn of(trace_events: Vec<Event>) -> Trace {
        Trace {
            display_time_unit: "ms",
            trace_events,
        }
    }
}

impl Event {
    fn process(process: u32, name: String) -> Event {
        Event {
            name: "process_name",
            category: "memory",
            phase: "M",
            process,
            thread: 0,
            microseconds: 0,
            arguments: Arguments::Name { name },
        }
    }
}
