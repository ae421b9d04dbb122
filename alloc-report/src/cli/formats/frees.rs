//! Who freed whose memory, as JSON.

use alloc_core_snapshot::{Amount, Freer, Frees, FreesRow};
use anyhow::Result;
use serde::Serialize;

use super::report::{Groups, Question, to_report};

pub(crate) fn json(question: &Question<'_>, freer: Freer, notes: Vec<String>) -> Result<String> {
    let frees = question.snapshot.frees(question.by, freer);
    let named = |row: &FreesRow| {
        let named = |(name, freed): (&str, Amount)| Part {
            name: name.to_owned(),
            sum: Freed::of(freed),
        };
        parts(&frees, row).map(named).collect()
    };
    let groups = Groups {
        all: &frees.rows,
        key: |it| &it.key,
        row: |it: &FreesRow| Row {
            sum: Freed::of(it.freed),
            freed_by: named(it),
        },
        sum: |rows: &[FreesRow]| {
            let mut sum = Amount::default();
            rows.iter().for_each(|it| sum += it.freed);
            Freed::of(sum)
        },
    };
    let by = FreedBy {
        freed_by: freer.to_string(),
    };
    to_report("frees", question, by, groups, notes)
}

/// Those that freed something of a row, and what.
pub(super) fn parts<'a>(
    frees: &'a Frees,
    row: &'a FreesRow,
) -> impl Iterator<Item = (&'a str, Amount)> {
    let parts = frees.freers.iter().zip(&row.by);
    let parts = parts.filter(|(_, it)| **it != Amount::default());
    parts.map(|(name, it)| (&**name, *it))
}

/// What the columns are.
#[derive(Serialize)]
struct FreedBy {
    freed_by: String,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    sum: Freed,
    /// Those that freed something, the one that freed most of all rows first.
    freed_by: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    name: String,
    #[serde(flatten)]
    sum: Freed,
}

#[derive(Serialize)]
struct Freed {
    bytes: u64,
    blocks: u64,
}

impl Freed {
    fn of(amount: Amount) -> Freed {
        Freed {
            bytes: amount.bytes.get(),
            blocks: amount.blocks,
        }
    }
}
