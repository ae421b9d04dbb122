//! How many more bytes blocks have than were asked for, as JSON.

use alloc_report::SlackGroup;
use anyhow::Result;
use serde::Serialize;

use super::report::{Groups, Question, to_report};

/// `of` is the blocks that are counted: `live` or `all`.
pub(crate) fn json(
    question: &Question<'_>,
    of: &'static str,
    groups: &[SlackGroup],
    notes: Vec<String>,
) -> Result<String> {
    let groups = Groups {
        all: groups,
        key: |it| &it.key,
        row: Numbers::of,
        sum: |of: &[SlackGroup]| Numbers::of(&SlackGroup::sum(of)),
    };
    to_report("slack", question, Counted { of }, groups, notes)
}

/// Which blocks are counted.
#[derive(Serialize)]
struct Counted {
    of: &'static str,
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
