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

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn malloc_is_glibcs() -> bool {
    let base_of = |function| object_of(function).map(|object| object.dli_fbase);
    // Compares the library of the bound `malloc` with the library that defines glibc's version.
    let malloc = base_of(libc::malloc as *const c_void);
    let glibc = base_of(libc::gnu_get_libc_version as *const c_void);
    malloc.is_some() && malloc == glibc
}
