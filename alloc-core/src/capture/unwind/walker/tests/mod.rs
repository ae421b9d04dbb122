//! Each kind of stack against the platform's own unwinder, and walks that reuse against walks that
//! do not.

mod reuse;
mod shapes;
mod truth;

use super::Walker;
use crate::capture::unwind::prepare;
use crate::capture::unwind::registers::Registers;
use crate::capture::{MAX_FRAMES, stack_bounds};

fn walker() -> Box<Walker> {
    prepare();
    // SAFETY: numbers, and an enum for which zero is a value.
    let mut walker = unsafe { Box::<Walker>::new_zeroed().assume_init() };
    walker.begin(stack_bounds());
    walker.set_limit(MAX_FRAMES);
    walker.begin_to_keep();
    walker.cached.wake();
    walker
}

impl Walker {
    /// Walks the caller's stack, whether it is remembered or not.
    #[inline(always)]
    fn walk_here(&mut self) -> u64 {
        let Registers { pc, sp, bp } = Registers::here();
        self.walk(pc, sp, bp)
    }
}
