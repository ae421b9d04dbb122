//! The life of a slot: from when it is claimed until nothing refers to it.

use super::super::sites::Sites;
use super::slot::HOLD;
use super::{CHUNK, FREE, MOST_SCOPES, SLOTS, SlotId, USED};
use crate::system::sync::Ordering;
use crate::{control, record::thread};
use Ordering::Relaxed;

impl SlotId {
    /// Claims a slot for a scope within `parent`, which is alive, with two owners: the guard and
    /// the thread. Returns `None` if there are too many scopes, or the system is out of memory.
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

    /// Makes the slot available to others.
    pub(crate) fn give_back(self) {
        let mut head = FREE.load(Relaxed);
        loop {
            self.slot().next.store(head as u32, Relaxed);
            let after = ((head >> 32) + 1) << 32 | u64::from(self.get());
            // The release publishes `next` to the acquire in `take_free`.
            match FREE.compare_exchange_weak(head, after, Ordering::Release, Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Allows other threads to count in the scope, and in those around it.
    pub(in crate::scope) fn share(self) {
        for it in self.chain() {
            it.slot().is_shared.store(true, Relaxed);
        }
    }

    /// Adds an owner. NOTE: only by an owner.
    pub(in crate::scope) fn own(self) {
        self.slot().owners.fetch_add(1, Relaxed);
    }

    /// Adds an owner, for a caller that only refers to the slot. Returns `false` if the last owner
    /// is gone.
    pub(in crate::scope) fn try_own(self) -> bool {
        let more = |owners: u32| owners.checked_add(1).filter(|_| owners > 0);
        let owners = &self.slot().owners;
        owners.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Releases the shares of the guard and of the thread.
    pub(in crate::scope) fn leave(self) {
        let slot = self.slot();
        // PERF: if these two are the only references, no other thread can learn of the slot, and no
        // atomic exchange is needed. The acquires pair with the releases of earlier owners and of
        // threads that freed a block of it.
        if slot.owners.load(Ordering::Acquire) == 2
            && slot.references.load(Ordering::Acquire) == HOLD
        {
            self.end();
        } else {
            self.disown(2);
        }
    }

    /// Releases shares of owners.
    pub(crate) fn disown(self, owners: u32) {
        // Release and acquire, as in the reference count of an `Arc`.
        if self.slot().owners.fetch_sub(owners, Ordering::AcqRel) == owners {
            self.release(HOLD);
        }
    }

    /// Marks that its guard is gone, while the thread is in a scope within and will come back.
    pub(in crate::scope) fn mark_left(self) {
        self.slot().is_left.store(true, Relaxed);
    }

    /// The innermost scope, from an owned one outward, whose guard still lives. The share moves to
    /// that scope.
    pub(in crate::scope) fn come_back(mut scope: Option<SlotId>) -> Option<SlotId> {
        while let Some(left) = scope.filter(|it| it.slot().is_left.load(Relaxed)) {
            scope = left.chain().skip(1).find(|it| it.try_own());
            left.disown(1);
        }
        scope
    }

    /// Releases references, and the slot with the last one.
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
            // SAFETY: `Box::into_raw` returned it, and nothing refers to the slot any more.
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
