//! For how long others stop a process to see its whole heap, and what the system takes to clone it.

use std::ffi::{CStr, c_int, c_void};
use std::mem;
use std::process::Command;
use std::time::{Duration, Instant};

/// The library that is preloaded into a program for [`leak_check`].
pub const LEAK_SANITIZER: &str = "liblsan.so.0";

/// How long `gcore` stops this process. `None` if it is not installed, or fails.
pub fn gcore() -> Option<Duration> {
    let folder = tempfile::tempdir().ok()?;
    let began = Instant::now();
    let output = Command::new("gcore")
        .arg("-o")
        .arg(folder.path().join("core"))
        .arg(std::process::id().to_string())
        .output()
        .ok()?;
    let took = began.elapsed();
    output.status.success().then_some(took)
}

/// How long LeakSanitizer stops this process: from the call of its check to the return. `None`
/// unless [`LEAK_SANITIZER`] is preloaded.
///
/// ```
/// // The program was started without it.
/// assert_eq!(alloc_benches::stops::leak_check(), None);
/// ```
pub fn leak_check() -> Option<Duration> {
    let check = find(c"__lsan_do_recoverable_leak_check")?;
    // SAFETY: `int __lsan_do_recoverable_leak_check(void)`, as its header declares it.
    let check: extern "C" fn() -> c_int = unsafe { mem::transmute(check) };
    let began = Instant::now();
    check();
    Some(began.elapsed())
}

/// Begins LeakSanitizer before `main`. Its replacement of `signal` works only then, and the start
/// of the standard library calls `signal` before it allocates, which would begin it, too.
#[cfg(target_os = "linux")]
#[used]
// SAFETY: the loader calls each function in the section, before `main`.
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = {
    extern "C" fn begin() {
        if let Some(begin) = find(c"__lsan_init") {
            // SAFETY: `void __lsan_init(void)`, which does nothing when it is called again.
            let begin: extern "C" fn() = unsafe { mem::transmute(begin) };
            begin();
        }
    }
    begin
};

/// The address of a function in a library of this process.
fn find(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends with a zero byte.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

/// How much time on a processor a clone of this process takes the thread that makes it. It is the
/// system call of a heap graph. `None` on other systems than Linux.
pub fn clone_cpu() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let before = thread_cpu()?;
        // SAFETY: without a new stack, the clone goes on here, with a copy of this one.
        let clone =
            unsafe { libc::syscall(libc::SYS_clone, 0_usize, 0_usize, 0_usize, 0_usize, 0_usize) };
        if clone == 0 {
            // SAFETY: ends the clone alone.
            unsafe { libc::_exit(0) };
        }
        let took = thread_cpu()?.checked_sub(before);
        let id = libc::pid_t::try_from(clone).ok().filter(|&id| id > 0)?;
        // SAFETY: no status is written.
        let ended = unsafe { libc::waitpid(id, std::ptr::null_mut(), libc::__WALL) };
        took.filter(|_| ended == id)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The time on a processor of the calling thread.
#[cfg(target_os = "linux")]
fn thread_cpu() -> Option<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` has room for the answer.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) } != 0;
    (!failed).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_clone_takes_time_and_ends() {
        // NOTE: how much more it takes for more memory depends on huge pages, and on the machine's other work.
        assert!(clone_cpu() > Some(Duration::ZERO));
    }
}
