//! The walk of a whole stack: the fast loop, the general loop, and the two that reuse nothing.

use super::line::LINE_FRAMES;
use super::{SLACK, Walker};
use crate::capture::unwind::checks::Check;
use crate::capture::unwind::every_register::{self, AllRegisters, End, Return};
use crate::capture::unwind::previous_stack::{Flags, Found, Origin};
use crate::capture::unwind::region::Region;
use crate::capture::unwind::registers::Registers;
use crate::capture::unwind::rules::Packed;
use crate::capture::unwind::step::{Stop, step_by};
use crate::capture::unwind::{RULES, functions};

impl Walker {
    /// Walks from these registers outwards.
    ///
    /// The function's own frame and what it calls must be alive, as they are when a caller passes
    /// its own registers. Every address is checked against the stack's bounds before it is read;
    /// the frame addresses must rise, so a walk ends.
    ///
    /// Fast path: a walk that needs [sp only](Self::walk_sp_only). Others [start
    /// over](Self::walk_with_bp).
    #[inline(never)]
    pub(super) fn walk(&mut self, pc: usize, sp: usize, bp: usize) -> u64 {
        let frame = Registers { pc, sp, bp };
        let Some((at, new)) = self.walk_sp_only(frame) else {
            return self.walk_with_bp(frame) ^ self.salt_of_libraries();
        };
        self.is_whole = true;
        self.push_sp_only(at, new)
    }

    /// Fast path: steps by [sp-only](Packed::is_sp_only) rules to a link outside of which no step
    /// needs rbp. Returns the index of that link, and the number of new frames inside of it. `None`
    /// if a step or the link needs rbp.
    ///
    /// PERF: pointers, since the compiler keeps an extra variable for each index. A parser's walk,
    /// four steps and twenty-six checks, takes 380 instructions: 550 with rbp, and 820 where links
    /// are verified after one is met.
    #[inline(always)]
    fn walk_sp_only(&mut self, frame: Registers) -> Option<(usize, usize)> {
        let (sp, high) = (frame.sp, self.bounds.high);
        if sp < self.bounds.low {
            return None;
        }
        // What is further in has changed, or belongs to calls that have returned.
        //
        // SAFETY: kept links are of this thread's stack, which is in use from here on, or lies
        // below.
        let innermost = unsafe { self.previous.innermost_valid(self.start(), sp) };
        let links = self.previous.place(0);
        let mut kept = self.previous.place(innermost);

        let sizes = RULES.sizes()?;
        let mut cfa = sp + self.first_rule(frame).sp_only_size()?;
        let new_frames = self.new_frames.pcs();
        for new in 0..self.limit + SLACK {
            if cfa > high {
                return None;
            }
            // SAFETY: it is between `sp` and `high`, both aligned.
            let next = unsafe { Check::of(cfa - 8) };
            // SAFETY: there are more places than the most frames and this.
            let place = unsafe { new_frames.add(new) };
            // SAFETY: one of them.
            unsafe { place.write(next) };
            // SAFETY: one of the links.
            if unsafe { (*kept).address } <= next.address {
                // SAFETY: one of the links; that at 0 is beyond every place.
                while unsafe { (*kept).address } < next.address {
                    // SAFETY: so there is another.
                    kept = unsafe { kept.sub(1) };
                }
                // SAFETY: one of the links.
                if unsafe { *kept } == next {
                    // SAFETY: both are in the same array.
                    let at = unsafe { kept.offset_from_unsigned(links) };
                    // SAFETY: one of the links.
                    let is_sp_only = unsafe { self.previous.needs_no_rbp(at) };
                    return (is_sp_only && at + new >= self.reach.least).then_some((at, new));
                }
            }
            // NOTE: that of zero, which ends a stack, is not known.
            cfa += RULES.sp_only_size(sizes, next.word)?;
        }
        None
    }

    /// Slow path: walks by rules that may need rbp, and reuses links.
    #[inline(never)]
    fn walk_with_bp(&mut self, first: Registers) -> u64 {
        let sp = first.sp;
        if !self.bounds.hold(sp) {
            return self.walk_full(first);
        }
        let high = self.bounds.high;
        let start = self.start();
        // SAFETY: kept links are of this thread's stack, which is in use from here on.
        let mut at = unsafe { self.previous.innermost_valid(start, sp) };
        let mut frame = first;
        let mut rule = self.first_rule(frame);
        let mut new = 0;
        let stop = loop {
            let found = match step_by(rule, frame, high) {
                Ok(found) => found,
                Err(Stop::Lost | Stop::Beyond)
                    if !self.bounds.hold(frame.bp) && RULES.goes_by_rbp(rule) =>
                {
                    // It leads to another stack.
                    return self.walk_full(first);
                }
                Err(Stop::NeedsAllRegisters) => {
                    return self.walk_with_every_register(sp, new, false);
                }
                Err(stop) => break stop,
            };
            self.new_frames.set(new, found);
            // That at 0 is beyond every place, so it ends the search.
            while self.previous.pc(at).address < found.pc.address {
                at -= 1;
            }
            if self.previous.is(at, &found) {
                let is_simple = self.previous.was_found_like(at, &found)
                    && !self.previous.reaches_unloadable(at)
                    && at + new >= self.reach.least;
                // SAFETY: kept links are of this stack, and lie outside of the one just found.
                if !is_simple && !unsafe { self.is_valid(at, new, start) } {
                    return self.walk_full(first);
                }
                self.is_whole = true;
                return self.push(at, new);
            }
            if new == self.limit + SLACK {
                break Stop::Limit;
            }
            new += 1;
            frame = found.registers();
            rule = RULES.get(frame);
        };
        self.begin_new(stop, true, new)
    }

    /// The rule of the function that begins a walk.
    #[inline(always)]
    pub(super) fn first_rule(&self, frame: Registers) -> Packed {
        if self.site.from == frame.pc {
            self.site.rule
        } else {
            RULES.get(frame)
        }
    }

    /// Cold path: walks without reuse, from any stack, and across stacks.
    #[cold]
    #[inline(never)]
    fn walk_full(&mut self, first: Registers) -> u64 {
        let mut frame = first;
        let mut region = Region::around(frame.sp, self.bounds);
        let mut new = 0;
        let stop = loop {
            match region.step(RULES.get(frame), &mut frame) {
                // NOTE: of another stack nothing is reused.
                Ok(_) if new == self.limit + if region.is_own() { SLACK } else { 0 } => {
                    break Stop::Limit;
                }
                Ok(found) => {
                    self.new_frames.set(new, found);
                    new += 1;
                    frame = found.registers();
                }
                Err(Stop::NeedsAllRegisters) => {
                    return self.walk_with_every_register(first.sp, new, false);
                }
                Err(stop) => break stop,
            }
        };
        self.begin_new(stop, region.is_own(), new)
    }

    /// Cold path: walks with [all registers](every_register). Without them `found` return addresses
    /// above `sp` were found.
    #[cold]
    #[inline(never)]
    pub(super) fn walk_with_every_register(&mut self, sp: usize, found: usize, line: bool) -> u64 {
        let most = if line { LINE_FRAMES } else { self.limit };
        let (mut new, mut stop) = (0, Stop::Lost);
        let new_frames = &mut self.new_frames;
        let mut is_above = false;
        let end = every_register::walk(AllRegisters::here(), self.bounds, |Return { pc, cfa }| {
            let address = cfa.wrapping_sub(8);
            // What is below is of the tracer's own walk.
            is_above |= address >= sp;
            if !is_above {
                return true;
            }
            if new == most {
                stop = Stop::Limit;
                return false;
            }
            let pc = Check { address, word: pc };
            let (bp, way) = (Check::of_register(0), Flags::UNLOADABLE);
            let from = Origin { bp, way };
            new_frames.set(new, Found { pc, from });
            new += 1;
            if line && functions::is_surely_of_the_user(pc.word) {
                stop = Stop::Line;
                return false;
            }
            true
        });
        if end == End::Bottom {
            stop = Stop::NoCaller {
                is_unloadable: false,
            };
        }
        let hash = self.begin_new(stop, false, new.max(found).min(most));
        self.reuse_nothing();
        hash
    }
}
