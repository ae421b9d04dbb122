//! Numbers in the text format of Prometheus.
//!
//! Specification: <https://prometheus.io/docs/instrumenting/exposition_formats/>, version 0.0.4.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt::{self, Write as _};

use super::callsites::Callsites;
use super::response::{Body, Response};
use crate::process::read_tables::read_tables;
use crate::record::thread;
use crate::snapshot::file::Pages;
use crate::tables::labels::LabelId;
use crate::{Amount, Bytes, Error, Health, control, environment, resident_set_size};

/// The most labels that have a number of their own.
const MOST_LABELS: usize = 20;

/// What can be read of the heap without a stack.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    is_tracing: bool,
    current: Bytes,
    peak: Bytes,
    total: Amount,
    live_blocks: u64,
    callsites: u64,
    sampled_every: u64,
    health: Health,
    tracer: Bytes,
    resident: Option<Bytes>,
    /// The live bytes of the largest labels, and the sum of all others.
    labels: Vec<(String, Bytes)>,
    /// The live bytes of the callsites that hold the most, and the sum of all others.
    callsite_rows: Vec<(String, Bytes)>,
}

impl Numbers {
    /// Reads the tables of this process. Zeros while tracing is off.
    pub(super) fn read(of_callsites: &Callsites) -> Result<Numbers, Error> {
        let _muted = thread::mute();
        let mut by_label = Pages::<usize>::zeroed(LabelId::NUMBERS)?;
        let (mut total, mut live_blocks, mut callsites) = (Amount::default(), 0, 0);
        let mut top = Top::new(of_callsites.most());
        let read = read_tables(|seen| {
            callsites += 1;
            top.add(seen.counters.current.bytes.get(), seen.id.get());
            total += seen.counters.total;
            live_blocks += seen.counters.current.blocks;
            let bytes = &mut by_label[seen.tag.label.get() as usize];
            *bytes += seen.counters.current.bytes.get() as usize;
            Ok(())
        });
        let whole = match read {
            Ok(whole) => Some(whole),
            Err(error) if error.is_not_tracing() => None,
            Err(error) => return Err(error),
        };
        let heap = control::traced_memory();
        let mut current = heap.current;
        let callsite_rows = match whole {
            Some(_) => of_callsites.rows(&top.into_vec(), &mut current),
            None => Vec::new(),
        };
        Ok(Numbers {
            is_tracing: whole.is_some(),
            current,
            peak: heap.peak.max(current),
            total,
            live_blocks,
            callsites,
            sampled_every: whole.and_then(|it| it.sampling).map_or(0, |it| it.bytes()),
            health: whole.map_or_else(Health::default, |it| it.health),
            tracer: environment::tracer_memory(),
            resident: resident_set_size(std::process::id()).ok(),
            labels: largest(&by_label),
            callsite_rows,
        })
    }

    /// Calls `each` with every number.
    pub(crate) fn each(&self, each: &mut dyn FnMut(Metric<'_>)) {
        let mut one = |name, help, kind, value: u64| {
            each(Metric {
                name,
                help,
                kind,
                key: "",
                values: &[(None, value)],
            });
        };
        use Kind::{Counter, Gauge};
        let health = &self.health;
        one(
            "alloc_trace_tracing",
            "Whether tracing is on.",
            Gauge,
            self.is_tracing.into(),
        );
        one(
            "alloc_trace_heap_bytes",
            "Live bytes of the traced heap.",
            Gauge,
            self.current.get(),
        );
        one(
            "alloc_trace_heap_peak_bytes",
            "The most bytes that were ever live.",
            Gauge,
            self.peak.get(),
        );
        one(
            "alloc_trace_heap_blocks",
            "Live blocks of the traced heap.",
            Gauge,
            self.live_blocks,
        );
        one(
            "alloc_trace_allocated_bytes_total",
            "Bytes that were ever allocated.",
            Counter,
            self.total.bytes.get(),
        );
        one(
            "alloc_trace_allocations_total",
            "Blocks that were ever allocated.",
            Counter,
            self.total.blocks,
        );
        one(
            "alloc_trace_callsites",
            "Distinct stacks that allocated.",
            Gauge,
            self.callsites,
        );
        one(
            "alloc_trace_sample_interval_bytes",
            "The mean number of bytes between two recorded blocks; 0 if every block is recorded.",
            Gauge,
            self.sampled_every,
        );
        one(
            "alloc_trace_skipped_total",
            "Allocations that were not recorded.",
            Counter,
            health.skipped,
        );
        one(
            "alloc_trace_overflowed_total",
            "Allocations whose stack found no room in the table.",
            Counter,
            health.overflowed,
        );
        one(
            "alloc_trace_tracer_bytes",
            "Physical memory of the tracer itself.",
            Gauge,
            self.tracer.get(),
        );
        if let Some(resident) = self.resident {
            one(
                "alloc_trace_resident_bytes",
                "Physical memory of the process.",
                Gauge,
                resident.get(),
            );
        }
        let mut rows = |name, help, key, rows: &[(String, Bytes)]| {
            let rows = rows.iter();
            let values: Vec<_> = rows.map(|(name, it)| (Some(&**name), it.get())).collect();
            if !values.is_empty() {
                each(Metric {
                    name,
                    help,
                    kind: Gauge,
                    key,
                    values: &values,
                });
            }
        };
        rows(
            "alloc_trace_label_bytes",
            "Live bytes of each label; those of the smaller ones together.",
            "label",
            &self.labels,
        );
        rows(
            "alloc_trace_callsite_bytes",
            "Live bytes of the callsites that hold the most; those of all others together.",
            "callsite",
            &self.callsite_rows,
        );
    }
}

/// The callsites that hold the most, of all that are added.
struct Top {
    most: usize,
    heap: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Top {
    fn new(most: usize) -> Top {
        Top {
            most,
            heap: BinaryHeap::new(),
        }
    }

    /// Adds the live bytes of a callsite.
    fn add(&mut self, bytes: u64, id: u32) {
        let is_beyond = |least: &Reverse<(u64, u32)>| least.0 >= (bytes, id);
        let is_full = self.heap.len() >= self.most;
        if self.most == 0 || bytes == 0 || (is_full && self.heap.peek().is_some_and(is_beyond)) {
            return;
        }
        if is_full {
            self.heap.pop();
        }
        self.heap.push(Reverse((bytes, id)));
    }

    fn into_vec(self) -> Vec<(u64, u32)> {
        self.heap.into_iter().map(|it| it.0).collect()
    }
}

/// A number, or one for each label.
pub(crate) struct Metric<'a> {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    /// The name of the label that tells several values apart.
    pub(crate) key: &'static str,
    pub(crate) values: &'a [(Option<&'a str>, u64)],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
}

/// The live bytes of the largest labels, and of the others together.
fn largest(by_label: &[usize]) -> Vec<(String, Bytes)> {
    let with_memory = by_label.iter().enumerate().filter(|it| *it.1 > 0);
    let mut order: Vec<(usize, usize)> = with_memory.map(|(at, &bytes)| (bytes, at)).collect();
    // A program without labels has one group, which says nothing.
    if order.iter().all(|&(_, label)| label == 0) {
        return Vec::new();
    }
    order.sort_unstable_by(|one, other| other.cmp(one));
    // NOTE: by path, since two labels beyond the last number share one.
    let mut named = BTreeMap::new();
    for (place, (bytes, label)) in order.into_iter().enumerate() {
        let path = match LabelId::new(label as u32).path() {
            _ if place >= MOST_LABELS => "<others>",
            Some(path) => path,
            None => "",
        };
        *named.entry(path.to_owned()).or_insert(Bytes::ZERO) += Bytes::new(bytes as u64);
    }
    named.into_iter().collect()
}

pub(super) fn response(callsites: &Callsites) -> Result<Response, Error> {
    let mut text = Text(String::new());
    Numbers::read(callsites)?.each(&mut |metric| text.metric(&metric));
    let content = "text/plain; version=0.0.4; charset=utf-8";
    Ok(Response::new(200, content, Body::Text(text.0.into_bytes())))
}

struct Text(String);

impl Text {
    fn metric(&mut self, metric: &Metric<'_>) {
        // NOTE: writing to a string cannot fail.
        let _ = self.try_metric(metric);
    }

    fn try_metric(&mut self, metric: &Metric<'_>) -> fmt::Result {
        let Metric {
            name,
            help,
            values,
            key,
            ..
        } = metric;
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let text = &mut self.0;
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
        for (label, value) in *values {
            match label {
                None => writeln!(text, "{name} {value}")?,
                Some(label) => writeln!(text, "{name}{{{key}=\"{}\"}} {value}", Escaped(label))?,
            }
        }
        Ok(())
    }
}

/// The value of a label, with the three characters escaped that the format escapes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '\\' => f.write_str("\\\\"),
                '"' => f.write_str("\\\""),
                '\n' => f.write_str("\\n"),
                other => f.write_char(other),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_escapes_labels() {
        let mut text = Text(String::new());
        text.metric(&Metric {
            name: "a_bytes",
            help: "Bytes.",
            kind: Kind::Gauge,
            key: "label",
            values: &[(Some("GET \"/\\\n"), 7), (Some(""), 1)],
        });
        assert_eq!(
            text.0,
            "# HELP a_bytes Bytes.\n# TYPE a_bytes gauge\n\
             a_bytes{label=\"GET \\\"/\\\\\\n\"} 7\na_bytes{label=\"\"} 1\n"
        );
    }

    #[test]
    fn the_top_has_those_that_hold_the_most() {
        let mut top = Top::new(3);
        for (bytes, id) in [(5, 1), (0, 2), (9, 3), (7, 4), (5, 5), (8, 6)] {
            top.add(bytes, id);
        }
        let mut found = top.into_vec();
        found.sort_unstable();
        assert_eq!(found, [(7, 4), (8, 6), (9, 3)]);
        let mut none = Top::new(0);
        none.add(1, 1);
        assert!(none.into_vec().is_empty());
    }
}
