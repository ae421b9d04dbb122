//! The live-block index: maps the address of a block to the callsite that allocated it, and more.

use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ptr::{self, NonNull};

use crate::system::arena::{self, Arena, LazyTable, Zeroed};
use crate::system::sync::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};
use crate::tables::block::Block;
use crate::tables::callsites::CallsiteId;

/// Address space of a directory, as a power of two.
const DIRECTORY_BITS: u32 = 26;
/// Address space of a chunk, as a power of two. glibc maps blocks of that size or larger on their
/// own.
const CHUNK_BITS: u32 = 17;
/// User-space address bits that the map covers: all that today's 64-bit systems hand out by
/// default. On aarch64 Linux the heap is in the upper half of that.
const ADDRESS_BITS: u32 = if cfg!(target_arch = "aarch64") {
    48
} else {
    47
};

const ROOT_LEN: usize = 1 << (ADDRESS_BITS - DIRECTORY_BITS);
/// Directories in a part of the root, as a power of two: a page of it.
const PART_BITS: u32 = 9;
const PARTS: usize = ROOT_LEN >> PART_BITS;
const PARTS_IN_WORD: usize = u64::BITS as usize;
const DIRECTORY_LEN: usize = 1 << (DIRECTORY_BITS - CHUNK_BITS);

/// The least distance between the starts of two blocks, as a power of two.
///
/// It is a property of the inner allocator: 32 bytes for glibc's malloc (its smallest chunk), 16
/// for most others, 8 for an unknown allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Granule(u32);

impl Granule {
    pub(crate) const SMALLEST: Granule = Granule(3);
    /// The largest granule for which a [`Block`] has its start.
    pub(crate) const WITH_STARTS: Granule = Granule(5);

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

/// The live-block index: one word for each granule of the heap, that is, each address where a block
/// can start.
///
/// # Implementation
///
/// Three levels. The root holds a pointer to a directory for each 64 MiB of address space; a
/// directory holds a pointer to a chunk for each 128 KiB; a chunk holds a `u32`, a [`Block`], for
/// each granule. A lookup is three dependent loads, but the upper levels of a heap of 100 MiB
/// take 6.5 KiB, so they stay in the L1 cache. A chunk becomes resident as a whole when its first
/// word is written, except in a sampled session, whose recorded blocks are far apart.
///
/// A session that keeps more of a block, such as its birth, has [companions](Companion): arrays of
/// eight bytes a granule behind the words of each chunk. One lookup finds a word and its companions.
///
/// PERF: births in a map of their own took some 80 more instructions for a pair.
///
/// The word of a block belongs to the owner of the block: only the thread that has just received it
/// from the inner allocator writes it, and only the thread about to give it back clears it. The
/// program itself orders the two, since a pointer reaches another thread through some
/// synchronization. So plain relaxed loads and stores are enough, and nothing is locked.
///
/// # Memory
///
/// Four bytes for each granule of heap: 12.5 % of the heap with 32-byte granules. One byte where
/// only the heap is counted and an index is needed: see
/// [`Counted`](crate::tables::counted::Counted). The program's blocks are unchanged, so their
/// sizes, alignments and zero pages stay as they are. A trailer in the block would be a little
/// faster, but changes size classes, trusts the caller's layout, and cannot be walked.
pub(crate) struct PageMap<W = AtomicU32> {
    root: LazyTable<AtomicPtr<Directory<W>>, ROOT_LEN>,
    /// Number of directories that the root has room for; zero until the root is reserved.
    directories: AtomicUsize,
    granule: AtomicU32,
    /// Whether blocks are close together, so that a chunk is populated as a whole.
    dense: AtomicBool,
    /// Where the companions of each kind begin in a chunk, in bytes; zero if the map has none.
    companions: [AtomicUsize; Companions::KINDS],
    memory: Arena,
    /// A bit for each part of the root that may have a directory. A reader skips the others,
    /// which are most of 16 or 32 MiB.
    parts: [AtomicU64; PARTS / PARTS_IN_WORD],
}

struct Directory<W>([AtomicPtr<W>; DIRECTORY_LEN]);

/// A word of a [`PageMap`]: room for what the map stores about a block. Zero means no block.
pub(crate) trait Word: Zeroed {
    /// What the map stores about a block: its callsite and more, or another id that is never zero.
    type Owner: Copy;

    fn read(&self) -> Option<Self::Owner>;
    fn write(&self, owner: Option<Self::Owner>);

    /// Writes `owner` and returns the previous owner.
    #[inline(always)]
    fn replace(&self, owner: Option<Self::Owner>) -> Option<Self::Owner> {
        let before = self.read();
        self.write(owner);
        before
    }
}

/// What a map may store about a block besides its word, in eight bytes.
pub(crate) trait Companion: Copy {
    const KIND: usize;

    fn word(self) -> NonZeroU64;
    fn from_word(word: NonZeroU64) -> Self;
}

/// A companion of a block. Zero if there is none.
///
/// NOTE: that of a block that was freed stays until another block starts there.
#[repr(transparent)]
pub(crate) struct CompanionWord<C>(AtomicU64, PhantomData<C>);

impl<C: Companion> CompanionWord<C> {
    #[inline(always)]
    pub(crate) fn read(&self) -> Option<C> {
        NonZeroU64::new(self.0.load(Ordering::Relaxed)).map(C::from_word)
    }

    #[inline(always)]
    pub(crate) fn write(&self, companion: C) {
        self.0.store(companion.word().get(), Ordering::Relaxed);
    }
}

/// The kinds of companions that a map has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Companions {
    pub(crate) births: bool,
    pub(crate) origins: bool,
}

impl Companions {
    pub(crate) const BIRTH: usize = 0;
    pub(crate) const ORIGIN: usize = 1;
    const KINDS: usize = 2;

    /// Where each kind begins in a chunk of so many words of this size, in bytes.
    fn places(self, words: usize, word: usize) -> [usize; Companions::KINDS] {
        let mut end = words * word;
        [self.births, self.origins].map(|has| {
            let place = end;
            end += usize::from(has) * words * size_of::<u64>();
            if has { place } else { 0 }
        })
    }
}

/// The place of a block: its word, and its companions.
pub(crate) struct Place<'a, W> {
    map: &'a PageMap<W>,
    chunk: NonNull<W>,
    at: usize,
}

impl<W> Clone for Place<'_, W> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Place<'_, W> {}

impl<'a, W> Place<'a, W> {
    #[inline(always)]
    pub(crate) fn word(self) -> &'a W {
        // SAFETY: a chunk has a word for each of its places.
        let word = unsafe { self.chunk.add(self.at) };
        // SAFETY: the word is inside its chunk, which lives until `clear`, which runs alone.
        unsafe { word.as_ref() }
    }

    /// The companion of this kind, if the map has such companions.
    #[inline(always)]
    pub(crate) fn companion<C: Companion>(self) -> Option<&'a CompanionWord<C>> {
        let begins = self.map.companions[C::KIND].load(Ordering::Relaxed);
        if begins == 0 {
            return None;
        }
        // SAFETY: a chunk of a map with such companions has as many as words, which begin here.
        let first = unsafe { self.chunk.byte_add(begins) }.cast::<CompanionWord<C>>();
        // SAFETY: as above. The words before take a multiple of eight bytes.
        let companion = unsafe { first.add(self.at) };
        // SAFETY: inside the chunk, as the word. It is an integer, for which any value is valid.
        Some(unsafe { companion.as_ref() })
    }
}

impl Word for AtomicU32 {
    type Owner = Block;

    #[inline(always)]
    fn read(&self) -> Option<Block> {
        Block::from_word(self.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn write(&self, block: Option<Block>) {
        self.store(block.map_or(0, Block::word), Ordering::Relaxed);
    }
}

/// For sessions without stacks: there is one callsite only, and its id is small.
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
    /// PERF: writes before it reads. Reading an untouched page first takes one more fault, for the
    /// shared zero page.
    pub(crate) fn insert_slow(
        &self,
        address: usize,
        block: Block,
    ) -> Result<Option<Block>, InsertError> {
        let slot = self.slot_anyhow(address)?;
        let before = slot.swap(block.word(), Ordering::Relaxed);
        Ok(Block::from_word(before))
    }
}

impl<W: Word> PageMap<W> {
    pub(crate) const fn new() -> PageMap<W> {
        PageMap {
            root: LazyTable::new(),
            directories: AtomicUsize::new(0),
            granule: AtomicU32::new(Granule::SMALLEST.0),
            dense: AtomicBool::new(true),
            companions: [const { AtomicUsize::new(0) }; Companions::KINDS],
            memory: Arena::new(),
            parts: [const { AtomicU64::new(0) }; PARTS / PARTS_IN_WORD],
        }
    }

    /// Reserves the root. Returns `None` if the system is out of memory.
    pub(crate) fn prepare(&self, granule: Granule, dense: bool) -> Option<()> {
        self.prepare_with(granule, dense, Companions::default())
    }

    /// As [`prepare`](Self::prepare), with companions.
    pub(crate) fn prepare_with(
        &self,
        granule: Granule,
        dense: bool,
        companions: Companions,
    ) -> Option<()> {
        self.granule.store(granule.0, Ordering::Relaxed);
        self.dense.store(dense, Ordering::Relaxed);
        let places = companions.places(words_in_chunk(granule.0), size_of::<W>());
        for (begins, place) in self.companions.iter().zip(places) {
            begins.store(place, Ordering::Relaxed);
        }
        self.root.get_or_reserve()?;
        // The release pairs with the acquire in `place`.
        self.directories.store(ROOT_LEN, Ordering::Release);
        Some(())
    }

    /// Records that the block at `address` belongs to `owner`. Returns the previous owner, which is
    /// `Some` if a block was freed without a record.
    ///
    /// On an error nothing is recorded.
    #[inline(always)]
    pub(crate) fn insert(
        &self,
        address: usize,
        owner: W::Owner,
    ) -> Result<Option<W::Owner>, InsertError> {
        Ok(self.slot_anyhow(address)?.replace(Some(owner)))
    }

    /// The slot of a block; memory for it is reserved if needed.
    #[inline(always)]
    fn slot_anyhow(&self, address: usize) -> Result<&W, InsertError> {
        match self.place(address) {
            Some(place) => Ok(place.word()),
            None => self.slot_or_reserve(address),
        }
    }

    /// Prefetches and returns the place of a block that is about to be recorded, if it exists.
    ///
    /// PERF: the word of a fresh block is often in no cache, and a stack is captured in the
    /// meantime.
    #[inline(always)]
    pub(crate) fn prefetched(&self, address: usize) -> Option<Place<'_, W>> {
        let place = self.place(address)?;
        arena::prefetch(place.word());
        Some(place)
    }

    /// The owner of the block at `address`, if it is known.
    #[inline(always)]
    pub(crate) fn get(&self, address: usize) -> Option<W::Owner> {
        self.place(address)?.word().read()
    }

    /// The place of the block at `address` and its owner, if it is known.
    #[inline(always)]
    pub(crate) fn find(&self, address: usize) -> Option<(Place<'_, W>, W::Owner)> {
        let place = self.place(address)?;
        place.word().read().map(|owner| (place, owner))
    }

    /// Removes the block at `address` and returns its owner if it was known.
    #[inline(always)]
    pub(crate) fn remove(&self, address: usize) -> Option<W::Owner> {
        let (place, owner) = self.find(address)?;
        place.word().write(None);
        Some(owner)
    }

    /// The place of a block, unless its chunk was never written.
    ///
    /// PERF: one comparison checks that the root exists and that the address is within its range.
    #[inline(always)]
    pub(crate) fn place(&self, address: usize) -> Option<Place<'_, W>> {
        let number = address >> DIRECTORY_BITS;
        if number >= self.directories.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: `number` is below `directories`, which is non-zero only after the root was
        // reserved. The root lives until `clear`, which runs alone.
        let directory = unsafe { self.root.get_unchecked(number) };
        // The acquire pairs with the release in `directory`.
        //
        // SAFETY: the pointer is null or a directory, which lives until `clear`, which runs alone.
        let directory = unsafe { directory.load(Ordering::Acquire).as_ref() }?;
        // The acquire pairs with the release in `slot_or_reserve`.
        let chunk = directory.0[place_in_directory(address)].load(Ordering::Acquire);
        let granule = self.granule.load(Ordering::Relaxed);
        Some(Place {
            map: self,
            chunk: NonNull::new(chunk)?,
            at: place_in_chunk(address, granule),
        })
    }

    #[cold]
    #[inline(never)]
    fn slot_or_reserve(&self, address: usize) -> Result<&W, InsertError> {
        let directory = self.directory(address)?;
        let place = &directory.0[place_in_directory(address)];
        if place.load(Ordering::Acquire).is_null() {
            let len = self.chunk_bytes();
            let align = len.next_power_of_two().min(arena::PAGE);
            let fresh = self.memory.zeroed(len, align);
            let fresh = fresh.ok_or(InsertError::OutOfMemory)?;
            if self.dense.load(Ordering::Relaxed) {
                // SAFETY: `fresh` is a piece of the arena of `len` bytes: whole pages or a part of
                // one.
                unsafe { arena::populate(fresh, len) };
            }
            // Two threads may race here. One wins; the other's chunk stays unused. The release
            // publishes zeroed memory to the acquires.
            let _ = place.compare_exchange(
                ptr::null_mut(),
                fresh.as_ptr().cast(),
                Ordering::Release,
                Ordering::Relaxed,
            );
        }
        let place = self.place(address).ok_or(InsertError::OutOfMemory)?;
        Ok(place.word())
    }

    /// The size of a chunk, in bytes.
    fn chunk_bytes(&self) -> usize {
        let words = words_in_chunk(self.granule.load(Ordering::Relaxed));
        let begins = self.companions.each_ref();
        let kinds = begins.map(|it| it.load(Ordering::Relaxed) != 0);
        words * (size_of::<W>() + kinds.map(usize::from).iter().sum::<usize>() * size_of::<u64>())
    }

    /// The directory of an address; reserved if there was none.
    fn directory(&self, address: usize) -> Result<&Directory<W>, InsertError> {
        let number = address >> DIRECTORY_BITS;
        let root = self.root.get().ok_or(InsertError::OutOfMemory)?;
        let place = root.get(number).ok_or(InsertError::OutOfRange)?;
        if place.load(Ordering::Acquire).is_null() {
            let fresh = self
                .memory
                .zeroed(size_of::<Directory<W>>(), align_of::<Directory<W>>())
                .ok_or(InsertError::OutOfMemory)?;
            let part = number >> PART_BITS;
            // NOTE: before the directory is there, so that who sees a block in it sees the bit.
            self.parts[part / PARTS_IN_WORD]
                .fetch_or(1 << (part % PARTS_IN_WORD), Ordering::Relaxed);
            // If two threads race, one wins and the other's directory stays unused. The release
            // publishes zeroed memory to the acquires.
            let _ = place.compare_exchange(
                ptr::null_mut(),
                fresh.as_ptr().cast(),
                Ordering::Release,
                Ordering::Relaxed,
            );
        }
        // SAFETY: the pointer is null or a directory, which lives until `clear`, which runs alone.
        unsafe { place.load(Ordering::Acquire).as_ref() }.ok_or(InsertError::OutOfMemory)
    }

    /// The distance between the places of two blocks.
    pub(crate) fn granule(&self) -> Granule {
        Granule(self.granule.load(Ordering::Relaxed))
    }

    /// Calls `each` with the address of every block and its owner, while other threads go on.
    pub(crate) fn for_each(&self, mut each: impl FnMut(usize, W::Owner)) {
        self.for_each_place(|address, owner, _| each(address, owner));
    }

    /// As [`for_each`](Self::for_each), with the place of each block.
    pub(crate) fn for_each_place(&self, mut each: impl FnMut(usize, W::Owner, Place<'_, W>)) {
        let granule = self.granule.load(Ordering::Relaxed);
        let Some(root) = self.root.get() else {
            return;
        };
        for number in self.possible_directories() {
            let directory = &root[number];
            // SAFETY: the pointer is null or a directory, which lives until `clear`, which runs
            // alone.
            let Some(directory) = (unsafe { directory.load(Ordering::Acquire).as_ref() }) else {
                continue;
            };
            for (chunk_number, chunk) in directory.0.iter().enumerate() {
                let Some(chunk) = NonNull::new(chunk.load(Ordering::Acquire)) else {
                    continue;
                };
                let start = (number << DIRECTORY_BITS) | (chunk_number << CHUNK_BITS);
                for at in 0..words_in_chunk(granule) {
                    let map = self;
                    let place = Place { map, chunk, at };
                    if let Some(owner) = place.word().read() {
                        each(start | (at << granule), owner, place);
                    }
                }
            }
        }
    }

    /// The numbers of all directories, and of some that do not exist.
    fn possible_directories(&self) -> impl Iterator<Item = usize> {
        let words = self.parts.iter().map(|it| it.load(Ordering::Relaxed));
        let parts = words.enumerate().flat_map(|(at, word)| {
            let bits = (0..PARTS_IN_WORD).filter(move |bit| word >> bit & 1 != 0);
            bits.map(move |bit| at * PARTS_IN_WORD + bit)
        });
        parts.flat_map(|part| part << PART_BITS..(part + 1) << PART_BITS)
    }

    /// Removes all blocks and gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the map until this returns.
    pub(crate) unsafe fn clear(&self) {
        self.directories.store(0, Ordering::Relaxed);
        self.parts
            .iter()
            .for_each(|it| it.store(0, Ordering::Relaxed));
        // SAFETY: the caller guarantees exclusive use.
        unsafe { self.root.clear() };
        // SAFETY: the caller guarantees exclusive use, and nothing refers to directories or chunks
        // any more.
        unsafe { self.memory.clear() };
    }

    /// Physical memory of the map, in bytes.
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

/// The number of words in a chunk: one for each granule of its addresses.
#[inline(always)]
fn words_in_chunk(granule: u32) -> usize {
    1 << CHUNK_BITS >> granule
}

/// Why a block was not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InsertError {
    /// The address is beyond the range that the map covers.
    OutOfRange,
    /// The system is out of memory for the map itself.
    OutOfMemory,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::tables::lifetimes::{Birth, Clock};
    use crate::tables::origin::Origin;

    fn map_of<W: Word>(granule: usize) -> PageMap<W> {
        let map = PageMap::new();
        map.prepare(Granule::from_bytes(granule).unwrap(), true)
            .unwrap();
        map
    }

    fn block(n: u32) -> Block {
        Block::from_word(n).unwrap()
    }

    type Insert<W, O> = fn(&PageMap<W>, usize, O) -> Result<Option<O>, InsertError>;

    #[test]
    fn behaves_as_a_hash_map_does() {
        check_against_a_hash_map::<AtomicU32, Block>(block, PageMap::insert);
        check_against_a_hash_map::<AtomicU32, Block>(block, PageMap::insert_slow);
        let small = |n| CallsiteId::from_word(n & u32::from(u8::MAX)).unwrap();
        check_against_a_hash_map::<AtomicU8, CallsiteId>(small, PageMap::insert);
    }

    /// Every operation returns what the same operation on a `HashMap` returns.
    fn check_against_a_hash_map<W, O>(owner: fn(u32) -> O, insert: Insert<W, O>)
    where
        W: Word<Owner = O>,
        O: Copy + std::fmt::Debug + PartialEq,
    {
        let map = map_of::<W>(16);
        let mut model = HashMap::new();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..200_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Few places, far apart and close together, so that operations collide.
            let address = ((random & 7) << 40
                | (random >> 8 & 0xFFF) << 14
                | (random >> 24 & 3) << 4) as usize;
            match random >> 60 {
                0..6 => {
                    let owner = owner((random >> 32) as u32 | 1);
                    let before = model.insert(address, owner);
                    assert_eq!(insert(&map, address, owner), Ok(before));
                    assert!(map.prefetched(address).is_some());
                }
                6..12 => assert_eq!(map.remove(address), model.remove(&address)),
                _ => assert_eq!(map.get(address), model.get(&address).copied()),
            }
        }
        assert!(model.len() > 1_000);
        let (root, memory) = (map.root.resident(), map.memory.resident());
        assert!(root > 0 && memory > 0);
        assert_eq!(map.resident(), root + memory);
        // SAFETY: this thread is the only user.
        unsafe { map.clear() };
        assert_eq!(map.resident(), 0);
    }

    #[test]
    fn neighbours_one_granule_apart_are_told_apart() {
        for granule in [8, 16, 32] {
            let map = map_of::<AtomicU32>(granule);
            let base = (3 << DIRECTORY_BITS) - granule;
            map.insert(base, block(1)).unwrap();
            map.insert(base + granule, block(2)).unwrap();
            assert_eq!(
                (map.get(base), map.get(base + granule)),
                (Some(block(1)), Some(block(2)))
            );
            // SAFETY: this thread is the only user.
            unsafe { map.clear() };
        }
    }

    #[test]
    fn each_block_has_companions_of_its_own() {
        for granule in [8, 16, 32, 4096] {
            let map = PageMap::<AtomicU32>::new();
            let both = Companions {
                births: true,
                origins: true,
            };
            let bits = Granule::from_bytes(granule).unwrap();
            map.prepare_with(bits, true, both).unwrap();
            let clock = Clock::new();
            let blocks = words_in_chunk(bits.bits()) + 3;
            let addresses = (0..blocks).map(|number| (5 << DIRECTORY_BITS) + number * granule);
            let births = Vec::from_iter(
                (0..blocks).map(|number| Birth::at(clock.now((number as u64) << 10))),
            );
            for (number, address) in addresses.enumerate() {
                map.insert(address, block(1 + number as u32)).unwrap();
                let place = map.place(address).unwrap();
                let birth = place.companion::<Birth>().unwrap();
                let origin = place.companion::<Origin>().unwrap();
                assert_eq!((birth.read(), origin.read()), (None, None));
                birth.write(births[number]);
                origin.write(Origin::now(number));
            }
            let mut seen = 0;
            map.for_each_place(|address, owner, place| {
                assert_eq!(address, (5 << DIRECTORY_BITS) + seen * granule);
                assert_eq!(owner, block(1 + seen as u32));
                let birth = place.companion().and_then(CompanionWord::read);
                assert_eq!(birth, Some(births[seen]));
                let origin = place.companion().and_then(CompanionWord::<Origin>::read);
                assert_eq!(origin.and_then(Origin::size), Some(seen));
                seen += 1;
            });
            assert_eq!(seen, blocks);
            // SAFETY: this thread is the only user.
            unsafe { map.clear() };
        }
    }

    #[test]
    fn a_map_has_the_companions_that_it_was_prepared_for() {
        let map = PageMap::<AtomicU32>::new();
        let granule = Granule::from_bytes(32).unwrap();
        for (births, origins) in [(false, false), (true, false), (false, true)] {
            map.prepare_with(granule, true, Companions { births, origins })
                .unwrap();
            map.insert(0x1000, block(1)).unwrap();
            let place = map.place(0x1000).unwrap();
            assert_eq!(place.companion::<Birth>().is_some(), births);
            assert_eq!(place.companion::<Origin>().is_some(), origins);
            let words = words_in_chunk(granule.bits());
            let companions = usize::from(births) + usize::from(origins);
            assert_eq!(map.chunk_bytes(), words * (4 + 8 * companions));
            // SAFETY: this thread is the only user.
            unsafe { map.clear() };
        }
    }

    #[test]
    fn blocks_at_both_ends_of_the_address_space_are_found() {
        let map = map_of::<AtomicU32>(16);
        let last = (1 << ADDRESS_BITS) - 16;
        // The last of one part of the root, and the first of the next.
        let part = 3 << (DIRECTORY_BITS + PART_BITS);
        let addresses = [1 << 16, part - 16, part, last];
        for address in addresses {
            map.insert(address, block(1)).unwrap();
        }
        let mut found = Vec::new();
        map.for_each(|address, _| found.push(address));
        assert_eq!(found, addresses);
        // SAFETY: this thread is the only user.
        unsafe { map.clear() };
        map.for_each(|address, _| panic!("{address:#x} was cleared"));
    }

    #[test]
    fn memory_of_this_process_is_in_range() {
        let map = map_of::<AtomicU32>(16);
        let on_heap = Box::new([0_u64; 2]);
        let on_stack = 0_u64;
        for address in [(&raw const *on_heap).addr(), (&raw const on_stack).addr()] {
            assert_eq!(map.insert(address & !15, block(1)), Ok(None));
        }
        // SAFETY: this thread is the only user.
        unsafe { map.clear() };
    }

    #[test]
    fn addresses_beyond_user_space_are_refused_and_unknown() {
        let map = map_of::<AtomicU32>(16);
        assert_eq!(
            map.insert(1 << ADDRESS_BITS, block(1)),
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
        assert_eq!(Granule::from_bytes(32).map(Granule::bits), Some(5));
        for wrong in [0, 4, 24, 8192] {
            assert_eq!(Granule::from_bytes(wrong), None);
        }
    }
}
