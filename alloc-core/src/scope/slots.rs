//! What a scope counts, and which block belongs to which.

use std::num::NonZeroU32;

use crate::system::arena::{Reserved, Zeroed};
use crate::system::sync::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::tables::blocks::{PageMap, Word};
use crate::{Amount, Bytes, control, record::thread};
use Ordering::Relaxed;

use super::sites::{self, Allocator, Sites};
use super::{Usage, started};

/// Names a scope from when it is entered until nothing refers to it: no guard, no handle, no scope
/// within, no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(NonZeroU32);

impl SlotId {
    /// As a word of the index, or of a thread; zero is no scope.
    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }

    pub(crate) fn from_word(word: u32) -> Option<SlotId> {
        NonZeroU32::new(word).map(SlotId)
    }

    pub(super) fn slot(self) -> &'static Slot {
        // NOTE: whoever has the number has it from `take_fresh`, which made the slot.
        static NONE: Slot = Slot::new();
        let at = self.get() as usize;
        SLOTS[at / CHUNK]
            .get()
            .map_or(&NONE, |slots| &slots[at % CHUNK])
    }

    /// The scope itself and those around it, innermost first.
    pub(super) fn chain(self) -> impl Iterator<Item = SlotId> {
        // NOTE: the next is looked up before this one is handed out, whose last block may be its end.
        let mut next = Some(self);
        std::iter::from_fn(move || {
            let it = next?;
            next = it.slot().parent();
            Some(it)
        })
    }
}

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

/// How many scopes there can be at once, counting those that ended but of which a block is live.
pub(super) const MOST_SCOPES: usize = 1 << 20;
const CHUNK: usize = 1 << 10;
const CHUNKS: usize = MOST_SCOPES / CHUNK + 1;

static SLOTS: [Reserved<Slot, CHUNK>; CHUNKS] = [const { Reserved::new() }; CHUNKS];
/// The first slot that is free again, in the lower half; above it a number that changes each time, so that
/// a slot which was taken and came back in between is not mistaken for one that never went.
static FREE: AtomicU64 = AtomicU64::new(0);
/// How many slots were ever in use.
static USED: AtomicU32 = AtomicU32::new(0);

/// Which scope each block belongs to that was allocated in one.
///
/// An index of its own, so that scopes neither need tracing nor care when it starts, stops or is cleared.
/// As long as a scope or a block of one is alive, every free looks here.
static BLOCKS: PageMap<Owner> = PageMap::new();

/// Makes room. `None` where the system has no memory to give.
pub(super) fn prepare(granule: crate::tables::blocks::Granule) -> Option<()> {
    BLOCKS.prepare(granule, true)
}

/// The physical memory that scopes take up.
pub(crate) fn resident() -> usize {
    SLOTS.iter().map(Reserved::resident).sum::<usize>() + BLOCKS.resident()
}

/// The counters of one scope.
///
/// # How exact
///
/// Each counter is one atomic that all threads of the scope change as they allocate and free; the totals,
/// by plain loads and stores as long as only one thread can be in it. So the sums are exact whoever frees
/// what and where, and the peak is the highest that the scope's live bytes ever were, at the moment that
/// each change took effect. A thread's allocation and its count are two steps: while other threads of the
/// scope allocate and free between these, the peak may differ from that of the inner allocator by what
/// is in between, one block for each other thread.
///
/// # Nested scopes
///
/// A block is noted with its innermost scope, and counted there and in all scopes around it.
#[repr(C, align(64))]
pub(super) struct Slot {
    /// Live blocks, of this scope and of those within, in units of one; and whatever else keeps the slot from
    /// being another's, in units of [`HOLD`]: scopes within, and the owners, together one.
    references: AtomicU64,
    /// Bytes of live blocks.
    net: AtomicI64,
    peak: AtomicI64,
    peak_blocks: AtomicU64,
    total: AtomicU64,
    total_blocks: AtomicU64,
    reallocations: AtomicU64,
    before: AtomicU64,
    before_blocks: AtomicU64,
    /// Who counts by callsite, if someone does. NOTE: set before the scope is entered.
    sites: AtomicPtr<Sites>,
    /// The guard, the handles, the threads that are in the scope, and the guards that bring one back.
    owners: AtomicU32,
    parent: AtomicU32,
    /// How many scopes are around it.
    depth: AtomicU32,
    /// The next free slot, while this one is free.
    next: AtomicU32,
    /// Whether there is a handle of it, or of a scope within: so that other threads may be in it. They may
    /// free its blocks in any case.
    is_shared: AtomicBool,
    /// Whether the index had no room for a block.
    is_broken: AtomicBool,
    /// Whether the guard was dropped before one within.
    is_left: AtomicBool,
}

// SAFETY: zero is a value of all fields.
unsafe impl Zeroed for Slot {}

const HOLD: u64 = 1 << 40;
const LIVE: u64 = HOLD - 1;

impl Slot {
    const fn new() -> Slot {
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

    fn parent(&self) -> Option<SlotId> {
        SlotId::from_word(self.parent.load(Relaxed))
    }

    /// Begins anew, with two owners. NOTE: by the only one who knows of the slot.
    fn begin(&self, parent: Option<SlotId>, sites: *mut Sites) {
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

    pub(super) fn sites(&self) -> Option<&Sites> {
        // SAFETY: null, or what `claim` got from `Box::into_raw`, which lives as long as the slot is
        // somebody's; whoever asks holds it by an owner or a block.
        unsafe { self.sites.load(Ordering::Acquire).as_ref() }
    }

    /// Counts what only threads that are in the scope count.
    fn count(&self, size: usize) {
        // PERF: an exchange takes as long as the rest of the record.
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

    fn born(&self, size: usize) {
        self.count(size);
        let live = (self.references.fetch_add(1, Relaxed) + 1) & LIVE;
        if live > self.peak_blocks.load(Relaxed) {
            self.peak_blocks.fetch_max(live, Relaxed);
        }
        self.grow(size as i64);
    }

    fn reborn(&self, old_size: usize, size: usize) {
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

    fn freed_before(&self, size: usize) {
        self.before.fetch_add(size as u64, Relaxed);
        self.before_blocks.fetch_add(1, Relaxed);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Relaxed)
    }

    pub(super) fn usage(&self) -> Usage {
        let allocated = Amount::new(self.total.load(Relaxed), self.total_blocks.load(Relaxed));
        let current = Amount::new(
            // NOTE: a change under way may have been made to the one and not to the other.
            self.net.load(Relaxed).max(0) as u64,
            self.references.load(Relaxed) & LIVE,
        );
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

impl SlotId {
    /// A scope within `parent`, which is alive, with two owners: the guard and the thread. `None` if there
    /// are too many, or no memory.
    pub(super) fn claim(parent: Option<SlotId>, sites: *mut Sites) -> Option<SlotId> {
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
    pub(super) fn share(self) {
        for it in self.chain() {
            it.slot().is_shared.store(true, Relaxed);
        }
    }

    /// One owner more. NOTE: by an owner.
    pub(super) fn own(self) {
        self.slot().owners.fetch_add(1, Relaxed);
    }

    /// The same, by whoever holds the slot: fails if the last owner went.
    pub(super) fn try_own(self) -> bool {
        let more = |owners: u32| owners.checked_add(1).filter(|_| owners > 0);
        let owners = &self.slot().owners;
        owners.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// The guard and the thread own it no more.
    pub(super) fn leave(self) {
        let slot = self.slot();
        // PERF: where there is nothing but these two, nobody else can come to know of the slot, and no
        // exchange is needed to say so. The acquires pair with the releases of whoever owned it, or freed
        // a block of it.
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
    pub(super) fn mark_left(self) {
        self.slot().is_left.store(true, Relaxed);
    }

    /// The innermost scope, from one that is owned outwards, that was not left. It is owned instead.
    pub(super) fn come_back(mut scope: Option<SlotId>) -> Option<SlotId> {
        while let Some(left) = scope.filter(|it| it.slot().is_left.load(Relaxed)) {
            scope = left.chain().skip(1).find(|it| it.try_own());
            left.disown(1);
        }
        scope
    }

    /// Takes references away, and the slot with the last.
    fn release(self, references: u64) {
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

    /// The scope itself and those around it, innermost first, but for `outer` and those around that.
    fn chain_up_to(self, outer: Option<SlotId>) -> impl Iterator<Item = SlotId> {
        self.chain().take_while(move |it| Some(*it) != outer)
    }
}

/// What [`leave`] took out of the index.
#[derive(Clone, Copy)]
pub(crate) struct Left(Option<SlotId>);

/// Counts a block that was just allocated, if the thread is in a scope.
pub(crate) fn born(address: usize, size: usize) {
    let Some(scope) = thread::scope_of_event() else {
        return;
    };
    let by = sites::allocator_here(scope);
    if by == Allocator::Printing {
        return;
    }
    note(address, scope);
    for it in scope.chain() {
        it.slot().born(size);
    }
    sites::born(scope, address, size, by, false);
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
pub(crate) fn died(address: usize, size: usize) {
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
        sites::died(owner, address, size);
        debit(owner, size, None);
    }
}

/// Takes out what is known of a block that is about to be reallocated.
pub(crate) fn leave(address: usize) -> Left {
    Left(BLOCKS.remove(address))
}

/// Undoes [`leave`]: the block stayed where it was, as it was.
pub(crate) fn stay(left: Left, address: usize) {
    if let Some(owner) = left.0 {
        note(address, owner);
    }
}

/// Counts a block that was reallocated: it belongs to the scope that did so. Where that is within the one
/// it was of, there is one change, so that what grows at the peak does not shrink first.
pub(crate) fn moved(left: Left, old: (usize, usize), new: (usize, usize)) {
    let Left(owner) = left;
    let scope = thread::scope_of_event();
    let by = scope.map_or(Allocator::Anyone, sites::allocator_here);
    if owner.is_none() && by == Allocator::Printing {
        return;
    }
    let ((old, old_size), (new, new_size)) = (old, new);
    if let Some(owner) = owner {
        sites::died(owner, old, old_size);
    }
    let common = SlotId::common(scope, owner);
    if let Some(scope) = scope {
        note(new, scope);
        for it in scope.chain_up_to(common) {
            it.slot().freed_before(old_size);
            it.slot().born(new_size);
        }
        for it in common.into_iter().flat_map(SlotId::chain) {
            it.slot().reborn(old_size, new_size);
        }
        for it in scope.chain() {
            it.slot().reallocations.fetch_add(1, Relaxed);
        }
        sites::born(scope, new, new_size, by, true);
    }
    if let Some(owner) = owner {
        debit(owner, old_size, common);
    }
}
