//! [`Bump`]: an allocator that a signal handler may use at any moment.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};

/// Cuts pieces from one large mapping, and reuses freed pieces. It is lock-free, so a signal
/// handler may use it at any moment.
pub struct Bump;

/// Free lists, one for each power of two. The low half of a word is the number of the first free
/// piece, in units of 16 bytes. The high half counts changes of the list, so that a pop cannot
/// mistake a list with the same first piece for an unchanged one.
static FREE: [AtomicU64; LARGEST + 1] = [const { AtomicU64::new(0) }; LARGEST + 1];
/// Pieces above two to this power are not reused.
const LARGEST: usize = 20;
const NUMBER: u64 = (1 << 32) - 1;

/// The free list for a layout, or `None` if its pieces are not reused.
fn class_of(layout: Layout) -> Option<usize> {
    let class = layout.size().max(16).next_power_of_two().trailing_zeros() as usize;
    (layout.align() <= 16 && class <= LARGEST).then_some(class)
}

/// The word of a list after a change: the count goes up, and `number` is the first piece.
fn changed(list: u64, number: u64) -> u64 {
    ((list >> 32) + 1) << 32 | number
}

const ROOM: usize = 8 << 30;
static BASE: AtomicUsize = AtomicUsize::new(0);
/// NOTE: it starts above zero, because the number zero ends a list.
static USED: AtomicUsize = AtomicUsize::new(16);

impl Bump {
    fn base() -> usize {
        match BASE.load(Relaxed) {
            0 => {
                let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_NORESERVE);
                let flags = flags | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                // SAFETY: a new mapping at an address that the system chooses.
                let base = unsafe { libc::mmap(std::ptr::null_mut(), ROOM, access, flags, -1, 0) };
                assert_ne!(base, libc::MAP_FAILED);
                BASE.store(base.addr(), Relaxed);
                base.expose_provenance()
            }
            base => base,
        }
    }
}

// SAFETY: pieces are aligned, have the requested size, and never overlap. `USED` moves past a new
// piece in one step. A freed piece is in one list, from which one thread takes it.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = Bump::base();
        let class = class_of(layout);
        if let Some(class) = class {
            let pop = |list: u64| {
                let number = list & NUMBER;
                let piece =
                    std::ptr::with_exposed_provenance::<AtomicU64>(base + number as usize * 16);
                // SAFETY: the piece is part of the mapping, which is never unmapped. If another
                // thread owns the piece by now, it changed the list first, and the exchange fails.
                (number != 0).then(|| changed(list, unsafe { &*piece }.load(Relaxed) & NUMBER))
            };
            if let Ok(list) = FREE[class].fetch_update(AcqRel, Acquire, pop) {
                return std::ptr::with_exposed_provenance_mut(base + (list & NUMBER) as usize * 16);
            }
        }
        let size = class.map_or(layout.size().next_multiple_of(16), |class| 1 << class);
        let piece = |used: usize| (base + used).next_multiple_of(layout.align().max(16)) - base;
        let end = |used| piece(used) + size;
        match USED.fetch_update(Relaxed, Relaxed, |used| {
            (end(used) <= ROOM).then(|| end(used))
        }) {
            Ok(used) => std::ptr::with_exposed_provenance_mut(base + piece(used)),
            Err(_) => std::ptr::null_mut(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller passes a layout that is not empty.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block is new, has that size, and no other thread knows it.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            return;
        };
        let number = (block.addr() - BASE.load(Relaxed)) as u64 / 16;
        // SAFETY: the piece is at least 16 bytes long and aligned, and its owner gives it up.
        let piece = unsafe { &*block.cast::<AtomicU64>() };
        let push = |list: u64| {
            piece.store(list & NUMBER, Relaxed);
            Some(changed(list, number))
        };
        let _ = FREE[class].fetch_update(AcqRel, Acquire, push);
    }
}
