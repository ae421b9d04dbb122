//! [`Walker`]: the walk on x86-64 Linux, which steps only over what changed since the last one.

mod checks;
mod every_register;
mod frame_size;
mod functions;
pub(super) mod libraries;
mod links;
mod memo;
mod objects;
mod region;
mod registers;
mod rules;
pub(super) mod spare_stack;
mod tables;

use std::ffi::c_void;

use super::{Buffer, CaptureMethod, Captured, MAX_FRAMES, StackBounds, StackHash};
use crate::snapshot::recorded::StackEnd;
use crate::tables::callsites::{CallsiteId, Outer, Stack};
use checks::{Check, read_stack};
use every_register::{AllRegisters, End, Return};
use links::{Found, Fresh, Links, Origin, Start, Way};
use memo::{Beginning, Memos, Walk};
use region::Region;
use registers::Registers;
use rules::{Base, Kept, Packed, Rule, Rules};

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

/// Whether the program is made of tests for the standard library's harness, where that is sure.
pub(in crate::capture) fn is_for_the_test_harness() -> bool {
    functions::is_for_the_test_harness()
}

pub(in crate::capture) fn resident() -> usize {
    RULES.resident() + spare_stack::resident() + libraries::resident()
}

/// What a thread needs to walk its stack: above all, the stack as it was at the last walk.
///
/// # Implementation
///
/// A program that allocates has changed a few inner frames since it last did; the outer ones are
/// still there. So a walk first looks how far the links of the last walk still hold, from the outermost
/// inwards: one comparison for each word that was read, where a step takes a look-up and a chain of
/// dependent loads. Then it steps outwards from where it is, by rules, until it meets one of these.
///
/// # Why it is exact
///
/// A step is a function of three registers, as they were in the frame (the return address `pc`, the
/// stack pointer `sp`, and `bp`), and of the words that it reads: the return address of the next
/// frame and, if the rule says so, the saved rbp. A link holds where both words lie and what they
/// were. If a link meets a new step in place and return address, the frame's `pc` and `sp` are the
/// same; if its rbp is the same too, or not [needed](Links::is) further out, then by induction
/// each link beyond is what a step would find, as long as the words in its places are unchanged.
/// That is what is verified.
///
/// *Place and return address alone are not enough*: functions with over-aligned locals count from
/// rbp, so two calls may share both, differ in rbp, and find the dead frame's return address still
/// lying there.
///
/// A link holds only as long as all links outside of it do: functions that recurse call each other from the
/// same places in other orders.
///
/// *Nor is a step the same function for ever*: in code that may be unloaded ([`Rules`]) another
/// library may have come to the same return address, with another frame size, and the dead
/// library's words may still lie in their places. A link that was found by such a rule says so
/// ([`Way::FLEETING`]) and holds only if the step is made again and finds the same.
///
/// # What is kept
///
/// Links, outermost first, so that inner ones come and go at the end like the stack itself. Beyond
/// the limit more are kept than a stack shows ([`SLACK`]), so that a deep recursion that returns does
/// not start over each time. A stack that could not be followed to its bottom, or that is not the
/// thread's own, is not reused.
///
/// # The hash
///
/// The hash of a stack is a polynomial over its mixed addresses, so each link stores the sum of all
/// from itself outwards: only links that are new are hashed, and the window of the innermost `limit`
/// is the difference of two sums.
///
/// # Whole stacks
///
/// Most walks find what one before found, if not the last one. So stacks that come back are
/// [remembered](Memos) as a whole, with their callsite, and a walk begins by asking whether all words
/// that such a stack was found by are still there: nine of ten walks of a JSON parser end there.
///
/// # Cost
///
/// In instructions, as callgrind counts them: a stack that is remembered takes 60 and 5 for each frame, all in all
/// about 130. A walk takes 145, 19 for each step, 17 for each link that is new, 5 for each that is verified. One that
/// has to know rbp is begun again, and takes 40 for each step and each new link.
///
/// # Memory
///
/// All that is kept takes some pages, of which a thread that allocates little needs none. So a walker begins with
/// [light](Self::walk_lightly) walks, and begins to keep something when there were [a few](LIGHT_WALKS).
#[repr(C)]
pub(crate) struct Walker {
    /// Whether walks are not light any more.
    keeps: bool,
    light_walks: u16,
    /// How many addresses the last walk found, if it was a light one, and their hash.
    light_len: usize,
    light_hash: u64,
    bounds: StackBounds,
    limit: usize,
    /// The hash's base to the power of `limit`.
    power: u64,
    /// How many links the last walk found.
    len: usize,
    /// Where the return address of zero lies that ends the stack, if one does.
    bottom: usize,
    end: StackEnd,
    reach: Reach,
    /// Whether the last walk was of the thread's own stack and found all that it was to show.
    is_whole: bool,
    /// Where the last walk began, and where others do: there is one for each way to allocate.
    entry: Entry,
    entries: [Entry; 3],
    /// What distinguishes remembered stacks besides their words: the label that the thread records with.
    tag: usize,
    /// Where the last walk began, if it was of the thread's own stack.
    beginning: Option<Beginning>,
    last_newcomer: Newcomer,
    /// How many links, from the outermost, are still those of the last newcomer.
    common: usize,
    /// What light walks find. NOTE: all that they use is above, here, and at the front of what follows, on one page or two.
    light: [usize; LIGHT_FRAMES],
    memos: Memos,
    /// Those of the last walk.
    kept: Links,
    fresh: Fresh,
    buffer: Buffer,
}

/// What a walk asks of kept links to reuse them.
#[derive(Clone, Copy)]
struct Reach {
    /// With fewer, new ones among them, a stack would show more than holds, or than is kept.
    least: usize,
    /// From where on they must hold; none, if none is to be reused.
    start: Start,
}

/// A stack that became a callsite.
#[derive(Clone, Copy)]
struct Newcomer {
    /// Or zero.
    callsite: u32,
    /// The link outside of all that it shows, and the innermost.
    outermost: usize,
    len: usize,
}

/// Where one of the functions that begin a walk has its return address: so far above rsp, or rbp.
#[derive(Clone, Copy)]
struct Entry {
    from: usize,
    rule: Packed,
    by_bp: bool,
    offset: usize,
}

/// How many frames a walk for one line shows at most: those of the library, and the user's.
const LINE_FRAMES: usize = crate::control::LIBRARY_FRAMES + 1;
/// How many links are kept beyond the limit.
const SLACK: usize = 64;
const KEPT: usize = 2 * MAX_FRAMES;
/// How many walks of a thread are light at most.
const LIGHT_WALKS: u16 = 32;
/// How many addresses a light walk finds at most.
const LIGHT_FRAMES: usize = 64;

impl Walker {
    /// Gets ready to walk the stack of another thread.
    pub(crate) fn begin(&mut self, bounds: StackBounds) {
        self.bounds = bounds;
        if self.keeps {
            self.begin_to_keep();
        }
        self.forget();
    }

    /// Begins to keep what walks find.
    #[cold]
    fn begin_to_keep(&mut self) {
        self.keeps = true;
        self.light_len = 0;
        (self.bottom, self.end) = (0, StackEnd::Complete);
        self.kept.begin(0, true);
        self.len = 0;
        self.reuse_nothing();
    }

    /// Forgets callsites: there are others now.
    pub(crate) fn forget(&mut self) {
        self.memos.clear();
        self.last_newcomer.callsite = 0;
    }

    /// Recalls only stacks that were remembered with the same tag from now on.
    pub(crate) fn set_tag(&mut self, tag: u64) {
        self.tag = tag as usize;
    }

    /// Shows `limit` frames of a stack from now on. NOTE: what is remembered must be forgotten before, if it
    /// is another limit.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        let limit = limit.min(MAX_FRAMES);
        if limit != self.limit {
            // What is kept may not reach as far.
            self.reuse_nothing();
        }
        self.limit = limit;
        self.power = StackHash::power(limit);
    }

    /// The caller's stack: its callsite if it is remembered, else the hash of its innermost return
    /// addresses.
    #[inline(always)]
    pub(crate) fn capture(&mut self) -> Captured {
        let Registers { pc, sp, bp } = Registers::here();
        if !self.keeps {
            return self.capture_lightly(pc, sp, bp, false);
        }
        if self.memos.are_resting() {
            self.beginning = None;
            return Captured::hashed(self.walk(pc, sp, bp));
        }
        self.capture_from(pc, sp, bp)
    }

    /// The same while nothing is kept.
    #[cold]
    #[inline(never)]
    fn capture_lightly(&mut self, pc: usize, sp: usize, bp: usize, line: bool) -> Captured {
        self.beginning = None;
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
        if self.entry.from != pc {
            return self.enter_and_capture(pc, sp, bp, false);
        }
        match self.recall(pc, sp, bp) {
            Some(callsite) => Captured::known(callsite),
            None => Captured::hashed(self.walk(pc, sp, bp)),
        }
    }

    /// The caller's stack, walked whatever is remembered, and not to be remembered.
    #[inline(never)]
    pub(crate) fn capture_anew(&mut self, line: bool) -> Stack<'_> {
        let Registers { pc, sp, bp } = Registers::here();
        self.beginning = None;
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

    /// What a signal's handler got as its third argument, if the caller runs in one: the registers of what it interrupted.
    pub(crate) fn context_of_signal(&mut self) -> Option<*const c_void> {
        self.capture_anew(false);
        let pcs = self.kept.pcs(self.outermost(), self.len);
        let returns_there = pcs.iter().rev().find(|pc| is_signal_return(pc.word))?;
        // The system puts it just above the return address of the handler.
        Some(std::ptr::with_exposed_provenance(returns_there.address + 8))
    }

    /// The callsite of the stack that these registers lead to, those of the [entry](Self::entry), if it is remembered.
    #[inline(always)]
    fn recall(&mut self, from: usize, sp: usize, bp: usize) -> Option<CallsiteId> {
        let Entry { by_bp, offset, .. } = self.entry;
        let slot = if by_bp { bp } else { sp } + offset;
        let beginning = Beginning {
            // Not to be mistaken for a stack that was remembered with another label.
            from: from ^ self.tag,
            bp,
            slot,
            // SAFETY: by the rule of the function that these registers are of, its return address.
            pc: unsafe { read_stack(slot) },
        };
        // SAFETY: that of a walk of the stack that the thread runs on. What is remembered is of its own, so one that
        // begins in the same place is, too, and that is in use from there on.
        let known = unsafe { self.memos.recall(&beginning) };
        if known.is_none() {
            self.beginning = Some(beginning);
        }
        known
    }

    /// The same as [`capture_from`](Self::capture_from), or [`capture_line_from`](Self::capture_line_from), where the
    /// last walk began in another function.
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
        self.beginning = None;
        if let Some(at) = self.entries.iter().position(|entry| entry.from == from) {
            std::mem::swap(&mut self.entry, &mut self.entries[at]);
            return true;
        }
        if !self.bounds.hold(sp) {
            return false;
        }
        let Ok(found) = outward(frame, self.bounds.high) else {
            return false;
        };
        let by_bp = found.from.way.has(Way::COUNTED_FROM_BP);
        let entry = Entry {
            from,
            rule: RULES.get(frame),
            by_bp,
            offset: found.pc.address - if by_bp { bp } else { sp },
        };
        let before = std::mem::replace(&mut self.entry, entry);
        self.entries.rotate_right(1);
        self.entries[0] = before;
        true
    }

    /// Remembers that the stack of the last walk is that of `callsite`.
    #[inline(always)]
    pub(crate) fn remember(&mut self, callsite: CallsiteId) {
        if let Some(beginning) = self.beginning
            && self.is_whole
        {
            self.remember_from(beginning, callsite);
        }
    }

    #[inline(never)]
    fn remember_from(&mut self, beginning: Beginning, callsite: CallsiteId) {
        let (outer, len) = (self.outermost(), self.len);
        if self.kept.fleets(len) {
            return;
        }
        let walk = Walk {
            beginning,
            takes_bp: self.kept.takes_bp(len),
            pcs: self.kept.pcs(outer, len),
            held: self.kept.held(outer, len),
            bottom: (outer == 0 && self.bottom != 0).then_some(Check {
                address: self.bottom,
                word: 0,
            }),
        };
        // SAFETY: nothing has returned since the walk, which was of the thread's own stack.
        unsafe { self.memos.remember(walk, callsite) };
    }

    /// The caller's stack up to the first frame that is surely the user's: its callsite if it is remembered,
    /// else the hash of what it is.
    ///
    /// Where it is not sure whose code it is, the walk goes on: what it shows then is more than one line
    /// needs, and none the wrong one.
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
        if self.entry.from != pc {
            return self.enter_and_capture(pc, sp, bp, true);
        }
        match self.recall(pc, sp, bp) {
            Some(callsite) => Captured::known(callsite),
            None => Captured::hashed(self.walk_line(pc, sp, bp)),
        }
    }

    /// Walks from these registers outwards to the user's line: two to five steps, so nothing is reused of the
    /// walk before.
    #[inline(never)]
    fn walk_line(&mut self, pc: usize, sp: usize, bp: usize) -> u64 {
        let frame = Registers { pc, sp, bp };
        let Some(new) = self.walk_line_plainly(frame) else {
            return self.walk_line_with_bp(frame) ^ self.salt_of_libraries();
        };
        (self.end, self.bottom) = (StackEnd::Truncated, 0);
        self.kept.begin(0, false);
        let hash = self.push_plainly(0, new);
        self.reuse_nothing();
        self.is_whole = true;
        hash
    }

    /// The same as [`walk_plainly`](Self::walk_plainly), to the user's line. Returns how many frames that takes.
    #[inline(always)]
    fn walk_line_plainly(&mut self, frame: Registers) -> Option<usize> {
        let (sp, high) = (frame.sp, self.bounds.high);
        if sp < self.bounds.low {
            return None;
        }
        let mut cfa = sp + self.first_rule(frame).plain_size()?;
        for new in 0..LINE_FRAMES {
            if cfa > high {
                return None;
            }
            // SAFETY: it lies between `sp` and `high`, both aligned.
            let next = unsafe { Check::of(cfa - 8) };
            self.fresh.set_pc(new, next);
            let (rule, of_the_user) = RULES.get_known_for_line(next.word)?;
            if of_the_user {
                return Some(new + 1);
            }
            cfa += rule.plain_size()?;
        }
        Some(LINE_FRAMES)
    }

    /// The same as [`walk_line`](Self::walk_line), by all rules and from any stack.
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
            self.fresh.set(new, found);
            new += 1;
            frame = found.registers();
            let of_the_user;
            (rule, of_the_user) = RULES.get_for_line(frame);
            if of_the_user || new == LINE_FRAMES {
                break Stop::LINE;
            }
        };
        if stop == Stop::OTHER {
            return self.walk_with_every_register(first.sp, new, true);
        }
        let hash = self.begin_anew(stop, region.is_own(), new);
        self.reuse_nothing();
        hash
    }

    /// The stack of the last walk.
    pub(crate) fn stack(&mut self) -> Stack<'_> {
        if self.light_len > 0 {
            return self.light_stack(self.light_len);
        }
        self.stack_inside_of(self.outermost(), None)
    }

    /// That of the last walk, a light one, or so many innermost addresses of it.
    fn light_stack(&self, len: usize) -> Stack<'_> {
        let addresses = &self.light[..len];
        let (end, hash) = if len < self.light_len {
            (StackEnd::Truncated, super::hash_of(addresses))
        } else {
            (self.end, self.light_hash)
        };
        Stack {
            addresses,
            outer: None,
            end,
            hash,
            era: 0,
        }
    }

    /// The same, cut to so many addresses.
    pub(crate) fn innermost(&mut self, addresses: usize) -> Stack<'_> {
        if self.light_len > 0 {
            return self.light_stack(addresses.min(self.light_len));
        }
        match self.hash_of_innermost(addresses) {
            Some(hash) => Stack {
                end: StackEnd::Truncated,
                hash,
                ..self.stack_inside_of(self.len - addresses, None)
            },
            None => self.stack(),
        }
    }

    /// The same as [`stack`](Self::stack), without the outer addresses that the last newcomer has.
    pub(crate) fn newcomer(&mut self) -> Stack<'_> {
        if self.light_len > 0 {
            return self.stack();
        }
        let (outermost, last) = (self.outermost(), self.last_newcomer);
        match CallsiteId::from_word(last.callsite) {
            Some(callsite) if last.outermost <= outermost && outermost < self.common => {
                let outer = Outer {
                    callsite,
                    skip: last.len - self.common,
                    len: self.common - outermost,
                };
                self.stack_inside_of(self.common, Some(outer))
            }
            _ => self.stack(),
        }
    }

    /// The last link that a stack does not show.
    #[inline(always)]
    fn outermost(&self) -> usize {
        self.len.saturating_sub(self.limit)
    }

    /// The links inside of that at `at`, and `outer` outside of them.
    fn stack_inside_of(&mut self, at: usize, outer: Option<Outer>) -> Stack<'_> {
        let inner = self.kept.pcs(at, self.len);
        for (address, pc) in self.buffer.iter_mut().zip(inner.iter().rev()) {
            *address = pc.word;
        }
        Stack {
            addresses: &self.buffer[..inner.len()],
            outer,
            end: if self.outermost() > 0 {
                StackEnd::Truncated
            } else {
                self.end
            },
            hash: self.hash() ^ self.salt_of_libraries(),
            era: self.era(),
        }
    }

    /// The era of the last stack.
    fn era(&self) -> u16 {
        if !self.kept.fleets(self.len) {
            return 0;
        }
        let pcs = self.kept.pcs(self.outermost(), self.len);
        libraries::era_of(pcs.iter().map(|pc| pc.word - 1))
    }

    /// What tells the last stack from one with the same addresses in another library that lay there, or will: the
    /// fingerprints of those on it that may be unloaded. Zero where there is none.
    #[inline(never)]
    fn salt_of_libraries(&self) -> u64 {
        if !self.kept.fleets(self.len) {
            return 0;
        }
        let pcs = self.kept.pcs(self.outermost(), self.len);
        objects::salt(pcs.iter().map(|pc| pc.word - 1))
    }

    /// Takes note that the last [newcomer](Self::newcomer) is the stack of `callsite`.
    pub(crate) fn becomes(&mut self, callsite: CallsiteId) {
        if self.light_len > 0 {
            return;
        }
        self.last_newcomer = Newcomer {
            callsite: callsite.get(),
            outermost: self.outermost(),
            len: self.len,
        };
        self.common = self.len;
    }

    #[inline(always)]
    fn hash(&self) -> u64 {
        // With fewer links than the limit there is nothing outside, and its sum is zero.
        self.hash_inside_of(self.outermost(), self.power)
    }

    /// That of the links inside of that at `outer`, where `power` is the base's to their number.
    #[inline(always)]
    fn hash_inside_of(&self, outer: usize, power: u64) -> u64 {
        let beyond = self.kept.sum(outer).wrapping_mul(power);
        StackHash::of_sum(self.kept.sum(self.len).wrapping_sub(beyond))
    }

    /// The hash of the innermost addresses of the last stack, if there are more than so many.
    pub(crate) fn hash_of_innermost(&self, addresses: usize) -> Option<u64> {
        if self.light_len > 0 {
            return (addresses < self.light_len).then(|| super::hash_of(&self.light[..addresses]));
        }
        let outer = self.len.checked_sub(addresses)?;
        (outer > self.outermost()).then(|| {
            self.hash_inside_of(outer, StackHash::power(addresses)) ^ self.salt_of_libraries()
        })
    }

    /// Walks from these registers outwards, or to the user's line, by steps alone, and keeps nothing but the addresses. It
    /// finds what [`walk`](Self::walk) would, or [`walk_line`](Self::walk_line). `None` where more is needed: on other
    /// stacks, on deep ones, in code that may be unloaded, and where a stack is broken.
    #[inline(never)]
    fn walk_lightly(&mut self, mut frame: Registers, line: bool) -> Option<u64> {
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
                Ok(found) if !found.from.way.has(Way::FLEETING) => found,
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
        self.light_hash = super::hash_of(&self.light[..len]);
        (len > 0).then_some(self.light_hash)
    }

    /// Walks from these registers outwards.
    ///
    /// The function's own frame and what it calls must be alive, as they are when a caller passes its
    /// own registers. Every address is checked against the stack's bounds before it is read; the
    /// frame addresses must rise, so a walk ends.
    ///
    /// Nearly all walks are [plain](Self::walk_plainly). The others are [begun again](Self::walk_with_bp).
    #[inline(never)]
    fn walk(&mut self, pc: usize, sp: usize, bp: usize) -> u64 {
        let frame = Registers { pc, sp, bp };
        let Some((at, new)) = self.walk_plainly(frame) else {
            return self.walk_with_bp(frame) ^ self.salt_of_libraries();
        };
        self.is_whole = true;
        self.push_plainly(at, new)
    }

    /// Steps by [plain](Packed::is_plain) rules to a link that no step outside of which takes rbp, and so knows nothing of
    /// rbp. Returns which link it is, and how many lie inside of it. `None` if there is another step or link on the way.
    ///
    /// PERF: pointers instead of indices, which the compiler would keep in step with as many other variables. A
    /// parser's walk, four steps and twenty-six checks, takes 380 instructions. It took 550 with rbp, and 820 where
    /// a link was looked for first and verified then, one in four times in vain.
    #[inline(always)]
    fn walk_plainly(&mut self, frame: Registers) -> Option<(usize, usize)> {
        let (sp, high) = (frame.sp, self.bounds.high);
        if sp < self.bounds.low {
            return None;
        }
        // What lies further in has changed, or belongs to calls that have returned.
        //
        // SAFETY: kept links are of this thread's stack, which is in use from here on, or lies below.
        let innermost = unsafe { self.kept.innermost_that_holds(self.start(), sp) };
        let links = self.kept.place(0);
        let mut kept = self.kept.place(innermost);

        let sizes = RULES.sizes()?;
        let mut cfa = sp + self.first_rule(frame).plain_size()?;
        let fresh = self.fresh.pcs();
        for new in 0..self.limit + SLACK {
            if cfa > high {
                return None;
            }
            // SAFETY: it lies between `sp` and `high`, both aligned.
            let next = unsafe { Check::of(cfa - 8) };
            // SAFETY: there are more places than the most frames and this.
            let place = unsafe { fresh.add(new) };
            // SAFETY: one of them.
            unsafe { place.write(next) };
            // SAFETY: one of the links.
            if unsafe { (*kept).address } <= next.address {
                // SAFETY: as above; that at 0 lies beyond every place.
                while unsafe { (*kept).address } < next.address {
                    // SAFETY: so there is another.
                    kept = unsafe { kept.sub(1) };
                }
                // SAFETY: one of the links.
                if unsafe { *kept } == next {
                    // SAFETY: both are in the same array.
                    let at = unsafe { kept.offset_from_unsigned(links) };
                    // SAFETY: one of the links.
                    let is_plain = unsafe { self.kept.stands_alone(at) };
                    return (is_plain && at + new >= self.reach.least).then_some((at, new));
                }
            }
            // NOTE: that of zero, which ends a stack, is not known.
            cfa += RULES.plain_size(sizes, next.word)?;
        }
        None
    }

    /// From where on kept links must hold.
    #[inline(always)]
    fn start(&self) -> Start {
        if self.bottom_holds() {
            self.reach.start
        } else {
            Start::NONE
        }
    }

    /// Whether the zero that ends the stack lies where it did, if links are of the thread's own stack.
    #[inline(always)]
    fn bottom_holds(&self) -> bool {
        // SAFETY: of the thread's own stack, and outside of all links, so it is in use.
        self.bottom == 0 || self.reach.start.is_none() || unsafe { read_stack(self.bottom) } == 0
    }

    /// The same as [`walk`](Self::walk), by all rules and from any stack.
    #[inline(never)]
    fn walk_with_bp(&mut self, first: Registers) -> u64 {
        let sp = first.sp;
        if !self.bounds.hold(sp) {
            return self.walk_anew(first);
        }
        let high = self.bounds.high;
        let start = self.start();
        // SAFETY: kept links are of this thread's stack, which is in use from here on.
        let mut at = unsafe { self.kept.innermost_that_holds(start, sp) };
        let mut frame = first;
        let mut rule = self.first_rule(frame);
        let mut new = 0;
        let stop = loop {
            let found = match step_by(rule, frame, high) {
                Ok(found) => found,
                Err(Stop::LOST | Stop::BEYOND)
                    if !self.bounds.hold(frame.bp) && RULES.goes_by_rbp(rule) =>
                {
                    // It leads to another stack.
                    return self.walk_anew(first);
                }
                Err(Stop::OTHER) => return self.walk_with_every_register(sp, new, false),
                Err(stop) => break stop,
            };
            self.fresh.set(new, found);
            // That at 0 lies beyond every place, so it ends the search.
            while self.kept.pc(at).address < found.pc.address {
                at -= 1;
            }
            if self.kept.is(at, &found) {
                let is_simple = self.kept.was_found_like(at, &found)
                    && !self.kept.fleets(at)
                    && at + new >= self.reach.least;
                // SAFETY: kept links are of this stack, and lie outside of the one just found.
                if !is_simple && !unsafe { self.holds(at, new, start) } {
                    return self.walk_anew(first);
                }
                self.is_whole = true;
                return self.push(at, new);
            }
            if new == self.limit + SLACK {
                break Stop::LIMIT;
            }
            new += 1;
            frame = found.registers();
            rule = RULES.get(frame);
        };
        self.begin_anew(stop, true, new)
    }

    /// The rule of the function that begins a walk.
    #[inline(always)]
    fn first_rule(&self, frame: Registers) -> Packed {
        if self.entry.from == frame.pc {
            self.entry.rule
        } else {
            RULES.get(frame)
        }
    }

    /// Walks where there is nothing to reuse, from any stack, and on to others.
    #[cold]
    #[inline(never)]
    fn walk_anew(&mut self, first: Registers) -> u64 {
        let mut frame = first;
        let mut region = Region::around(frame.sp, self.bounds);
        let mut new = 0;
        let stop = loop {
            match region.step(RULES.get(frame), &mut frame) {
                // NOTE: of another stack nothing is reused.
                Ok(_) if new == self.limit + if region.is_own() { SLACK } else { 0 } => {
                    break Stop::LIMIT;
                }
                Ok(found) => {
                    self.fresh.set(new, found);
                    new += 1;
                    frame = found.registers();
                }
                Err(Stop::OTHER) => return self.walk_with_every_register(first.sp, new, false),
                Err(stop) => break stop,
            }
        };
        self.begin_anew(stop, region.is_own(), new)
    }

    /// Walks by [all registers](every_register), where `found` return addresses above `sp` were found without.
    #[cold]
    #[inline(never)]
    fn walk_with_every_register(&mut self, sp: usize, found: usize, line: bool) -> u64 {
        let most = if line { LINE_FRAMES } else { self.limit };
        let (mut new, mut stop) = (0, Stop::LOST);
        let fresh = &mut self.fresh;
        let mut is_above = false;
        let end = every_register::walk(AllRegisters::here(), self.bounds, |Return { pc, cfa }| {
            let address = cfa.wrapping_sub(8);
            // What is below is of the tracer's own walk.
            is_above |= address >= sp;
            if !is_above {
                return true;
            }
            if new == most {
                stop = Stop::LIMIT;
                return false;
            }
            let pc = Check { address, word: pc };
            let (bp, way) = (Check::of_register(0), Way::FLEETING);
            let from = Origin { bp, way };
            fresh.set(new, Found { pc, from });
            new += 1;
            if line && functions::is_surely_of_the_user(pc.word) {
                stop = Stop::LINE;
                return false;
            }
            true
        });
        if end == End::Bottom {
            stop = Stop::RULE;
        }
        let hash = self.begin_anew(stop, false, new.max(found).min(most));
        self.reuse_nothing();
        hash
    }

    /// Whether the kept links outside of that at `at` hold, which was found again, as far as a stack with `new`
    /// more shows them, and reach as far. Those from `start` on do.
    ///
    /// # Safety
    ///
    /// Kept links are of this thread's stack and outside of a live frame.
    #[cold]
    #[inline(never)]
    unsafe fn holds(&mut self, at: usize, new: usize, start: Start) -> bool {
        let found = self.fresh.get(new);
        if !self.kept.was_found_like(at, &found) {
            // Another function inside of it led here.
            self.kept.put(at, &found);
        }
        let outer = (at + new).saturating_sub(self.limit);
        if outer == 0 && (self.end == StackEnd::Truncated || !self.bottom_holds()) {
            return false;
        }
        // With more links inside than a stack shows, there are none to verify.
        let (outermost, innermost) = (outer.min(at - 1), at - 1);
        // SAFETY: the caller's promise.
        if !unsafe { self.kept.hold_outside_of(start, outermost, innermost) } {
            return false;
        }
        // Where code may have come and gone, look closer.
        //
        // SAFETY: the caller's promise.
        !self.kept.fleets(innermost) || unsafe { self.lead_on(at, outer) }
    }

    /// Whether the links from that at `at` to that at `outer`, which hold, are found by the same steps still.
    ///
    /// # Safety
    ///
    /// As [`holds`](Self::holds).
    unsafe fn lead_on(&self, at: usize, outer: usize) -> bool {
        let mut frame = self.kept.registers(at);
        for link in (outer + 1..at).rev() {
            if self.kept.way(link).has(Way::FLEETING) {
                let again = outward(frame, self.bounds.high);
                let is_it =
                    |it: Found| self.kept.is(link, &it) && self.kept.was_found_like(link, &it);
                if !again.is_ok_and(is_it) {
                    return false;
                }
            }
            let mut bp = frame.bp;
            if let Some(saved_at) = self.kept.saved_at(link) {
                // SAFETY: the caller's promise; it lies inside of the link's own place.
                bp = unsafe { read_stack(saved_at) };
            }
            frame = Registers {
                bp,
                ..self.kept.registers(link)
            };
        }
        true
    }

    /// Forgets what lies outside of the fresh links.
    #[inline(never)]
    fn begin_anew(&mut self, stop: Stop, own: bool, new: usize) -> u64 {
        let needs_bp;
        let fleeting;
        (self.end, self.bottom, needs_bp, fleeting) = match stop {
            Stop::RULE => (StackEnd::Complete, 0, false, false),
            Stop::FLEETING_RULE => (StackEnd::Complete, 0, false, true),
            Stop::LOST | Stop::BEYOND => (StackEnd::Broken, 0, true, true),
            Stop::LIMIT => (StackEnd::Truncated, 0, true, false),
            Stop::LINE => (StackEnd::Truncated, 0, false, false),
            Stop(zero) => {
                let (zero, needs_bp, fleeting) = Way::read_mark(zero);
                (StackEnd::Complete, zero, needs_bp, fleeting)
            }
        };
        self.kept.begin(0, needs_bp);
        let hash = self.push(0, new);
        if !own || fleeting {
            self.reuse_nothing();
        }
        let shows_all = self.len > self.limit || stop == Stop::LINE;
        self.is_whole = own && !fleeting && (shows_all || self.end == StackEnd::Complete);
        hash
    }

    /// Has the next walk start over.
    fn reuse_nothing(&mut self) {
        self.reach = Reach {
            least: 0,
            start: Start::NONE,
        };
    }

    /// Puts the fresh links inside of that at `at`, and returns the hash.
    fn push(&mut self, at: usize, new: usize) -> u64 {
        let at = self.make_way(at, new);
        self.kept.push(at, new, &self.fresh);
        self.reach = Reach {
            least: 0,
            start: Start::OUTERMOST,
        };
        self.conclude(self.kept.sum(self.len))
    }

    /// The same, if they were found by plain rules and that link [stands alone](Links::stands_alone).
    #[inline(always)]
    fn push_plainly(&mut self, at: usize, new: usize) -> u64 {
        let at = self.make_way(at, new);
        // SAFETY: there is room, now.
        let sum = unsafe { self.kept.push_plainly(at, new, &self.fresh) };
        self.conclude(sum)
    }

    /// Gets ready to put that many links inside of that at `at`, and returns where that is then.
    #[inline(always)]
    fn make_way(&mut self, mut at: usize, new: usize) -> usize {
        if at + new >= KEPT {
            at = self.make_room(at, new);
        }
        self.len = at + new;
        self.common = self.common.min(at);
        at
    }

    /// Takes note of what the next walk asks of the links, whose sum is this, and returns their hash.
    #[inline(always)]
    fn conclude(&mut self, sum: u64) -> u64 {
        // NOTE: as many as the limit may lie inside of links that were dropped, whose sum is in theirs.
        if self.len >= self.limit {
            // What a stack does not show need not hold. But a shorter one shows more of it, or more than is kept.
            self.reach = Reach {
                least: self.len,
                start: self.kept.start_inside_of(self.len - self.limit),
            };
            return self.hash();
        }
        StackHash::of_sum(sum)
    }

    /// Drops outer links that no stack shows any more. Returns where the innermost is then.
    #[cold]
    fn make_room(&mut self, at: usize, new: usize) -> usize {
        self.common = 0;
        let left = self.limit.saturating_sub(new).min(at);
        self.kept.drop_outer(at - left + 1, at);
        (self.end, self.bottom) = (StackEnd::Truncated, 0);
        left
    }
}

/// Whether this is where signal handlers return to: code that calls `rt_sigreturn`, by which debuggers know it, too.
fn is_signal_return(pc: usize) -> bool {
    /// `mov $15, %rax; syscall`
    const CODE: [u8; 9] = [0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05];
    let last = pc.saturating_add(CODE.len());
    if !region::is_readable(pc & !7) || !region::is_readable(last & !7) {
        return false;
    }
    // SAFETY: both words that it lies in can be read, and bytes are aligned anywhere.
    unsafe { (pc as *const [u8; 9]).read_volatile() == CODE }
}

/// Why a walk ended before it met the last one: one of these numbers, or the place of a return
/// address of zero with what [`Way::mark`] adds to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) struct Stop(usize);

impl Stop {
    /// The rule says that there is no caller.
    const RULE: Stop = Stop(2);
    /// The same, in code that may be unloaded.
    const FLEETING_RULE: Stop = Stop(3);
    /// There is no rule, or it leads to where no frame can be.
    pub(in crate::capture) const LOST: Stop = Stop(4);
    /// It takes more registers to find the caller.
    const OTHER: Stop = Stop(1);
    /// The frame ends beyond what may be read.
    pub(in crate::capture) const BEYOND: Stop = Stop(5);
    /// It is deep enough.
    const LIMIT: Stop = Stop(6);
    /// The user's line is found.
    const LINE: Stop = Stop(7);

    /// Whether nobody called the last function, which is in code that stays.
    fn is_bottom(self) -> bool {
        let is_zero = self.0 > Stop::LINE.0;
        self == Stop::RULE || is_zero && !Way::read_mark(self.0).2
    }
}

/// One step, to the return address of the frame.
#[inline(always)]
fn outward(frame: Registers, high: usize) -> Result<Found, Stop> {
    step_by(RULES.get(frame), frame, high)
}

/// The same, by the rule of the frame's code.
#[inline(always)]
fn step_by(rule: Packed, Registers { sp, bp, .. }: Registers, high: usize) -> Result<Found, Stop> {
    let (cfa, bp, way) = if rule.is_plain() {
        // Most code without a frame pointer.
        let cfa = sp + rule.offset();
        if cfa > high {
            return Err(Stop::BEYOND);
        }
        match rule.saved_bp() {
            0 => (cfa, Check::of_register(bp), Way::KEPT),
            below => {
                // SAFETY: it lies between `sp` and `cfa` by what a plain rule is, and all are aligned.
                (cfa, unsafe { Check::of(cfa - below) }, Way::SAVED)
            }
        }
    } else if rule == Packed::FRAME_POINTER {
        // Most code with one.
        let cfa = bp.wrapping_add(16);
        // NOTE: `bp` may be so high that the sum wraps around.
        if bp < sp || bp % 8 != 0 {
            return Err(Stop::LOST);
        }
        if bp >= high || cfa > high {
            return Err(Stop::BEYOND);
        }
        const WAY: Way = Way::SAVED.and(Way::COUNTED_FROM_BP);
        // SAFETY: `sp <= bp < cfa <= high`, all aligned.
        (cfa, unsafe { Check::of(bp) }, WAY)
    } else {
        step(rule, sp, bp, high)?
    };
    // SAFETY: `sp < cfa <= high`, both aligned, so the word below the CFA is in the stack.
    let pc = unsafe { Check::of(cfa - 8) };
    if pc.word == 0 {
        return Err(Stop(way.mark(pc.address)));
    }
    Ok(Found {
        pc,
        from: Origin { bp, way },
    })
}

/// The CFA, rbp as it was in the caller, and how they were found.
type Step = (usize, Check, Way);

/// The steps that are rarer: from rbp by another offset, and by long rules.
#[inline(never)]
fn step(rule: Packed, sp: usize, bp: usize, high: usize) -> Result<Step, Stop> {
    if rule.is_long() {
        return step_long(rule, sp, bp, high);
    }
    let way = Way::COUNTED_FROM_BP;
    let cfa = bp.wrapping_add(rule.offset());
    let saved_at = cfa.wrapping_sub(rule.saved_bp());
    check_frame(sp, cfa, high)?;
    if saved_at < sp {
        return Err(Stop::LOST);
    }
    if saved_at == cfa {
        return Ok((cfa, Check::of_register(bp), Way::KEPT.and(way)));
    }
    // SAFETY: `sp <= saved_at < cfa <= high`, all aligned.
    Ok((cfa, unsafe { Check::of(saved_at) }, Way::SAVED.and(way)))
}

#[cold]
#[inline(never)]
fn step_long(rule: Packed, sp: usize, bp: usize, high: usize) -> Result<Step, Stop> {
    let (base, offset, saved_bp) = match RULES.whole(rule) {
        Rule::Kept(kept) => return step_kept(kept, sp, bp, high),
        Rule::Step {
            base,
            offset,
            saved_bp,
        } => (base, offset, saved_bp),
        Rule::Bottom if rule.is_fleeting() => return Err(Stop::FLEETING_RULE),
        Rule::Bottom => return Err(Stop::RULE),
        Rule::Other => return Err(Stop::OTHER),
        Rule::Unknown => return Err(Stop::LOST),
    };
    let mut way = Way::NONE;
    if rule.is_fleeting() {
        way = way.and(Way::FLEETING);
    }
    let base = match base {
        Base::Rsp => sp,
        Base::Rbp => {
            way = way.and(Way::COUNTED_FROM_BP);
            bp
        }
    };
    let cfa = base.wrapping_add_signed(offset as isize);
    check_frame(sp, cfa, high)?;
    let Some(below) = saved_bp else {
        return Ok((cfa, Check::of_register(bp), Way::KEPT.and(way)));
    };
    let saved_at = cfa.wrapping_add_signed(below as isize);
    // NOTE: that it lies below the CFA is what [`Checks`] are ordered by.
    if saved_at < sp || saved_at >= cfa || !saved_at.is_multiple_of(8) {
        return Err(Stop::LOST);
    }
    // SAFETY: checked just above.
    Ok((cfa, unsafe { Check::of(saved_at) }, Way::SAVED.and(way)))
}

/// The step of a function that keeps its CFA in its frame.
///
/// The word that says where the frame ends is one more than links hold, so they are found by the same step again.
fn step_kept(kept: Kept, sp: usize, bp: usize, high: usize) -> Result<Step, Stop> {
    let check = |place: usize| {
        if place < sp || !place.is_multiple_of(8) {
            return Err(Stop::LOST);
        }
        if place >= high {
            Err(Stop::BEYOND)
        } else {
            Ok(place)
        }
    };
    // SAFETY: `sp <= place < high`, aligned.
    let cfa = kept.cfa(unsafe { read_stack(check(kept.place(bp))?) });
    check_frame(sp, cfa, high)?;
    let saved_at = check(kept.bp_saved_at(bp, cfa))?;
    if saved_at >= cfa || kept.pc_at != -8 {
        return Err(Stop::LOST);
    }
    // SAFETY: `sp <= saved_at < high`, aligned.
    Ok((cfa, unsafe { Check::of(saved_at) }, KEPT_WAY))
}

const KEPT_WAY: Way = Way::SAVED.and(Way::COUNTED_FROM_BP).and(Way::FLEETING);

/// That a frame may end at `cfa`: above where it began, in the stack, and aligned.
#[inline(always)]
fn check_frame(sp: usize, cfa: usize, high: usize) -> Result<(), Stop> {
    if sp >= cfa || !cfa.is_multiple_of(8) {
        return Err(Stop::LOST);
    }
    if cfa > high {
        Err(Stop::BEYOND)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;
    use std::hint::black_box;

    use super::*;
    use crate::capture::{MAX_FRAMES, hash_of, stack_bounds};
    use crate::tables::callsites::{Callsites, MAX_CALLSITES};
    use crate::tables::label::Label;

    thread_local! {
        /// Kept from one capture to the next, as a thread's own.
        static WALKER: Cell<Option<Box<Walker>>> = const { Cell::new(None) };
    }

    fn walker() -> Box<Walker> {
        prepare();
        // SAFETY: numbers, and an enum for which zero is a value.
        let mut walker = unsafe { Box::<Walker>::new_zeroed().assume_init() };
        walker.begin(stack_bounds());
        walker.set_limit(MAX_FRAMES);
        walker.begin_to_keep();
        walker.memos.wake();
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

    /// The stack as captured, and the truth from the platform's own unwinder.
    #[inline(never)]
    fn both() -> (Vec<usize>, StackEnd, Vec<usize>) {
        let mut truth = Vec::with_capacity(MAX_FRAMES);
        let mut walker = WALKER.take().unwrap_or_else(walker);
        let hash = walker.walk_here();
        let stack = walker.stack();
        assert_eq!(stack.hash, hash);
        assert_eq!(hash_of(stack.addresses), hash);
        let (addresses, end) = (stack.addresses.to_vec(), stack.end);
        WALKER.set(Some(walker));
        backtrace::trace(|frame| {
            truth.push(frame.ip() as usize);
            true
        });
        (addresses, end, truth)
    }

    /// Everything outside of `both` must be equal, down to the bottom of the stack.
    #[track_caller]
    fn check((captured, end, truth): (Vec<usize>, StackEnd, Vec<usize>)) {
        let first = captured[0];
        let at = truth
            .iter()
            .position(|&ip| ip == first)
            .expect("the caller is in the truth");
        let mut truth = &truth[at..];
        // The platform's unwinder reports the outermost frame's zero return address, or not.
        while truth.last() == Some(&0) {
            truth = &truth[..truth.len() - 1];
        }
        assert_eq!(captured, truth);
        assert_eq!(end, StackEnd::Complete);
        assert!(captured.len() > 5);
    }

    #[test]
    fn a_plain_stack_equals_the_truth() {
        check(black_box(both()));
    }

    #[test]
    fn recursion_and_closures_equal_the_truth() {
        #[inline(never)]
        fn recurse(depth: usize, act: &dyn Fn() -> (Vec<usize>, StackEnd, Vec<usize>)) -> usize {
            if depth == 0 {
                check(act());
                return 1;
            }
            black_box(recurse(depth - 1, act) + 1)
        }
        for depth in [1, 2, 17, 100] {
            assert_eq!(recurse(depth, &|| black_box(both())), depth + 1);
        }
    }

    #[test]
    fn large_and_over_aligned_frames_equal_the_truth() {
        #[repr(align(128))]
        struct Aligned([u8; 128]);

        #[inline(never)]
        fn large() -> u8 {
            let space = black_box([7_u8; 70_000]);
            check(black_box(both()));
            space[69_999]
        }

        #[inline(never)]
        fn aligned() -> u8 {
            let space = black_box(Aligned([3; 128]));
            black_box(large()) + space.0[127]
        }

        assert_eq!(aligned(), 10);
    }

    #[test]
    fn a_callback_through_c_equals_the_truth() {
        unsafe extern "C" fn compare(a: *const libc::c_void, b: *const libc::c_void) -> i32 {
            check(black_box(both()));
            // SAFETY: `qsort` passes pointers to two elements of the array below.
            let a = unsafe { a.cast::<i32>().read() };
            // SAFETY: as above.
            let b = unsafe { b.cast::<i32>().read() };
            a.cmp(&b) as i32
        }
        let mut numbers = [3, 1, 2];
        // SAFETY: three elements of that size, and a function that compares two.
        unsafe {
            libc::qsort(
                numbers.as_mut_ptr().cast(),
                3,
                size_of::<i32>(),
                Some(compare),
            )
        };
        assert_eq!(numbers, [1, 2, 3]);
    }

    // A function that keeps a frame pointer and moves rsp by its third argument, as `alloca` does, before it calls
    // its second with its first.
    std::arch::global_asm!(
        ".local alloc_core_calls_further_down",
        ".type alloc_core_calls_further_down, @function",
        "alloc_core_calls_further_down:",
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "push rbx",
        ".cfi_offset rbx, -24",
        "push rax",
        "mov rbx, rdx",
        "sub rsp, rbx",
        "call rsi",
        "add rsp, rbx",
        "pop rax",
        "pop rbx",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        ".size alloc_core_calls_further_down, . - alloc_core_calls_further_down",
    );

    /// Also if the first walk finds rsp where the prologue left it.
    #[test]
    fn a_frame_that_grows_equals_the_truth() {
        unsafe extern "C" {
            fn alloc_core_calls_further_down(data: usize, act: extern "C" fn(usize), bytes: usize);
        }
        extern "C" fn act(bytes: usize) {
            check(black_box(both()));
            black_box(bytes);
        }
        for bytes in [0, 4_096, 0, 160] {
            // SAFETY: the function above; it makes room for a multiple of sixteen bytes.
            unsafe { alloc_core_calls_further_down(bytes, act, bytes) };
        }
    }

    // Calls its second argument with its first and the place of a zero, which is where its own return address would be.
    std::arch::global_asm!(
        ".local alloc_core_calls_at_bottom",
        ".type alloc_core_calls_at_bottom, @function",
        "alloc_core_calls_at_bottom:",
        ".cfi_startproc",
        "push rbx",
        "mov rbx, rsp",
        "push 0",
        "push 0",
        ".cfi_def_cfa rsp, 16",
        "mov rax, rsi",
        "lea rsi, [rsp + 8]",
        "call rax",
        "mov rsp, rbx",
        "pop rbx",
        "ret",
        ".cfi_endproc",
        ".size alloc_core_calls_at_bottom, . - alloc_core_calls_at_bottom",
    );

    #[test]
    fn a_stack_goes_on_where_its_bottom_is_none_any_more() {
        unsafe extern "C" {
            fn alloc_core_calls_at_bottom(data: usize, act: extern "C" fn(usize, *mut usize));
        }
        extern "C" fn act(_: usize, bottom: *mut usize) {
            let (mut remembering, mut forgetful) = (walker(), walker());
            let code = Registers::here().pc;
            let mut ends = Vec::new();
            for word in [0, 0, code, code, 0, code, 0, 0] {
                // SAFETY: a word of a frame that waits for us, and that nobody looks at but walks.
                unsafe { bottom.write_volatile(word) };
                remembering.walk_here();
                forgetful.begin(forgetful.bounds);
                forgetful.walk_here();
                let (stack, truth) = (remembering.stack(), forgetful.stack());
                assert_eq!(stack.addresses[1..], truth.addresses[1..], "{word:x}");
                assert_eq!(stack.end, truth.end, "{word:x}");
                ends.push(stack.addresses.len());
            }
            assert!(ends[0] == ends[1] && ends[0] < ends[2], "{ends:?}");
        }
        // SAFETY: the function above.
        unsafe { alloc_core_calls_at_bottom(0, act) };
    }

    #[test]
    fn a_limit_cuts_the_outer_end() {
        let mut walker = walker();
        walker.set_limit(3);
        let hash = walker.walk_here();
        let stack = walker.stack();
        assert_eq!((stack.addresses.len(), stack.end), (3, StackEnd::Truncated));
        assert_eq!((stack.hash, hash_of(stack.addresses)), (hash, hash));
    }

    #[test]
    fn a_walk_for_one_line_is_the_inner_part_of_the_whole() {
        functions::prepare();
        let mut walker = walker();
        let mut lens = Vec::new();
        for depth in [0, 1, 3, 30] {
            fn recurse(depth: usize, act: &mut dyn FnMut()) {
                match depth {
                    0 => act(),
                    _ => recurse(depth - 1, act),
                }
                black_box(());
            }
            recurse(depth, &mut || {
                walker.memos.clear();
                walker.memos.wake();
                let Captured { known: None, hash } = walker.capture_line() else {
                    panic!("nothing is remembered")
                };
                let line = walker.stack();
                assert_eq!((line.hash, hash_of(line.addresses)), (hash, hash));
                let (line, end) = (line.addresses.to_vec(), line.end);
                walker.set_limit(MAX_FRAMES);
                walker.walk_here();
                let whole = walker.stack().addresses;
                // The call itself is another.
                assert_eq!(line[1..], whole[1..line.len()]);
                assert_eq!(end, StackEnd::Truncated);
                lens.push(line.len());
            });
        }
        // The harness is the first that is not the tracer's own, whose names are those of these tests.
        assert!(lens[0] < lens[1] && lens[1] < lens[2], "{lens:?}");
        assert_eq!(lens[3], LINE_FRAMES);
    }

    #[test]
    fn a_stack_that_is_not_the_threads_own_is_short_and_broken() {
        let mut walker = walker();
        let elsewhere = StackBounds {
            low: 0x1000,
            high: 0x2000,
        };
        walker.begin(elsewhere);
        for _ in 0..2 {
            walker.walk_here();
            let stack = walker.stack();
            assert_ne!(stack.end, StackEnd::Truncated);
            assert!(stack.addresses.len() < 200);
            assert!(walker.reach.start.is_none());
        }
    }

    #[test]
    fn addresses_that_are_not_code_break_the_walk() {
        let mut walker = walker();
        let Registers { sp, bp, .. } = Registers::here();
        for pc in [0x10, sp, usize::MAX] {
            walker.walk(pc, sp, bp);
            let stack = walker.stack();
            assert_eq!((stack.addresses.len(), stack.end), (0, StackEnd::Broken));
        }
    }

    /// With frame pointers most of these break the walk, without them none is looked at: in either
    /// case nothing outside of the stack may be read.
    #[test]
    fn a_frame_pointer_that_is_not_one_is_never_followed_out_of_the_stack() {
        let mut walker = walker();
        let Registers { pc, sp, .. } = Registers::here();
        for bp in [
            0,
            1,
            8,
            sp - 8,
            sp + 1,
            stack_bounds().high - 8,
            stack_bounds().high,
            usize::MAX,
        ] {
            walker.walk(pc, sp, bp);
        }
    }

    impl Drop for Shapes {
        fn drop(&mut self) {
            // SAFETY: nobody else knows of them.
            unsafe { self.kept.clear() };
        }
    }

    /// A tree of calls of many shapes, at random. Each leaf is captured by a walker that remembers the
    /// leaf before, by one that recalls whole stacks, and by one that remembers nothing, and the
    /// platform's unwinder tells the truth.
    struct Shapes {
        random: u64,
        limit: usize,
        remembering: Box<Walker>,
        recalling: Box<Walker>,
        forgetful: Box<Walker>,
        /// Each walk is its first.
        light: Box<Walker>,
        /// The callsites of all stacks that were seen.
        callsites: HashMap<Vec<usize>, CallsiteId>,
        /// The same, as a tracer keeps them.
        kept: Box<Callsites>,
        recalled: usize,
        leaves: usize,
    }

    impl Shapes {
        fn new(random: u64, limit: usize) -> Shapes {
            let [remembering, recalling, forgetful, mut light] = [(); 4].map(|()| {
                let mut walker = walker();
                walker.set_limit(limit);
                walker
            });
            light.keeps = false;
            let kept = Box::new(Callsites::new());
            kept.prepare(MAX_CALLSITES).unwrap();
            Shapes {
                random,
                limit,
                remembering,
                recalling,
                forgetful,
                light,
                callsites: HashMap::new(),
                kept,
                recalled: 0,
                leaves: 0,
            }
        }

        fn below(&mut self, n: u64) -> u64 {
            // xorshift64*, by Vigna.
            self.random ^= self.random >> 12;
            self.random ^= self.random << 25;
            self.random ^= self.random >> 27;
            (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
        }

        #[inline(never)]
        fn leaf(&mut self) {
            let hash = self.remembering.walk_here();
            self.forgetful.begin(self.forgetful.bounds);
            let expected = self.forgetful.walk_here();
            assert_eq!(
                self.remembering.stack().addresses,
                self.forgetful.stack().addresses
            );
            assert_eq!(self.remembering.stack().end, self.forgetful.stack().end);
            assert_eq!(hash, expected);
            let shown = self.remembering.stack().addresses.to_vec();
            assert_eq!(hash, hash_of(&shown));
            let end = self.remembering.stack().end;
            let light = self.light.walk_lightly(Registers::here(), false);
            assert_eq!(light.is_some(), shown.len() <= LIGHT_FRAMES);
            if light.is_some() {
                assert_eq!(light, Some(hash));
                let light = self.light.stack();
                assert_eq!(
                    (light.addresses, light.end, light.hash),
                    (&shown[..], end, hash)
                );
            }
            for inner in [1, 16, shown.len() - 1, shown.len()] {
                let hash = self.remembering.hash_of_innermost(inner);
                let stack = self.remembering.innermost(inner);
                if light.is_some() {
                    assert_eq!(self.light.hash_of_innermost(inner), hash);
                    let light = self.light.innermost(inner);
                    assert_eq!((light.addresses, light.end), (stack.addresses, stack.end));
                }
                assert_eq!(stack.addresses, &shown[..inner.min(shown.len())]);
                assert_eq!(stack.hash, hash_of(stack.addresses));
                let is_cut = inner < shown.len();
                assert_eq!(hash, is_cut.then_some(stack.hash));
                assert!(!is_cut || stack.end == StackEnd::Truncated);
            }
            if self.leaves.is_multiple_of(16) {
                let mut truth = Vec::new();
                backtrace::trace(|frame| {
                    truth.push(frame.ip() as usize);
                    true
                });
                let captured = self.remembering.stack();
                let first = captured.addresses[0];
                let at = truth.iter().position(|&ip| ip == first).unwrap();
                let truth: Vec<_> = truth[at..].iter().copied().filter(|&ip| ip != 0).collect();
                let len = truth.len().min(self.limit);
                assert_eq!(captured.addresses, &truth[..len]);
                let Registers { sp, .. } = Registers::here();
                self.forgetful.walk_with_every_register(sp, 0, false);
                let stack = self.forgetful.stack();
                assert_eq!(
                    (stack.addresses, stack.end),
                    (captured.addresses, captured.end)
                );
            }
            self.keep(hash);
            self.recall();
            self.leaves += 1;
        }

        /// What is kept must be the whole stack, whoever has its outer part.
        fn keep(&mut self, hash: u64) {
            let callsite = self.kept.find(hash).unwrap_or_else(|| {
                let label = Label::default();
                self.kept.insert_last_of(&mut self.remembering, label)
            });
            let mut addresses = Vec::new();
            let callsite = self.kept.get(callsite).unwrap();
            let end = self.kept.append_stack(callsite, &mut addresses);
            let stack = self.remembering.stack();
            assert_eq!(
                (addresses.as_slice(), end),
                (stack.addresses, Some(stack.end))
            );
        }

        /// What is recalled must be the callsite of the stack that is there.
        #[inline(never)]
        fn recall(&mut self) {
            let captured = self.recalling.capture();
            // A walk from the same place, so that the innermost address is the same too.
            self.forgetful.begin(self.forgetful.bounds);
            let Registers { sp, bp, .. } = Registers::here();
            self.forgetful.walk(self.recalling.entry.from, sp, bp);
            let stack = self.forgetful.stack().addresses.to_vec();
            let next = CallsiteId::from_word(1 + self.callsites.len() as u32).unwrap();
            let callsite = *self.callsites.entry(stack).or_insert(next);
            match captured.known {
                Some(known) => {
                    assert_eq!(known, callsite);
                    self.recalled += 1;
                }
                None => self.recalling.remember(callsite),
            }
        }

        /// A call of a shape drawn at random, `depth` levels above the leaves.
        fn call(&mut self, depth: usize) {
            if depth == 0 {
                return self.leaf();
            }
            match self.below(9) {
                0 => self.plain::<0>(depth),
                1 => self.plain::<1>(depth),
                2 => self.plain::<2>(depth),
                3 => self.aligned::<0>(depth),
                4 => self.aligned::<1>(depth),
                5 => self.large(depth),
                6 => self.dynamic(depth),
                7 => self.through_c(depth),
                _ => self.several(depth),
            }
        }

        #[inline(never)]
        fn plain<const N: usize>(&mut self, depth: usize) {
            self.call(depth - 1);
            black_box(N);
        }

        /// Its frame is found by rbp, wherever the stack pointer was.
        #[inline(never)]
        fn aligned<const N: usize>(&mut self, depth: usize) {
            #[repr(align(128))]
            struct Aligned([u8; 128]);
            let space = black_box(Aligned([N as u8; 128]));
            self.call(depth - 1);
            assert_eq!(space.0[N], N as u8);
        }

        #[inline(never)]
        fn large(&mut self, depth: usize) {
            let space = black_box([1_u8; 5_000]);
            self.call(depth - 1);
            assert_eq!(black_box(&space)[4_999], 1);
        }

        #[inline(never)]
        fn dynamic(&mut self, depth: usize) {
            let act = |shapes: &mut Shapes| {
                shapes.call(depth - 1);
                black_box(depth);
            };
            let act: &dyn Fn(&mut Shapes) = black_box(&act);
            act(self);
        }

        #[inline(never)]
        fn several(&mut self, depth: usize) {
            for _ in 0..2 {
                // Deep trees would have too many leaves.
                if depth < 9 || self.below(2) == 0 {
                    self.call(depth - 1);
                }
            }
            self.call(depth.saturating_sub(3));
        }

        #[inline(never)]
        fn through_c(&mut self, depth: usize) {
            thread_local! {
                static SHAPES: Cell<(*mut Shapes, usize)> =
                    const { Cell::new((std::ptr::null_mut(), 0)) };
            }
            unsafe extern "C" fn compare(_: *const libc::c_void, _: *const libc::c_void) -> i32 {
                let (shapes, depth) = SHAPES.get();
                // SAFETY: set just below, by the caller that waits for us.
                unsafe { &mut *shapes }.call(depth - 1);
                0
            }
            SHAPES.set((self, depth));
            let numbers = [7_i32];
            // SAFETY: one element of that size, and a function that compares two.
            unsafe {
                libc::bsearch(
                    numbers.as_ptr().cast(),
                    numbers.as_ptr().cast(),
                    1,
                    size_of::<i32>(),
                    Some(compare),
                )
            };
        }
    }

    #[test]
    fn a_walk_that_remembers_equals_one_that_does_not_in_all_shapes() {
        for (seed, limit) in [(1, MAX_FRAMES), (2, 40), (3, 12), (4, 1), (5, 46)] {
            let mut shapes = Shapes::new(seed, limit);
            while shapes.leaves < 4_000 {
                let depth = 1 + shapes.below(40) as usize;
                shapes.call(depth);
            }
        }
    }

    /// The same stacks again and again, among others that begin alike. How many are recalled depends on which of them
    /// have their memos in the same places, and so on where the program was loaded.
    #[test]
    fn whole_stacks_are_recalled_if_they_are_the_same() {
        let mut recalled = 0;
        for (seed, limit) in [(1, MAX_FRAMES), (2, 40), (3, 12), (4, 1)] {
            let mut shapes = Shapes::new(seed, limit);
            for leaves in [100, 50, 100, 300, 100, 100] {
                (shapes.random, shapes.leaves) = (seed, 0);
                while shapes.leaves < leaves {
                    let depth = 1 + shapes.below(5) as usize;
                    shapes.call(depth);
                }
            }
            recalled += shapes.recalled;
        }
        assert!(recalled > 600, "{recalled}");
    }

    /// Recursion deeper than the limit, and than links are kept: the window slides outwards and back. Now and then a
    /// frame is found by rbp.
    #[test]
    fn a_recursion_beyond_the_limit_is_cut_right_on_its_way_in_and_out() {
        #[inline(never)]
        fn aligned(shapes: &mut Shapes, depth: usize) {
            #[repr(align(128))]
            struct Aligned([u8; 128]);
            let space = black_box(Aligned([7; 128]));
            recurse(shapes, depth);
            assert_eq!(space.0[depth % 128], 7);
        }
        #[inline(never)]
        fn recurse(shapes: &mut Shapes, depth: usize) {
            if depth.is_multiple_of(3) {
                shapes.leaf();
            }
            if depth.is_multiple_of(7) && depth > 0 {
                aligned(shapes, depth - 1);
            } else if depth > 0 {
                recurse(shapes, depth - 1);
            }
            if depth.is_multiple_of(5) {
                shapes.leaf();
            }
            black_box(());
        }
        for (limit, depth) in [(10, 400), (46, 2_000), (MAX_FRAMES, 5_000)] {
            let mut shapes = Shapes::new(1, limit);
            recurse(&mut shapes, depth);
        }
    }
}
