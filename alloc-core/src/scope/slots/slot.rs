//! [`Slot`]: the counters of one scope.

use super::super::Usage;
use super::super::sites::Sites;
use super::SlotId;
use crate::system::arena::Zeroed;
use crate::system::sync::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::{Amount, Bytes};
use Ordering::Relaxed;

/// The counters of one scope.
///
/// # Exactness
///
/// Each counter is one atomic that all threads of the scope change as they allocate and free; the
/// totals are changed by plain loads and stores as long as only one thread can be in the scope. So
/// the sums are exact whichever thread frees a block, and the peak is the highest value of the
/// scope's live bytes, at the moment that each change took effect. A thread's allocation and its
/// count are two steps. If other threads of the scope allocate and free between them, the peak may
/// differ from that of the inner allocator by the blocks in between, one for each other thread.
///
/// # Nested scopes
///
/// A block is recorded with its innermost scope, and counted there and in all scopes around it.
#[repr(C, align(64))]
pub(in crate::scope) struct Slot {
    /// Live blocks of this scope and of those within, in units of one, plus everything else that
    /// keeps the slot from reuse, in units of [`HOLD`]: each scope within, and all owners together.
    pub(super) references: AtomicU64,
    /// Bytes of live blocks.
    pub(super) net: AtomicI64,
    pub(super) peak: AtomicI64,
    pub(super) peak_blocks: AtomicU64,
    pub(super) total: AtomicU64,
    pub(super) total_blocks: AtomicU64,
    pub(super) reallocations: AtomicU64,
    pub(super) before: AtomicU64,
    pub(super) before_blocks: AtomicU64,
    /// The counters by callsite, if the scope has any. NOTE: set before the scope is entered.
    pub(super) sites: AtomicPtr<Sites>,
    /// Number of owners: the guard, the handles, the threads in the scope, and the guards that
    /// bring a thread back to it.
    pub(super) owners: AtomicU32,
    pub(super) parent: AtomicU32,
    /// Number of scopes around it.
    pub(super) depth: AtomicU32,
    /// The next free slot, while this one is free.
    pub(super) next: AtomicU32,
    /// Whether this scope or one within has a handle, so that other threads may be in it. They may
    /// free its blocks in any case.
    pub(super) is_shared: AtomicBool,
    /// Whether the index had no room for a block.
    pub(super) is_broken: AtomicBool,
    /// Whether the guard was dropped before one within.
    pub(super) is_left: AtomicBool,
}

// SAFETY: zero is valid for all fields.
unsafe impl Zeroed for Slot {}

pub(super) const HOLD: u64 = 1 << 40;

const LIVE: u64 = HOLD - 1;

impl Slot {
    pub(super) const fn new() -> Slot {
        Slot {
            references: AtomicU64::new(0),
            net: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            peak_blocks: AtomicU64::new(0),
            total: AtomicU64::new(0),
            total_blocks: AtomicU64::new(0),
            reallocations: AtomicU64::new(0),
            before: AtomicU64::new(0),
            before_blocks: AtomicU64::new(0),
            sites: AtomicPtr::new(std::ptr::null_mut()),
            owners: AtomicU32::new(0),
            parent: AtomicU32::new(0),
            depth: AtomicU32::new(0),
            next: AtomicU32::new(0),
            is_shared: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
        }
    }

    pub(super) fn parent(&self) -> Option<SlotId> {
        SlotId::from_word(self.parent.load(Relaxed))
    }

    /// Initializes the slot, with two owners. NOTE: only before any other thread knows of the slot.
    pub(super) fn begin(&self, parent: Option<SlotId>, sites: *mut Sites) {
        self.references.store(HOLD, Relaxed);
        self.net.store(0, Relaxed);
        self.peak.store(0, Relaxed);
        self.peak_blocks.store(0, Relaxed);
        self.total.store(0, Relaxed);
        self.total_blocks.store(0, Relaxed);
        self.reallocations.store(0, Relaxed);
        self.before.store(0, Relaxed);
        self.before_blocks.store(0, Relaxed);
        self.sites.store(sites, Relaxed);
        self.owners.store(2, Relaxed);
        self.parent.store(parent.map_or(0, SlotId::get), Relaxed);
        let depth = parent.map_or(0, |it| it.slot().depth.load(Relaxed) + 1);
        self.depth.store(depth, Relaxed);
        self.is_shared.store(false, Relaxed);
        self.is_broken.store(false, Relaxed);
        self.is_left.store(false, Relaxed);
    }

    pub(in crate::scope) fn sites(&self) -> Option<&Sites> {
        // SAFETY: the pointer is null, or `claim` got it from `Box::into_raw`, and it lives as long
        // as the slot is in use. The caller keeps the slot in use by a share or a block.
        unsafe { self.sites.load(Ordering::Acquire).as_ref() }
    }

    /// Counts an allocation. Only threads in the scope do.
    fn count(&self, size: usize) {
        // PERF: an atomic exchange takes as long as the rest of the record.
        if self.is_shared.load(Relaxed) {
            self.total.fetch_add(size as u64, Relaxed);
            self.total_blocks.fetch_add(1, Relaxed);
        } else {
            let total = self.total.load(Relaxed) + size as u64;
            self.total.store(total, Relaxed);
            let blocks = self.total_blocks.load(Relaxed) + 1;
            self.total_blocks.store(blocks, Relaxed);
        }
    }

    pub(super) fn on_alloc(&self, size: usize) {
        self.count(size);
        let live = (self.references.fetch_add(1, Relaxed) + 1) & LIVE;
        if live > self.peak_blocks.load(Relaxed) {
            self.peak_blocks.fetch_max(live, Relaxed);
        }
        self.grow(size as i64);
    }

    pub(super) fn on_realloc(&self, old_size: usize, size: usize) {
        self.count(size);
        self.grow(size as i64 - old_size as i64);
    }

    fn grow(&self, bytes: i64) {
        let net = self.net.fetch_add(bytes, Relaxed) + bytes;
        // PERF: a load is cheaper than an exchange that changes nothing, which is the usual case.
        if net > self.peak.load(Relaxed) {
            self.peak.fetch_max(net, Relaxed);
        }
    }

    pub(super) fn freed_before(&self, size: usize) {
        self.before.fetch_add(size as u64, Relaxed);
        self.before_blocks.fetch_add(1, Relaxed);
    }

    pub(in crate::scope) fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed)
    }

    pub(in crate::scope) fn live_bytes(&self) -> Bytes {
        Bytes::new(self.net.load(Relaxed).max(0) as u64)
    }

    pub(in crate::scope) fn usage(&self) -> Usage {
        let allocated = Amount::new(self.total.load(Relaxed), self.total_blocks.load(Relaxed));
        let current = Amount {
            // NOTE: a change under way may have changed one and not yet the other.
            bytes: self.live_bytes(),
            blocks: self.references.load(Relaxed) & LIVE,
        };
        Usage {
            allocated,
            current,
            freed: Amount {
                bytes: allocated.bytes.saturating_sub(current.bytes),
                blocks: allocated.blocks.saturating_sub(current.blocks),
            },
            peak: Amount {
                bytes: Bytes::new(self.peak.load(Relaxed).max(0) as u64),
                blocks: self.peak_blocks.load(Relaxed),
            },
            reallocations: self.reallocations.load(Relaxed),
            freed_before: Amount::new(self.before.load(Relaxed), self.before_blocks.load(Relaxed)),
        }
    }
}
