//! Time, errors, and standard error.

/// How long ago some moment was that stays the same, on a clock that nobody sets, to a hundredth of
/// a second.
pub(crate) fn monotonic_time() -> std::time::Duration {
    // PERF: a tenth of what the exact one takes.
    #[cfg(target_os = "linux")]
    let clock = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    let clock = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: room for a time.
    unsafe { libc::clock_gettime(clock, &mut time) };
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The last error of the C library on the calling thread, to be [put back](set_errno).
pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// What was interrupted shall find its own error.
pub(crate) fn set_errno(error: i32) {
    #[cfg(target_os = "linux")]
    // SAFETY: it has no conditions.
    let place = unsafe { libc::__errno_location() };
    #[cfg(target_os = "macos")]
    // SAFETY: it has no conditions.
    let place = unsafe { libc::__error() };
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    // SAFETY: the thread's own place for it.
    unsafe {
        place.write(error);
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = error;
}

/// Writes to standard error without allocating, and without a signal where that is a pipe that
/// nobody reads.
pub(crate) fn write_to_stderr(parts: &[&str]) {
    let _quiet = crate::system::quiet::Quiet::begin();
    for part in parts {
        // SAFETY: a pointer to that many bytes. A message that cannot be written is lost.
        unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
    }
}

/// Ends the process at once with a status.
pub(crate) fn exit_at_once(status: i32) -> ! {
    // SAFETY: no function of the program's own is run by it.
    unsafe { libc::_exit(status) }
}
