//! [`Records`]: the list of frames that frame pointers make of a stack.

use crate::capture::StackBounds;
use crate::snapshot::recorded::StackEnd;

/// The frame records of a stack, innermost first, as their return addresses.
///
/// A record is two words: the frame pointer of the caller, which is the place of the next record,
/// and the address that the function returns to. The outermost record says zero, one or the other.
///
/// Each record must lie outside of the last one, within the stack, and be aligned, or the stack is
/// broken there: so every read is of the thread's own stack, and the walk ends.
pub(super) struct Records {
    next: usize,
    /// Where the next record may lie.
    low: usize,
    high: usize,
    pub(super) end: StackEnd,
}

/// How long a record is.
pub(super) const RECORD: usize = 2 * size_of::<usize>();

impl Records {
    pub(super) fn new(Registers { sp, fp }: Registers, bounds: StackBounds) -> Records {
        let high = if bounds.hold(sp) {
            bounds.high
        } else {
            end_of_page(sp)
        };
        Records {
            next: fp,
            low: sp,
            high,
            end: StackEnd::Complete,
        }
    }
}

impl Iterator for Records {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let record = self.next;
        if record == 0 {
            return None;
        }
        let room = self.high.saturating_sub(record);
        if record < self.low || room < RECORD || !record.is_multiple_of(align_of::<usize>()) {
            self.end = StackEnd::Broken;
            self.next = 0;
            return None;
        }
        // SAFETY: two aligned words between the stack pointer and the end of the stack, or of the
        // page that holds the stack pointer.
        let [next, address] = unsafe { (record as *const [usize; 2]).read_volatile() };
        let address = without_signature(address);
        self.low = record + RECORD;
        self.next = if address == 0 { 0 } else { next };
        (address != 0).then_some(address)
    }
}

/// Up to where a walk may read that starts outside of the thread's own stack: see the other walk.
#[cold]
fn end_of_page(sp: usize) -> usize {
    const PAGE: usize = 4096;
    (sp | (PAGE - 1)).saturating_add(1)
}

/// The registers that a walk starts from.
#[derive(Clone, Copy)]
pub(super) struct Registers {
    pub(super) sp: usize,
    pub(super) fp: usize,
}

impl Registers {
    /// Those of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Registers {
        let (sp, fp);
        // SAFETY: reads two registers and changes none but the outputs.
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        unsafe {
            std::arch::asm!("mov {}, sp", "mov {}, x29", out(reg) sp, out(reg) fp, options(nostack, nomem, preserves_flags));
        }
        // SAFETY: reads two registers and changes none but the outputs.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        unsafe {
            std::arch::asm!("mov {}, rsp", "mov {}, rbp", out(reg) sp, out(reg) fp, options(nostack, nomem, preserves_flags));
        }
        // A stack of which nothing is known is never walked.
        #[cfg(not(all(any(target_arch = "aarch64", target_arch = "x86_64"), not(miri))))]
        {
            (sp, fp) = (0, 0);
        }
        Registers { sp, fp }
    }
}

/// A return address, whatever a processor with pointer authentication put into its upper bits.
///
/// By the instruction that is made for it, since how many bits an address has depends on the
/// system: it takes the address in the link register, and does nothing on processors without.
#[inline(always)]
pub(super) fn without_signature(address: usize) -> usize {
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    let address = {
        let mut address = address;
        // SAFETY: `xpaclri`, by its number so that every assembler knows it, changes one register.
        unsafe {
            std::arch::asm!("hint #7", inout("x30") address, options(nostack, nomem, preserves_flags));
        }
        address
    };
    address
}
