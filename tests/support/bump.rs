//! [`Bump`]: an allocator that a signal handler may use at any moment.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Hands out one large mapping piece by piece and takes the last piece back: lock-free, so a signal
/// handler may use it at any moment.
pub struct Bump;

const ROOM: usize = 8 << 30;
static BASE: AtomicUsize = AtomicUsize::new(0);
static USED: AtomicUsize = AtomicUsize::new(0);

impl Bump {
    fn base() -> usize {
        match BASE.load(Relaxed) {
            0 => {
                let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_NORESERVE);
                let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                // SAFETY: a fresh mapping, wherever the system likes.
                let base = unsafe { libc::mmap(std::ptr::null_mut(), ROOM, access, flags, -1, 0) };
                assert_ne!(base, libc::MAP_FAILED);
                BASE.store(base.addr(), Relaxed);
                base.expose_provenance()
            }
            base => base,
        }
    }
}

// SAFETY: pieces are aligned, as long as asked for, and never overlap: `USED` moves past a piece in
// one step, and back only if the piece is still the last.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = Bump::base();
        let piece = |used: usize| (base + used).next_multiple_of(layout.align().max(16)) - base;
        let end = |used| piece(used) + layout.size().next_multiple_of(16);
        match USED.fetch_update(Relaxed, Relaxed, |used| {
            (end(used) <= ROOM).then(|| end(used))
        }) {
            Ok(used) => std::ptr::with_exposed_provenance_mut(base + piece(used)),
            Err(_) => std::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let start = block.addr() - BASE.load(Relaxed);
        let end = start + layout.size().next_multiple_of(16);
        let _ = USED.compare_exchange(end, start, Relaxed, Relaxed);
    }
}
