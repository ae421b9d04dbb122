//! The light walk: by steps alone, for threads that allocate little.

use super::Walker;
use super::line::LINE_FRAMES;
use crate::capture::hash_of;
use crate::capture::unwind::RULES;
use crate::capture::unwind::previous_stack::Flags;
use crate::capture::unwind::registers::Registers;
use crate::capture::unwind::step::step_by;
use crate::snapshot::recorded::StackEnd;

/// How many walks of a thread are light at most.
pub(super) const LIGHT_WALKS: u16 = 32;
/// How many addresses a light walk finds at most.
pub(super) const LIGHT_FRAMES: usize = 64;

impl Walker {
    /// Walks from these registers outwards, or to the user's line, by steps alone, and keeps
    /// nothing but the addresses. It finds what [`walk`](Self::walk) would, or
    /// [`walk_line`](Self::walk_line). `None` where more is needed: on other stacks, on deep ones,
    /// in code that may be unloaded, and where a stack is broken.
    #[inline(never)]
    pub(super) fn walk_lightly(&mut self, mut frame: Registers, line: bool) -> Option<u64> {
        if !self.bounds.hold(frame.sp) {
            return None;
        }
        let rule_of = |frame| match line {
            true => RULES.get_for_line(frame),
            false => (RULES.get(frame), false),
        };
        let most = if line { LINE_FRAMES } else { self.limit };
        let (mut rule, _) = rule_of(frame);
        let mut len = 0;
        self.end = loop {
            let found = match step_by(rule, frame, self.bounds.high) {
                Ok(found) if !found.from.way.has(Flags::UNLOADABLE) => found,
                Err(stop) if stop.is_bottom() => break StackEnd::Complete,
                _ => return None,
            };
            if len == most {
                break StackEnd::Truncated;
            }
            *self.light.get_mut(len)? = found.pc.word;
            len += 1;
            frame = found.registers();
            let of_the_user;
            (rule, of_the_user) = rule_of(frame);
            if line && (of_the_user || len == most) {
                break StackEnd::Truncated;
            }
        };
        self.light_len = len;
        self.light_hash = hash_of(&self.light[..len]);
        (len > 0).then_some(self.light_hash)
    }
}
