//! Registers on x86-64.

use std::arch::asm;

use super::RegisterPlaces;
use crate::capture::{AllRegisters, unwind_from};

/// The registers of a thread.
#[derive(Clone, Copy)]
pub(in crate::graph::linux) struct Registers(AllRegisters);

impl Registers {
    /// The function called last may use that much of the stack below its stack pointer.
    pub(in crate::graph::linux) const RED_ZONE: usize = 128;

    /// The registers that a call leaves unchanged, of the function that this is inlined into.
    #[inline(always)]
    pub(in crate::graph::linux) fn here() -> Registers {
        Registers(AllRegisters::here())
    }

    /// Those that a signal handler interrupted.
    pub(in crate::graph::linux) fn of(context: &libc::ucontext_t) -> Registers {
        const IN_ORDER: [libc::c_int; AllRegisters::COUNT] = [
            libc::REG_RAX,
            libc::REG_RDX,
            libc::REG_RCX,
            libc::REG_RBX,
            libc::REG_RSI,
            libc::REG_RDI,
            libc::REG_RBP,
            libc::REG_RSP,
            libc::REG_R8,
            libc::REG_R9,
            libc::REG_R10,
            libc::REG_R11,
            libc::REG_R12,
            libc::REG_R13,
            libc::REG_R14,
            libc::REG_R15,
            libc::REG_RIP,
        ];
        let values = IN_ORDER.map(|at| context.uc_mcontext.gregs[at as usize] as usize);
        Registers(AllRegisters::of_signal(values))
    }

    pub(in crate::graph::linux) fn sp(&self) -> usize {
        self.0.sp()
    }

    /// The values, to be scanned.
    pub(in crate::graph::linux) fn values(&self) -> &[usize] {
        self.0.values()
    }

    /// Where a signal's frame has registers: the start and the end of each range.
    pub(in crate::graph::linux) fn places(context: &libc::ucontext_t) -> RegisterPlaces {
        let machine = std::ptr::from_ref(&context.uc_mcontext).addr();
        let (vectors, len) = Registers::vectors(context);
        [
            (machine, machine + size_of_val(&context.uc_mcontext)),
            (vectors, vectors + len),
            (0, 0),
        ]
    }

    /// The start and the length of the vector registers that the signal's frame holds.
    fn vectors(context: &libc::ucontext_t) -> (usize, usize) {
        const LEGACY: usize = 512;
        const MAGIC_AT: usize = 464;
        const MAGIC: u32 = 0x4650_5853;
        let start = context.uc_mcontext.fpregs.addr();
        if start == 0 {
            return (0, 0);
        }
        let word = |at: usize| {
            // SAFETY: the kernel's frame has at least 512 bytes here.
            let place = unsafe { context.uc_mcontext.fpregs.cast::<u8>().add(at) };
            // SAFETY: the last 48 of them are for such notes.
            unsafe { place.cast::<u32>().read_unaligned() }
        };
        let len = if word(MAGIC_AT) == MAGIC {
            word(MAGIC_AT + 4) as usize
        } else {
            LEGACY
        };
        (start, len.clamp(LEGACY, 1 << 14))
    }

    /// Passes the frames of this thread to `each`, from the innermost: an address of the code, and
    /// the end of its frame on the stack.
    pub(in crate::graph::linux) fn unwind(
        &self,
        low: usize,
        high: usize,
        each: impl FnMut(usize, usize) -> bool,
    ) {
        unwind_from(&self.0, low, high, each);
    }
}

/// The thread pointer of the calling thread: the base of its thread-locals.
pub(in crate::graph::linux) fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: the first word of the thread's control block is its own address, by the ABI.
    unsafe {
        asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly, preserves_flags));
    }
    pointer
}

/// The C library's own memory of a thread with this thread pointer, from its start to its end. It
/// has what `pthread_setspecific` was given. Thread-locals come before it.
pub(in crate::graph::linux) fn control_block(thread_pointer: usize) -> (usize, usize) {
    /// That of glibc.
    const SIZE: usize = 0x900;
    (thread_pointer, thread_pointer + SIZE)
}
