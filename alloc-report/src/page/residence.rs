//! [`Resident`]: where the resident memory goes, as the script of a page reads it.

use alloc_core_snapshot::Snapshot;
use serde::Serialize;

use crate::show::resident::{PinnedGroup, allocators, named_parts, resident};

/// Where the resident memory goes, and which lines keep the most pages.
#[derive(Serialize)]
pub(super) struct Resident {
    resident: u64,
    parts: Vec<(&'static str, u64)>,
    /// What allocators say of their own memory.
    allocators: Vec<String>,
    pinned: Vec<Row>,
    /// How many lines are left out.
    others: usize,
}

/// What the live blocks of a line keep resident.
#[derive(Serialize)]
struct Row {
    line: String,
    unused: u64,
    given_back: u64,
    if_together: u64,
    live: u64,
    blocks: u64,
}

/// The most lines that a page shows.
const MOST: usize = 20;

impl Resident {
    /// `None` if the snapshot was not asked for it.
    pub(super) fn of(snapshot: &Snapshot) -> Option<Resident> {
        let residence = snapshot.residence()?;
        let groups = resident(snapshot, MOST).groups();
        let parts = named_parts(&residence).map(|(bytes, name)| (name, bytes.get()));
        Some(Resident {
            resident: residence.resident.get(),
            parts: parts.into(),
            allocators: allocators(snapshot),
            pinned: groups.iter().take(MOST).map(Row::of).collect(),
            others: groups.len().saturating_sub(MOST),
        })
    }
}

impl Row {
    fn of(group: &PinnedGroup) -> Row {
        Row {
            line: group.key.to_string(),
            unused: group.pinned.unused.get(),
            given_back: group.pinned.alone.get(),
            if_together: group.together().get(),
            live: group.held.bytes.get(),
            blocks: group.held.blocks,
        }
    }
}
