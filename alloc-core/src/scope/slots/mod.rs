//! A scope's slot: its counters, its owners, and when it is free again.

mod blocks;
mod lifetime;
mod slot;
#[cfg(test)]
mod tests;

pub(super) use blocks::prepare;
pub(crate) use blocks::{abort_realloc, begin_realloc, finish_realloc, on_alloc, on_free};
pub(super) use slot::Slot;

pub(crate) use crate::tables::slot_id::SlotId;

use crate::system::arena::LazyTable;
use crate::system::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};

impl SlotId {
    pub(in crate::scope) fn slot(self) -> &'static Slot {
        // NOTE: never used in practice: a slot's number comes from `take_fresh`, which made the
        // slot.
        static NONE: Slot = Slot::new();
        let at = self.get() as usize;
        SLOTS[at / CHUNK]
            .get()
            .map_or(&NONE, |slots| &slots[at % CHUNK])
    }

    /// The scope and those around it, innermost first.
    pub(in crate::scope) fn chain(self) -> impl Iterator<Item = SlotId> {
        // NOTE: the next one is read before this one is returned, because the caller may release
        // this one.
        let mut next = Some(self);
        std::iter::from_fn(move || {
            let it = next?;
            next = it.slot().parent();
            Some(it)
        })
    }

    /// The innermost scope that contains both.
    fn common(one: Option<SlotId>, other: Option<SlotId>) -> Option<SlotId> {
        let depth = |it: SlotId| it.slot().depth.load(Relaxed);
        let (mut one, mut other) = (one?, other?);
        while one != other {
            if depth(one) >= depth(other) {
                one = one.slot().parent()?;
            } else {
                other = other.slot().parent()?;
            }
        }
        Some(one)
    }

    /// The scope and those around it, innermost first, up to but without `outer`.
    fn chain_up_to(self, outer: Option<SlotId>) -> impl Iterator<Item = SlotId> {
        self.chain().take_while(move |it| Some(*it) != outer)
    }
}

static SLOTS: [LazyTable<Slot, CHUNK>; CHUNKS] = [const { LazyTable::new() }; CHUNKS];

/// The most scopes at once, including those that ended but have a live block.
const MOST_SCOPES: usize = 1 << 20;

const CHUNK: usize = 1 << 10;

const CHUNKS: usize = MOST_SCOPES / CHUNK + 1;

/// Head of the free list, in the lower half. The upper half changes at each step, against the ABA
/// problem: a slot that was taken and given back in between is not mistaken for an unchanged one.
static FREE: AtomicU64 = AtomicU64::new(0);

/// Number of slots that were ever used.
static USED: AtomicU32 = AtomicU32::new(0);

/// Physical memory of scopes, in bytes.
pub(crate) fn resident() -> usize {
    SLOTS.iter().map(LazyTable::resident).sum::<usize>() + blocks::resident()
}
