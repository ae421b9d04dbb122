//! Memory for the tracer itself, straight from the operating system.
//!
//! Nothing in here calls an allocator, so it can run inside one. Memory comes zeroed and is given
//! page by page as it is touched: reserving a table that stays mostly empty costs address space.
//!
//! # Locked memory
//!
//! What is reserved after `mlockall(MCL_FUTURE)` is kept out of the lock, so that it stays so.
//! `mlockall(MCL_CURRENT)` makes all resident that is reserved then: 1.1 MiB for each thread, and
//! 20 MiB at most for the tables of a session with few callsites. So lock first, and trace then.

mod lazy_table;
#[cfg(not(unix))]
mod other;
mod pages;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;

use std::ptr::{self, NonNull};

use crate::system::sync::{AtomicPtr, AtomicUsize, Ordering};

pub(crate) use lazy_table::{LazyTable, Zeroed};
pub(crate) use pages::{PAGE, has_room, populate, prefetch, release, reserve, resident};

/// Memory that is handed out in pieces and stays: the frames of callsites, parts of the live-block
/// index.
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

    /// A piece of `len` bytes, all zero, at a multiple of `align`: a power of two up to a page's
    /// size. `None` where the system has no memory to give, or a chunk is smaller.
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
