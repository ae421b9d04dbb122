//! [`Rows`]: the cells of a snapshot's table, a callsite a row.

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use alloc_core_snapshot::seam::package::Crates;
use alloc_core_snapshot::{Bytes, Frame, Metric, Snapshot, Trace};
use parquet::data_type::ByteArray;
use twox_hash::XxHash64;

use super::super::stacks::{end_of, name_and_place};
use super::origin::Origin;

/// A cell of a column, by the type of its values.
pub(super) enum Cell {
    Text(Option<ByteArray>),
    Number(Option<i64>),
    Flag(bool),
    Texts(Vec<ByteArray>),
}

/// The cells of a snapshot's table, a callsite a row.
pub(super) struct Rows<'a> {
    snapshot: &'a Snapshot,
    origin: &'a Origin,
    crates: Crates<'a>,
    /// The frames of stacks as they are written, by the identity of a frame.
    frames: HashMap<usize, ByteArray>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, origin: &'a Origin) -> Rows<'a> {
        let frames = snapshot.traces().iter().flat_map(|it| it.traceback.iter());
        Rows {
            snapshot,
            origin,
            crates: Crates::of(frames),
            frames: HashMap::new(),
        }
    }

    /// The cell of a leaf column, by its path in the schema. `None` if there is no such column.
    pub(super) fn cell(&mut self, column: &str, trace: &'a Trace) -> Option<Cell> {
        let Rows {
            snapshot, origin, ..
        } = *self;
        let charged = snapshot.charged_frame(&trace.traceback);
        let amount = |metric| trace.counters.amount(metric);
        let bytes = |metric| {
            let known = snapshot.knows(metric);
            Cell::Number(known.then(|| saturated(amount(metric).bytes.get())))
        };
        let blocks = |metric| {
            let known = snapshot.knows(metric) && snapshot.knows_blocks();
            Cell::Number(known.then(|| saturated(amount(metric).blocks)))
        };
        let size = |bytes: Option<Bytes>| Cell::Number(bytes.map(|it| saturated(it.get())));
        let time = |time: Option<Duration>| {
            let nanoseconds = |it: Duration| it.as_nanos().try_into().unwrap_or(i64::MAX);
            Cell::Number(time.map(nanoseconds))
        };
        let lifetimes = trace.lifetimes.as_deref();
        let cell = match column {
            "time" => Cell::Number(Some(origin.micros())),
            "version" => text(Some(&origin.version)),
            "instance" => text(Some(&origin.instance)),
            "labels.key_value.key" => texts(origin.labels.keys()),
            "labels.key_value.value" => texts(origin.labels.values()),
            "program" => text(Some(snapshot.program()).filter(|it| !it.is_empty())),
            "build_id" => text(snapshot.build_id()),
            "process_id" => match snapshot.process_id() {
                0 => Cell::Number(None),
                id => Cell::Number(Some(id.into())),
            },
            "at_exit" => Cell::Flag(snapshot.is_at_exit()),
            "sampled_every_bytes" => size(snapshot.sampled_every()),
            "callsite" => {
                let id = self.callsite(trace);
                text(Some(&id))
            }
            "stack.list.element" => Cell::Texts(self.stack(trace)),
            "line" => text(Some(&charged.to_string())),
            "file" => text(charged.file().map(|it| it.short())),
            "function" => text(charged.function()),
            "module" => text(Some(&self.crates.module_of(charged))),
            "crate" => text(Some(&self.crates.crate_of(charged))),
            "type" => text(trace.type_name.as_deref()),
            "thread" => text(trace.thread.as_deref()),
            "label" => text(trace.label.as_deref()),
            "domain" => Cell::Number(Some(trace.domain.into())),
            "size_class_bytes" => size(trace.size_class),
            "current_bytes" => bytes(Metric::Current),
            "current_blocks" => blocks(Metric::Current),
            "peak_bytes" => bytes(Metric::Peak),
            "peak_blocks" => blocks(Metric::Peak),
            "at_peak_bytes" => bytes(Metric::AtPeak),
            "at_peak_blocks" => blocks(Metric::AtPeak),
            "total_bytes" => bytes(Metric::Total),
            "total_blocks" => blocks(Metric::Total),
            "reallocations" => {
                let known = snapshot.knows(Metric::Total) && snapshot.knows_blocks();
                Cell::Number(known.then(|| saturated(trace.counters.reallocations)))
            }
            "copied_bytes" => size(snapshot.knows_copied().then_some(trace.counters.copied)),
            "slack_bytes" => size(trace.slack.map(|it| it.current)),
            "total_slack_bytes" => size(trace.slack.map(|it| it.total)),
            "pinned_bytes" => size(trace.pinned.map(|it| it.unused)),
            "pinned_alone_bytes" => size(trace.pinned.map(|it| it.alone)),
            "pinned_own_bytes" => size(trace.pinned.map(|it| it.own)),
            "lifetime_p50_ns" => time(lifetimes.and_then(|it| it.freed.quantile(0.5))),
            "lifetime_p99_ns" => time(lifetimes.and_then(|it| it.freed.quantile(0.99))),
            "age_p50_ns" => time(lifetimes.and_then(|it| it.live.quantile(0.5))),
            "age_max_ns" => time(lifetimes.and_then(|it| it.live.oldest())),
            _ => return None,
        };
        Some(cell)
    }

    /// The frames of a stack, the innermost first, and what stands for those that it lacks.
    fn stack(&mut self, trace: &Trace) -> Vec<ByteArray> {
        let mut stack = Vec::with_capacity(trace.traceback.len() + 1);
        for frame in trace.traceback.iter() {
            stack.push(self.frame(frame));
        }
        stack.extend(end_of(&trace.traceback).map(ByteArray::from));
        stack
    }

    fn frame(&mut self, frame: &Frame) -> ByteArray {
        let known = self.frames.entry(frame.id());
        let written = || ByteArray::from(name_and_place(frame).as_str());
        known.or_insert_with(written).clone()
    }

    /// The identity of a callsite, which is the same in all processes that run this code: a hash of
    /// its stack, thread, label, type, size class and domain.
    fn callsite(&mut self, trace: &Trace) -> String {
        let mut hash = XxHash64::with_seed(0);
        for frame in self.stack(trace) {
            hash.write(frame.data());
            hash.write(&[0xff]);
        }
        for tag in [&trace.thread, &trace.label, &trace.type_name] {
            tag.as_deref().unwrap_or_default().hash(&mut hash);
        }
        let size = trace.size_class.map_or(0, |it| it.get());
        hash.write(&size.to_le_bytes());
        hash.write(&trace.domain.to_le_bytes());
        format!("{:016x}", hash.finish())
    }
}

fn text(text: Option<&str>) -> Cell {
    Cell::Text(text.map(ByteArray::from))
}

fn texts<'a>(texts: impl Iterator<Item = &'a String>) -> Cell {
    Cell::Texts(texts.map(|it| ByteArray::from(it.as_str())).collect())
}

/// Engines have no unsigned numbers of 64 bits in common.
fn saturated(number: u64) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}
