//! Pages from the system allocator, for systems without `mmap`.

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
