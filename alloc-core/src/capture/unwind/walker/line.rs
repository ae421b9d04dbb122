//! The walk to the user's line, for captures that need one frame only.

use super::Walker;
use crate::capture::unwind::RULES;
use crate::capture::unwind::checks::Check;
use crate::capture::unwind::region::Region;
use crate::capture::unwind::registers::Registers;
use crate::capture::unwind::step::Stop;
use crate::snapshot::recorded::StackEnd;

/// How many frames a walk for one line shows at most: those of the library, and the user's.
pub(super) const LINE_FRAMES: usize = crate::capture::LIBRARY_FRAMES + 1;

impl Walker {
    /// Walks from these registers outwards to the user's line: two to five steps, so nothing is
    /// reused of the walk before.
    #[inline(never)]
    pub(super) fn walk_line(&mut self, pc: usize, sp: usize, bp: usize) -> u64 {
        let frame = Registers { pc, sp, bp };
        let Some(new) = self.walk_line_sp_only(frame) else {
            return self.walk_line_with_bp(frame) ^ self.salt_of_libraries();
        };
        (self.end, self.bottom) = (StackEnd::Truncated, 0);
        self.previous.begin(0, false);
        let hash = self.push_sp_only(0, new);
        self.reuse_nothing();
        self.is_whole = true;
        hash
    }

    /// Fast path: steps by sp-only rules to the user's line. Returns how many
    /// frames that takes.
    #[inline(always)]
    fn walk_line_sp_only(&mut self, frame: Registers) -> Option<usize> {
        let (sp, high) = (frame.sp, self.bounds.high);
        if sp < self.bounds.low {
            return None;
        }
        let mut cfa = sp + self.first_rule(frame).sp_only_size()?;
        for new in 0..LINE_FRAMES {
            if cfa > high {
                return None;
            }
            // SAFETY: it is between `sp` and `high`, both aligned.
            let next = unsafe { Check::of(cfa - 8) };
            self.new_frames.set_pc(new, next);
            let (rule, of_the_user) = RULES.get_known_for_line(next.word)?;
            if of_the_user {
                return Some(new + 1);
            }
            cfa += rule.sp_only_size()?;
        }
        Some(LINE_FRAMES)
    }

    /// Slow path: walks to the user's line by all rules, from any stack.
    #[inline(never)]
    fn walk_line_with_bp(&mut self, first: Registers) -> u64 {
        let mut frame = first;
        let mut region = Region::around(frame.sp, self.bounds);
        let (mut rule, _) = RULES.get_for_line(frame);
        let mut new = 0;
        let stop = loop {
            let found = match region.step(rule, &mut frame) {
                Ok(found) => found,
                Err(stop) => break stop,
            };
            self.new_frames.set(new, found);
            new += 1;
            frame = found.registers();
            let of_the_user;
            (rule, of_the_user) = RULES.get_for_line(frame);
            if of_the_user || new == LINE_FRAMES {
                break Stop::Line;
            }
        };
        if stop == Stop::NeedsAllRegisters {
            return self.walk_with_every_register(first.sp, new, true);
        }
        let hash = self.begin_new(stop, region.is_own(), new);
        self.reuse_nothing();
        hash
    }
}
