//! Pages straight from the operating system.

#[cfg(not(unix))]
use super::other as os;
#[cfg(unix)]
use super::unix as os;

use std::ptr::{self, NonNull};

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

/// The bytes of a reservation that take up physical memory, and no other process's: pages that a
/// fork left shared count for neither.
pub(crate) fn resident(base: NonNull<u8>, len: usize) -> usize {
    os::resident(base, len)
}
