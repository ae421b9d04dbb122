//! [`Records`]: the linked list of frames that frame pointers make of a stack.

use crate::capture::StackBounds;
use crate::snapshot::recorded::StackEnd;

/// An iterator over the frame records of a stack, innermost first. It yields their return
/// addresses.
///
/// A record is two words: the caller's frame pointer, which is the address of the next record, and
/// the function's return address. In the outermost record one of them or both are zero.
///
/// Each record must be outside the last one, inside the stack, and aligned; otherwise the stack is
/// broken there. So every read is of the thread's own stack, and the walk ends.
pub(super) struct Records {
    next: usize,
    /// Lowest address of the next record.
    low: usize,
    high: usize,
    pub(super) end: StackEnd,
}

/// Size of a record, in bytes.
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
        // SAFETY: the two aligned words are between the stack pointer and the end of the stack, or
        // of the page that contains the stack pointer.
        let [next, address] = unsafe { (record as *const [usize; 2]).read_volatile() };
        let address = without_signature(address);
        self.low = record + RECORD;
        self.next = if address == 0 { 0 } else { next };
        (address != 0).then_some(address)
    }
}

/// Upper bound for a walk that starts outside the thread's own stack: see the other walker.
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
    /// The registers of the function that this is inlined into.
    #[inline(always)]
    pub(super) fn here() -> Registers {
        let (sp, fp);
        // SAFETY: reads two registers and changes only the outputs.
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        unsafe {
            std::arch::asm!("mov {}, sp", "mov {}, x29", out(reg) sp, out(reg) fp, options(nostack, nomem, preserves_flags));
        }
        // SAFETY: reads two registers and changes only the outputs.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        unsafe {
            std::arch::asm!("mov {}, rsp", "mov {}, rbp", out(reg) sp, out(reg) fp, options(nostack, nomem, preserves_flags));
        }
        // A stack with unknown bounds is never walked.
        #[cfg(not(all(any(target_arch = "aarch64", target_arch = "x86_64"), not(miri))))]
        {
            (sp, fp) = (0, 0);
        }
        Registers { sp, fp }
    }
}

/// A return address without the signature that pointer authentication puts into its upper bits.
///
/// Uses the dedicated instruction, since the number of address bits depends on the system. The
/// instruction works on the link register, and does nothing on processors without pointer
/// authentication.
#[inline(always)]
pub(crate) fn without_signature(address: usize) -> usize {
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    let address = {
        let mut address = address;
        // SAFETY: `xpaclri`, written as a hint so that every assembler accepts it, changes one
        // register.
        unsafe {
            std::arch::asm!("hint #7", inout("x30") address, options(nostack, nomem, preserves_flags));
        }
        address
    };
    address
}
