//! [`NewFrames`]: what a walk has found so far.

use super::{Flags, KEPT};
use crate::capture::unwind::checks::Check;
use crate::capture::unwind::registers::Registers;

/// What a step finds: one return address on the stack.
#[derive(Clone, Copy)]
pub(in crate::capture::unwind) struct Found {
    /// The return address, and where it is.
    pub(in crate::capture::unwind) pc: Check,
    pub(in crate::capture::unwind) from: Origin,
}

/// How it was found.
#[derive(Clone, Copy)]
pub(in crate::capture::unwind) struct Origin {
    /// The caller's rbp, and where it was loaded from, or zero if the register still held it.
    pub(in crate::capture::unwind) bp: Check,
    pub(in crate::capture::unwind) way: Flags,
}

impl Found {
    #[inline(always)]
    pub(in crate::capture::unwind) fn registers(&self) -> Registers {
        Registers::of_caller(self.pc, self.from.bp)
    }
}

/// What the walk has found so far, innermost first.
pub(in crate::capture::unwind) struct NewFrames {
    /// An sp-only walk writes nothing else.
    pub(super) pcs: [Check; KEPT],
    from: [Origin; KEPT],
}

impl NewFrames {
    #[inline(always)]
    pub(in crate::capture::unwind) fn set(&mut self, at: usize, found: Found) {
        self.pcs[at % KEPT] = found.pc;
        self.from[at % KEPT] = found.from;
    }

    /// Writes what an sp-only rule found.
    #[inline(always)]
    pub(in crate::capture::unwind) fn set_pc(&mut self, at: usize, pc: Check) {
        self.pcs[at % KEPT] = pc;
    }

    pub(in crate::capture::unwind) fn get(&self, at: usize) -> Found {
        Found {
            pc: self.pcs[at % KEPT],
            from: self.from[at % KEPT],
        }
    }

    /// Where the first return address goes, and the others after it.
    #[inline(always)]
    pub(in crate::capture::unwind) fn pcs(&mut self) -> *mut Check {
        self.pcs.as_mut_ptr()
    }
}
