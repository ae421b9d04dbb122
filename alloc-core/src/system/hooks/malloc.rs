//! The system's malloc.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::ffi::c_void;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use super::objects::object_of;

/// The granule of the system's malloc, in bytes. It is glibc's only if `malloc` is bound to glibc,
/// and not to one that was preloaded or linked in.
pub(crate) fn granule_of_system() -> usize {
    #[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
    if malloc_is_glibcs() {
        return 32;
    }
    // NOTE: the smallest chunk of musl and of macOS is 16 bytes; other allocators are unknown.
    if cfg!(any(target_env = "musl", target_os = "macos")) {
        return 16;
    }
    8
}

/// Whether the system's malloc shows the usable sizes of its blocks.
pub(crate) const KNOWS_USABLE_SIZES: bool = cfg!(any(target_os = "linux", target_os = "macos"));

/// The usable size of a block of the system's malloc, or of one that was preloaded; `None` if it is
/// not shown.
///
/// # Safety
///
/// The block is live.
pub(crate) unsafe fn usable_size(_block: *const u8) -> Option<usize> {
    #[cfg(target_os = "linux")]
    // SAFETY: the caller's promise. The function reads what precedes the block.
    return Some(unsafe { libc::malloc_usable_size(_block.cast_mut().cast()) });
    #[cfg(target_os = "macos")]
    // SAFETY: the caller's promise.
    return Some(unsafe { libc::malloc_size(_block.cast()) });
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    None
}

/// Whether `malloc` is bound to glibc, and not to one that was preloaded or linked in.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn malloc_is_glibcs() -> bool {
    let base_of = |function| object_of(function).map(|object| object.dli_fbase);
    // Compares the library of the bound `malloc` with the library that defines glibc's version.
    let malloc = base_of(libc::malloc as *const c_void);
    let glibc = base_of(libc::gnu_get_libc_version as *const c_void);
    malloc.is_some() && malloc == glibc
}
