//! The live-block index: the address of a block to the callsite that allocated it.

use std::ptr::NonNull;

use crate::arena::{self, Reserved};
use crate::callsites::CallsiteId;
use crate::sync::{AtomicU32, Ordering};

/// The address space that one leaf covers.
const LEAF_BITS: u32 = 26;
/// User-space addresses that the map covers: all that today's 64-bit systems hand out unasked.
const ADDRESS_BITS: u32 = 47;

/// The least distance between the starts of two blocks, as a power of two.
///
/// It is a property of the inner allocator: 32 bytes for glibc's malloc, whose smallest chunk it
/// is, 16 for most others, 8 for one that nothing is known of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Granule(u32);

impl Granule {
    pub(crate) const SMALLEST: Granule = Granule(3);

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
/// Two levels, both straight from the operating system and resident only where they are touched.
/// The root has a pointer for each 64 MiB of address space; a leaf has a `u32`, the callsite's id,
/// for each granule of its 64 MiB. A lookup is two dependent loads.
///
/// The word of a block belongs to whoever owns the block: only the thread that has just received
/// it from the inner allocator writes it, and only the thread about to give it back clears it. The
/// program itself orders the two, since a pointer reaches another thread by some synchronization.
/// So plain relaxed loads and stores are enough, and nothing is locked.
///
/// # Memory
///
/// Four bytes a granule of heap that holds block starts: 12.5 % of the heap with 32-byte granules.
/// It becomes resident 16 KiB at a time.
/// Nothing is added to the program's blocks, so their sizes, alignments and zero pages stay as
/// they are. A trailer in the block would be a little faster, but changes size classes, trusts the
/// caller's layout, and cannot be walked.
pub(crate) struct PageMap {
    root: Reserved<Leaf, ROOT_LEN>,
    granule: AtomicU32,
    /// The [link](NEXT) to the leaf that was listed last.
    first: AtomicU32,
}

/// The words of the granules, after them a bit for each chunk: whether it is resident; then the
/// [link](NEXT).
type Leaf = Reserved<AtomicU32, { NEXT + 1 }>;

/// Where in a leaf the link to the next one is, so that all are found without a look at the whole root:
/// its number and two; one at the end of the list; zero in a leaf that is not listed.
const NEXT: usize = LEAF_LEN + LEAF_LEN / CHUNK_LEN / 32;
const LINK: u32 = 2;
const END: u32 = 1;

const ROOT_LEN: usize = 1 << (ADDRESS_BITS - LEAF_BITS);
/// Room for the smallest granule; with a larger one the far part is never touched.
const LEAF_LEN: usize = 1 << (LEAF_BITS - Granule::SMALLEST.0);
/// Words that become resident together: 16 KiB, which with glibc covers 128 KiB, the size from which
/// on it maps a block on its own.
const CHUNK_LEN: usize = 1 << 12;

impl PageMap {
    pub(crate) const fn new() -> PageMap {
        PageMap {
            root: Reserved::new(),
            granule: AtomicU32::new(Granule::SMALLEST.0),
            first: AtomicU32::new(END),
        }
    }

    /// Reserves the root. `None` where the system has no memory to give.
    pub(crate) fn prepare(&self, granule: Granule) -> Option<()> {
        self.granule.store(granule.0, Ordering::Relaxed);
        self.root.get_or_reserve().map(drop)
    }

    /// Records that the block at `address` belongs to `callsite`, and returns what its place held:
    /// another callsite if a block was released without our knowledge.
    ///
    /// An error means that nothing was recorded.
    #[inline(always)]
    pub(crate) fn insert(
        &self,
        address: usize,
        callsite: CallsiteId,
    ) -> Result<Option<CallsiteId>, InsertError> {
        self.insert_at(self.prefetched(address), address, callsite)
    }

    /// The same, with the slot from [`prefetched`](Self::prefetched).
    #[inline(always)]
    pub(crate) fn insert_at(
        &self,
        slot: Option<&AtomicU32>,
        address: usize,
        callsite: CallsiteId,
    ) -> Result<Option<CallsiteId>, InsertError> {
        let slot = match slot {
            Some(slot) => slot,
            None => self.slot_or_reserve(address)?,
        };
        let before = slot.load(Ordering::Relaxed);
        slot.store(callsite.get(), Ordering::Relaxed);
        Ok(CallsiteId::from_word(before))
    }

    #[cold]
    #[inline(never)]
    fn slot_or_reserve(&self, address: usize) -> Result<&AtomicU32, InsertError> {
        let leaf = self.leaf(address).ok_or(InsertError::OutOfRange)?;
        let leaf = leaf.get_or_reserve().ok_or(InsertError::OutOfMemory)?;
        let index = self.index(address);
        let (bits, bit) = chunk_bit(index);
        let chunk = &leaf[index / CHUNK_LEN * CHUNK_LEN..][..CHUNK_LEN];
        // SAFETY: a chunk is four pages of the leaf's reservation, or one where pages are larger.
        unsafe { arena::populate(NonNull::from(chunk).cast(), size_of_val(chunk)) };
        leaf[bits].fetch_or(bit, Ordering::Relaxed);
        self.list(leaf, address);
        Ok(&leaf[index])
    }

    /// Adds the leaf of an address to the list, once.
    fn list(&self, leaf: &[AtomicU32; NEXT + 1], address: usize) {
        let next = &leaf[NEXT];
        let is_first = next.compare_exchange(0, END, Ordering::Relaxed, Ordering::Relaxed);
        if is_first.is_ok() {
            let link = (address >> LEAF_BITS) as u32 + LINK;
            // The release shows the leaf's own link to the acquire in `leaves`.
            let push = |first| {
                next.store(first, Ordering::Relaxed);
                Some(link)
            };
            let _ = self
                .first
                .fetch_update(Ordering::Release, Ordering::Relaxed, push);
        }
    }

    /// The leaves that anything was written to.
    fn leaves(&self) -> impl Iterator<Item = &Leaf> {
        let mut link = self.first.load(Ordering::Acquire);
        std::iter::from_fn(move || {
            let leaf = self.root.get()?.get(link.checked_sub(LINK)? as usize)?;
            link = leaf.get()?[NEXT].load(Ordering::Relaxed);
            Some(leaf)
        })
    }

    /// The slot of a block that is about to be recorded, if it is resident already. It is on its way
    /// from memory from here on.
    ///
    /// PERF: the slot of a fresh block is often in no cache, and a stack is captured in the meantime.
    #[inline(always)]
    pub(crate) fn prefetched(&self, address: usize) -> Option<&AtomicU32> {
        let slot = self.resident_slot(address)?;
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint about an address that is there; it reads and writes nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(slot).cast()) };
        }
        Some(slot)
    }

    /// The callsite of the block at `address`, if it is known.
    #[inline(always)]
    pub(crate) fn get(&self, address: usize) -> Option<CallsiteId> {
        CallsiteId::from_word(self.resident_slot(address)?.load(Ordering::Relaxed))
    }

    /// Forgets the block at `address`, and returns its callsite if it was known.
    #[inline(always)]
    pub(crate) fn remove(&self, address: usize) -> Option<CallsiteId> {
        let slot = self.resident_slot(address)?;
        let callsite = CallsiteId::from_word(slot.load(Ordering::Relaxed))?;
        slot.store(0, Ordering::Relaxed);
        Some(callsite)
    }

    /// Forgets all blocks and gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the map until this returns.
    pub(crate) unsafe fn clear(&self) {
        for leaf in self.leaves() {
            // SAFETY: the caller's promise.
            unsafe { leaf.clear() };
        }
        self.first.store(END, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { self.root.clear() };
    }

    /// The physical memory that the map takes up.
    pub(crate) fn resident(&self) -> usize {
        self.root.resident() + self.leaves().map(Leaf::resident).sum::<usize>()
    }

    #[inline(always)]
    fn leaf(&self, address: usize) -> Option<&Leaf> {
        self.root.get()?.get(address >> LEAF_BITS)
    }

    /// The slot of a block, unless none near it was ever written.
    #[inline(always)]
    fn resident_slot(&self, address: usize) -> Option<&AtomicU32> {
        let leaf = self.leaf(address)?.get()?;
        let index = self.index(address);
        let (bits, bit) = chunk_bit(index);
        (leaf[bits].load(Ordering::Relaxed) & bit != 0).then(|| &leaf[index])
    }

    #[inline(always)]
    fn index(&self, address: usize) -> usize {
        let granule = self.granule.load(Ordering::Relaxed);
        // NOTE: the last mask changes nothing, since a granule has at least the smallest's bits;
        // it shows the compiler that the index is in the leaf.
        ((address & ((1 << LEAF_BITS) - 1)) >> (granule & 31)) & (LEAF_LEN - 1)
    }
}

/// The word and the bit that say whether the chunk of a word is resident.
#[inline(always)]
fn chunk_bit(index: usize) -> (usize, u32) {
    let chunk = index / CHUNK_LEN;
    (LEAF_LEN + chunk / 32, 1 << (chunk % 32))
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
        let map = PageMap::new();
        map.prepare(Granule::from_bytes(granule).unwrap()).unwrap();
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
            let base = (3 << LEAF_BITS) - granule;
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
