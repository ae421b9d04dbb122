//! [`Data`]: what the script of a page reads.

use std::borrow::Cow;
use std::time::Duration;

use alloc_core_snapshot::seam::snapshot::ALLOCATOR_PREFIX;
use alloc_core_snapshot::{Amount, GroupBy, Metric, Snapshot, Trace};
use serde::Serialize;

use super::residence::Resident;
use super::stacks::{Frames, Row, Stacks, Tree};
use super::{Lines, Page, Sources};
use crate::show::notes;
use crate::show::view::View;

/// What the script of a page reads. Columns have an element for each callsite.
#[derive(Serialize)]
pub(super) struct Data<'a> {
    about: About,
    strings: Vec<Cow<'a, str>>,
    frames: Frames,
    tree: Tree,
    now: Columns,
    old: Option<Columns>,
    /// Blocks by how long they lived, for the callsites that have any: the callsite, then pairs of
    /// the bucket and its blocks.
    lifetimes: Vec<(Row, Vec<(u32, u64)>)>,
    moments: Vec<Moment>,
    timeline: &'a Lines,
    residence: Option<Resident>,
}

/// What the head of the page says.
#[derive(Serialize)]
struct About {
    program: String,
    command: String,
    process: u32,
    build: Option<String>,
    taken_at: String,
    is_at_exit: bool,
    old_taken_at: Option<String>,
    sampled_every: Option<u64>,
    metric: &'static str,
    heap: Heap,
    old_heap: Option<Heap>,
    /// Metrics that the snapshot lacks.
    unknown: Vec<&'static str>,
    knows_blocks: bool,
    metadata: Vec<(String, String)>,
    notes: Vec<String>,
    /// Blocks that were freed sooner are temporary, in microseconds.
    temporary_below: u64,
}

#[derive(Serialize)]
struct Heap {
    current: u64,
    peak: u64,
    peak_error: u64,
    total: Option<Pair>,
}

#[derive(Serialize)]
struct Pair {
    bytes: u64,
    blocks: u64,
}

/// Bytes and blocks of each callsite.
#[derive(Default, Serialize)]
struct Columns {
    current: Column,
    at_peak: Column,
    peak: Column,
    total: Column,
    reallocations: Vec<u64>,
    copied: Vec<u64>,
    temporary: Column,
}

#[derive(Default, Serialize)]
struct Column {
    bytes: Vec<u64>,
    blocks: Vec<u64>,
}

/// What was live at a moment: callsites that held memory, and how much.
#[derive(Serialize)]
struct Moment {
    seconds: f64,
    callsites: Vec<Row>,
    bytes: Vec<u64>,
    blocks: Vec<u64>,
}

/// Blocks that were freed sooner are temporary.
const TEMPORARY: Duration = Duration::from_millis(1);

impl<'a> Data<'a> {
    pub(super) fn of(page: &'a Page<'a>) -> Data<'a> {
        let Page { snapshot, old, .. } = *page;
        let moments = page.moments.iter().map(|(_, it)| *it);
        let all: Vec<&Snapshot> = [Some(snapshot), old]
            .into_iter()
            .flatten()
            .chain(moments)
            .collect();
        let mut stacks = Stacks::of(&all);
        let rows: Vec<Vec<(Row, &Trace)>> = all
            .iter()
            .map(|it| {
                it.traces()
                    .iter()
                    .map(|trace| (stacks.row(it, trace), trace))
                    .collect()
            })
            .collect();
        stacks.add_sources(&mut Sources::default());
        let (tree, frames, strings, places) = stacks.into_tree();
        let mut sides = rows.iter().map(|rows| {
            let placed = rows
                .iter()
                .map(|&(row, trace)| (places[row as usize] as usize, trace));
            placed.collect::<Vec<_>>()
        });
        let mut next = || sides.next().unwrap_or_default();
        let first = next();
        let columns = |side: &[(usize, &Trace)]| Columns::of(side, places.len());
        Data {
            about: About::of(page),
            now: columns(&first),
            old: old.map(|_| columns(&next())),
            lifetimes: lifetimes(&first),
            moments: page
                .moments
                .iter()
                .map(|(seconds, _)| Moment::of(*seconds, next()))
                .collect(),
            strings: strings.into_list(),
            frames,
            tree,
            timeline: &page.timeline,
            residence: Resident::of(snapshot),
        }
    }
}

impl Columns {
    fn of(side: &[(usize, &Trace)], len: usize) -> Columns {
        let column = || Column {
            bytes: vec![0; len],
            blocks: vec![0; len],
        };
        let mut columns = Columns {
            current: column(),
            at_peak: column(),
            peak: column(),
            total: column(),
            temporary: Column::default(),
            reallocations: vec![0; len],
            copied: vec![0; len],
        };
        if side.iter().any(|(_, it)| it.lifetimes.is_some()) {
            columns.temporary = column();
        }
        for &(at, trace) in side {
            let counters = &trace.counters;
            columns.current.add(at, counters.current);
            columns.at_peak.add(at, counters.at_peak);
            columns.peak.add(at, counters.peak);
            columns.total.add(at, counters.total);
            columns.reallocations[at] += counters.reallocations;
            columns.copied[at] += counters.copied.get();
            if trace.lifetimes.is_some() {
                columns.temporary.add(at, temporary(trace));
            }
        }
        columns
    }
}

impl Column {
    fn add(&mut self, at: usize, amount: Amount) {
        self.bytes[at] += amount.bytes.get();
        self.blocks[at] += amount.blocks;
    }
}

impl Moment {
    fn of(seconds: f64, mut side: Vec<(usize, &Trace)>) -> Moment {
        side.retain(|(_, it)| it.counters.current != Amount::default());
        side.sort_unstable_by_key(|(at, _)| *at);
        let mut moment = Moment {
            seconds,
            callsites: Vec::new(),
            bytes: Vec::new(),
            blocks: Vec::new(),
        };
        for (at, trace) in side {
            moment.callsites.push(at as Row);
            moment.bytes.push(trace.counters.current.bytes.get());
            moment.blocks.push(trace.counters.current.blocks);
        }
        moment
    }
}

/// The blocks of a callsite that were freed soon, and their bytes if they were of the average size.
fn temporary(trace: &Trace) -> Amount {
    let Some(lifetimes) = &trace.lifetimes else {
        return Amount::default();
    };
    let soon = lifetimes.freed.times().filter(|(age, _)| *age <= TEMPORARY);
    let blocks: u64 = soon.map(|(_, blocks)| blocks).sum();
    let total = trace.counters.total;
    let bytes =
        u128::from(total.bytes.get()) * u128::from(blocks) / u128::from(total.blocks.max(1));
    Amount::new(bytes as u64, blocks)
}

/// The bucket of a lifetime is the power of two of its microseconds.
fn lifetimes(side: &[(usize, &Trace)]) -> Vec<(Row, Vec<(u32, u64)>)> {
    let of = |&(at, trace): &(usize, &Trace)| {
        let freed = trace.lifetimes.as_ref()?.freed.times();
        let mut buckets: Vec<(u32, u64)> = Vec::new();
        for (age, blocks) in freed {
            let bucket = (age.as_nanos().div_ceil(1000))
                .max(1)
                .next_power_of_two()
                .ilog2();
            match buckets.last_mut() {
                Some(last) if last.0 == bucket => last.1 += blocks,
                _ => buckets.push((bucket, blocks)),
            }
        }
        (!buckets.is_empty()).then_some((at as Row, buckets))
    };
    side.iter().filter_map(of).collect()
}

impl About {
    fn of(page: &Page<'_>) -> About {
        let (snapshot, old) = (page.snapshot, page.old);
        let all = [Metric::Current, Metric::AtPeak, Metric::Peak, Metric::Total];
        About {
            program: snapshot.program().to_owned(),
            command: snapshot.command_line().join(" "),
            process: snapshot.process_id(),
            build: snapshot.build_id().map(str::to_owned),
            taken_at: snapshot.taken_at_utc().unwrap_or_default(),
            is_at_exit: snapshot.is_at_exit(),
            old_taken_at: old.map(|it| it.taken_at_utc().unwrap_or_default()),
            sampled_every: snapshot.sampled_every().map(|it| it.get()),
            metric: name_of(page.metric.unwrap_or_else(|| snapshot.first_metric())),
            heap: Heap::of(snapshot),
            old_heap: old.map(Heap::of),
            unknown: all
                .into_iter()
                .filter(|it| !snapshot.knows(*it))
                .map(name_of)
                .collect(),
            knows_blocks: snapshot.knows_blocks(),
            metadata: metadata(snapshot),
            notes: notes::of(snapshot, &by_stack()),
            temporary_below: TEMPORARY.as_micros() as u64,
        }
    }
}

/// The metadata but for the numbers of allocators, which have a place of their own.
fn metadata(snapshot: &Snapshot) -> Vec<(String, String)> {
    let all = snapshot.metadata().clone().into_iter();
    all.filter(|(key, _)| !key.starts_with(ALLOCATOR_PREFIX))
        .collect()
}

/// The view whose notes are about all that a page shows.
fn by_stack() -> View {
    let mut view = View::new(0);
    view.by = GroupBy::Traceback.into();
    view
}

impl Heap {
    fn of(snapshot: &Snapshot) -> Heap {
        let memory = snapshot.traced_memory();
        let mut total = Amount::default();
        snapshot
            .traces()
            .iter()
            .for_each(|it| total += it.counters.total);
        Heap {
            current: memory.current.get(),
            peak: memory.peak.get(),
            peak_error: memory.peak_error.get(),
            total: snapshot.knows(Metric::Total).then_some(Pair {
                bytes: total.bytes.get(),
                blocks: total.blocks,
            }),
        }
    }
}

fn name_of(metric: Metric) -> &'static str {
    match metric {
        Metric::AtPeak => "at_peak",
        Metric::Peak => "peak",
        Metric::Total => "total",
        Metric::Freed => "freed",
        _ => "current",
    }
}
