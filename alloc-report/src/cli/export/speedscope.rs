//! speedscope's own JSON: a profile for each metric, in bytes and in blocks.
//!
//! Schema: <https://www.speedscope.app/file-format-schema.json>.

use alloc_core_snapshot::{Amount, Frame, Metric, Snapshot};
use anyhow::Result;
use serde::Serialize;

use super::stacks::{Stacks, metrics, name};
use super::{json, title};

/// The profiles, that of `first` in front.
pub(super) fn write(snapshot: &Snapshot, first: Metric) -> Result<Vec<u8>> {
    let stacks = Stacks::of(snapshot, OneFrame::of);
    let mut profiles = Vec::new();
    for metric in metrics(snapshot, first) {
        let rows = stacks.by_size(metric);
        if rows.is_empty() && metric != first {
            continue;
        }
        let mut add = |unit, shown, number: fn(&Amount) -> u64| {
            let rows = rows.iter().filter(|(_, amount)| number(amount) > 0);
            let (samples, weights): (Vec<Vec<usize>>, Vec<u64>) = rows
                .map(|(row, amount)| (row.frames.iter().rev().copied().collect(), number(amount)))
                .unzip();
            profiles.push(OneProfile {
                r#type: "sampled",
                name: format!("{metric} {shown}"),
                unit,
                start_value: 0,
                end_value: weights
                    .iter()
                    .fold(0, |sum: u64, it| sum.saturating_add(*it)),
                samples,
                weights,
            });
        };
        add("bytes", "bytes", |it| it.bytes.get());
        if snapshot.knows_blocks() {
            add("none", "blocks", |it| it.blocks);
        }
    }
    json(&Profiles {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: title(snapshot),
        exporter: concat!("alloc-report ", env!("CARGO_PKG_VERSION")),
        active_profile_index: 0,
        shared: Shared {
            frames: stacks.frames,
        },
        profiles,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profiles {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: &'static str,
    active_profile_index: usize,
    shared: Shared,
    profiles: Vec<OneProfile>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<OneFrame>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
struct OneFrame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "is_unknown")]
    line: u32,
    #[serde(skip_serializing_if = "is_unknown")]
    col: u32,
}

/// A profile: stacks, the outermost frame first, and their weights.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneProfile {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

impl OneFrame {
    fn of(frame: &Frame) -> OneFrame {
        OneFrame {
            name: name(frame),
            file: frame.file().map(|file| file.full().to_owned()),
            line: frame.line(),
            col: frame.column(),
        }
    }
}

/// A line or column of 0 is unknown.
fn is_unknown(number: &u32) -> bool {
    *number == 0
}
