//! Registers on aarch64.

use std::arch::asm;

use super::RegisterPlaces;
use crate::capture::without_signature;

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

    /// Where a signal's frame has registers: the start and the end of each range.
    ///
    /// Behind the general registers is room for records, which end with an empty one. What comes
    /// after that was left on the stack by calls that have returned, and is not a register's.
    pub(in crate::graph::linux) fn places(context: &libc::ucontext_t) -> RegisterPlaces {
        /// The empty record.
        const LAST: u32 = 0;
        /// A record that has the address of further ones at 8, and their size at 16.
        const ELSEWHERE: u32 = 0x4558_5401;
        /// The kernel's alignment of the records, and the room for them.
        const ALIGN: usize = 16;
        const ROOM: usize = 4096;
        /// The size of the smallest record that is not empty.
        const LEAST: usize = 16;

        let machine = &context.uc_mcontext;
        let general = machine.regs.as_ptr_range();
        let start = (std::ptr::from_ref(&machine.pstate).addr() + 8).next_multiple_of(ALIGN);
        let (mut at, mut elsewhere) = (start, (0, 0));
        while at + LEAST <= start + ROOM {
            let place = at as *const u32;
            // SAFETY: both words are in the room for records, which the kernel's frame has, and
            // aligned.
            let (kind, size) = unsafe { (place.read_volatile(), place.add(1).read_volatile()) };
            let size = size as usize;
            if kind == LAST || size < LEAST {
                break;
            }
            if kind == ELSEWHERE && at + size <= start + ROOM {
                // SAFETY: as above. Such a record has 32 bytes.
                let first = unsafe { place.add(2).cast::<usize>().read_volatile() };
                // SAFETY: as above.
                let len = unsafe { place.add(4).read_volatile() } as usize;
                elsewhere = (first, first.saturating_add(len));
            }
            at = at.saturating_add(size);
        }
        let mut places = RegisterPlaces::default();
        places[0] = (general.start.addr(), general.end.addr());
        places[1] = (start, at.min(start + ROOM));
        places[2] = elsewhere;
        places
    }

    /// Passes the frames of this thread to `each`, from the innermost: an address of the code, and
    /// the end of its frame on the stack. Follows frame pointers.
    pub(in crate::graph::linux) fn unwind(
        &self,
        low: usize,
        high: usize,
        mut each: impl FnMut(usize, usize) -> bool,
    ) {
        const RECORD: usize = 16;
        let (mut pc, mut frame) = (self.values[32], self.values[29]);
        let is_record = |frame: usize| {
            frame.is_multiple_of(align_of::<usize>())
                && frame >= low
                && high.saturating_sub(frame) >= RECORD
        };
        while pc != 0 && is_record(frame) {
            let place = frame as *const usize;
            // SAFETY: the frame record is within the stack, which is readable, and aligned.
            let (next, caller) = unsafe { (place.read_volatile(), place.add(1).read_volatile()) };
            if !each(pc, frame + RECORD) || next <= frame {
                break;
            }
            (pc, frame) = (without_signature(caller), next);
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

/// The C library's own memory of a thread with this thread pointer, from its start to its end. The
/// pointer is to the two words at its end, and thread-locals come after them.
pub(in crate::graph::linux) fn control_block(thread_pointer: usize) -> (usize, usize) {
    const AT_THE_POINTER: usize = 16;
    // SAFETY: the call takes no arguments. It computes the start of the calling thread's own.
    let own = unsafe { libc::pthread_self() } as usize;
    let before = self::thread_pointer().wrapping_sub(own);
    // NOTE: a C library that numbers threads instead has an implausible size here.
    let before = if before <= MOST { before } else { 0 };
    (thread_pointer - before, thread_pointer + AT_THE_POINTER)
}

/// More than the control block of any C library.
const MOST: usize = 1 << 14;
