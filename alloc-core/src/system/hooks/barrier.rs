//! A memory barrier on all processors that run a thread of the process.

#[cfg(target_os = "linux")]
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

#[cfg(target_os = "linux")]
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: the system call takes three numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Allows the process to call [`interrupt_all_processors`]. The child of a fork calls it again.
pub(crate) fn register_barrier() {
    #[cfg(target_os = "linux")]
    membarrier(REGISTER_PRIVATE_EXPEDITED);
}

/// Makes each processor that runs a thread of this process execute a full memory barrier.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn interrupt_all_processors() {
    if membarrier(PRIVATE_EXPEDITED) {
        return;
    }
    // Revoking a right of a page in use interrupts every processor that may have the page in its
    // TLB, and an interrupt is a barrier.
    const PAGE: usize = 4096;
    if let Some(page) = crate::system::arena::reserve(PAGE) {
        // SAFETY: the page is ours; the write makes it present.
        unsafe { page.as_ptr().write_volatile(1) };
        // SAFETY: the page is ours, and nothing else uses it.
        unsafe { libc::mprotect(page.as_ptr().cast(), PAGE, libc::PROT_READ) };
        // SAFETY: the page was reserved just above and is not used after.
        unsafe { crate::system::arena::release(page, PAGE) };
    }
}
