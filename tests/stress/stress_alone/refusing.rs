//! An allocator that refuses on demand.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The system's allocator, which refuses on demand.
pub(crate) struct Refusing;

pub(crate) static REFUSES: AtomicBool = AtomicBool::new(false);

// SAFETY: memory comes from the system's allocator, or the result is null.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if REFUSES.load(Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if REFUSES.load(Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if REFUSES.load(Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promises are the ones that the system's allocator needs.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
