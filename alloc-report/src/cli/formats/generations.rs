//! How many snapshots the live blocks survived, as JSON.

use alloc_report::{GenerationsGroup, GenerationsTable};
use anyhow::Result;
use serde::Serialize;

use super::lifetimes::nanoseconds;
use super::report::{Groups, Question, to_report};

pub(crate) fn json(question: &Question<'_>, table: &GenerationsTable<'_>) -> Result<String> {
    let groups = Groups {
        all: &table.groups(),
        key: |it: &GenerationsGroup| &it.key,
        row: |it: &GenerationsGroup| Row {
            blocks: Blocks::of(it),
            verdict: it.verdict(),
        },
        sum: |of: &[GenerationsGroup]| Blocks::of(&GenerationsGroup::sum(of)),
    };
    let young = Young {
        young_below_nanoseconds: nanoseconds(table.gap()),
    };
    to_report("generations", question, young, groups, table.notes())
}

/// The age below which a block died young.
#[derive(Serialize)]
struct Young {
    young_below_nanoseconds: u64,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    blocks: Blocks,
    verdict: &'static str,
}

#[derive(Serialize)]
struct Blocks {
    live_blocks: u64,
    survived: [u64; 4],
    old_bytes: u64,
    freed_blocks: u64,
    young_blocks: u64,
}

impl Blocks {
    fn of(group: &GenerationsGroup) -> Blocks {
        Blocks {
            live_blocks: group.live(),
            survived: group.survived,
            old_bytes: group.old_bytes.get(),
            freed_blocks: group.freed,
            young_blocks: group.young,
        }
    }
}
