//! Where a capture begins: recall of whole stacks, else a walk.

use std::ffi::c_void;

use super::Walker;
use super::light::LIGHT_WALKS;
use crate::capture::Captured;
use crate::capture::unwind::RULES;
use crate::capture::unwind::cached_stack::{StackKey, Walk};
use crate::capture::unwind::checks::{Check, read_stack};
use crate::capture::unwind::previous_stack::Flags;
use crate::capture::unwind::region::is_readable;
use crate::capture::unwind::registers::Registers;
use crate::capture::unwind::rules::Packed;
use crate::capture::unwind::step::outward;
use crate::tables::callsites::{CallsiteId, Stack};

/// A function that begins walks, and where its return address is: at an offset from rsp or rbp.
#[derive(Clone, Copy)]
pub(super) struct CaptureSite {
    pub(super) from: usize,
    pub(super) rule: Packed,
    by_bp: bool,
    offset: usize,
}

impl Walker {
    /// Captures the caller's stack: its callsite if the stack is cached, else the hash of its
    /// innermost return addresses.
    #[inline(always)]
    pub(crate) fn capture(&mut self) -> Captured {
        let Registers { pc, sp, bp } = Registers::here();
        if !self.keeps {
            return self.capture_lightly(pc, sp, bp, false);
        }
        if self.cached.are_backing_off() {
            self.key = None;
            return Captured::hashed(self.walk(pc, sp, bp));
        }
        self.capture_from(pc, sp, bp)
    }

    /// Captures the caller's stack while nothing is kept.
    #[cold]
    #[inline(never)]
    fn capture_lightly(&mut self, pc: usize, sp: usize, bp: usize, line: bool) -> Captured {
        self.key = None;
        if self.light_walks < LIGHT_WALKS
            && let Some(hash) = self.walk_lightly(Registers { pc, sp, bp }, line)
        {
            self.light_walks += 1;
            return Captured::hashed(hash);
        }
        self.begin_to_keep();
        Captured::hashed(if line {
            self.walk_line(pc, sp, bp)
        } else {
            self.walk(pc, sp, bp)
        })
    }

    #[inline(never)]
    fn capture_from(&mut self, pc: usize, sp: usize, bp: usize) -> Captured {
        if self.site.from != pc {
            return self.enter_and_capture(pc, sp, bp, false);
        }
        match self.recall(pc, sp, bp) {
            Some(callsite) => Captured::known(callsite),
            None => Captured::hashed(self.walk(pc, sp, bp)),
        }
    }

    /// Walks the caller's stack, without the cache.
    #[inline(never)]
    pub(crate) fn capture_now(&mut self, line: bool) -> Stack<'_> {
        let Registers { pc, sp, bp } = Registers::here();
        self.key = None;
        if !self.keeps {
            self.begin_to_keep();
        }
        if line {
            self.walk_line(pc, sp, bp);
        } else {
            self.walk(pc, sp, bp);
        }
        self.stack()
    }

    /// What a signal's handler got as its third argument, if the caller runs in one: the registers
    /// of what it interrupted.
    pub(crate) fn context_of_signal(&mut self) -> Option<*const c_void> {
        self.capture_now(false);
        let pcs = self.previous.pcs(self.outermost(), self.len);
        let returns_there = pcs.iter().rev().find(|pc| is_signal_return(pc.word))?;
        // The system puts it just above the return address of the handler.
        Some(std::ptr::with_exposed_provenance(returns_there.address + 8))
    }

    /// Fast path: looks up the cached stack that begins with these registers, and returns its
    /// callsite if the stack is unchanged.
    #[inline(always)]
    fn recall(&mut self, from: usize, sp: usize, bp: usize) -> Option<CallsiteId> {
        let CaptureSite { by_bp, offset, .. } = self.site;
        let slot = if by_bp { bp } else { sp } + offset;
        let key = StackKey {
            // Stacks are cached for each tag.
            from: from ^ self.tag,
            bp,
            slot,
            // SAFETY: by the rule of the function that these registers are of, its return address.
            pc: unsafe { read_stack(slot) },
        };
        // SAFETY: that of a walk of the stack that the thread runs on. What is remembered is of its
        // own, so one that begins in the same place is, too, and that is in use from there on.
        let known = unsafe { self.cached.recall(&key) };
        if known.is_none() {
            self.key = Some(key);
        }
        known
    }

    /// Slow path of [`capture_from`](Self::capture_from) and
    /// [`capture_line_from`](Self::capture_line_from): the last walk began in another function.
    #[cold]
    #[inline(never)]
    fn enter_and_capture(&mut self, from: usize, sp: usize, bp: usize, line: bool) -> Captured {
        match (self.enter(Registers { pc: from, sp, bp }), line) {
            (true, false) => self.capture_from(from, sp, bp),
            (true, true) => self.capture_line_from(from, sp, bp),
            (false, false) => Captured::hashed(self.walk(from, sp, bp)),
            (false, true) => Captured::hashed(self.walk_line(from, sp, bp)),
        }
    }

    /// Finds out where the function has its return address that begins a walk, if it can.
    fn enter(&mut self, frame: Registers) -> bool {
        let Registers { pc: from, sp, bp } = frame;
        self.key = None;
        if let Some(at) = self.other_sites.iter().position(|site| site.from == from) {
            std::mem::swap(&mut self.site, &mut self.other_sites[at]);
            return true;
        }
        if !self.bounds.hold(sp) {
            return false;
        }
        let Ok(found) = outward(frame, self.bounds.high) else {
            return false;
        };
        let by_bp = found.from.way.has(Flags::CFA_FROM_BP);
        let site = CaptureSite {
            from,
            rule: RULES.get(frame),
            by_bp,
            offset: found.pc.address - if by_bp { bp } else { sp },
        };
        let before = std::mem::replace(&mut self.site, site);
        self.other_sites.rotate_right(1);
        self.other_sites[0] = before;
        true
    }

    /// Remembers that the stack of the last walk is that of `callsite`.
    #[inline(always)]
    pub(crate) fn remember(&mut self, callsite: CallsiteId) {
        if let Some(key) = self.key
            && self.is_whole
        {
            self.remember_from(key, callsite);
        }
    }

    #[inline(never)]
    fn remember_from(&mut self, key: StackKey, callsite: CallsiteId) {
        let (outer, len) = (self.outermost(), self.len);
        if self.previous.reaches_unloadable(len) {
            return;
        }
        let walk = Walk {
            start: key,
            takes_bp: self.previous.takes_bp(len),
            pcs: self.previous.pcs(outer, len),
            held: self.previous.held(outer, len),
            bottom: (outer == 0 && self.bottom != 0).then_some(Check {
                address: self.bottom,
                word: 0,
            }),
        };
        // SAFETY: nothing has returned since the walk, which was of the thread's own stack.
        unsafe { self.cached.remember(walk, callsite) };
    }

    /// The caller's stack up to the first frame that is surely the user's: its callsite if it is
    /// remembered, else the hash of what it is.
    ///
    /// Where it is not sure whose code it is, the walk goes on: what it shows then is more than one
    /// line needs, and none the wrong one.
    #[inline(always)]
    pub(crate) fn capture_line(&mut self) -> Captured {
        let Registers { pc, sp, bp } = Registers::here();
        if !self.keeps {
            return self.capture_lightly(pc, sp, bp, true);
        }
        self.capture_line_from(pc, sp, bp)
    }

    #[inline(never)]
    fn capture_line_from(&mut self, pc: usize, sp: usize, bp: usize) -> Captured {
        if self.site.from != pc {
            return self.enter_and_capture(pc, sp, bp, true);
        }
        match self.recall(pc, sp, bp) {
            Some(callsite) => Captured::known(callsite),
            None => Captured::hashed(self.walk_line(pc, sp, bp)),
        }
    }
}

/// Whether this is where signal handlers return to: code that calls `rt_sigreturn`, by which
/// debuggers know it, too.
fn is_signal_return(pc: usize) -> bool {
    /// `mov $15, %rax; syscall`
    const CODE: [u8; 9] = [0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05];
    let last = pc.saturating_add(CODE.len());
    if !is_readable(pc & !7) || !is_readable(last & !7) {
        return false;
    }
    // SAFETY: both words that it is in can be read, and bytes are aligned anywhere.
    unsafe { (pc as *const [u8; 9]).read_volatile() == CODE }
}
