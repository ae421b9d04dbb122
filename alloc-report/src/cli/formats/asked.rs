//! [`Asked`]: what a report of one snapshot was asked for, as in all of its JSON.

use std::path::Path;

use alloc_core_snapshot::{GroupBy, Snapshot};
use serde::Serialize;

use super::json::Source;
use crate::conditions::Conditions;
use crate::view::{Charging, Filters};

/// What a report is made of.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) file: &'a Path,
    pub(crate) by: GroupBy,
    /// The number of rows to show.
    pub(crate) rows: usize,
    pub(crate) charging: &'a Charging,
    pub(crate) filters: &'a Filters,
}

/// The options of a report, and the snapshot.
#[derive(Serialize)]
pub(super) struct Asked {
    report: &'static str,
    by: String,
    charge: String,
    skip: Vec<String>,
    include: Vec<String>,
    exclude: Vec<String>,
    all_frames: bool,
    snapshot: Source,
}

impl Asked {
    pub(super) fn of(report: &'static str, question: &Question<'_>) -> Asked {
        let texts = |all: &[Conditions]| all.iter().map(|it| it.text.clone()).collect();
        Asked {
            report,
            by: question.by.to_string(),
            charge: question.charging.to().to_string(),
            skip: question.charging.skip.clone(),
            include: texts(&question.filters.include),
            exclude: texts(&question.filters.exclude),
            all_frames: question.filters.all_frames,
            snapshot: Source::of(question.snapshot, question.file),
        }
    }
}
