//! Memory for the tracer itself, straight from the operating system.
//!
//! Nothing in here calls an allocator, so it can run inside one. Memory is zeroed and becomes
//! resident page by page when it is touched: a reserved table that stays mostly empty costs only
//! address space.
//!
//! # Locked memory
//!
//! Memory reserved after `mlockall(MCL_FUTURE)` is unlocked, so that it stays untouched.
//! `mlockall(MCL_CURRENT)` makes everything resident that is reserved at that moment: 1.1 MiB for
//! each thread, and 20 MiB at most for the tables of a session with few callsites, or 36 MiB on
//! aarch64, where there is twice as much address space. So lock memory first, and start tracing
//! then.

mod lazy_table;
#[cfg(not(unix))]
mod other;
mod pages;
mod reservations;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;

use std::ptr::{self, NonNull};

use crate::system::sync::{AtomicPtr, AtomicUsize, Ordering};

pub(crate) use lazy_table::{LazyTable, Zeroed};
pub(crate) use pages::{
    PAGE, for_each_reservation, has_room, populate, prefetch, release, reserve, resident,
};

/// Memory that is handed out in pieces and never freed one by one: the frames of callsites, parts
/// of the live-block index.
///
/// # Implementation
///
/// A bump pointer in the newest of a list of chunks; a full chunk is followed by a new one.
/// Everything is freed at once. All of it is lock-free: the loser of a race for a new chunk gives
/// its own back.
pub(crate) struct Arena {
    newest: AtomicPtr<Chunk>,
}

const CHUNK_BYTES: usize = 1 << 20;

#[repr(C)]
struct Chunk {
    older: AtomicPtr<Chunk>,
    /// Number of bytes handed out, without the head.
    used: AtomicUsize,
}

const HEAD: usize = size_of::<Chunk>();

impl Arena {
    pub(crate) const fn new() -> Arena {
        Arena {
            newest: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Copies `words` into the arena. Returns `None` if the system is out of memory, or if there
    /// are more words than a chunk holds.
    pub(crate) fn store(&self, words: &[usize]) -> Option<&[usize]> {
        let place: NonNull<usize> = self.zeroed(size_of_val(words), align_of::<usize>())?.cast();
        // SAFETY: `place` has room for that many words, is aligned, and is not shared yet.
        unsafe { ptr::copy_nonoverlapping(words.as_ptr(), place.as_ptr(), words.len()) };
        // SAFETY: the words were written just above and never change. They live until `clear`,
        // which runs alone.
        Some(unsafe { std::slice::from_raw_parts(place.as_ptr(), words.len()) })
    }

    /// A zeroed piece of `len` bytes, aligned to `align`, a power of two up to a page's size.
    /// Returns `None` if the system is out of memory, or if a chunk is smaller than `len`.
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
                    // This range belongs to this call alone. It is inside the chunk, which starts
                    // at a page.
                    return NonNull::new(newest.cast::<u8>().wrapping_add(end_of(used) - len));
                }
            }
            self.grow(newest)?;
        }
    }

    #[cold]
    fn grow(&self, newest: *mut Chunk) -> Option<()> {
        let fresh = reserve(CHUNK_BYTES)?;
        // SAFETY: `fresh` is zeroed, large enough for the head, and not shared yet.
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
            // SAFETY: `fresh` was never shared.
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
            // SAFETY: the chunk stays mapped until it is released below.
            chunk = unsafe { head.as_ref() }.older.load(Ordering::Relaxed);
            // SAFETY: the chunk was reserved with this length, and nobody refers to it, as the
            // caller guarantees.
            unsafe { release(head.cast(), CHUNK_BYTES) };
        }
    }

    /// Physical memory of the arena, in bytes.
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
