//! The text of Go's `/debug/pprof/heap?debug=1` and of gperftools.
//!
//! ```text
//! heap profile: 140: 8952320 [375: 22419968] @ heap/131072
//! 83: 8839168 [83: 8839168] @ 0x4b3c3d 0x4b3e12         live blocks and bytes [ever allocated]
//! #  0x4b3c3c  main.keep+0x5c  /srv/text.go:17            Go only, with tabs: the names of a frame
//!
//! # runtime.MemStats                                     or, by gperftools: MAPPED_LIBRARIES:
//! ```
//!
//! The word at the end of the first line says what the numbers stand for: `heap/N` is Go's, with
//! two times its `MemProfileRate`; `heap_v2/N` and `heapz_v2/N` are samples every N bytes;
//! `heapprofile` counts every block. They are scaled as `go tool pprof` scales them.

use std::collections::HashMap;

use alloc_core_snapshot::seam::sampling::Interval;
use alloc_core_snapshot::seam::snapshot::About;
use alloc_core_snapshot::{Counters, Error, Frame, Metric, Snapshot, Trace};

use super::budget::Budget;
use super::contents::{self, Contents};
use super::frame::frame;
use super::jemalloc::{Addresses, MAP, amounts, rest_of};
use super::lines::Lines;
use super::sampling::{Scale, interval};

pub(super) const EXPECTED: &str = "a heap profile as text, of Go's or gperftools'";

pub(super) fn read(file: &[u8]) -> Result<Snapshot, Error> {
    let mut budget = Budget::of(file.len(), EXPECTED);
    let mut lines = Lines::of(file, EXPECTED);
    lines.advance()?;
    let first = String::from_utf8_lossy(lines.line()).into_owned();
    let Some((sum, kind)) = heading(&first) else {
        return Err(lines.error("another heading"));
    };
    let mut stacks = Addresses::default();
    let mut named = Named::default();
    let mut scale = Scale::cutting(kind.sampling);
    let mut seen = Counters::default();
    let mut map = String::new();
    while lines.advance()? {
        let line = String::from_utf8_lossy(lines.line()).into_owned();
        if line.trim() == MAP {
            map = rest_of(lines)?;
            break;
        } else if let Some(place) = line.strip_prefix("#\t") {
            let added = named.add(place, &mut budget)?;
            added.map_err(|found| lines.error(found))?;
        } else if line.trim().is_empty() || line.starts_with('#') {
            continue;
        } else {
            let both = line
                .split_once('@')
                .and_then(|(counts, addresses)| Some((amounts(counts)?, addresses)));
            let Some(((current, total), addresses)) = both else {
                return Err(lines.error("no numbers of blocks and bytes"));
            };
            let counters = |current, total| Counters {
                current,
                total,
                ..Counters::default()
            };
            seen += counters(current, total);
            let counters = counters(scale.amount(current), scale.amount(total));
            let added = stacks.add_stack(addresses, &mut budget)?;
            added.map_err(|found| lines.error(found))?;
            stacks.add_counts(counters);
            named.end_stack();
            contents::take_trace(&mut budget, 0)?;
            named.stacks.push((Vec::new(), counters));
        }
    }
    // NOTE: gperftools cuts its list where it is long.
    if kind.is_of_go && (seen.current, seen.total) != (sum.current, sum.total) {
        let (found, expected) = (seen.total.blocks, sum.total.blocks);
        return Err(Error::unexpected(
            EXPECTED,
            format!(
                "found one that is cut off or damaged: its stacks have {found} blocks, and its heading \
                 {expected}"
            ),
        ));
    }
    match named.frames.is_empty() {
        true => stacks.snapshot(&map, kind.sampling, EXPECTED, &mut budget),
        false => named.snapshot(kind.sampling),
    }
}

/// What the numbers stand for.
struct Kind {
    sampling: Option<Interval>,
    is_of_go: bool,
}

/// The sums of all stacks, and what the numbers stand for.
fn heading(line: &str) -> Option<(Counters, Kind)> {
    let (counts, kind) = line
        .trim_start()
        .strip_prefix("heap profile:")?
        .split_once('@')?;
    let (current, total) = amounts(counts)?;
    let (name, every) = match kind.trim().split_once('/') {
        Some((name, every)) => (name, every.parse().ok()?),
        None => (kind.trim(), 1),
    };
    let (every, is_of_go) = match name {
        "heap" => (every / 2, true),
        "heap_v2" | "heapz_v2" => (every, false),
        "heapprofile" => (1, false),
        _ => return None,
    };
    let sum = Counters {
        current,
        total,
        ..Counters::default()
    };
    let sampling = interval(every);
    Some((sum, Kind { sampling, is_of_go }))
}

/// Stacks with names, as Go writes them.
#[derive(Default)]
struct Named {
    stacks: Vec<(Vec<Frame>, Counters)>,
    frames: HashMap<Box<str>, Frame>,
}

impl Named {
    /// Adds a frame to the last stack, such as `0x4b3c3c main.keep+0x5c /srv/text.go:17` with tabs.
    fn add(&mut self, place: &str, budget: &mut Budget) -> Result<Result<(), &'static str>, Error> {
        let Some((stack, _)) = self.stacks.last_mut() else {
            return Ok(Err("a frame before the first stack"));
        };
        budget.take(1, 5 * size_of::<Frame>(), "stacks")?;
        if let Some(known) = self.frames.get(place) {
            stack.push(known.clone());
            return Ok(Ok(()));
        }
        let mut parts = place.split('\t').filter(|it| !it.is_empty());
        let (Some(address), name, at) = (parts.next(), parts.next(), parts.next()) else {
            return Ok(Err("no frame"));
        };
        let name = name.unwrap_or(address);
        let name = name.rsplit_once("+0x").map_or(name, |(name, _)| name);
        let at = at.unwrap_or_default();
        let (path, line) = match at.rsplit_once(':') {
            Some((path, line)) => (path, line.trim().parse().unwrap_or(0)),
            None => (at, 0),
        };
        budget.take(1, 64 + place.len(), "frames")?;
        let frame = frame(name, path, (line, 0), budget)?;
        self.frames.insert(place.into(), frame.clone());
        stack.push(frame);
        Ok(Ok(()))
    }

    /// Gives back what the last stack grew in advance.
    fn end_stack(&mut self) {
        if let Some((stack, _)) = self.stacks.last_mut() {
            stack.shrink_to_fit();
        }
    }

    fn snapshot(self, sampling: Option<Interval>) -> Result<Snapshot, Error> {
        let traces = self
            .stacks
            .into_iter()
            .map(|(frames, counters)| Trace::new(contents::traceback(frames), counters));
        let contents = Contents {
            traces: traces.collect(),
            about: About {
                unknown: contents::only(&[Metric::Current, Metric::Total, Metric::Freed]),
                ..About::default()
            },
            sampling,
        };
        contents.snapshot(EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heading_says_what_numbers_stand_for() {
        #[track_caller]
        fn check(kind: &str, expected: Option<(u64, bool)>) {
            let line = format!("heap profile:  1: 2 [ 3: 4] @ {kind}");
            let found = heading(&line).map(|(sum, kind)| {
                assert_eq!((sum.current.blocks, sum.total.bytes.get()), (1, 4));
                (kind.sampling.map_or(1, |it| it.bytes()), kind.is_of_go)
            });
            assert_eq!(found, expected, "{kind}");
        }
        check("heap/1048576", Some((524_288, true)));
        check("heap/2", Some((1, true)));
        check("heap_v2/524288", Some((524_288, false)));
        check("heapz_v2/4096", Some((4096, false)));
        check("heapprofile", Some((1, false)));
        check("growthz", None);
        check("heap/many", None);
    }
}
