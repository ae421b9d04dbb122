//! The table of `memray transform csv`.
//!
//! A row is a stack with the number of its allocations and their bytes, `func;file;line` joined by
//! `|`, innermost first. By default a file has what was live at the peak, and it is read as that:
//! nothing in it says whether it was made with `--leaks`. Everything else is unknown.
//!
//! memray's own recording is not documented, its JSON of `stats` has five lines and no stacks, and
//! its other exports lack numbers of blocks. They are refused with the command that makes a table.

use std::collections::HashMap;

use alloc_core_snapshot::seam::snapshot::About;
use alloc_core_snapshot::{Amount, Counters, Error, Frame, Metric, Snapshot, Trace};
use serde::Deserialize;

use super::budget::Budget;
use super::contents::{self, Contents};
use super::frame::frame;

pub(super) const EXPECTED: &str = "a table of memray's, by `memray transform csv`";

/// The first line of a table.
pub(super) const HEAD: &str = "allocator,num_allocations,size,tid,thread_name,stack_trace";

/// What a file of memray's is that is not read, and what to run instead.
pub(super) fn refusal(start: &[u8]) -> Option<&'static str> {
    const RECORDING: &str = "found what memray recorded, whose format is not documented: run \
                             `memray transform csv FILE`, and read the table that it writes";
    let head = &start[..start.len().min(4096)];
    let has = |word: &[u8]| head.windows(word.len()).any(|it| it == word);
    // A recording is packed by lz4 when the program ends.
    let is_packed = start.starts_with(&[0x04, 0x22, 0x4D, 0x18])
        && start[..start.len().min(64)]
            .windows(6)
            .any(|it| it == b"memray");
    if start.starts_with(b"memray\0") || is_packed {
        return Some(RECORDING);
    } else if !start.starts_with(b"{") {
        return None;
    } else if has(b"\"total_num_allocations\"") && has(b"\"total_bytes_allocated\"") {
        return Some(
            "found JSON of `memray stats`, which has the first lines only and no stacks: run \
             `memray transform csv` on the recording, and read the table that it writes",
        );
    } else if has(b"speedscope") || has(b"\"callchain\"") {
        return Some(
            "found JSON for a viewer, without numbers of blocks: if it is memray's, run \
             `memray transform csv` on the recording, and read the table that it writes",
        );
    }
    None
}

#[derive(Deserialize)]
struct Row<'a> {
    num_allocations: u64,
    size: u64,
    thread_name: &'a str,
    stack_trace: &'a str,
}

pub(super) fn read(file: &[u8]) -> Result<Snapshot, Error> {
    let mut budget = Budget::of(file.len(), EXPECTED);
    let mut table = csv::ReaderBuilder::new().from_reader(file);
    let invalid = |error: csv::Error| Error::unexpected(EXPECTED, format!("found {error}"));
    let head = table.headers().map_err(invalid)?.clone();
    let mut record = csv::StringRecord::new();
    let mut frames = Frames::default();
    let mut traces = Vec::new();
    while table.read_record(&mut record).map_err(invalid)? {
        let row: Row<'_> = record.deserialize(Some(&head)).map_err(invalid)?;
        let mut stack = Vec::new();
        for place in row.stack_trace.split('|').filter(|it| !it.is_empty()) {
            budget.take(1, 3 * size_of::<Frame>(), "stacks")?;
            stack.push(frames.get(place, &mut budget)?);
        }
        contents::take_trace(&mut budget, stack.len())?;
        let at_peak = Amount::new(row.size, row.num_allocations);
        let counters = Counters {
            at_peak,
            ..Counters::default()
        };
        let mut trace = Trace::new(contents::traceback(stack), counters);
        // `0x2 (worker-1)`; the main thread has no name.
        let name = row.thread_name.split_once('(');
        if let Some(name) = name.and_then(|it| it.1.strip_suffix(')')) {
            budget.take(1, 32 + name.len(), "names of threads")?;
            trace = trace.with_thread(name);
        }
        traces.push(trace);
    }
    let contents = Contents {
        traces,
        about: About {
            unknown: contents::only(&[Metric::AtPeak]),
            ..About::default()
        },
        sampling: None,
    };
    contents.snapshot(EXPECTED)
}

/// The frames that have been made.
#[derive(Default)]
struct Frames(HashMap<Box<str>, Frame>);

impl Frames {
    /// The frame of a place such as `make_row;app.py;4`.
    fn get(&mut self, place: &str, budget: &mut Budget) -> Result<Frame, Error> {
        if let Some(known) = self.0.get(place) {
            return Ok(known.clone());
        }
        budget.take(1, 64 + place.len(), "frames")?;
        let mut parts = place.rsplitn(3, ';');
        let (line, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let name = parts.next().unwrap_or(place);
        let frame = frame(name, path, (line.parse().unwrap_or(0), 0), budget)?;
        self.0.insert(place.into(), frame.clone());
        Ok(frame)
    }
}
