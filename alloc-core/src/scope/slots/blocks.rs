//! Which block belongs to which scope, and how a scope counts it.

use super::super::sites::{self, Allocator, Copied};
use super::super::started;
use super::SlotId;
use crate::record::thread;
use crate::system::arena::Zeroed;
use crate::system::sync::{AtomicU32, Ordering::Relaxed};
use crate::tables::blocks::{Granule, PageMap, Word};

/// A word of the index of scopes' blocks.
pub(super) struct Owner(AtomicU32);

// SAFETY: zero is valid: no scope.
unsafe impl Zeroed for Owner {}

impl Word for Owner {
    type Owner = SlotId;

    #[inline(always)]
    fn read(&self) -> Option<SlotId> {
        SlotId::from_word(self.0.load(Relaxed))
    }

    #[inline(always)]
    fn write(&self, owner: Option<SlotId>) {
        self.0.store(owner.map_or(0, SlotId::get), Relaxed);
    }
}

/// The scope of each block that was allocated in one.
///
/// The index is separate from the session's, so that scopes need no tracing and are unaffected when
/// it starts, stops or is cleared. As long as a scope or a block of one is alive, every free looks
/// here.
static BLOCKS: PageMap<Owner> = PageMap::new();

/// Reserves memory. Returns `None` if the system is out of memory.
pub(in crate::scope) fn prepare(granule: Granule) -> Option<()> {
    BLOCKS.prepare(granule, true)
}

/// Physical memory of the index, in bytes.
pub(super) fn resident() -> usize {
    BLOCKS.resident()
}

/// What [`begin_realloc`] removed from the index.
#[derive(Clone, Copy)]
pub(crate) struct BegunRealloc(Option<SlotId>);

/// Counts a block that was just allocated, if the thread is in a scope.
pub(crate) fn on_alloc(address: usize, size: usize) {
    let Some(scope) = thread::scope_of_event() else {
        return;
    };
    let by = sites::allocator_here(scope);
    if by == Allocator::Printing {
        return;
    }
    note(address, scope);
    for it in scope.chain() {
        it.slot().on_alloc(size);
    }
    sites::on_alloc(scope, address, size, by, None);
}

/// Records the scope of a block.
fn note(address: usize, scope: SlotId) {
    match BLOCKS.insert(address, scope) {
        Ok(None) => {}
        Ok(Some(gone)) => forget(gone),
        Err(_) => {
            for it in scope.chain() {
                it.slot().is_broken.store(true, Relaxed);
            }
        }
    }
}

/// The previous block at this address was freed without a record.
#[cold]
fn forget(gone: SlotId) {
    debit(gone, 0, None);
}

/// Subtracts a block from `scope` and those around it, up to `outer`.
fn debit(scope: SlotId, size: usize, outer: Option<SlotId>) {
    for it in scope.chain_up_to(outer) {
        it.slot().net.fetch_sub(size as i64, Relaxed);
        it.release(1);
    }
}

/// Counts the free of a block that is about to be freed.
pub(crate) fn on_free(address: usize, size: usize) {
    let owner = BLOCKS.remove(address);
    if let Some(owner) = owner.filter(|_| !thread::was_seen()) {
        started::look_at(owner);
    }
    if let Some(scope) = thread::scope_of_event() {
        for it in scope.chain_up_to(SlotId::common(Some(scope), owner)) {
            it.slot().freed_before(size);
        }
    }
    if let Some(owner) = owner {
        sites::on_free(owner, address, size);
        debit(owner, size, None);
    }
}

/// Removes a block that is about to be reallocated from the index.
pub(crate) fn begin_realloc(address: usize) -> BegunRealloc {
    BegunRealloc(BLOCKS.remove(address))
}

/// Undoes [`begin_realloc`]: the reallocation failed and the block is unchanged.
pub(crate) fn abort_realloc(left: BegunRealloc, address: usize) {
    if let Some(owner) = left.0 {
        note(address, owner);
    }
}

/// Counts a block that was reallocated: it now belongs to the scope of the calling thread. If that
/// is inside the previous scope, there is one change, so that a block that grows at the peak does
/// not shrink the scope first.
pub(crate) fn finish_realloc(left: BegunRealloc, old: (usize, usize), new: (usize, usize)) {
    let BegunRealloc(owner) = left;
    let scope = thread::scope_of_event();
    let by = scope.map_or(Allocator::Anyone, sites::allocator_here);
    if owner.is_none() && by == Allocator::Printing {
        return;
    }
    let copied = Copied::between(old, new);
    let ((old, old_size), (new, new_size)) = (old, new);
    if let Some(owner) = owner {
        sites::on_free(owner, old, old_size);
    }
    let common = SlotId::common(scope, owner);
    if let Some(scope) = scope {
        note(new, scope);
        for it in scope.chain_up_to(common) {
            it.slot().freed_before(old_size);
            it.slot().on_alloc(new_size);
        }
        for it in common.into_iter().flat_map(SlotId::chain) {
            it.slot().on_realloc(old_size, new_size);
        }
        for it in scope.chain() {
            it.slot().reallocations.fetch_add(1, Relaxed);
        }
        sites::on_alloc(scope, new, new_size, by, Some(copied));
    }
    if let Some(owner) = owner {
        debit(owner, old_size, common);
    }
}
