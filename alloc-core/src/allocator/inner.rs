//! [`Inner`]: the inner allocator, and the only calls of it.

use std::alloc::{GlobalAlloc, Layout};

/// The inner allocator. Nothing else can call it, since its field is private to this file: so all
/// memory comes from it, and goes back to it, by one of these three methods.
#[derive(Debug)]
pub(super) struct Inner<A>(A);

impl<A> Inner<A> {
    pub(super) const fn new(inner: A) -> Inner<A> {
        Inner(inner)
    }
}

impl<A: GlobalAlloc> Inner<A> {
    /// Zeroed memory, or any.
    ///
    /// # Safety
    ///
    /// That of [`GlobalAlloc::alloc`].
    #[inline(always)]
    pub(super) unsafe fn alloc<const ZEROED: bool>(&self, layout: Layout) -> *mut u8 {
        if ZEROED {
            // SAFETY: the caller's promise is the one that `alloc_zeroed` asks for.
            unsafe { self.0.alloc_zeroed(layout) }
        } else {
            // SAFETY: the caller's promise is the one that `alloc` asks for.
            unsafe { self.0.alloc(layout) }
        }
    }

    /// # Safety
    ///
    /// That of [`GlobalAlloc::dealloc`]: the block came from [`alloc`](Self::alloc) or
    /// [`realloc`](Self::realloc).
    #[inline(always)]
    pub(super) unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise. The block came from this allocator, since there is no
        // other.
        unsafe { self.0.dealloc(block, layout) }
    }

    /// # Safety
    ///
    /// That of [`GlobalAlloc::realloc`].
    #[inline(always)]
    pub(super) unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise. The block came from this allocator, since there is no
        // other.
        unsafe { self.0.realloc(block, layout, size) }
    }
}
