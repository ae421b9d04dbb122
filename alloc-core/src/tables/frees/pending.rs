//! [`Pending`]: what a thread freed and has not added to the shared table.

use super::{Freer, Frees, Key};
use crate::snapshot::numbers::Amount;
use crate::system::arena::{LazyTable, Zeroed};
use crate::system::sync::{AtomicU64, Ordering::Relaxed};
use crate::tables::callsites::CallsiteId;

/// Number of pairs of a callsite and a freer that a thread holds back.
const PLACES: usize = 512;

/// What was freed of a callsite by one freer; nothing if the key is zero.
pub(super) struct Held {
    key: AtomicU64,
    bytes: AtomicU64,
    blocks: AtomicU64,
}

// SAFETY: zero atomics.
unsafe impl Zeroed for Held {}

/// What a thread freed, by callsite and freer, each pair in one place. Another pair that comes to
/// the same place evicts it.
///
/// PERF: a thread frees the blocks of few callsites at a time, in one label, so most frees are two
/// loads and two stores, where the shared table takes a search and two atomic additions.
pub(crate) struct Pending {
    pub(super) places: LazyTable<Held, PLACES>,
}

impl Pending {
    /// Counts the free of a block. NOTE: only by the owner.
    #[inline(always)]
    pub(crate) fn add(&self, callsite: CallsiteId, by: Freer, size: usize, shared: &Frees) {
        let key = Key::new(callsite, by);
        let place = (key.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 55) as usize % PLACES;
        if let Some(places) = self.places.get() {
            let held = &places[place];
            if held.key.load(Relaxed) == key.0 {
                let bytes = held.bytes.load(Relaxed).wrapping_add(size as u64);
                held.bytes.store(bytes, Relaxed);
                held.blocks.store(held.blocks.load(Relaxed) + 1, Relaxed);
                return;
            }
        }
        self.evict(place, callsite, by, Amount::new(size as u64, 1), shared);
    }

    #[cold]
    fn evict(&self, place: usize, callsite: CallsiteId, by: Freer, freed: Amount, shared: &Frees) {
        let Some(places) = self.places.get_or_reserve() else {
            return shared.add(callsite, by, freed);
        };
        let held = &places[place];
        flush(held, shared);
        held.key.store(Key::new(callsite, by).0, Relaxed);
        held.bytes.store(freed.bytes.get(), Relaxed);
        held.blocks.store(freed.blocks, Relaxed);
    }

    /// Adds everything to the shared table. NOTE: only by the owner, or while it is stopped.
    pub(crate) fn flush(&self, shared: &Frees) {
        let places = self.places.get().into_iter().flatten();
        places.for_each(|held| flush(held, shared));
    }

    /// Forgets everything. NOTE: only while the owner is stopped.
    pub(crate) fn clear(&self) {
        for held in self.places.get().into_iter().flatten() {
            held.key.store(0, Relaxed);
        }
    }
}

/// Adds what is held to the shared table, and holds nothing.
fn flush(held: &Held, shared: &Frees) {
    let key = Key(held.key.load(Relaxed));
    let freed = Amount::new(held.bytes.load(Relaxed), held.blocks.load(Relaxed));
    if let Some(callsite) = CallsiteId::from_word(key.callsite() as u32) {
        shared.add(callsite, key.freer(), freed);
    }
    held.key.store(0, Relaxed);
}
