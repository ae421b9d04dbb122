//! DHAT's JSON, of valgrind and of the crate `dhat`: `dhatFileVersion` 2.
//!
//! A program point is a callsite. It has what was ever allocated (`tb`, `tbk`) and, if `bklt` is
//! set, its own peak (`mb`, `mbk`: both at the moment of the most bytes), what it held at the
//! heap's peak (`gb`, `gbk`) and at the end (`eb`, `ebk`), and the sum of its blocks' lifetimes
//! (`tl`). That makes a mean, and every block counts with it. Valgrind counts time in instructions,
//! which is no time, so its files have no lifetimes. Reads and writes are skipped.
//!
//! Specification: the comment at the top of `dhat/dh_main.c` in valgrind 3.19.

use std::time::Duration;

use alloc_core_snapshot::seam::snapshot::{About, Unknown};
use alloc_core_snapshot::{
    Ages, Amount, Counters, Error, Frame, Lifetimes, Metric, Snapshot, Trace,
};
use serde::Deserialize;

use super::budget::Budget;
use super::contents::{self, Contents};
use super::frame;

pub(super) const EXPECTED: &str = "a heap profile in DHAT's format, version 2";

#[derive(Deserialize)]
struct File {
    #[serde(rename = "dhatFileVersion")]
    version: u64,
    #[serde(default)]
    mode: String,
    #[serde(default, rename = "bklt")]
    has_moments: bool,
    #[serde(default, rename = "tu")]
    unit: String,
    #[serde(default, rename = "cmd")]
    command: String,
    #[serde(default, rename = "pid")]
    process_id: u32,
    #[serde(default, rename = "pps")]
    points: Option<Vec<Point>>,
    #[serde(default, rename = "ftbl")]
    frames: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Point {
    tb: u64,
    tbk: u64,
    #[serde(default)]
    tl: u64,
    #[serde(default)]
    mb: u64,
    #[serde(default)]
    mbk: u64,
    #[serde(default)]
    gb: u64,
    #[serde(default)]
    gbk: u64,
    #[serde(default)]
    eb: u64,
    #[serde(default)]
    ebk: u64,
    #[serde(rename = "fs")]
    stack: Vec<u32>,
}

/// The unit of time in the files of the crate `dhat`.
const MICROSECONDS: &str = "µs";
/// A microsecond, in picoseconds.
const MICROSECOND: u64 = 1_000_000;

pub(super) fn read(file: &[u8]) -> Result<Snapshot, Error> {
    let invalid = |found: String| Error::unexpected(EXPECTED, found);
    let mut budget = Budget::of(file.len(), EXPECTED);
    let file: File = serde_json::from_slice(file).map_err(|error| {
        invalid(match error.is_eof() {
            true => "found one that is cut off: it ends in the middle".to_owned(),
            false => format!("found {error}"),
        })
    })?;
    if file.version != 2 {
        return Err(invalid(format!("found version {}", file.version)));
    }
    // NOTE: "copy" and "ad-hoc" count what is copied, and what a program asks for.
    if !matches!(file.mode.as_str(), "heap" | "rust-heap") {
        let found = format!(
            "found the mode {:?}, which is not of a heap",
            shown(&file.mode)
        );
        return Err(invalid(found));
    }
    let (Some(points), Some(table)) = (file.points, file.frames) else {
        return Err(invalid(
            "found one without program points or frames".to_owned(),
        ));
    };
    // Vectors are copied while they grow.
    budget.take(points.len(), 3 * size_of::<Point>(), "program points")?;
    budget.take(table.len(), 4 * size_of::<String>(), "frames")?;
    let mut frames = Vec::with_capacity(table.len());
    for text in &table {
        frames.push(frame_of(text, &mut budget)?);
    }
    let is_timed = file.has_moments && file.unit == MICROSECONDS;
    let mut traces = Vec::with_capacity(points.len());
    for point in &points {
        contents::take_trace(&mut budget, point.stack.len())?;
        let mut stack = Vec::with_capacity(point.stack.len());
        for &at in &point.stack {
            let frame = frames.get(at as usize).ok_or_else(|| {
                invalid(format!("found frame {at} in a table of {}", frames.len()))
            })?;
            stack.extend(frame.clone());
        }
        let mut trace = Trace::new(contents::traceback(stack), point.counters());
        if is_timed && point.tbk > 0 {
            budget.take(1, 256, "lifetimes")?;
            trace = trace.with_lifetimes(point.lifetimes());
        }
        traces.push(trace);
    }
    let unknown = match file.has_moments {
        true => Unknown {
            spread_of_ages: is_timed,
            copied: true,
            ..Unknown::default()
        },
        false => contents::only(&[Metric::Total]),
    };
    let command_line = file.command.split_whitespace().map(str::to_owned);
    let command_line: Vec<String> = command_line.collect();
    let about = About {
        process_id: file.process_id,
        is_at_exit: file.has_moments,
        program: command_line.first().cloned().unwrap_or_default(),
        command_line,
        unknown,
        ..About::default()
    };
    let contents = Contents {
        traces,
        about,
        sampling: None,
    };
    contents.snapshot(EXPECTED)
}

impl Point {
    fn counters(&self) -> Counters {
        Counters {
            current: Amount::new(self.eb, self.ebk),
            peak: Amount::new(self.mb, self.mbk),
            at_peak: Amount::new(self.gb, self.gbk),
            total: Amount::new(self.tb, self.tbk),
            ..Counters::default()
        }
    }

    /// All blocks with the mean of their lifetimes; the lifetimes of those that live end with the
    /// program.
    fn lifetimes(&self) -> Lifetimes {
        let mean = Duration::from_micros(self.tl / self.tbk.max(1));
        let none = Ages::from_buckets(MICROSECOND, &[], &[]);
        let ages = |blocks| match blocks {
            0 => none.clone(),
            _ => none.clone().with_times(mean, blocks),
        };
        let mut lifetimes = Lifetimes::default();
        lifetimes.freed = ages(self.tbk.saturating_sub(self.ebk));
        lifetimes.live = ages(self.ebk);
        lifetimes
    }
}

/// A frame as `0x11BB26: demo::keep (src/demo.rs:9:13)`, `0x4845: malloc (in /usr/lib/libc.so.6)`
/// or `0x4845: ??? (in /usr/lib/libc.so.6)`. None for the root, and for valgrind's own functions in
/// place of those of the allocator.
fn frame_of(text: &str, budget: &mut Budget) -> Result<Option<Frame>, Error> {
    if text == "[root]" {
        return Ok(None);
    }
    let (address, rest) = match text.split_once(": ") {
        Some((address, rest)) if address.starts_with("0x") => (address, rest),
        _ => ("", text),
    };
    let place = rest.strip_suffix(')').and_then(|it| it.rsplit_once(" ("));
    let (name, place) = place.unwrap_or((rest, ""));
    if place.contains("vgpreload_") || place.starts_with("vg_replace_malloc.c:") {
        return Ok(None);
    }
    let object = place.strip_prefix("in ");
    match name {
        "???" | "" => frame::nameless(object.unwrap_or_default(), address, budget).map(Some),
        _ => {
            let (path, line, column) = parts(if object.is_some() { "" } else { place });
            frame::frame(name, path, (line, column), budget).map(Some)
        }
    }
}

/// The parts of `path:line:column` or `path:line`.
fn parts(place: &str) -> (&str, u32, u32) {
    let last = |text| -> Option<(&str, u32)> {
        let (rest, number) = str::rsplit_once(text, ':')?;
        Some((rest, number.parse().ok()?))
    };
    match last(place) {
        None => (place, 0, 0),
        Some((rest, second)) => match last(rest) {
            None => (rest, second, 0),
            Some((path, first)) => (path, first, second),
        },
    }
}

/// The part of a text that an error shows.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str, u32, u32)>) {
        let frame = frame_of(text, &mut Budget::of(0, EXPECTED)).unwrap();
        let shown = frame.as_ref().map(|it| {
            let path = it.file().map_or("", |file| file.full());
            (it.function().unwrap_or(""), path, it.line(), it.column())
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn frames_have_a_name_and_a_place() {
        check(
            "0x11BB26: demo::keep (demo.rs:9)",
            Some(("demo::keep", "demo.rs", 9, 0)),
        );
        check(
            "0x55ed87fdc3e1: <alloc::alloc::Global as core::alloc::Allocator>::allocate (alloc/src/alloc.rs:429:14)",
            Some((
                "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
                "/rustc/unknown/library/alloc/src/alloc.rs",
                429,
                14,
            )),
        );
        check(
            "0x1: operator()(int) (a/b.cpp:7)",
            Some(("operator()(int)", "a/b.cpp", 7, 0)),
        );
        check("0x4845: main (in /srv/shop)", Some(("main", "", 0, 0)));
        check(
            "0x4845: ??? (in /usr/lib/libc.so.6)",
            Some(("libc.so.6@0x4845", "", 0, 0)),
        );
        check("0x4845: ???", Some(("0x4845", "", 0, 0)));
        check("[root]", None);
        check(
            "0x48407B4: malloc (in /usr/libexec/valgrind/vgpreload_dhat-amd64-linux.so)",
            None,
        );
        check("0x48407B4: malloc (vg_replace_malloc.c:381)", None);
        check("ad hoc", Some(("ad hoc", "", 0, 0)));
    }
}
