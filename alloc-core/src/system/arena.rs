//! Memory for the tracer itself, straight from the operating system.
//!
//! Nothing in here calls an allocator, so it can run inside one. Memory comes zeroed and is given
//! page by page as it is touched: reserving a table that stays mostly empty costs address space.
//!
//! # Locked memory
//!
//! What is reserved after `mlockall(MCL_FUTURE)` is kept out of the lock, so that it stays so. `mlockall(MCL_CURRENT)` makes
//! all resident that is reserved then: 1.1 MiB for each thread, and 20 MiB at most for the tables of a session with few
//! callsites. So lock first, and trace then.

use std::ptr::{self, NonNull};

use crate::system::sync::{AtomicPtr, AtomicUsize, Ordering};

/// What the system's pages are multiples of.
pub(crate) const PAGE: usize = 4096;

/// Reserves `len` bytes of zeroed memory that takes up pages only where it is touched.
///
/// The address is aligned to a page. `None` where the system has no memory to give.
pub(crate) fn reserve(len: usize) -> Option<NonNull<u8>> {
    os::map(len)
}

/// Gives memory from [`reserve`] back.
///
/// # Safety
///
/// `base` and `len` are those of one earlier `reserve`, and nothing refers to the memory any more.
pub(crate) unsafe fn release(base: NonNull<u8>, len: usize) {
    // SAFETY: the caller's promise is `unmap`'s.
    unsafe { os::unmap(base, len) }
}

/// Whether the system would give so much now.
pub(crate) fn has_room(len: usize) -> bool {
    reserve(len)
        // SAFETY: from just above, and shown to nobody.
        .map(|base| unsafe { release(base, len) })
        .is_some()
}

/// Makes a part of a reservation resident, where the system can do so at once.
///
/// Page by page it takes three faults each where the first touch is a read: one for the page of
/// zeros that all share, one to copy it, one to note the write.
///
/// # Safety
///
/// The range lies in one reservation. NOTE: what does not begin at a page is left as it is.
pub(crate) unsafe fn populate(base: NonNull<u8>, len: usize) {
    // SAFETY: the caller's promise is the same.
    unsafe { os::populate(base, len) }
}

/// Has what lies there on its way from memory, for one who needs it soon.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint about an address that is there; it reads and writes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// The bytes of a reservation that take up physical memory, and no other process's: pages that a fork
/// left shared count for neither.
pub(crate) fn resident(base: NonNull<u8>, len: usize) -> usize {
    os::resident(base, len)
}

#[cfg(unix)]
mod os {
    use std::ptr::{self, NonNull};

    pub(super) fn map(len: usize) -> Option<NonNull<u8>> {
        // NOTE: no overcommit accounting where the system honours it: most of a table is never touched.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
        // NOTE: without any right, since the system would make all of it resident at once in a process that has locked
        // what it maps from now on (`mlockall` with `MCL_FUTURE`).
        //
        // SAFETY: a new anonymous mapping at an address of the system's choice touches no memory
        // of ours.
        let base = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the mapping just made.
        unsafe { libc::munlock(base, len) };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: as above.
        if unsafe { libc::mprotect(base, len, protection) } != 0 {
            // SAFETY: as above, and nothing refers to it.
            unsafe { libc::munmap(base, len) };
            return None;
        }
        #[cfg(target_os = "linux")]
        // SAFETY: the range is the mapping just made. Huge pages would make a table resident
        // 2 MiB at a time that is touched a word at a time. A refusal changes nothing.
        unsafe {
            libc::madvise(base, len, libc::MADV_NOHUGEPAGE);
        }
        NonNull::new(base.cast())
    }

    pub(super) unsafe fn populate(base: NonNull<u8>, len: usize) {
        #[cfg(target_os = "linux")]
        // SAFETY: the range is mapped memory of ours; its content stays. Before Linux 5.14 there is
        // no such advice, and nothing changes.
        unsafe {
            libc::madvise(base.as_ptr().cast(), len, libc::MADV_POPULATE_WRITE);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (base, len);
    }

    pub(super) unsafe fn unmap(base: NonNull<u8>, len: usize) {
        // SAFETY: the caller passes a whole mapping that nothing refers to any more.
        unsafe { libc::munmap(base.as_ptr().cast(), len) };
    }

    pub(super) fn resident(base: NonNull<u8>, len: usize) -> usize {
        #[cfg(target_os = "linux")]
        if let Some(bytes) = own_pages(base, len) {
            return bytes;
        }
        mapped_pages(base, len)
    }

    /// The bytes of pages that are this process's own, as `/proc/self/pagemap` has them. `None` where
    /// there is no such file.
    ///
    /// A page that was only read is mapped, and is the page of zeros that all share.
    #[cfg(target_os = "linux")]
    fn own_pages(base: NonNull<u8>, len: usize) -> Option<usize> {
        const PAGES: usize = 512;
        // Bits of a word of the file: the page is in memory, and mapped once, by us.
        const OWN: u64 = 1 << 63 | 1 << 56;
        // SAFETY: a path that ends in zero.
        let file = unsafe {
            libc::open(
                c"/proc/self/pagemap".as_ptr(),
                libc::O_RDONLY | libc::O_CLOEXEC,
            )
        };
        if file < 0 {
            return None;
        }
        let page = page_size();
        let (first, pages) = (base.as_ptr().addr() / page, len.div_ceil(page));
        let mut seen = [0_u64; PAGES];
        let mut own = Some(0);
        for start in (0..pages).step_by(PAGES) {
            let part = (pages - start).min(PAGES);
            let (bytes, at) = (part * size_of::<u64>(), (first + start) * size_of::<u64>());
            // SAFETY: room for that many bytes.
            let read =
                unsafe { libc::pread(file, seen.as_mut_ptr().cast(), bytes, at as libc::off_t) };
            if read != bytes as isize {
                own = None;
                break;
            }
            let is_own = |word: &&u64| **word & OWN == OWN;
            own = own.map(|own| own + seen[..part].iter().filter(is_own).count() * page);
        }
        // SAFETY: opened above, and closed once.
        unsafe { libc::close(file) };
        own
    }

    /// The bytes of pages that are mapped, whoever else has them.
    fn mapped_pages(base: NonNull<u8>, len: usize) -> usize {
        const PAGES: usize = 4096;
        let page = page_size();
        let mut seen = [0u8; PAGES];
        let mut bytes = 0;
        for start in (0..len).step_by(PAGES * page) {
            let part = (len - start).min(PAGES * page);
            let first = base.as_ptr().wrapping_add(start).cast();
            // SAFETY: the range lies in a mapping of ours, and `seen` has a byte for each page.
            let failed = unsafe { libc::mincore(first, part, seen.as_mut_ptr().cast()) } != 0;
            if failed {
                return len;
            }
            let pages = part.div_ceil(page);
            bytes += seen[..pages]
                .iter()
                .filter(|&&flags| flags & 1 == 1)
                .count()
                * page;
        }
        bytes
    }

    fn page_size() -> usize {
        // SAFETY: a query without arguments in memory.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(size).unwrap_or(4096)
    }
}

#[cfg(not(unix))]
mod os {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::ptr::NonNull;

    const ALIGN: usize = 4096;

    pub(super) fn map(len: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(len, ALIGN).ok()?;
        // SAFETY: no caller reserves zero bytes.
        NonNull::new(unsafe { System.alloc_zeroed(layout) })
    }

    pub(super) unsafe fn populate(_: NonNull<u8>, _: usize) {}

    pub(super) unsafe fn unmap(base: NonNull<u8>, len: usize) {
        if let Ok(layout) = Layout::from_size_align(len, ALIGN) {
            // SAFETY: the caller passes what `map` returned for this length.
            unsafe { System.dealloc(base.as_ptr(), layout) };
        }
    }

    pub(super) fn resident(_: NonNull<u8>, len: usize) -> usize {
        len
    }
}

/// Types for which all bytes zero is a value.
///
/// # Safety
///
/// It is.
pub(crate) unsafe trait Zeroed {}

// SAFETY: an atomic has the representation of its integer or pointer, for which zero is a value.
unsafe impl Zeroed for crate::system::sync::AtomicU8 {}
// SAFETY: as above.
unsafe impl Zeroed for crate::system::sync::AtomicU32 {}
// SAFETY: as above.
unsafe impl Zeroed for crate::system::sync::AtomicU64 {}
// SAFETY: as above.
unsafe impl<T> Zeroed for AtomicPtr<T> {}
// SAFETY: a null pointer is "not reserved yet".
unsafe impl<T, const LEN: usize> Zeroed for Reserved<T, LEN> {}

/// An array of `LEN` items, all zero at first, for which memory is reserved when it is needed.
///
/// A reader sees either nothing or the whole array; of two threads that reserve it at once, one
/// wins and the other gives its memory back. It is itself null at first, so that arrays of arrays
/// can be built.
#[repr(transparent)]
pub(crate) struct Reserved<T, const LEN: usize>(AtomicPtr<T>);

impl<T, const LEN: usize> Reserved<T, LEN> {
    const BYTES: usize = LEN * size_of::<T>();

    /// An array for which nothing is reserved yet.
    pub(crate) const fn new() -> Reserved<T, LEN> {
        Reserved(AtomicPtr::new(ptr::null_mut()))
    }

    /// The physical memory that the array takes up.
    pub(crate) fn resident(&self) -> usize {
        NonNull::new(self.0.load(Ordering::Relaxed))
            .map_or(0, |base| resident(base.cast(), Self::BYTES))
    }

    /// Gives the memory back; the array is as at the start.
    ///
    /// # Safety
    ///
    /// Nobody refers to the array, and nobody uses it until this returns.
    pub(crate) unsafe fn clear(&self) {
        if let Some(base) = NonNull::new(self.0.swap(ptr::null_mut(), Ordering::Relaxed)) {
            // SAFETY: the base came from `reserve` with this length; the caller vouches that
            // nobody refers to it.
            unsafe { release(base.cast(), Self::BYTES) };
        }
    }
}

impl<T: Zeroed, const LEN: usize> Reserved<T, LEN> {
    /// The array, if it was reserved.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&[T; LEN]> {
        // The acquire pairs with the release in `get_or_reserve`.
        let base = self.0.load(Ordering::Acquire);
        // SAFETY: null, or from `reserve` with room for `LEN` items that are zero at first, which
        // `Zeroed` allows; `clear` runs only when nobody refers to the array.
        unsafe { base.cast::<[T; LEN]>().as_ref() }
    }

    /// An item of the array.
    ///
    /// # Safety
    ///
    /// The array was reserved, and has an item at `at`.
    #[inline(always)]
    pub(crate) unsafe fn get_unchecked(&self, at: usize) -> &T {
        let base = self.0.load(Ordering::Acquire);
        // SAFETY: the caller's promise.
        let item = unsafe { base.add(at) };
        // SAFETY: as above; all items are zero at first, which `Zeroed` allows, and `clear` runs only when nobody
        // refers to the array.
        unsafe { &*item }
    }

    /// The array, reserved now if it was not. `None` where the system has no memory to give.
    #[inline]
    pub(crate) fn get_or_reserve(&self) -> Option<&[T; LEN]> {
        match self.get() {
            Some(array) => Some(array),
            None => self.reserve_now(),
        }
    }

    #[cold]
    fn reserve_now(&self) -> Option<&[T; LEN]> {
        let fresh = reserve(Self::BYTES)?;
        // The release publishes zeroed memory to the acquire in `get`.
        let won = self.0.compare_exchange(
            ptr::null_mut(),
            fresh.as_ptr().cast(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if won.is_err() {
            // SAFETY: another thread published its own memory; ours was never shown to anyone.
            unsafe { release(fresh, Self::BYTES) };
        }
        self.get()
    }
}

/// Memory that is handed out in pieces and stays: the frames of callsites, parts of the live-block index.
///
/// # Implementation
///
/// A bump pointer in the newest of a list of chunks; a full chunk is followed by a new one. Nothing
/// is freed but everything at once. All of it is lock-free: a loser of the race for a new chunk
/// gives its own back.
pub(crate) struct Arena {
    newest: AtomicPtr<Chunk>,
}

const CHUNK_BYTES: usize = 1 << 20;

#[repr(C)]
struct Chunk {
    older: AtomicPtr<Chunk>,
    /// How many bytes are handed out, beyond the head.
    used: AtomicUsize,
}

const HEAD: usize = size_of::<Chunk>();

impl Arena {
    pub(crate) const fn new() -> Arena {
        Arena {
            newest: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Copies `words` into the arena. `None` where the system has no memory to give, or there are
    /// more words than a chunk holds.
    pub(crate) fn store(&self, words: &[usize]) -> Option<&[usize]> {
        let place: NonNull<usize> = self.zeroed(size_of_val(words), align_of::<usize>())?.cast();
        // SAFETY: room for as many words, aligned, and ours alone.
        unsafe { ptr::copy_nonoverlapping(words.as_ptr(), place.as_ptr(), words.len()) };
        // SAFETY: written just now, never again, and there until `clear`, which runs alone.
        Some(unsafe { std::slice::from_raw_parts(place.as_ptr(), words.len()) })
    }

    /// A piece of `len` bytes, all zero, at a multiple of `align`: a power of two up to a page's size.
    /// `None` where the system has no memory to give, or a chunk is smaller.
    pub(crate) fn zeroed(&self, len: usize, align: usize) -> Option<NonNull<u8>> {
        let end_of = |used: usize| (HEAD + used).next_multiple_of(align) + len;
        if end_of(0) > CHUNK_BYTES {
            return None;
        }
        loop {
            let newest = self.newest.load(Ordering::Acquire);
            // SAFETY: chunks live until `clear`, which runs alone.
            if let Some(chunk) = unsafe { newest.as_ref() } {
                let take = |used| {
                    let end = end_of(used);
                    (end <= CHUNK_BYTES).then(|| end - HEAD)
                };
                let before = chunk
                    .used
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
                if let Ok(used) = before {
                    // This range is ours alone, and in the chunk, which begins at a page.
                    return NonNull::new(newest.cast::<u8>().wrapping_add(end_of(used) - len));
                }
            }
            self.grow(newest)?;
        }
    }

    #[cold]
    fn grow(&self, newest: *mut Chunk) -> Option<()> {
        let fresh = reserve(CHUNK_BYTES)?;
        // SAFETY: fresh memory, zeroed, large enough for the head, and nobody else's yet.
        unsafe { fresh.cast::<Chunk>().as_ref() }
            .older
            .store(newest, Ordering::Relaxed);
        // The release publishes the head to the acquire in `zeroed`.
        let won = self.newest.compare_exchange(
            newest,
            fresh.as_ptr().cast(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if won.is_err() {
            // SAFETY: never shown to anyone.
            unsafe { release(fresh, CHUNK_BYTES) };
        }
        Some(())
    }

    /// Gives all memory back.
    ///
    /// # Safety
    ///
    /// Nobody refers to anything stored, and nobody uses the arena until this returns.
    pub(crate) unsafe fn clear(&self) {
        let mut chunk = self.newest.swap(ptr::null_mut(), Ordering::Relaxed);
        while let Some(head) = NonNull::new(chunk) {
            // SAFETY: a chunk stays mapped until it is released in the next line but one.
            chunk = unsafe { head.as_ref() }.older.load(Ordering::Relaxed);
            // SAFETY: `grow` reserved it with this length; the caller vouches for the rest.
            unsafe { release(head.cast(), CHUNK_BYTES) };
        }
    }

    /// The physical memory that the arena takes up.
    pub(crate) fn resident(&self) -> usize {
        let mut chunk = self.newest.load(Ordering::Acquire);
        let mut bytes = 0;
        while let Some(head) = NonNull::new(chunk) {
            bytes += resident(head.cast(), CHUNK_BYTES);
            // SAFETY: chunks live until `clear`, which runs alone.
            chunk = unsafe { head.as_ref() }.older.load(Ordering::Relaxed);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_memory_is_not_resident_and_touched_memory_is() {
        let len = 64 << 20;
        let base = reserve(len).unwrap();
        let before = resident(base, len);
        for offset in [0, len / 2] {
            let place = base.as_ptr().wrapping_add(offset);
            // SAFETY: both offsets lie in the reservation.
            unsafe { place.write(1) };
        }
        // Reading takes no memory.
        let read = base.as_ptr().wrapping_add(len / 4);
        // SAFETY: it lies in the reservation, too.
        assert_eq!(unsafe { read.read_volatile() }, 0);
        let after = resident(base, len);
        // SAFETY: reserved above, not used below.
        unsafe { release(base, len) };
        if cfg!(target_os = "linux") {
            assert_eq!((before, after), (0, 8192));
        }
    }

    #[test]
    fn pieces_of_an_arena_are_aligned_zero_and_apart() {
        let arena = Arena::new();
        let mut end = ptr::null_mut();
        for (len, align) in [
            (8, 8),
            (100, 64),
            (4096, 4096),
            (2, 1),
            (CHUNK_BYTES / 2, 4096),
        ] {
            let piece = arena.zeroed(len, align).unwrap().as_ptr();
            assert_eq!(piece.addr() % align, 0);
            assert!(piece >= end || piece.addr() / CHUNK_BYTES != end.addr() / CHUNK_BYTES);
            for offset in [0, len - 1] {
                let byte = piece.wrapping_add(offset);
                // SAFETY: the piece has that many bytes.
                assert_eq!(unsafe { byte.replace(1) }, 0);
            }
            end = piece.wrapping_add(len);
        }
        assert!(arena.zeroed(CHUNK_BYTES, 8).is_none());
        // SAFETY: this thread is the only user.
        unsafe { arena.clear() };
    }

    #[test]
    fn an_arena_keeps_words_apart_across_chunks_and_threads() {
        let arena = Arena::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let arena = &arena;
                scope.spawn(move || {
                    let stored: Vec<_> = (0..3_000)
                        .map(|i| (i, arena.store(&[thread * 10_000 + i; 30]).unwrap()))
                        .collect();
                    for (i, place) in stored {
                        // SAFETY: the arena holds 30 words there until it is cleared.
                        let words = unsafe { std::slice::from_raw_parts(place.as_ptr(), 30) };
                        assert_eq!(words, [thread * 10_000 + i; 30]);
                    }
                });
            }
        });
        assert!(arena.store(&vec![0; CHUNK_BYTES / 8 - 1]).is_none());
        // SAFETY: the threads are done.
        unsafe { arena.clear() };
        assert_eq!(arena.resident(), 0);
    }
}
