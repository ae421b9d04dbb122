//! Which block belongs to which scope, and what a scope counts of it.

use super::super::sites::{self, Allocator};
use super::super::started;
use super::SlotId;
use crate::record::thread;
use crate::system::arena::Zeroed;
use crate::system::sync::{AtomicU32, Ordering::Relaxed};
use crate::tables::blocks::{Granule, PageMap, Word};

/// A place of the index of scopes' blocks.
pub(super) struct Owner(AtomicU32);

// SAFETY: zero is a value of it.
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

/// Which scope each block belongs to that was allocated in one.
///
/// An index of its own, so that scopes neither need tracing nor care when it starts, stops or is
/// cleared. As long as a scope or a block of one is alive, every free looks here.
static BLOCKS: PageMap<Owner> = PageMap::new();

/// Makes room. `None` where the system has no memory to give.
pub(in crate::scope) fn prepare(granule: Granule) -> Option<()> {
    BLOCKS.prepare(granule, true)
}

/// The physical memory that the index takes up.
pub(super) fn resident() -> usize {
    BLOCKS.resident()
}

/// What [`begin_realloc`] took out of the index.
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
    sites::on_alloc(scope, address, size, by, false);
}

/// Notes whose the block is.
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

/// A block was released behind the tracer's back.
#[cold]
fn forget(gone: SlotId) {
    debit(gone, 0, None);
}

/// Counts a block less in `scope` and those around it, up to `outer`.
fn debit(scope: SlotId, size: usize, outer: Option<SlotId>) {
    for it in scope.chain_up_to(outer) {
        it.slot().net.fetch_sub(size as i64, Relaxed);
        it.release(1);
    }
}

/// Counts a block that is about to be freed.
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

/// Takes out what is known of a block that is about to be reallocated.
pub(crate) fn begin_realloc(address: usize) -> BegunRealloc {
    BegunRealloc(BLOCKS.remove(address))
}

/// Undoes [`begin_realloc`]: the block stayed where it was, as it was.
pub(crate) fn abort_realloc(left: BegunRealloc, address: usize) {
    if let Some(owner) = left.0 {
        note(address, owner);
    }
}

/// Counts a block that was reallocated: it belongs to the scope that did so. Where that is within
/// the one it was of, there is one change, so that what grows at the peak does not shrink first.
pub(crate) fn finish_realloc(left: BegunRealloc, old: (usize, usize), new: (usize, usize)) {
    let BegunRealloc(owner) = left;
    let scope = thread::scope_of_event();
    let by = scope.map_or(Allocator::Anyone, sites::allocator_here);
    if owner.is_none() && by == Allocator::Printing {
        return;
    }
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
        sites::on_alloc(scope, new, new_size, by, true);
    }
    if let Some(owner) = owner {
        debit(owner, old_size, common);
    }
}
