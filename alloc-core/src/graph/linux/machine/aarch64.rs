//! Registers on aarch64.

use std::arch::asm;

/// The registers of a thread.
#[derive(Clone, Copy)]
pub(in crate::graph::linux) struct Registers {
    values: [usize; Registers::COUNT],
}

impl Registers {
    /// x0 to x30, the stack pointer, and the program counter.
    const COUNT: usize = 33;
    pub(in crate::graph::linux) const RED_ZONE: usize = 0;

    /// The registers that a call leaves unchanged, of the function that this is inlined into.
    #[inline(always)]
    pub(in crate::graph::linux) fn here() -> Registers {
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
    pub(in crate::graph::linux) fn of(context: &libc::ucontext_t) -> Registers {
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

    pub(in crate::graph::linux) fn sp(&self) -> usize {
        self.values[31]
    }

    /// The start and the length of the vector registers that the signal's frame holds.
    pub(in crate::graph::linux) fn vectors(context: &libc::ucontext_t) -> (usize, usize) {
        // They are in the reserved bytes behind the other registers.
        let start = std::ptr::from_ref(&context.uc_mcontext).addr();
        (start + 36 * 8, 512 + 32)
    }

    /// Passes the frames of this thread to `each`, from the innermost: an address of the code, and
    /// the end of its frame on the stack. Follows frame pointers.
    pub(in crate::graph::linux) fn unwind(
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

    /// The values, to be scanned.
    pub(in crate::graph::linux) fn values(&self) -> &[usize] {
        &self.values
    }
}

/// The thread pointer of the calling thread: the base of its thread-locals.
pub(in crate::graph::linux) fn thread_pointer() -> usize {
    let pointer;
    // SAFETY: reads a register.
    unsafe {
        asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem, preserves_flags));
    }
    pointer
}
