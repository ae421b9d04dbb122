//! A slot from when it is claimed until nothing refers to it.

use super::super::sites::Sites;
use super::slot::HOLD;
use super::{CHUNK, FREE, MOST_SCOPES, SLOTS, SlotId, USED};
use crate::system::sync::Ordering;
use crate::{control, record::thread};
use Ordering::Relaxed;

impl SlotId {
    /// A scope within `parent`, which is alive, with two owners: the guard and the thread. `None`
    /// if there are too many, or no memory.
    pub(in crate::scope) fn claim(parent: Option<SlotId>, sites: *mut Sites) -> Option<SlotId> {
        let id = thread::take_spare_slot()
            .or_else(SlotId::take_free)
            .or_else(SlotId::take_fresh)?;
        if let Some(parent) = parent {
            parent.slot().references.fetch_add(HOLD, Relaxed);
        }
        id.slot().begin(parent, sites);
        control::scope_began();
        Some(id)
    }

    fn take_free() -> Option<SlotId> {
        let mut head = FREE.load(Ordering::Acquire);
        loop {
            let id = SlotId::from_word(head as u32)?;
            let next = u64::from(id.slot().next.load(Relaxed));
            let after = ((head >> 32) + 1) << 32 | next;
            // The acquire pairs with the release in `give_back`.
            match FREE.compare_exchange_weak(head, after, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Some(id),
                Err(now) => head = now,
            }
        }
    }

    #[cold]
    fn take_fresh() -> Option<SlotId> {
        let one_more = |used: u32| Some(used + 1).filter(|&used| used as usize <= MOST_SCOPES);
        let number = USED.fetch_update(Relaxed, Relaxed, one_more).ok()? + 1;
        SLOTS[number as usize / CHUNK].get_or_reserve()?;
        SlotId::from_word(number)
    }

    /// Lets others use the slot.
    pub(crate) fn give_back(self) {
        let mut head = FREE.load(Relaxed);
        loop {
            self.slot().next.store(head as u32, Relaxed);
            let after = ((head >> 32) + 1) << 32 | u64::from(self.get());
            // The release shows `next` to the acquire in `take_free`.
            match FREE.compare_exchange_weak(head, after, Ordering::Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Has other threads count in the scope, and in those around it.
    pub(in crate::scope) fn share(self) {
        for it in self.chain() {
            it.slot().is_shared.store(true, Relaxed);
        }
    }

    /// One owner more. NOTE: by an owner.
    pub(in crate::scope) fn own(self) {
        self.slot().owners.fetch_add(1, Relaxed);
    }

    /// The same, by whoever holds the slot: fails if the last owner went.
    pub(in crate::scope) fn try_own(self) -> bool {
        let more = |owners: u32| owners.checked_add(1).filter(|_| owners > 0);
        let owners = &self.slot().owners;
        owners.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// The guard and the thread own it no more.
    pub(in crate::scope) fn leave(self) {
        let slot = self.slot();
        // PERF: where there is nothing but these two, nobody else can come to know of the slot, and
        // no exchange is needed to say so. The acquires pair with the releases of whoever owned it,
        // or freed a block of it.
        if slot.owners.load(Ordering::Acquire) == 2
            && slot.references.load(Ordering::Acquire) == HOLD
        {
            self.end();
        } else {
            self.disown(2);
        }
    }

    /// Fewer owners.
    pub(crate) fn disown(self, owners: u32) {
        // Releases and acquires as the reference count of an `Arc` does.
        if self.slot().owners.fetch_sub(owners, Ordering::AcqRel) == owners {
            self.release(HOLD);
        }
    }

    /// Notes that its guard is gone, though the thread is in a scope within, and will come back.
    pub(in crate::scope) fn mark_left(self) {
        self.slot().is_left.store(true, Relaxed);
    }

    /// The innermost scope, from one that is owned outwards, that was not left. It is owned
    /// instead.
    pub(in crate::scope) fn come_back(mut scope: Option<SlotId>) -> Option<SlotId> {
        while let Some(left) = scope.filter(|it| it.slot().is_left.load(Relaxed)) {
            scope = left.chain().skip(1).find(|it| it.try_own());
            left.disown(1);
        }
        scope
    }

    /// Takes references away, and the slot with the last.
    pub(super) fn release(self, references: u64) {
        let before = self
            .slot()
            .references
            .fetch_sub(references, Ordering::AcqRel);
        if before == references {
            self.end();
        }
    }

    fn end(self) {
        let slot = self.slot();
        let sites = slot.sites.load(Relaxed);
        if !sites.is_null() {
            let _muted = thread::mute();
            // SAFETY: from `Box::into_raw`, and nothing refers to the slot any more.
            drop(unsafe { Box::from_raw(sites) });
        }
        let parent = slot.parent();
        if !thread::keep_spare_slot(self) {
            self.give_back();
        }
        control::scope_ended();
        if let Some(parent) = parent {
            parent.release(HOLD);
        }
    }
}
