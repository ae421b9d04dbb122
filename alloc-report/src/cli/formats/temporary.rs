//! Blocks that were freed soon, as JSON.

use alloc_report::{TemporaryGroup, TemporaryTable, Within};
use anyhow::Result;
use serde::Serialize;

use super::lifetimes::nanoseconds;
use super::report::{Groups, Question, to_report};

pub(crate) fn json(question: &Question<'_>, table: &TemporaryTable<'_>) -> Result<String> {
    let groups = Groups {
        all: &table.groups(),
        key: |it: &TemporaryGroup| &it.key,
        row: |it: &TemporaryGroup| Row {
            blocks: Blocks::of(std::slice::from_ref(it)),
            share: it.share(),
        },
        sum: Blocks::of,
    };
    let limit = Limit::of(table.limit());
    to_report("temporary", question, limit, groups, table.notes())
}

/// How soon the blocks were freed: one of the two.
#[derive(Serialize)]
struct Limit {
    within_nanoseconds: Option<u64>,
    within_bytes: Option<u64>,
}

impl Limit {
    fn of(within: Within) -> Limit {
        let (time, bytes) = match within {
            Within::Time(time) => (Some(nanoseconds(time)), None),
            Within::Bytes(bytes) => (None, Some(bytes.get())),
        };
        Limit {
            within_nanoseconds: time,
            within_bytes: bytes,
        }
    }
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    blocks: Blocks,
    share: f64,
}

#[derive(Serialize)]
struct Blocks {
    temporary_blocks: u64,
    temporary_bytes: u64,
    freed_blocks: u64,
}

impl Blocks {
    fn of(groups: &[TemporaryGroup]) -> Blocks {
        Blocks {
            temporary_blocks: groups.iter().map(|it| it.soon.blocks).sum(),
            temporary_bytes: groups.iter().map(|it| it.soon.bytes.get()).sum(),
            freed_blocks: groups.iter().map(|it| it.freed).sum(),
        }
    }
}
