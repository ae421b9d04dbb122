//! The walk on x86-64 Linux, by rules from the program's own unwind tables.
//!
//! In: the registers of a frame. Out: return addresses, or a callsite that is known already. Never:
//! a lock, an allocation, or a system call, but for code that comes and goes and for stacks that
//! are not the thread's own.

mod cached_stack;
mod checks;
mod every_register;
mod frame_size;
mod functions;
pub(super) mod libraries;
mod objects;
mod previous_stack;
mod region;
mod registers;
mod rules;
pub(super) mod spare_stack;
mod step;
mod tables;
mod walker;

use super::{CaptureMethod, StackBounds};
use every_register::End;
use registers::Registers;
use rules::Rules;

pub(crate) use every_register::AllRegisters;
pub(crate) use walker::Walker;

static RULES: Rules = Rules::new();

pub(in crate::capture) fn prepare() -> CaptureMethod {
    objects::prepare();
    spare_stack::prepare();
    if Rules::keeps_frame_pointer(Registers::here().pc) {
        CaptureMethod::FramePointers
    } else {
        CaptureMethod::UnwindTables
    }
}

pub(in crate::capture) fn prepare_for_line() {
    functions::prepare();
}

pub(in crate::capture) fn is_of_printing(addresses: &[usize]) -> bool {
    functions::is_of_printing(addresses)
}

/// Whether the program surely consists of tests for the standard library's harness.
pub(in crate::capture) fn is_for_the_test_harness() -> bool {
    functions::is_for_the_test_harness()
}

pub(in crate::capture) fn resident() -> usize {
    RULES.resident() + spare_stack::resident() + libraries::resident()
}

/// Passes the frames of a stack to `each`, from the innermost: an address of the code, and the end
/// of its frame. Ends when `each` returns `false`.
pub(in crate::capture) fn unwind_from(
    registers: &AllRegisters,
    own: StackBounds,
    mut each: impl FnMut(usize, usize) -> bool,
) {
    let mut pc = registers.pc();
    let end = every_register::walk(*registers, own, |found| {
        let goes_on = each(pc, found.cfa);
        pc = found.pc;
        goes_on
    });
    if end != End::Enough {
        each(pc, own.high);
    }
}
