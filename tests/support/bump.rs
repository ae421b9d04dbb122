//! [`Bump`]: an allocator that a signal handler may use at any moment.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::*};

/// Hands out one large mapping piece by piece, and again what came back: lock-free, so a signal
/// handler may use it at any moment.
pub struct Bump;

/// The pieces that came back, for each power of two, one in another: the number of the last one's first sixteen bytes, and
/// above it how often the list changed, so that a number that comes again is no other's.
static FREE: [AtomicU64; LARGEST + 1] = [const { AtomicU64::new(0) }; LARGEST + 1];
/// The power of two that is the size of the largest pieces that are used again.
const LARGEST: usize = 20;
const NUMBER: u64 = (1 << 32) - 1;

/// Which list has pieces for these layouts.
fn class_of(layout: Layout) -> Option<usize> {
    let class = layout.size().max(16).next_power_of_two().trailing_zeros() as usize;
    (layout.align() <= 16 && class <= LARGEST).then_some(class)
}

/// What follows a change of a list.
fn changed(list: u64, number: u64) -> u64 {
    ((list >> 32) + 1) << 32 | number
}

const ROOM: usize = 8 << 30;
static BASE: AtomicUsize = AtomicUsize::new(0);
/// NOTE: not from the beginning, which has the number that ends a list.
static USED: AtomicUsize = AtomicUsize::new(16);

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

// SAFETY: pieces are aligned, as long as asked for, and never overlap: `USED` moves past a piece in one step, and a piece
// that came back is in one list, from which one thread takes it.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = Bump::base();
        let class = class_of(layout);
        if let Some(class) = class {
            let pop = |list: u64| {
                let number = list & NUMBER;
                let piece =
                    std::ptr::with_exposed_provenance::<AtomicU64>(base + number as usize * 16);
                // SAFETY: a piece of the mapping, which is there for good; whoever has it by now changes the list first.
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
        // SAFETY: the caller's promise.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: a block of that size, which nobody knows of.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            return;
        };
        let number = (block.addr() - BASE.load(Relaxed)) as u64 / 16;
        // SAFETY: it is large enough, aligned, and nobody's from here on.
        let piece = unsafe { &*block.cast::<AtomicU64>() };
        let push = |list: u64| {
            piece.store(list & NUMBER, Relaxed);
            Some(changed(list, number))
        };
        let _ = FREE[class].fetch_update(AcqRel, Acquire, push);
    }
}
