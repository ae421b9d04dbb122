//! A scope's slot: what it counts, who owns it, and when it is free again.

mod blocks;
mod lifetime;
mod slot;

pub(super) use blocks::prepare;
pub(crate) use blocks::{abort_realloc, begin_realloc, finish_realloc, on_alloc, on_free};
pub(super) use slot::Slot;

pub(crate) use crate::tables::slot_id::SlotId;

use crate::system::arena::LazyTable;
use crate::system::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};

impl SlotId {
    pub(in crate::scope) fn slot(self) -> &'static Slot {
        // NOTE: whoever has the number has it from `take_fresh`, which made the slot.
        static NONE: Slot = Slot::new();
        let at = self.get() as usize;
        SLOTS[at / CHUNK]
            .get()
            .map_or(&NONE, |slots| &slots[at % CHUNK])
    }

    /// The scope itself and those around it, innermost first.
    pub(in crate::scope) fn chain(self) -> impl Iterator<Item = SlotId> {
        // NOTE: the next is looked up before this one is handed out, whose last block may be its
        // end.
        let mut next = Some(self);
        std::iter::from_fn(move || {
            let it = next?;
            next = it.slot().parent();
            Some(it)
        })
    }

    /// The innermost scope that both are in.
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

    /// The scope itself and those around it, innermost first, but for `outer` and those around
    /// that.
    fn chain_up_to(self, outer: Option<SlotId>) -> impl Iterator<Item = SlotId> {
        self.chain().take_while(move |it| Some(*it) != outer)
    }
}

static SLOTS: [LazyTable<Slot, CHUNK>; CHUNKS] = [const { LazyTable::new() }; CHUNKS];

/// How many scopes there can be at once, counting those that ended but of which a block is live.
const MOST_SCOPES: usize = 1 << 20;

const CHUNK: usize = 1 << 10;

const CHUNKS: usize = MOST_SCOPES / CHUNK + 1;

/// The first slot that is free again, in the lower half; above it a number that changes each time,
/// so that a slot which was taken and came back in between is not mistaken for one that never went.
static FREE: AtomicU64 = AtomicU64::new(0);

/// How many slots were ever in use.
static USED: AtomicU32 = AtomicU32::new(0);

/// The physical memory that scopes take up.
pub(crate) fn resident() -> usize {
    SLOTS.iter().map(LazyTable::resident).sum::<usize>() + blocks::resident()
}
