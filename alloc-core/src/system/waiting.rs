//! Whether a signal interrupted a thread that only waits, in a system call that waits for an
//! external event.
//!
//! A handler may call next to nothing, since the interrupted code may be in the middle of anything:
//! it may hold the lock of `malloc`. A thread that waits for input, for a connection, for a child,
//! for another thread or for time to pass holds no lock that a new thread takes. The interrupted
//! instruction shows whether the thread waits.

pub(crate) use imp::was_interrupted;

/// Whether this is known on this platform.
pub(crate) const CAN_TELL: bool = cfg!(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
));

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod imp {
    use std::ffi::c_void;

    /// System calls that wait, and that restart after a handler.
    const WAITS: [libc::c_long; 9] = [
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_wait4,
        libc::SYS_waitid,
        libc::SYS_flock,
    ];

    #[cfg(target_arch = "x86_64")]
    type Instruction = [u8; 2];
    #[cfg(target_arch = "x86_64")]
    const SYSTEM_CALL: Instruction = [0x0F, 0x05];
    #[cfg(target_arch = "aarch64")]
    type Instruction = [u8; 4];
    #[cfg(target_arch = "aarch64")]
    const SYSTEM_CALL: Instruction = 0xD400_0001_u32.to_le_bytes();

    const LEN: usize = size_of::<Instruction>();
    /// The smallest page: its bytes are all mapped, or none is.
    const PAGE: usize = 4096;

    /// Whether the code that a handler interrupted is such a wait; `context` is the handler's third
    /// argument.
    ///
    /// Either the thread is before the system call, which it is going to restart, or after one that
    /// returned `EINTR`. Only system calls that wait return that: `poll`, `epoll_wait`, `nanosleep`
    /// and the like.
    ///
    /// # Safety
    ///
    /// The context must be the third argument of a signal handler with `SA_SIGINFO` that is still
    /// running.
    pub(crate) unsafe fn was_interrupted(context: *const c_void) -> bool {
        // SAFETY: the context is valid, as the caller guarantees.
        let context = unsafe { &*context.cast::<libc::ucontext_t>() };
        let machine = &context.uc_mcontext;
        #[cfg(target_arch = "x86_64")]
        let (at, number, second, result) = {
            let register = |number: libc::c_int| machine.gregs[number as usize];
            let (at, result) = (register(libc::REG_RIP), register(libc::REG_RAX));
            (at as usize, result, register(libc::REG_RSI), result)
        };
        #[cfg(target_arch = "aarch64")]
        let (at, number, second, result) = (
            machine.pc as usize,
            machine.regs[8] as i64,
            machine.regs[1] as i64,
            machine.regs[0] as i64,
        );
        // An instruction that crosses the end of the page is not checked: the next page may be
        // unmapped.
        //
        // SAFETY: the thread's next instruction is mapped, and so is all of its page.
        if at % PAGE <= PAGE - LEN && unsafe { is_system_call(at) } {
            return WAITS.contains(&number)
                || number == libc::SYS_futex && waits_for_another(second);
        }
        // SAFETY: the thread's next instruction is mapped, and so is all of its page. The bytes
        // before it are on the same page.
        result == -i64::from(libc::EINTR) && at % PAGE >= LEN && unsafe { is_system_call(at - LEN) }
    }

    /// Whether a futex wait uses the operation for waiting for another thread: to end, to wake this
    /// one, or to release one of Rust's locks. Locks of the C library, such as that of `malloc`,
    /// use the plain operation.
    fn waits_for_another(operation: libc::c_long) -> bool {
        let flags = libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;
        operation as libc::c_int & !flags == libc::FUTEX_WAIT_BITSET
    }

    /// # Safety
    ///
    /// The program's code at the address must be readable.
    unsafe fn is_system_call(at: usize) -> bool {
        let place = std::ptr::with_exposed_provenance::<Instruction>(at);
        // SAFETY: the bytes are readable, as the caller guarantees; a byte has no alignment.
        unsafe { place.read_volatile() == SYSTEM_CALL }
    }
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod imp {
    /// # Safety
    ///
    /// There are no preconditions.
    pub(crate) unsafe fn was_interrupted(_: *const std::ffi::c_void) -> bool {
        false
    }
}
