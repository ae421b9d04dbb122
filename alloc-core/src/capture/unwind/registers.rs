//! [`Registers`]: where a step begins.

use std::arch::asm;

use super::checks::Check;

/// The registers that a step starts from.
#[derive(Clone, Copy)]
pub(super) struct Registers {
    pub(super) pc: usize,
    pub(super) sp: usize,
    pub(super) bp: usize,
}

impl Registers {
    /// Those of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Registers {
        let (pc, sp, bp);
        // SAFETY: reads three registers and changes none but the outputs. The address is that of
        // the instruction after the first, so the one before it is in this function too.
        unsafe {
            asm!(
                "lea {pc}, [rip]",
                "mov {sp}, rsp",
                "mov {bp}, rbp",
                pc = out(reg) pc,
                sp = out(reg) sp,
                bp = out(reg) bp,
                options(nostack, nomem, preserves_flags),
            );
        }
        Registers { pc, sp, bp }
    }

    /// Those of a caller, once this return address is taken, with this rbp.
    #[inline(always)]
    pub(super) fn of_caller(pc: Check, bp: Check) -> Registers {
        Registers {
            pc: pc.word,
            sp: pc.address + 8,
            bp: bp.word,
        }
    }

    /// How far above rsp the frame ends, if rbp is its frame pointer.
    pub(super) fn size_by_frame_pointer(self) -> usize {
        self.bp.wrapping_add(16).wrapping_sub(self.sp)
    }
}
