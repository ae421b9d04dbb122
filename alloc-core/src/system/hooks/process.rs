//! The threads of the process.

#[cfg(target_os = "linux")]
use super::{errno, read_file, set_errno};

/// The system's id of a thread.
pub(crate) type ThreadId = i32;

/// The threads of the process. Threads that start or end meanwhile may be missing or included.
#[cfg(target_os = "linux")]
pub(crate) fn threads() -> std::io::Result<Vec<ThreadId>> {
    let id = |entry: std::io::Result<std::fs::DirEntry>| {
        let id = entry?.file_name().to_str().and_then(|it| it.parse().ok());
        id.ok_or_else(|| std::io::Error::other("/proc/self/task is not what it was"))
    };
    std::fs::read_dir("/proc/self/task")?.map(id).collect()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn threads() -> std::io::Result<Vec<ThreadId>> {
    let message = "they are listed on Linux only";
    Err(std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        message,
    ))
}

/// The calling thread.
#[cfg(target_os = "linux")]
pub(crate) fn thread_id() -> ThreadId {
    // SAFETY: the system call takes no arguments. Its result fits: it is a `pid_t`.
    unsafe { libc::syscall(libc::SYS_gettid) as ThreadId }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn thread_id() -> ThreadId {
    0
}

/// Whether a thread of this process has ended. `false` if the system cannot say.
pub(crate) fn is_gone(thread: ThreadId) -> bool {
    #[cfg(target_os = "linux")]
    {
        let before = errno();
        // SAFETY: the call takes no arguments.
        let process = unsafe { libc::getpid() };
        // SAFETY: the arguments are numbers; signal 0 sends nothing.
        let failed = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) } != 0;
        let is_gone = failed && errno() == libc::ESRCH;
        // An allocator must leave `errno` unchanged.
        set_errno(before);
        is_gone
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = thread;
        false
    }
}

/// Whether the process has only one thread. `false` if the system cannot say. Allocates nothing.
pub(crate) fn is_sole_thread() -> bool {
    #[cfg(target_os = "linux")]
    {
        // The name, in parentheses, may contain any byte; the number of threads is the eighteenth
        // field after it.
        let (mut at_end, mut fields, mut count) = (false, 0, 0_u32);
        let told = read_file(c"/proc/self/stat", |byte| match byte {
            b')' => (at_end, fields, count) = (true, 0, 0),
            b' ' if at_end => fields += 1,
            b'0'..=b'9' if at_end && fields == 18 => {
                count = count
                    .saturating_mul(10)
                    .saturating_add(u32::from(byte - b'0'));
            }
            _ => {}
        });
        told && count == 1
    }
    #[cfg(not(target_os = "linux"))]
    false
}
