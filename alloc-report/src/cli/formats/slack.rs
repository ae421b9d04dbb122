//! How many more bytes blocks have than were asked for, as JSON.

use alloc_report::SlackGroup;
use anyhow::Result;
use serde::Serialize;

use super::asked::{Asked, Question};
use super::json::to_text;
use super::json_rows::Key;

/// `of` is the blocks that are counted: `live` or `all`.
pub(crate) fn json(
    question: &Question<'_>,
    of: &'static str,
    groups: &[SlackGroup],
    notes: Vec<String>,
) -> Result<String> {
    let (shown, others) = groups.split_at(question.rows.min(groups.len()));
    to_text(&Json {
        asked: Asked::of("slack", question),
        of,
        rows: {
            let rows = shown.iter().zip(1..);
            let rows = rows.map(|(group, rank)| Row {
                rank,
                key: Key::of(&group.key, question.snapshot),
                sum: Numbers::of(group),
            });
            rows.collect()
        },
        other: Sum::of(others),
        total: Sum::of(groups),
        notes,
    })
}

#[derive(Serialize)]
struct Json {
    #[serde(flatten)]
    asked: Asked,
    of: &'static str,
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
    sum: Numbers,
}

#[derive(Serialize)]
struct Numbers {
    slack_bytes: u64,
    asked_bytes: u64,
    usable_bytes: u64,
    blocks: u64,
    share: Option<f64>,
}

impl Numbers {
    fn of(group: &SlackGroup) -> Numbers {
        Numbers {
            slack_bytes: group.slack.get(),
            asked_bytes: group.asked.bytes.get(),
            usable_bytes: group.usable().get(),
            blocks: group.asked.blocks,
            share: group.share(),
        }
    }
}

#[derive(Serialize)]
struct Sum {
    rows: usize,
    #[serde(flatten)]
    sum: Numbers,
}

impl Sum {
    fn of(groups: &[SlackGroup]) -> Sum {
        Sum {
            rows: groups.len(),
            sum: Numbers::of(&SlackGroup::sum(groups)),
        }
    }
}
