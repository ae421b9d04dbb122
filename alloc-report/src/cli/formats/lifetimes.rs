//! How long blocks live, as JSON.

use std::time::Duration;

use alloc_core_snapshot::{Ages, Lifetimes, Statistic};
use anyhow::Result;
use serde::Serialize;

use super::report::{Groups, NothingElse, Question, to_report};

pub(crate) fn json(
    question: &Question<'_>,
    groups: &[Statistic],
    notes: Vec<String>,
) -> Result<String> {
    let row = |group: &Statistic| {
        let lifetimes = group.lifetimes.clone().unwrap_or_default();
        Row {
            freed: Blocks::of(&lifetimes.freed),
            live: Blocks::of(&lifetimes.live),
        }
    };
    let groups = Groups {
        all: groups,
        key: |it| &it.key,
        row,
        sum: Sum::of,
    };
    to_report("lifetimes", question, NothingElse {}, groups, notes)
}

/// A time in nanoseconds.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos().try_into().unwrap_or(u64::MAX)
}

#[derive(Serialize)]
struct Row {
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
            freed_blocks: sum(|it| &it.freed),
            live_blocks: sum(|it| &it.live),
        }
    }
}
