//! The name of the calling thread.

use super::SystemName;

/// The name of the calling thread, without allocating: `main` for the first one.
pub(crate) fn thread_name() -> SystemName {
    let mut name = SystemName::default();
    #[cfg(target_os = "linux")]
    if is_first_thread() {
        // The system's name of the first thread is the program's.
        name[..4].copy_from_slice(b"main");
    } else {
        // SAFETY: `name` has room for the sixteen bytes that this writes at most.
        unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    }
    #[cfg(target_os = "macos")]
    if is_first_thread() {
        name[..4].copy_from_slice(b"main");
    } else {
        let (thread, len) = (own_thread(), name.len());
        // SAFETY: `thread` is this thread, and `name` has room for the number of bytes passed.
        unsafe { libc::pthread_getname_np(thread, name.as_mut_ptr().cast(), len) };
    }
    name
}

#[cfg(target_os = "linux")]
fn is_first_thread() -> bool {
    // SAFETY: the call takes no arguments.
    super::thread_id() == unsafe { libc::getpid() }
}

#[cfg(target_os = "macos")]
fn is_first_thread() -> bool {
    // SAFETY: the call takes no arguments.
    unsafe { libc::pthread_main_np() == 1 }
}

#[cfg(target_os = "macos")]
fn own_thread() -> libc::pthread_t {
    // SAFETY: the call takes no arguments.
    unsafe { libc::pthread_self() }
}
