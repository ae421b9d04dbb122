//! The live-block index: the address of a block to the callsite that allocated it.

use std::ptr::{self, NonNull};

use crate::system::arena::{self, Arena, LazyTable, Zeroed};
use crate::system::sync::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use crate::tables::callsites::CallsiteId;

/// The address space of a directory, as a power of two.
const DIRECTORY_BITS: u32 = 26;
/// The address space of a chunk. With glibc blocks of that size or more are mapped on their own.
const CHUNK_BITS: u32 = 17;
/// User-space addresses that the map covers: all that today's 64-bit systems hand out unasked.
const ADDRESS_BITS: u32 = 47;

const ROOT_LEN: usize = 1 << (ADDRESS_BITS - DIRECTORY_BITS);
const DIRECTORY_LEN: usize = 1 << (DIRECTORY_BITS - CHUNK_BITS);

/// The least distance between the starts of two blocks, as a power of two.
///
/// It is a property of the inner allocator: 32 bytes for glibc's malloc, whose smallest chunk it
/// is, 16 for most others, 8 for one that nothing is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Granule(u32);

impl Granule {
    pub(crate) const SMALLEST: Granule = Granule(3);

    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// From a distance in bytes, which must be a power of two from 8 to 4,096.
    pub(crate) const fn from_bytes(bytes: usize) -> Option<Granule> {
        if bytes.is_power_of_two() && bytes >= 8 && bytes <= 4096 {
            Some(Granule(bytes.trailing_zeros()))
        } else {
            None
        }
    }
}

/// One word for each place where a block can start.
///
/// # Implementation
///
/// Three levels. The root has a pointer for each 64 MiB of address space, to a directory, which has
/// one for each 128 KiB, to a chunk, which has a `u32`, the callsite's id, for each granule. A
/// lookup is three dependent loads; but of the upper levels a heap of 100 MiB uses 6.5 KiB, so they
/// are in the cache nearest to the processor. A chunk is made resident as a whole when the first of
/// its words is written, but for a sample, whose blocks lie far apart.
///
/// The word of a block belongs to whoever owns the block: only the thread that has just received
/// it from the inner allocator writes it, and only the thread about to give it back clears it. The
/// program itself orders the two, since a pointer reaches another thread by some synchronization.
/// So plain relaxed loads and stores are enough, and nothing is locked.
///
/// # Memory
///
/// Four bytes a granule of heap that holds block starts: 12.5 % of the heap with 32-byte granules;
/// one byte where only the heap is counted, and by an index: see
/// [`Counted`](crate::tables::counted::Counted). Nothing is added to the program's blocks, so their
/// sizes, alignments and zero pages stay as they are. A trailer in the block would be a little
/// faster, but changes size classes, trusts the caller's layout, and cannot be walked.
pub(crate) struct PageMap<W = AtomicU32> {
    root: LazyTable<AtomicPtr<Directory<W>>, ROOT_LEN>,
    /// How many directories the root has room for: none before it is reserved.
    directories: AtomicUsize,
    granule: AtomicU32,
    /// Whether blocks lie close together, so that a chunk is used as a whole.
    dense: AtomicBool,
    memory: Arena,
}

struct Directory<W>([AtomicPtr<W>; DIRECTORY_LEN]);

/// What a place of a [`PageMap`] is made of: room for what the map knows of a block. Zero is no
/// block.
pub(crate) trait Word: Zeroed {
    /// What the map knows of a block: its callsite, or another name that is never zero.
    type Owner: Copy;

    fn read(&self) -> Option<Self::Owner>;
    fn write(&self, owner: Option<Self::Owner>);

    /// Writes `owner`, and returns what was there.
    #[inline(always)]
    fn replace(&self, owner: Option<Self::Owner>) -> Option<Self::Owner> {
        let before = self.read();
        self.write(owner);
        before
    }
}

impl Word for AtomicU32 {
    type Owner = CallsiteId;

    #[inline(always)]
    fn read(&self) -> Option<CallsiteId> {
        CallsiteId::from_word(self.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn write(&self, callsite: Option<CallsiteId>) {
        self.store(callsite.map_or(0, CallsiteId::get), Ordering::Relaxed);
    }
}

/// Where no stacks are captured there is one callsite only, and its number is small.
impl Word for AtomicU8 {
    type Owner = CallsiteId;

    #[inline(always)]
    fn read(&self) -> Option<CallsiteId> {
        CallsiteId::from_word(self.load(Ordering::Relaxed).into())
    }

    #[inline(always)]
    fn write(&self, callsite: Option<CallsiteId>) {
        self.store(callsite.map_or(0, CallsiteId::get) as u8, Ordering::Relaxed);
    }
}

impl PageMap {
    /// Slow path of [`insert`](Self::insert): the page may be missing.
    ///
    /// PERF: written before it is read. To read first a page that nobody has touched takes one
    /// fault more, for the page of zeros that all share.
    pub(crate) fn insert_apart(
        &self,
        address: usize,
        callsite: CallsiteId,
    ) -> Result<Option<CallsiteId>, InsertError> {
        let slot = self.slot_anyhow(address)?;
        let before = slot.swap(callsite.get(), Ordering::Relaxed);
        Ok(CallsiteId::from_word(before))
    }
}

impl<W: Word> PageMap<W> {
    pub(crate) const fn new() -> PageMap<W> {
        PageMap {
            root: LazyTable::new(),
            directories: AtomicUsize::new(0),
            granule: AtomicU32::new(Granule::SMALLEST.0),
            dense: AtomicBool::new(true),
            memory: Arena::new(),
        }
    }

    /// Reserves the root. `None` where the system has no memory to give.
    pub(crate) fn prepare(&self, granule: Granule, dense: bool) -> Option<()> {
        self.granule.store(granule.0, Ordering::Relaxed);
        self.dense.store(dense, Ordering::Relaxed);
        self.root.get_or_reserve()?;
        // The release pairs with the acquire in `slot`.
        self.directories.store(ROOT_LEN, Ordering::Release);
        Some(())
    }

    /// Records that the block at `address` belongs to `owner`, and returns what its place held:
    /// another owner if a block was released without our knowledge.
    ///
    /// An error means that nothing was recorded.
    #[inline(always)]
    pub(crate) fn insert(
        &self,
        address: usize,
        owner: W::Owner,
    ) -> Result<Option<W::Owner>, InsertError> {
        Ok(self.slot_anyhow(address)?.replace(Some(owner)))
    }

    /// The slot of a block, with memory for it if there was none.
    #[inline(always)]
    fn slot_anyhow(&self, address: usize) -> Result<&W, InsertError> {
        match self.slot(address) {
            Some(slot) => Ok(slot),
            None => self.slot_or_reserve(address),
        }
    }

    /// The slot of a block that is about to be recorded, if there is one already. It is on its way
    /// from memory from here on.
    ///
    /// PERF: the slot of a fresh block is often in no cache, and a stack is captured in the
    /// meantime.
    #[inline(always)]
    pub(crate) fn prefetched(&self, address: usize) -> Option<&W> {
        let slot = self.slot(address)?;
        arena::prefetch(slot);
        Some(slot)
    }

    /// The owner of the block at `address`, if it is known.
    #[inline(always)]
    pub(crate) fn get(&self, address: usize) -> Option<W::Owner> {
        self.slot(address)?.read()
    }

    /// The slot of the block at `address` and its owner, if it is known.
    #[inline(always)]
    pub(crate) fn find(&self, address: usize) -> Option<(&W, W::Owner)> {
        let slot = self.slot(address)?;
        slot.read().map(|owner| (slot, owner))
    }

    /// Forgets the block at `address`, and returns its owner if it was known.
    #[inline(always)]
    pub(crate) fn remove(&self, address: usize) -> Option<W::Owner> {
        let (slot, owner) = self.find(address)?;
        slot.write(None);
        Some(owner)
    }

    /// The slot of a block, unless none near it was ever written.
    ///
    /// PERF: one comparison tells that there is a root and that the address is within its reach.
    #[inline(always)]
    fn slot(&self, address: usize) -> Option<&W> {
        let number = address >> DIRECTORY_BITS;
        if number >= self.directories.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: it was reserved before there was room for any, and lives until `clear`, which
        // runs alone.
        let directory = unsafe { self.root.get_unchecked(number) };
        // The acquire pairs with the release in `directory`.
        //
        // SAFETY: null, or a directory, which lives until `clear`, which runs alone.
        let directory = unsafe { directory.load(Ordering::Acquire).as_ref() }?;
        // The acquire pairs with the release in `slot_or_reserve`.
        let chunk = directory.0[place_in_directory(address)].load(Ordering::Acquire);
        if chunk.is_null() {
            return None;
        }
        let granule = self.granule.load(Ordering::Relaxed);
        // SAFETY: a chunk has a word for each granule of its addresses.
        let slot = unsafe { chunk.add(place_in_chunk(address, granule)) };
        // SAFETY: a chunk has a word for each granule of its addresses, so it is not null.
        let slot = unsafe { NonNull::new_unchecked(slot) };
        // SAFETY: a chunk has a word for each granule of its addresses; it lives until `clear`.
        Some(unsafe { slot.as_ref() })
    }

    #[cold]
    #[inline(never)]
    fn slot_or_reserve(&self, address: usize) -> Result<&W, InsertError> {
        let directory = self.directory(address)?;
        let place = &directory.0[place_in_directory(address)];
        if place.load(Ordering::Acquire).is_null() {
            let len = size_of::<W>() << CHUNK_BITS >> self.granule.load(Ordering::Relaxed);
            let align = len.min(arena::PAGE);
            let fresh = self.memory.zeroed(len, align);
            let fresh = fresh.ok_or(InsertError::OutOfMemory)?;
            if self.dense.load(Ordering::Relaxed) {
                // SAFETY: a piece of the arena, whole pages of it or a part of one.
                unsafe { arena::populate(fresh, len) };
            }
            // Of two threads that were first at once, one wins; the other's chunk stays unused. The
            // release shows zeroed memory to the acquires.
            let _ = place.compare_exchange(
                ptr::null_mut(),
                fresh.as_ptr().cast(),
                Ordering::Release,
                Ordering::Relaxed,
            );
        }
        self.slot(address).ok_or(InsertError::OutOfMemory)
    }

    /// The directory of an address, new if there was none.
    fn directory(&self, address: usize) -> Result<&Directory<W>, InsertError> {
        let number = address >> DIRECTORY_BITS;
        let root = self.root.get().ok_or(InsertError::OutOfMemory)?;
        let place = root.get(number).ok_or(InsertError::OutOfRange)?;
        if place.load(Ordering::Acquire).is_null() {
            let fresh = self
                .memory
                .zeroed(size_of::<Directory<W>>(), align_of::<Directory<W>>())
                .ok_or(InsertError::OutOfMemory)?;
            // As with a chunk. The release shows zeroed memory to the acquires.
            let _ = place.compare_exchange(
                ptr::null_mut(),
                fresh.as_ptr().cast(),
                Ordering::Release,
                Ordering::Relaxed,
            );
        }
        // SAFETY: a directory, which lives until `clear`, which runs alone.
        unsafe { place.load(Ordering::Acquire).as_ref() }.ok_or(InsertError::OutOfMemory)
    }

    /// Forgets all blocks and gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the map until this returns.
    pub(crate) unsafe fn clear(&self) {
        self.directories.store(0, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.root.clear() };
        // SAFETY: the caller's promise; nothing refers to directories or chunks any more.
        unsafe { self.memory.clear() };
    }

    /// The physical memory that the map takes up.
    pub(crate) fn resident(&self) -> usize {
        self.root.resident() + self.memory.resident()
    }
}

#[inline(always)]
fn place_in_directory(address: usize) -> usize {
    (address >> CHUNK_BITS) % DIRECTORY_LEN
}

#[inline(always)]
fn place_in_chunk(address: usize, granule: u32) -> usize {
    (address & ((1 << CHUNK_BITS) - 1)) >> (granule & 63)
}

/// Why a block was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InsertError {
    /// The address lies beyond what the map covers.
    OutOfRange,
    /// The system has no memory to give for the map itself.
    OutOfMemory,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn id(n: u32) -> CallsiteId {
        CallsiteId::from_word(n).unwrap()
    }

    fn map_of(granule: usize) -> PageMap {
        let map: PageMap = PageMap::new();
        map.prepare(Granule::from_bytes(granule).unwrap(), true)
            .unwrap();
        map
    }

    /// What one operation did to the map must equal what it does to a `HashMap`.
    #[test]
    fn behaves_as_a_hash_map_does() {
        let map = map_of(16);
        let mut model = HashMap::new();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..200_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Few places, far apart and close together, so that operations meet.
            let address = ((random & 7) << 40
                | (random >> 8 & 0xFFF) << 14
                | (random >> 24 & 3) << 4) as usize;
            match random >> 60 {
                0..6 => {
                    let callsite = id((random >> 32) as u32 | 1);
                    assert_eq!(
                        map.insert(address, callsite),
                        Ok(model.insert(address, callsite))
                    );
                }
                6..12 => assert_eq!(map.remove(address), model.remove(&address)),
                _ => assert_eq!(map.get(address), model.get(&address).copied()),
            }
        }
        assert!(model.len() > 1_000);
        // SAFETY: this thread is the only user.
        unsafe { map.clear() };
        assert_eq!(map.resident(), 0);
    }

    #[test]
    fn neighbours_one_granule_apart_are_told_apart() {
        for granule in [8, 16, 32] {
            let map = map_of(granule);
            let base = (3 << DIRECTORY_BITS) - granule;
            map.insert(base, id(1)).unwrap();
            map.insert(base + granule, id(2)).unwrap();
            assert_eq!(
                (map.get(base), map.get(base + granule)),
                (Some(id(1)), Some(id(2)))
            );
            // SAFETY: this thread is the only user.
            unsafe { map.clear() };
        }
    }

    #[test]
    fn addresses_beyond_user_space_are_refused_and_unknown() {
        let map = map_of(16);
        assert_eq!(
            map.insert(1 << ADDRESS_BITS, id(1)),
            Err(InsertError::OutOfRange)
        );
        assert_eq!(map.get(usize::MAX & !15), None);
        assert_eq!(map.remove(1 << 50), None);
        // SAFETY: this thread is the only user.
        unsafe { map.clear() };
    }

    #[test]
    fn granules_are_powers_of_two() {
        assert!(Granule::from_bytes(32) > Granule::from_bytes(16));
        for wrong in [0, 4, 24, 8192] {
            assert_eq!(Granule::from_bytes(wrong), None);
        }
    }
}
