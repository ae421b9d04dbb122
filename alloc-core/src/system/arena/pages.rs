//! Pages straight from the operating system.

#[cfg(not(unix))]
use super::other as os;
#[cfg(unix)]
use super::unix as os;

use std::ptr::NonNull;

use super::reservations::Reservations;

/// Divides every system's page size.
pub(crate) const PAGE: usize = 4096;

static RESERVATIONS: Reservations = Reservations::new();

/// Reserves `len` bytes of zeroed memory. Pages become resident when they are touched.
///
/// The address is page-aligned. Returns `None` if the system is out of memory.
pub(crate) fn reserve(len: usize) -> Option<NonNull<u8>> {
    let base = os::map(len)?;
    RESERVATIONS.add(base.as_ptr().addr(), len);
    Some(base)
}

/// Gives memory from [`reserve`] back.
///
/// # Safety
///
/// `base` and `len` must be those of one earlier `reserve`, and nothing may refer to the memory any
/// more.
pub(crate) unsafe fn release(base: NonNull<u8>, len: usize) {
    RESERVATIONS.remove(base.as_ptr().addr());
    // SAFETY: the caller guarantees what `unmap` requires.
    unsafe { os::unmap(base, len) }
}

/// Calls `each` with the start and the length of every reservation.
pub(crate) fn for_each_reservation(each: impl FnMut(usize, usize)) {
    RESERVATIONS.for_each(each);
}

/// Whether the system would give `len` bytes now.
pub(crate) fn has_room(len: usize) -> bool {
    reserve(len)
        // SAFETY: the memory comes from `reserve` just above and is not shared.
        .map(|base| unsafe { release(base, len) })
        .is_some()
}

/// Makes a part of a reservation resident, if the system can do so at once.
///
/// Page by page it takes three faults each if the first touch is a read: one for the shared zero
/// page, one to copy it, one to note the write.
///
/// # Safety
///
/// The range must be inside one reservation. NOTE: a range that does not start at a page is left as
/// it is.
pub(crate) unsafe fn populate(base: NonNull<u8>, len: usize) {
    // SAFETY: the caller guarantees that the range is inside one reservation.
    unsafe { os::populate(base, len) }
}

/// Prefetches `place` into the L1 cache.
#[inline(always)]
pub(crate) fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch is a hint about a valid address; it reads and writes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Physical memory of a reservation that belongs to this process alone, in bytes. Pages that are
/// still shared after a fork count for neither process.
pub(crate) fn resident(base: NonNull<u8>, len: usize) -> usize {
    os::resident(base, len)
}
