//! Registers: those of a thread that a signal interrupted, and those of the caller.

use std::arch::asm;

/// The registers of a thread, by their numbers in unwind tables.
#[derive(Clone, Copy)]
pub(super) struct Registers {
    values: [usize; Registers::COUNT],
}

#[cfg(target_arch = "x86_64")]
impl Registers {
    const COUNT: usize = 17;
    /// The function called last may use that much of the stack below its stack pointer.
    pub(super) const RED_ZONE: usize = 128;

    /// The registers that a call leaves unchanged, of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Registers {
        let mut values = [0_usize; Registers::COUNT];
        // SAFETY: writes eight registers into the array, which has enough places, and changes only
        // the output.
        unsafe {
            asm!(
                "mov [{values} + 24], rbx",
                "mov [{values} + 48], rbp",
                "mov [{values} + 56], rsp",
                "mov [{values} + 96], r12",
                "mov [{values} + 104], r13",
                "mov [{values} + 112], r14",
                "mov [{values} + 120], r15",
                "lea {pc}, [rip]",
                "mov [{values} + 128], {pc}",
                values = in(reg) values.as_mut_ptr(),
                pc = out(reg) _,
                options(nostack, preserves_flags),
            );
        }
        Registers { values }
    }

    /// Those that a signal handler interrupted.
    pub(super) fn of(context: &libc::ucontext_t) -> Registers {
        const IN_ORDER: [libc::c_int; Registers::COUNT] = [
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
        let mut values = IN_ORDER.map(|at| context.uc_mcontext.gregs[at as usize] as usize);
        // One past the instruction, as a return address is.
        values[16] = values[16].wrapping_add(1);
        Registers { values }
    }

    pub(super) fn sp(&self) -> usize {
        self.values[7]
    }

    /// The start and the length of the vector registers that the signal's frame holds.
    pub(super) fn vectors(context: &libc::ucontext_t) -> (usize, usize) {
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
    pub(super) fn unwind(&self, low: usize, high: usize, each: impl FnMut(usize, usize) -> bool) {
        crate::capture::unwind_from(self.values, low, high, each);
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    /// x0 to x30, the stack pointer, and the program counter.
    const COUNT: usize = 33;
    pub(super) const RED_ZONE: usize = 0;

    /// The registers that a call leaves unchanged, of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Registers {
        let mut values = [0_usize; Registers::COUNT];
        // SAFETY: writes registers into the array, which has enough places, and changes only the
        // outputs.
        unsafe {
            asm!(
                "stp x19, x20, [{values}, #152]",
                "stp x21, x22, [{values}, #168]",
                "stp x23, x24, [{values}, #184]",
                "stp x25, x26, [{values}, #200]",
                "stp x27, x28, [{values}, #216]",
                "stp x29, x30, [{values}, #232]",
                "mov {other}, sp",
                "str {other}, [{values}, #248]",
                "adr {other}, .",
                "str {other}, [{values}, #256]",
                values = in(reg) values.as_mut_ptr(),
                other = out(reg) _,
                options(nostack, preserves_flags),
            );
        }
        Registers { values }
    }

    /// Those that a signal handler interrupted.
    pub(super) fn of(context: &libc::ucontext_t) -> Registers {
        let machine = &context.uc_mcontext;
        let mut values = [0; Registers::COUNT];
        for (value, register) in values.iter_mut().zip(machine.regs) {
            *value = register as usize;
        }
        values[31] = machine.sp as usize;
        // One past the instruction, as a return address is.
        values[32] = machine.pc.wrapping_add(1) as usize;
        Registers { values }
    }

    pub(super) fn sp(&self) -> usize {
        self.values[31]
    }

    /// The start and the length of the vector registers that the signal's frame holds.
    pub(super) fn vectors(context: &libc::ucontext_t) -> (usize, usize) {
        // They are in the reserved bytes behind the other registers.
        let start = std::ptr::from_ref(&context.uc_mcontext).addr();
        (start + 36 * 8, 512 + 32)
    }

    /// Passes the frames of this thread to `each`, from the innermost: an address of the code, and
    /// the end of its frame on the stack. Follows frame pointers.
    pub(super) fn unwind(
        &self,
        low: usize,
        high: usize,
        mut each: impl FnMut(usize, usize) -> bool,
    ) {
        let (mut pc, mut frame) = (self.values[32], self.values[29]);
        while pc != 0 && frame % 16 == 0 && frame >= low && frame + 16 <= high {
            let place = frame as *const usize;
            // SAFETY: the frame record is within the stack, which is readable, and aligned.
            let (next, caller) = unsafe { (place.read_volatile(), place.add(1).read_volatile()) };
            if !each(pc, frame + 16) || next <= frame {
                break;
            }
            (pc, frame) = (caller, next);
        }
    }
}

impl Registers {
    /// The values, to be scanned.
    pub(super) fn values(&self) -> &[usize] {
        &self.values
    }
}

/// The thread pointer of the calling thread: the base of its thread-locals.
pub(super) fn thread_pointer() -> usize {
    let pointer;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the first word of the thread's control block is its own address, by the ABI.
    unsafe {
        asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem, preserves_flags));
    }
    pointer
}
