//! How long blocks live, as JSON.

use std::time::Duration;

use alloc_core_snapshot::{Ages, Lifetimes, Statistic};
use anyhow::Result;
use serde::Serialize;

use super::asked::{Asked, Question};
use super::json::to_text;
use super::json_rows::Key;

pub(crate) fn json(
    question: &Question<'_>,
    groups: &[Statistic],
    notes: Vec<String>,
) -> Result<String> {
    let (shown, others) = groups.split_at(question.rows.min(groups.len()));
    to_text(&Json {
        asked: Asked::of("lifetimes", question),
        rows: {
            let rows = shown.iter().zip(1..);
            let rows = rows.map(|(group, rank)| {
                let lifetimes = group.lifetimes.clone().unwrap_or_default();
                Row {
                    rank,
                    key: Key::of(&group.key, question.snapshot),
                    freed: Blocks::of(&lifetimes.freed),
                    live: Blocks::of(&lifetimes.live),
                }
            });
            rows.collect()
        },
        other: Sum::of(others),
        total: Sum::of(groups),
        notes,
    })
}

/// A time in nanoseconds.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Json {
    #[serde(flatten)]
    asked: Asked,
    rows: Vec<Row>,
    other: Sum,
    total: Sum,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    rank: u64,
    #[serde(flatten)]
    key: Key,
    freed: Blocks,
    live: Blocks,
}

/// Blocks and their ages.
#[derive(Serialize)]
struct Blocks {
    blocks: u64,
    half_below_nanoseconds: Option<u64>,
    ninety_percent_below_nanoseconds: Option<u64>,
    all_below_nanoseconds: Option<u64>,
    times: Vec<Time>,
    bytes: Vec<Distance>,
}

/// The blocks of a bucket of the histogram of times.
#[derive(Serialize)]
struct Time {
    below_nanoseconds: u64,
    blocks: u64,
}

/// The blocks of a bucket of the histogram of bytes.
#[derive(Serialize)]
struct Distance {
    below_bytes: u64,
    blocks: u64,
}

impl Blocks {
    fn of(ages: &Ages) -> Blocks {
        let below = |part| ages.quantile(part).map(nanoseconds);
        let times = ages.times().map(|(below, blocks)| Time {
            below_nanoseconds: nanoseconds(below),
            blocks,
        });
        let bytes = ages.bytes().map(|(below, blocks)| Distance {
            below_bytes: below.get(),
            blocks,
        });
        Blocks {
            blocks: ages.count(),
            half_below_nanoseconds: below(0.5),
            ninety_percent_below_nanoseconds: below(0.9),
            all_below_nanoseconds: below(1.0),
            times: times.collect(),
            bytes: bytes.collect(),
        }
    }
}

#[derive(Serialize)]
struct Sum {
    rows: usize,
    freed_blocks: u64,
    live_blocks: u64,
}

impl Sum {
    fn of(groups: &[Statistic]) -> Sum {
        let sum = |of: fn(&Lifetimes) -> &Ages| {
            let all = groups.iter().filter_map(|it| it.lifetimes.as_ref());
            all.map(|it| of(it).count()).sum()
        };
        Sum {
            rows: groups.len(),
            freed_blocks: sum(|it| &it.freed),
            live_blocks: sum(|it| &it.live),
        }
    }
}
