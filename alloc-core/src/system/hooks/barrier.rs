//! A memory barrier on all processors that run a thread of the process.

#[cfg(target_os = "linux")]
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

#[cfg(target_os = "linux")]
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: a system call that takes three numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Allows the process to call [`interrupt_all_processors`]. A child of a fork calls it again.
pub(crate) fn register_barrier() {
    #[cfg(target_os = "linux")]
    membarrier(REGISTER_PRIVATE_EXPEDITED);
}

/// Makes each processor that runs a thread of this process pass a full memory barrier.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn interrupt_all_processors() {
    if membarrier(PRIVATE_EXPEDITED) {
        return;
    }
    // Taking a right from a page that is in use interrupts every processor that may have it in
    // its translation buffer, and an interrupt is a barrier.
    const PAGE: usize = 4096;
    if let Some(page) = crate::system::arena::reserve(PAGE) {
        // SAFETY: the page is ours; writing makes it present.
        unsafe { page.as_ptr().write_volatile(1) };
        // SAFETY: the page is ours; writing makes it present.
        unsafe { libc::mprotect(page.as_ptr().cast(), PAGE, libc::PROT_READ) };
        // SAFETY: reserved just above and not used after.
        unsafe { crate::system::arena::release(page, PAGE) };
    }
}
