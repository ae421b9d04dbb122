//! Registers on x86-64.

use std::arch::asm;
use std::ops::Range;

use super::RegisterPlaces;
use crate::capture::{AllRegisters, unwind_from};

/// The vector registers that all processors have, in the part of a signal's frame for the others.
const LEGACY: Range<usize> = 160..416;
/// Where the frame says that there is more of it, and then how long it is.
const MARK_AT: usize = 464;
const MARK: u32 = 0x4650_5853;
/// Where the bits of the parts are that are in use.
const IN_USE_AT: usize = 512;
/// The parts for longer vectors, and for sixteen more general registers.
const PARTS: [u32; 4] = [2, 6, 7, 19];
/// The question for the size and the place of a part.
const LAYOUT: u32 = 0xD;

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
    ///
    /// The processor does not write all of the frame: not what is reserved, and no part whose
    /// registers are all zero. What is there was left on the stack by calls that have returned.
    pub(in crate::graph::linux) fn places(context: &libc::ucontext_t) -> RegisterPlaces {
        let general = context.uc_mcontext.gregs.as_ptr_range();
        let mut places = RegisterPlaces::default();
        places[0] = (general.start.addr(), general.end.addr());
        let start = context.uc_mcontext.fpregs.addr();
        if start == 0 {
            return places;
        }
        let word = |at: usize| {
            // SAFETY: the kernel's frame has at least 512 bytes here, and 64 more after its mark.
            let place = unsafe { context.uc_mcontext.fpregs.cast::<u8>().add(at) };
            // SAFETY: as above. All callers have looked for the mark first.
            unsafe { place.cast::<u32>().read_unaligned() }
        };
        if word(MARK_AT) != MARK {
            places[1] = (start + LEGACY.start, start + LEGACY.end);
            return places;
        }
        let (size, in_use) = (word(MARK_AT + 4) as usize, word(IN_USE_AT));
        if in_use & 1 << 1 != 0 {
            places[1] = (start + LEGACY.start, start + LEGACY.end);
        }
        let parts = PARTS.iter().filter(|it| in_use & 1 << **it != 0);
        for (place, part) in places[2..].iter_mut().zip(parts) {
            let layout = std::arch::x86_64::__cpuid_count(LAYOUT, *part);
            let (len, offset) = (layout.eax as usize, layout.ebx as usize);
            if offset + len <= size {
                *place = (start + offset, start + offset + len);
            }
        }
        places
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
