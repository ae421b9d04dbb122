//! Clones the process for a scan, and waits for the clone.

use std::ptr::NonNull;
use std::time::{Duration, Instant};

use crate::system::sync::{AtomicI32, AtomicU64};

/// What the clone says to the process, in memory that both share.
#[derive(Default)]
pub(super) struct Report {
    pub(super) threads: AtomicU64,
    pub(super) threads_missed: AtomicU64,
    pub(super) blocks: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) edges: AtomicU64,
    pub(super) roots: AtomicU64,
    pub(super) cpu_nanoseconds: AtomicU64,
    /// The error of the system that ended the scan, and the number of its
    /// [`Step`](super::child::Step).
    pub(super) errno: AtomicI32,
    pub(super) step: AtomicI32,
}

/// A [`Report`] that a clone shares.
pub(super) struct Shared(NonNull<Report>);

impl Shared {
    pub(super) fn new() -> std::io::Result<Shared> {
        // SAFETY: a new mapping at an address of the system's choice touches no memory of ours.
        let place = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Report>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match NonNull::new(place) {
            Some(place) if place.as_ptr() != libc::MAP_FAILED => Ok(Shared(place.cast())),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    pub(super) fn report(&self) -> &Report {
        // SAFETY: the mapping has room for a report, is zeroed, which is valid for atomics, and
        // lives as long as `self`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping was made in `new`, and nothing refers to it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Report>()) };
    }
}

/// A clone of the process.
pub(super) struct Clone {
    id: libc::pid_t,
}

/// Clones the process: `None` in the clone.
///
/// It is a raw system call. No handler of a fork runs: a stopped thread may hold the lock that it
/// would wait for. No signal announces the clone's end, and a program that waits for any child does
/// not get it.
///
/// # Safety
///
/// In the clone, the caller allocates nothing, takes no lock, and does not return. It [closes what
/// it does not need](close_all_but) first: else a peer would not see that the program closes a
/// socket.
pub(super) unsafe fn clone() -> std::io::Result<Option<Clone>> {
    // SAFETY: without a new stack, the clone goes on here, with a copy of this one.
    let id = unsafe { libc::syscall(libc::SYS_clone, 0_usize, 0_usize, 0_usize, 0_usize, 0_usize) };
    match id {
        0 => Ok(None),
        id if id > 0 => Ok(Some(Clone {
            id: id as libc::pid_t,
        })),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Closes all descriptors but one.
pub(super) fn close_all_but(file: libc::c_int) {
    let close = |first: libc::c_uint, last: libc::c_uint| {
        // SAFETY: the arguments are numbers. Nothing in the clone uses the descriptors.
        let failed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } != 0;
        if failed {
            // Linux before 5.9.
            const MOST: libc::c_uint = 1 << 16;
            for descriptor in first..last.min(MOST) {
                // SAFETY: as above.
                unsafe { libc::close(descriptor as libc::c_int) };
            }
        }
    };
    let file = file as libc::c_uint;
    if let Some(before) = file.checked_sub(1) {
        close(0, before);
    }
    close(file + 1, libc::c_uint::MAX);
}

/// How a clone ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Exit(i32),
    Signal(i32),
    /// It took too long, and was killed.
    Timeout,
    /// The program waited for it.
    Unknown,
}

impl Clone {
    /// Waits for the end of the clone, and kills it if that takes longer than `timeout`.
    pub(super) fn wait(self, timeout: Duration) -> End {
        let until = Instant::now() + timeout;
        let mut pause = Duration::from_micros(200);
        let mut end = None;
        loop {
            let mut status = 0;
            // SAFETY: `status` has room for the answer.
            let done = unsafe { libc::waitpid(self.id, &mut status, libc::__WALL | libc::WNOHANG) };
            if done == self.id {
                return end.unwrap_or_else(|| match libc::WIFSIGNALED(status) {
                    true => End::Signal(libc::WTERMSIG(status)),
                    false => End::Exit(libc::WEXITSTATUS(status)),
                });
            }
            if done < 0 && std::io::Error::last_os_error().kind() != std::io::ErrorKind::Interrupted
            {
                return End::Unknown;
            }
            if end.is_none() && Instant::now() > until {
                // SAFETY: the child is not reaped yet, so its number is still its own.
                unsafe { libc::kill(self.id, libc::SIGKILL) };
                end = Some(End::Timeout);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
}
