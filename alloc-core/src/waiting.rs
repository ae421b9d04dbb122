//! Whether a signal interrupted a thread that only waits, in a system call that waits for something from outside.
//!
//! A handler may call next to nothing, since what it interrupts may be in the middle of anything: it may hold the lock
//! of `malloc`. A thread that waits for input, for a connection, for a child, for another thread to say something, or for
//! time to pass holds none that a new thread takes. That is seen by the instruction that was interrupted.

use std::ffi::c_void;

/// Whether that can be told here.
pub(crate) const CAN_TELL: bool = cfg!(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
));

/// System calls that begin anew after a handler, and that wait.
#[cfg(target_os = "linux")]
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

/// Whether what a handler interrupted, by its third argument, is such a wait.
///
/// Either the thread stands before the system call, which it is going to make again, or behind one that says that it
/// was interrupted, which only those say that wait: `poll`, `epoll_wait`, `nanosleep` and the like.
///
/// # Safety
///
/// The context is the third argument of a signal's handler with `SA_SIGINFO`, which still runs.
pub(crate) unsafe fn was_interrupted(context: *const c_void) -> bool {
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    {
        // SAFETY: the caller's promise.
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
        // SAFETY: the next instruction of the thread can be read.
        let is_before_a_call = unsafe { is_system_call(at) };
        if is_before_a_call {
            return WAITS.contains(&number)
                || number == libc::SYS_futex && waits_for_another(second);
        }
        // SAFETY: as above; what is before it is on the same page, or not looked at.
        result == -i64::from(libc::EINTR) && unsafe { is_behind_system_call(at) }
    }
    #[cfg(not(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )))]
    {
        let _ = context;
        false
    }
}

/// Whether a futex is waited for with the operation of those who wait for another thread: to end, to wake them, or
/// for one of Rust's locks. Locks of the C library, as that of `malloc`, have the plain one.
#[cfg(target_os = "linux")]
fn waits_for_another(operation: libc::c_long) -> bool {
    let flags = libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;
    operation as libc::c_int & !flags == libc::FUTEX_WAIT_BITSET
}

#[cfg(target_arch = "x86_64")]
type Instruction = [u8; 2];
#[cfg(target_arch = "x86_64")]
const SYSTEM_CALL: Instruction = [0x0F, 0x05];
#[cfg(target_arch = "aarch64")]
type Instruction = [u8; 4];
#[cfg(target_arch = "aarch64")]
const SYSTEM_CALL: Instruction = 0xD400_0001_u32.to_le_bytes();

/// # Safety
///
/// The address is that of an instruction that is about to be executed.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe fn is_system_call(at: usize) -> bool {
    const LEN: usize = size_of::<Instruction>();
    // One that goes on behind the end of a page is none: what is there may not be mapped.
    if at % 4096 > 4096 - LEN {
        return false;
    }
    let place = std::ptr::with_exposed_provenance::<Instruction>(at);
    // SAFETY: code of the program, of which the first byte is mapped, and so all of its page.
    unsafe { place.read_volatile() == SYSTEM_CALL }
}

/// # Safety
///
/// As [`is_system_call`].
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe fn is_behind_system_call(at: usize) -> bool {
    const LEN: usize = size_of::<Instruction>();
    // SAFETY: if it is on the same page, that is mapped.
    at % 4096 >= LEN && unsafe { is_system_call(at - LEN) }
}
