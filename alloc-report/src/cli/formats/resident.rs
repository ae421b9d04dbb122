//! Where the resident memory goes, as JSON.

use alloc_core_snapshot::Snapshot;
use alloc_report::PinnedGroup;
use anyhow::Result;
use serde::Serialize;

use super::report::{Groups, Question, to_report};

pub(crate) fn json(
    question: &Question<'_>,
    groups: &[PinnedGroup],
    notes: Vec<String>,
) -> Result<String> {
    let parts = Parts::of(question.snapshot);
    let groups = Groups {
        all: groups,
        key: |it| &it.key,
        row: Numbers::of,
        sum: |of: &[PinnedGroup]| Numbers::of(&PinnedGroup::sum(of)),
    };
    to_report("resident", question, parts, groups, notes)
}

/// The parts of resident memory; nothing if they are not known.
#[derive(Serialize)]
struct Parts<'a> {
    residence: Option<Bytes>,
    /// What allocators say of their own memory.
    allocators: Vec<Says<'a>>,
}

#[derive(Serialize)]
struct Says<'a> {
    allocator: &'a str,
    what: &'a str,
    bytes: u64,
}

#[derive(Serialize)]
struct Bytes {
    resident_bytes: u64,
    live_bytes: u64,
    between_bytes: u64,
    free_bytes: u64,
    tracer_bytes: u64,
    files_bytes: u64,
    other_bytes: u64,
    sparse_bytes: u64,
}

impl<'a> Parts<'a> {
    fn of(snapshot: &'a Snapshot) -> Parts<'a> {
        let numbers = snapshot.allocator_numbers();
        let allocators = numbers.map(|(allocator, what, bytes)| Says {
            allocator,
            what,
            bytes: bytes.get(),
        });
        let residence = snapshot.residence().map(|it| Bytes {
            resident_bytes: it.resident.get(),
            live_bytes: it.live.get(),
            between_bytes: it.between.get(),
            free_bytes: it.free.get(),
            tracer_bytes: it.tracer.get(),
            files_bytes: it.files.get(),
            other_bytes: it.other.get(),
            sparse_bytes: it.sparse.get(),
        });
        Parts {
            residence,
            allocators: allocators.collect(),
        }
    }
}

#[derive(Serialize)]
struct Numbers {
    unused_bytes: u64,
    given_back_bytes: u64,
    if_together_bytes: u64,
    live_bytes: u64,
    blocks: u64,
}

impl Numbers {
    fn of(group: &PinnedGroup) -> Numbers {
        Numbers {
            unused_bytes: group.pinned.unused.get(),
            given_back_bytes: group.pinned.alone.get(),
            if_together_bytes: group.together().get(),
            live_bytes: group.held.bytes.get(),
            blocks: group.held.blocks,
        }
    }
}
