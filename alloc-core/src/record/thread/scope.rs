//! The scope of the calling thread.

use once_cell::race::OnceRef;

use super::{LOCAL, Local, Stage};
use crate::tables::slot_id::SlotId;

/// Callbacks that release a thread's references to scopes. Registered, because scopes are in a
/// layer above.
pub(crate) struct ScopeOwners {
    /// Releases one owner's share.
    pub(crate) disown: fn(SlotId),
    /// Makes the slot available to others.
    pub(crate) give_back: fn(SlotId),
}

/// The registered callbacks. Neither `set` nor `get` blocks.
static OWNERS: OnceRef<'static, ScopeOwners> = OnceRef::new();

/// Registers the callbacks.
pub(crate) fn register_scopes(owners: &'static ScopeOwners) {
    let _ = OWNERS.set(owners);
}

pub(super) fn owners() -> &'static ScopeOwners {
    const NONE: &ScopeOwners = &ScopeOwners {
        disown: |_| (),
        give_back: |_| (),
    };
    // NOTE: no scope exists before the first call of the allocator.
    OWNERS.get().unwrap_or(NONE)
}

/// Takes the slot that the calling thread kept for its next scope.
#[inline(always)]
pub(crate) fn take_spare_slot() -> Option<SlotId> {
    let slot = LOCAL.try_with(|local| local.spare_slot.replace(0));
    SlotId::from_word(slot.unwrap_or(0))
}

/// Keeps a slot for the calling thread's next scope. Returns `false` if it has one already, or if
/// nothing reports the thread's end.
#[inline(always)]
pub(crate) fn keep_spare_slot(slot: SlotId) -> bool {
    let kept = LOCAL.try_with(|local| {
        let keeps = local.stage.get() == Stage::Attached && local.spare_slot.get() == 0;
        if keeps {
            local.spare_slot.set(slot.get());
        }
        keeps
    });
    kept.unwrap_or(false)
}

/// The scope that the calling thread is in.
#[inline(always)]
pub(crate) fn scope() -> Option<SlotId> {
    let scope = LOCAL.try_with(|local| local.scope.get());
    SlotId::from_word(scope.unwrap_or(0))
}

/// The scope of the calling thread, for an event that scopes count.
#[inline(always)]
pub(crate) fn scope_of_event() -> Option<SlotId> {
    let scope = LOCAL.try_with(|local| {
        local.was_seen.set(true);
        local.scope.get()
    });
    SlotId::from_word(scope.unwrap_or(0))
}

/// Whether a scope counted an event of the calling thread, or tracing recorded one.
#[inline(always)]
pub(crate) fn was_seen() -> bool {
    let was_seen = |local: &Local| local.was_seen.get() || local.stage.get() != Stage::Fresh;
    LOCAL.try_with(was_seen).unwrap_or(true)
}

/// Moves the calling thread into another scope and returns the previous one. The thread owns a
/// share of its scope: the share of the new scope passes to it, and the share of the previous one
/// passes to the caller.
pub(crate) fn replace_scope(scope: Option<SlotId>) -> Option<SlotId> {
    let scope = scope.map_or(0, SlotId::get);
    let before = LOCAL.try_with(|local| local.scope.replace(scope));
    SlotId::from_word(before.unwrap_or(0))
}

/// Keeps the calling thread in no scope until it is dropped.
#[must_use]
pub(crate) struct OutsideScope {
    scope: Option<SlotId>,
    // Not `Send`: it belongs to one thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

pub(crate) fn leave_scope() -> OutsideScope {
    OutsideScope {
        scope: replace_scope(None),
        _not_send: std::marker::PhantomData,
    }
}

impl Drop for OutsideScope {
    fn drop(&mut self) {
        // NOTE: `None`, unless a guard was made meanwhile and still lives.
        if let Some(scope) = replace_scope(self.scope.take()) {
            (owners().disown)(scope);
        }
    }
}

/// Runs `work` with the calling thread in no scope.
pub(crate) fn outside_scope<R>(work: impl FnOnce() -> R) -> R {
    let _outside = leave_scope();
    work()
}

/// Leaves all scopes, at the calling thread's end.
pub(crate) fn disown_scope() {
    if let Some(scope) = replace_scope(None) {
        (owners().disown)(scope);
    }
}

/// Gives back the spare slot, at the calling thread's end.
pub(crate) fn give_back_spare_slot() {
    if let Some(slot) = take_spare_slot() {
        (owners().give_back)(slot);
    }
}
