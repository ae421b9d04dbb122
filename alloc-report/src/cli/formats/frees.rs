//! Who freed whose memory, as JSON.

use alloc_core_snapshot::{Amount, Freer, FreesRow};
use anyhow::Result;
use serde::Serialize;

use super::asked::{Asked, Question};
use super::json::to_text;
use super::json_rows::Key;

pub(crate) fn json(question: &Question<'_>, freer: Freer, notes: Vec<String>) -> Result<String> {
    let frees = question.snapshot.frees(question.by, freer);
    let (shown, others) = frees.rows.split_at(question.rows.min(frees.rows.len()));
    let named = |row: &FreesRow| {
        let parts = frees.freers.iter().zip(&row.by);
        let parts = parts.filter(|(_, it)| **it != Amount::default());
        parts
            .map(|(name, it)| Part {
                name: name.to_string(),
                sum: Freed::of(*it),
            })
            .collect()
    };
    let sum = |rows: &[FreesRow]| {
        let mut sum = Amount::default();
        rows.iter().for_each(|it| sum += it.freed);
        Sum {
            rows: rows.len(),
            sum: Freed::of(sum),
        }
    };
    to_text(&Json {
        asked: Asked::of("frees", question),
        freed_by: freer.to_string(),
        rows: {
            let rows = shown.iter().zip(1..);
            let rows = rows.map(|(row, rank)| Row {
                rank,
                key: Key::of(&row.key, question.snapshot),
                sum: Freed::of(row.freed),
                freed_by: named(row),
            });
            rows.collect()
        },
        other: sum(others),
        total: sum(&frees.rows),
        notes,
    })
}

#[derive(Serialize)]
struct Json {
    #[serde(flatten)]
    asked: Asked,
    freed_by: String,
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

#[derive(Serialize)]
struct Sum {
    rows: usize,
    #[serde(flatten)]
    sum: Freed,
}
