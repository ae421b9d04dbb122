//! Time, errors, and standard error.

/// Time since a fixed moment, on a monotonic clock, to a hundredth of a second.
pub(crate) fn monotonic_time() -> std::time::Duration {
    // PERF: takes a tenth of the time of the exact clock.
    #[cfg(target_os = "linux")]
    let clock = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(target_os = "linux"))]
    let clock = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` has room for the answer.
    unsafe { libc::clock_gettime(clock, &mut time) };
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The calling thread's `errno`, to be [restored](set_errno).
pub(crate) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Sets `errno`, so that interrupted code finds its own error.
pub(crate) fn set_errno(error: i32) {
    #[cfg(target_os = "linux")]
    // SAFETY: the function has no preconditions.
    let place = unsafe { libc::__errno_location() };
    #[cfg(target_os = "macos")]
    // SAFETY: the function has no preconditions.
    let place = unsafe { libc::__error() };
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    // SAFETY: `place` is the thread's own `errno`.
    unsafe {
        place.write(error);
    }
    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    let _ = error;
}

/// Writes to standard error without allocating, and without a signal if that is a pipe without a
/// reader.
pub(crate) fn write_to_stderr(parts: &[&str]) {
    let _quiet = crate::system::quiet::Quiet::begin();
    for part in parts {
        // SAFETY: the pointer is valid for that many bytes. A message that cannot be written is
        // dropped.
        unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
    }
}

/// Ends the process at once with an exit status.
pub(crate) fn exit_at_once(status: i32) -> ! {
    // SAFETY: `_exit` runs no function of the program.
    unsafe { libc::_exit(status) }
}
