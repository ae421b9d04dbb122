//! [`PreviousStack`]: the stack as the last walk found it.

mod flags;
mod new_frames;
#[cfg(test)]
mod tests;

use super::checks::{self, Check};
use super::registers::Registers;
use crate::capture::MAX_FRAMES;
use crate::tables::stack_hash::StackHash;
use flags::FlagsAndHeld;

pub(super) use flags::Flags;
pub(super) use new_frames::{Found, NewFrames, Origin};

/// How many links are kept at most.
pub(super) const KEPT: usize = 2 * MAX_FRAMES;

/// The links of the previous walk: its return addresses, and what is needed to find them again.
/// Outermost first, from 1 on.
///
/// The link at 0 stands for all frames further out. Its address is above every other.
///
/// PERF: an sp-only walk reads and writes `pcs` and `numbers` only, half a cache line for each
/// link.
pub(super) struct PreviousStack {
    /// Four sentinels, so that a search that begins there ends at once. Then the return addresses
    /// of the links, at descending addresses, and four sentinels.
    pcs: [Check; FIRST + KEPT + 4],
    numbers: [Numbers; KEPT],
    /// NOTE: stale for a link that an sp-only walk found.
    from: [Origin; KEPT],
    /// The saved rbps that must be unchanged, outermost first.
    held: [Held; KEPT],
    /// How many rbps the last walk held.
    held_len: usize,
}

/// Where the places of links begin.
const FIRST: usize = 4;

impl PreviousStack {
    /// Starts a stack: `sum` and `needs_bp` are those of all frames further out.
    pub(super) fn begin(&mut self, sum: u64, needs_bp: bool) {
        self.pcs[FIRST] = Check {
            address: usize::MAX,
            word: 0,
        };
        self.numbers[0] = Numbers {
            sum,
            word: FlagsAndHeld::new(Flags::outside(needs_bp), 0),
        };
    }

    #[inline(always)]
    fn numbers(&self, at: usize) -> &Numbers {
        &self.numbers[at]
    }

    fn flags(&self, at: usize) -> Flags {
        self.numbers(at).word.flags()
    }

    /// The sum of the hash from there outwards.
    #[inline(always)]
    pub(super) fn sum(&self, at: usize) -> u64 {
        self.numbers(at).sum
    }

    /// The return addresses of the links inside of that at `from`, to that at `to`, with their
    /// places.
    pub(super) fn pcs(&self, from: usize, to: usize) -> &[Check] {
        &self.pcs[FIRST + from + 1..=FIRST + to]
    }

    /// The rbps that must be as they were, of the same links.
    pub(super) fn held(&self, from: usize, to: usize) -> impl ExactSizeIterator<Item = Check> {
        let (from, to) = (self.held_until(from), self.held_until(to));
        self.held[from..to].iter().map(|held| held.bp)
    }

    /// From the first link inside of that one on.
    #[inline(always)]
    pub(super) fn start_inside_of(&self, at: usize) -> Start {
        Start {
            place: FIRST + at + 1,
            held: self.held_until(at),
        }
    }

    /// Whether all words are unchanged of the links inside of the one at `from`, to the one at
    /// `to`, that are outside of the start.
    ///
    /// # Safety
    ///
    /// Links were found on the calling thread's stack, of which that part is in use.
    pub(super) unsafe fn are_valid_outside_of(&self, start: Start, from: usize, to: usize) -> bool {
        let (places, held) = (FIRST + from + 1, self.held_until(from));
        let places_end = start.place.clamp(places, FIRST + to + 1);
        let held_end = start.held.clamp(held, self.held_until(to));
        // SAFETY: the caller's promise.
        let hold = unsafe { checks::hold(&self.pcs[places..places_end]) };
        // SAFETY: the caller's promise.
        hold && self.held[held..held_end]
            .iter()
            .all(|it| unsafe { it.bp.change() } == 0)
    }

    /// How many of them there are from there outwards.
    #[inline(always)]
    fn held_until(&self, at: usize) -> usize {
        self.numbers(at).word.held()
    }

    /// Whether a step outside of it takes rbp as it was in the frame inside of it.
    pub(super) fn takes_bp(&self, at: usize) -> bool {
        self.flags(at).inner_needs_bp()
    }

    /// Whether the link, or one further out, is of code that may be unloaded.
    pub(super) fn reaches_unloadable(&self, at: usize) -> bool {
        self.flags(at).reaches_unloadable()
    }

    /// Whether the return address and its location are all that identifies the link: no step to it
    /// or further out needs rbp, and none is of code that may be unloaded.
    ///
    /// # Safety
    ///
    /// It is one of the links.
    #[inline(always)]
    pub(super) unsafe fn needs_no_rbp(&self, at: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.numbers.get_unchecked(at) }
            .word
            .needs_no_rbp()
    }

    /// Whether it is what a step has just found.
    pub(super) fn is(&self, at: usize, found: &Found) -> bool {
        self.pcs[FIRST + at] == found.pc
            && (!self.flags(at).needs_bp() || self.from[at].bp.word == found.from.bp.word)
    }

    /// Whether it was found in the same way.
    pub(super) fn was_found_like(&self, at: usize, found: &Found) -> bool {
        let (way, bp) = (self.flags(at).how_found(), self.from[at].bp);
        way == found.from.way && bp.address == found.from.bp.address
    }

    /// How it was found.
    pub(super) fn way(&self, at: usize) -> Flags {
        self.flags(at).how_found()
    }

    /// Where the caller's rbp was loaded from that is outside of it, if it was.
    pub(super) fn saved_at(&self, at: usize) -> Option<usize> {
        // NOTE: a plain walk does not say.
        let address = self.from[at].bp.address;
        (self.way(at) != Flags::NONE && address != 0).then_some(address)
    }

    /// Its return address, and where that is.
    pub(super) fn pc(&self, at: usize) -> Check {
        self.pcs[FIRST + at]
    }

    /// What it leads on with, if rbp is as it was.
    pub(super) fn registers(&self, at: usize) -> Registers {
        Registers::of_caller(self.pcs[FIRST + at], self.from[at].bp)
    }

    /// Where its return address is, in a row with that of the others.
    #[inline(always)]
    pub(super) fn place(&self, at: usize) -> *const Check {
        debug_assert!(at < KEPT);
        self.pcs.as_ptr().wrapping_add(FIRST + at)
    }

    /// Writes the link at `at`.
    pub(super) fn put(&mut self, at: usize, found: &Found) {
        let outer = *self.numbers(at - 1);
        let flags = outer.word.flags().inside(found.from.way);
        let held = outer.word.held();
        self.pcs[FIRST + at] = found.pc;
        self.from[at] = found.from;
        self.held[held] = Held {
            bp: found.from.bp,
            link: at,
        };
        self.numbers[at] = Numbers {
            sum: StackHash::add(outer.sum, found.pc.word),
            word: FlagsAndHeld::new(flags, held + usize::from(flags.holds_bp())),
        };
    }

    /// Pushes the `new` frames inside of the link at `at`.
    pub(super) fn push(&mut self, at: usize, new: usize, new_frames: &NewFrames) {
        for (inner, found) in (0..new).rev().enumerate() {
            self.put(at + 1 + inner, &new_frames.get(found));
        }
        let last = self.numbers(at + new).word;
        // SAFETY: it was put there.
        unsafe { self.end(at + new, last) };
    }

    /// Fast path of [`push`](Self::push): the frames were found by sp-only rules, and the link
    /// [needs no rbp](Self::needs_no_rbp). Returns the sum of the hash.
    ///
    /// # Safety
    ///
    /// There is room for so many.
    #[inline(always)]
    pub(super) unsafe fn push_sp_only(
        &mut self,
        at: usize,
        new: usize,
        new_frames: &NewFrames,
    ) -> u64 {
        debug_assert!(at + new < KEPT);
        // SAFETY: the caller's promise.
        let Numbers { mut sum, word } = unsafe { *self.numbers.get_unchecked(at) };
        let word = word.of_sp_only();
        for (inner, found) in (0..new).rev().enumerate() {
            // SAFETY: the caller's promise, and that many are fresh.
            let pc = unsafe { new_frames.pcs.get_unchecked(found) }.read_by_word();
            sum = StackHash::add(sum, pc.word);
            // SAFETY: the caller's promise.
            unsafe { *self.pcs.get_unchecked_mut(FIRST + at + 1 + inner) = pc };
            // SAFETY: the caller's promise.
            unsafe { *self.numbers.get_unchecked_mut(at + 1 + inner) = Numbers { sum, word } };
        }
        // SAFETY: the caller's promise.
        unsafe { self.end(at + new, word) };
        sum
    }

    /// Makes the link at `at`, which has this word, the innermost.
    ///
    /// # Safety
    ///
    /// There is room for it.
    #[inline(always)]
    unsafe fn end(&mut self, at: usize, word: FlagsAndHeld) {
        for past in 1..=4 {
            // Below every stack.
            //
            // SAFETY: there is room for four more than links.
            unsafe { self.pcs.get_unchecked_mut(FIRST + at + past) }.address = 0;
        }
        self.held_len = word.held();
    }

    /// Drops links, so that those from `from` to `to` are the outermost, inside of what stands for
    /// all that is outside, where no rbp is known.
    pub(super) fn drop_outer(&mut self, from: usize, to: usize) {
        let outside = *self.numbers(from - 1);
        let (shift, held) = (from - 1, outside.word.held());
        self.begin(outside.sum, true);
        self.pcs
            .copy_within(FIRST + from..FIRST + to + 1, FIRST + 1);
        self.numbers.copy_within(from..to + 1, 1);
        self.from.copy_within(from..to + 1, 1);
        self.held.copy_within(held.., 0);
        for held in &mut self.held {
            held.link = held.link.saturating_sub(shift);
        }
        for numbers in &mut self.numbers[1..=to - shift] {
            numbers.word = FlagsAndHeld::new(numbers.word.flags(), numbers.word.held() - held);
        }
    }

    /// The innermost link that may be valid: its return address and those of all links outside of
    /// it, up to the start, are unchanged, and so are the rbps, and none of them is below `sp`.
    ///
    /// PERF: 5 instructions for each link, and none waits for another.
    ///
    /// # Safety
    ///
    /// Links were found on the calling thread's stack, which is in use from `sp` on.
    #[inline(always)]
    pub(super) unsafe fn innermost_valid(&self, start: Start, sp: usize) -> usize {
        // SAFETY: the caller's promise.
        let wrong = unsafe { self.first_wrong(start.place, sp) };
        let link = wrong.saturating_sub(FIRST + 1);
        for at in start.held..self.held_len {
            // SAFETY: that many are held.
            let held = unsafe { self.held.get_unchecked(at) };
            // SAFETY: it is in what is in use.
            if held.bp.address < sp || unsafe { held.bp.change() } != 0 {
                return link.min(held.link);
            }
        }
        link
    }

    /// The index of the first return address that has changed, or is below `sp`.
    ///
    /// # Safety
    ///
    /// As [`innermost_valid`](Self::innermost_valid).
    #[inline(always)]
    unsafe fn first_wrong(&self, start: usize, sp: usize) -> usize {
        let mut at = start;
        loop {
            let four = self.pcs.as_ptr().wrapping_add(at).cast::<[Check; 4]>();
            // SAFETY: where there are no more, four end them.
            let four = unsafe { &*four };
            if four[3].address < sp {
                let is_valid = |check: &Check| {
                    // SAFETY: it is in what is in use.
                    check.address >= sp && unsafe { check.change() } == 0
                };
                return at + four.iter().take_while(|check| is_valid(check)).count();
            }
            for (past, check) in four.iter().enumerate() {
                // SAFETY: it is higher than the last of the four.
                if unsafe { check.change() } != 0 {
                    return at + past;
                }
            }
            at += 4;
        }
    }
}

/// The numbers of a link.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Numbers {
    /// The sum of the hash from here outwards.
    sum: u64,
    word: FlagsAndHeld,
}

/// A saved rbp that must be unchanged, and the link that it was saved at. If it has changed, links
/// inside of that one are invalid.
#[derive(Clone, Copy)]
struct Held {
    bp: Check,
    link: usize,
}

/// From where on words of the stack are verified.
#[derive(Clone, Copy)]
pub(super) struct Start {
    /// Where the first return address has its place.
    place: usize,
    /// Which of the rbps comes first.
    held: usize,
}

impl Start {
    /// From the outermost link on.
    pub(super) const OUTERMOST: Start = Start {
        place: FIRST + 1,
        held: 0,
    };
    /// No link holds.
    pub(super) const NONE: Start = Start {
        place: 0,
        held: KEPT,
    };

    pub(super) fn is_none(self) -> bool {
        self.place == 0
    }
}
