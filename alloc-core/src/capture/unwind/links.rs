//! [`Links`]: the stack as the last walk found it.

use super::checks::{self, Check};
use super::registers::Registers;
use crate::capture::{MAX_FRAMES, StackHash};

/// How many links are kept at most.
pub(super) const KEPT: usize = 2 * MAX_FRAMES;

/// How a step found what it found, as far as that matters to links: which of the marks of the link outside of it
/// [pass on](Marks::passed_on) to the one inside of it, in the lower two bits, and which it sets, in the next two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Way(u32);

impl Way {
    /// The caller's rbp was saved, so that of the frame does not matter.
    pub(super) const SAVED: Way = Way(Marks::FLEETS);
    /// The caller's rbp is that of the frame.
    pub(super) const KEPT: Way = Way(Marks::FLEETS | Marks::TAKES_BP);
    /// The CFA was counted from rbp.
    pub(super) const COUNTED_FROM_BP: Way = Way(Marks::TAKES_BP << 2);
    /// The rule is of code that may be unloaded.
    pub(super) const FLEETING: Way = Way(Marks::FLEETS << 2);
    pub(super) const NONE: Way = Way(0);

    pub(super) const fn and(self, other: Way) -> Way {
        Way(self.0 | other.0)
    }

    pub(super) fn has(self, other: Way) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a step finds: one return address on the stack.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// The return address, and where it lies.
    pub(super) pc: Check,
    pub(super) from: Origin,
}

/// How it was found.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    /// The caller's rbp, and where it was loaded from, or zero if the register still held it.
    pub(super) bp: Check,
    pub(super) way: Way,
}

impl Found {
    #[inline(always)]
    pub(super) fn registers(&self) -> Registers {
        Registers::of_caller(self.pc, self.from.bp)
    }
}

/// What a walk under way found, innermost first.
pub(super) struct Fresh {
    /// A plain walk writes nothing else.
    pcs: [Check; KEPT],
    from: [Origin; KEPT],
}

impl Fresh {
    #[inline(always)]
    pub(super) fn set(&mut self, at: usize, found: Found) {
        self.pcs[at % KEPT] = found.pc;
        self.from[at % KEPT] = found.from;
    }

    /// The same by a plain rule.
    #[inline(always)]
    pub(super) fn set_pc(&mut self, at: usize, pc: Check) {
        self.pcs[at % KEPT] = pc;
    }

    pub(super) fn get(&self, at: usize) -> Found {
        Found {
            pc: self.pcs[at % KEPT],
            from: self.from[at % KEPT],
        }
    }

    /// Where the first return address goes, and the others after it.
    #[inline(always)]
    pub(super) fn pcs(&mut self) -> *mut Check {
        self.pcs.as_mut_ptr()
    }
}

/// What a link says of others: what the link outside of it passes on to it in the lower two bits, what it passes on to
/// the link inside of it in the next two, and above them how it was found.
#[derive(Clone, Copy)]
struct Marks(u32);

impl Marks {
    /// The step took the rbp of the link inside of it, or one further out did that left it as it was.
    const TAKES_BP: u32 = 1;
    /// The link, or one further out, is fleeting.
    const FLEETS: u32 = 2;

    /// Those of the link that stands for all that lies outside.
    fn outside(needs_bp: bool) -> Marks {
        Marks(if needs_bp { Marks::TAKES_BP << 2 } else { 0 })
    }

    /// Those of what was found in this way inside of a link with these.
    fn inside(self, way: Way) -> Marks {
        let marks = self.passed_on();
        let passes_on = marks & way.0 | way.0 >> 2;
        Marks(marks | passes_on << 2 | way.0 << 4)
    }

    fn passed_on(self) -> u32 {
        self.0 >> 2 & 3
    }

    fn way(self) -> Way {
        Way(self.0 >> 4)
    }

    /// Whether what lies outside depends on rbp. Most functions without a frame pointer neither use
    /// nor save rbp, so that an inner function's arithmetic would look like a change.
    fn need_bp(self) -> bool {
        self.0 & Marks::TAKES_BP != 0
    }

    /// Whether the saved rbp must be as it was: a step further out takes it, and the next one inside does not.
    fn hold_bp(self) -> bool {
        self.need_bp() && self.way().0 & Marks::TAKES_BP == 0
    }
}

/// The numbers of a link.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Numbers {
    /// The sum of the hash from here outwards.
    sum: u64,
    ties: Ties,
}

/// What ties a link to others: its marks, and how many saved rbps must be as they were from there outwards.
///
/// PERF: in one word, which is that of the link outside of it where both were found by plain rules.
#[derive(Clone, Copy)]
struct Ties(u64);

impl Ties {
    fn new(marks: Marks, held: usize) -> Ties {
        Ties(u64::from(marks.0) | (held as u64) << 32)
    }

    fn marks(self) -> Marks {
        Marks(self.0 as u32)
    }

    #[inline(always)]
    fn held(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Whether neither the link nor one outside of it says anything of what lies inside.
    #[inline(always)]
    fn stands_alone(self) -> bool {
        self.0 & 0xF == 0
    }

    /// That of a link that was found by a plain rule inside of one that stands alone, as it does itself.
    #[inline(always)]
    fn of_plain(self) -> Ties {
        Ties(self.0 >> 32 << 32)
    }
}

/// A saved rbp that must be as it was, and the link that it was saved at: if it is another, links inside of that do not
/// hold.
#[derive(Clone, Copy)]
struct Held {
    bp: Check,
    link: usize,
}

/// From where on words of the stack must be as they were.
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

/// Return addresses that were found, and what is needed to find them again: outermost first, from 1 on.
///
/// That at 0 stands for all that lies outside: its place is beyond every other.
///
/// PERF: a plain walk reads and writes `pcs` and `numbers` only, half a cache line for each link.
pub(super) struct Links {
    /// Four that lie below every stack, so that a search which begins there ends at once. Then those of the links,
    /// which lie further and further down the stack, and four that end them.
    pcs: [Check; FIRST + KEPT + 4],
    numbers: [Numbers; KEPT],
    /// Of a link that a plain walk found there is what another left.
    from: [Origin; KEPT],
    /// Outermost first, as the links that they are of.
    held: [Held; KEPT],
    /// How many rbps the last walk held.
    held_len: usize,
}

/// Where the places of links begin.
const FIRST: usize = 4;

impl Links {
    /// Has this stand for all that lies outside: what it adds to the hash, and whether its steps take rbp.
    pub(super) fn begin(&mut self, sum: u64, needs_bp: bool) {
        self.pcs[FIRST] = Check {
            address: usize::MAX,
            word: 0,
        };
        self.numbers[0] = Numbers {
            sum,
            ties: Ties::new(Marks::outside(needs_bp), 0),
        };
    }

    #[inline(always)]
    fn numbers(&self, at: usize) -> &Numbers {
        &self.numbers[at]
    }

    fn marks(&self, at: usize) -> Marks {
        self.numbers(at).ties.marks()
    }

    /// The sum of the hash from there outwards.
    #[inline(always)]
    pub(super) fn sum(&self, at: usize) -> u64 {
        self.numbers(at).sum
    }

    /// The return addresses of the links inside of that at `from`, to that at `to`, with their places.
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

    /// Whether all words are as they were of the links inside of that at `from`, to that at `to`, which lie outside
    /// of the start.
    ///
    /// # Safety
    ///
    /// Links were found on the calling thread's stack, of which that part is in use.
    pub(super) unsafe fn hold_outside_of(&self, start: Start, from: usize, to: usize) -> bool {
        let (places, held) = (FIRST + from + 1, self.held_until(from));
        let places_end = start.place.clamp(places, FIRST + to + 1);
        let held_end = start.held.clamp(held, self.held_until(to));
        // SAFETY: the caller's promise.
        let hold = unsafe { checks::hold(&self.pcs[places..places_end]) };
        // SAFETY: as above.
        hold && self.held[held..held_end]
            .iter()
            .all(|it| unsafe { it.bp.change() } == 0)
    }

    /// How many of them there are from there outwards.
    #[inline(always)]
    fn held_until(&self, at: usize) -> usize {
        self.numbers(at).ties.held()
    }

    /// Whether a step outside of it takes rbp as it was in the frame inside of it.
    pub(super) fn takes_bp(&self, at: usize) -> bool {
        self.marks(at).passed_on() & Marks::TAKES_BP != 0
    }

    /// Whether the link, or one further out, is of code that may be unloaded.
    pub(super) fn fleets(&self, at: usize) -> bool {
        self.marks(at).passed_on() & Marks::FLEETS != 0
    }

    /// Whether neither this link nor one outside of it says anything of what lies inside: no step takes rbp as it was
    /// in the frame inside of this one, nor did the step to this one, and none is fleeting. Then its return address
    /// and the place of that are all that it takes to be met again.
    ///
    /// # Safety
    ///
    /// It is one of the links.
    #[inline(always)]
    pub(super) unsafe fn stands_alone(&self, at: usize) -> bool {
        // SAFETY: the caller's promise.
        unsafe { self.numbers.get_unchecked(at) }
            .ties
            .stands_alone()
    }

    /// Whether it is what a step has just found.
    pub(super) fn is(&self, at: usize, found: &Found) -> bool {
        self.pcs[FIRST + at] == found.pc
            && (!self.marks(at).need_bp() || self.from[at].bp.word == found.from.bp.word)
    }

    /// Whether it was found in the same way.
    pub(super) fn was_found_like(&self, at: usize, found: &Found) -> bool {
        let (way, bp) = (self.marks(at).way(), self.from[at].bp);
        way == found.from.way && bp.address == found.from.bp.address
    }

    /// How it was found.
    pub(super) fn way(&self, at: usize) -> Way {
        self.marks(at).way()
    }

    /// Where the caller's rbp was loaded from that lies outside of it, if it was.
    pub(super) fn saved_at(&self, at: usize) -> Option<usize> {
        // NOTE: a plain walk does not say.
        let address = self.from[at].bp.address;
        (self.way(at) != Way::NONE && address != 0).then_some(address)
    }

    /// Its return address, and where that lies.
    pub(super) fn pc(&self, at: usize) -> Check {
        self.pcs[FIRST + at]
    }

    /// What it leads on with, if rbp is as it was.
    pub(super) fn registers(&self, at: usize) -> Registers {
        Registers::of_caller(self.pcs[FIRST + at], self.from[at].bp)
    }

    /// Where its return address lies, in a row with that of the others.
    #[inline(always)]
    pub(super) fn place(&self, at: usize) -> *const Check {
        debug_assert!(at < KEPT);
        self.pcs.as_ptr().wrapping_add(FIRST + at)
    }

    /// Puts a link with what was found at `at`.
    pub(super) fn put(&mut self, at: usize, found: &Found) {
        let outer = *self.numbers(at - 1);
        let marks = outer.ties.marks().inside(found.from.way);
        let held = outer.ties.held();
        self.pcs[FIRST + at] = found.pc;
        self.from[at] = found.from;
        self.held[held] = Held {
            bp: found.from.bp,
            link: at,
        };
        self.numbers[at] = Numbers {
            sum: StackHash::add(outer.sum, found.pc.word),
            ties: Ties::new(marks, held + usize::from(marks.hold_bp())),
        };
    }

    /// Puts the first `new` that are fresh inside of the link at `at`.
    pub(super) fn push(&mut self, at: usize, new: usize, fresh: &Fresh) {
        for (inner, found) in (0..new).rev().enumerate() {
            self.put(at + 1 + inner, &fresh.get(found));
        }
        let last = self.numbers(at + new).ties;
        // SAFETY: it was put there.
        unsafe { self.end(at + new, last) };
    }

    /// The same, if they were found by plain rules and the link [stands alone](Self::stands_alone). Returns the sum of
    /// the hash.
    ///
    /// # Safety
    ///
    /// There is room for so many.
    #[inline(always)]
    pub(super) unsafe fn push_plainly(&mut self, at: usize, new: usize, fresh: &Fresh) -> u64 {
        debug_assert!(at + new < KEPT);
        // SAFETY: the caller's promise.
        let Numbers { mut sum, ties } = unsafe { *self.numbers.get_unchecked(at) };
        let ties = ties.of_plain();
        for (inner, found) in (0..new).rev().enumerate() {
            // SAFETY: as above, and that many are fresh.
            let pc = unsafe { fresh.pcs.get_unchecked(found) }.read_by_word();
            sum = StackHash::add(sum, pc.word);
            // SAFETY: as above.
            unsafe { *self.pcs.get_unchecked_mut(FIRST + at + 1 + inner) = pc };
            // SAFETY: as above.
            unsafe { *self.numbers.get_unchecked_mut(at + 1 + inner) = Numbers { sum, ties } };
        }
        // SAFETY: as above.
        unsafe { self.end(at + new, ties) };
        sum
    }

    /// Has that at `at`, with these ties, be the innermost.
    ///
    /// # Safety
    ///
    /// There is room for it.
    #[inline(always)]
    unsafe fn end(&mut self, at: usize, ties: Ties) {
        for past in 1..=4 {
            // Below every stack.
            //
            // SAFETY: there is room for four more than links.
            unsafe { self.pcs.get_unchecked_mut(FIRST + at + past) }.address = 0;
        }
        self.held_len = ties.held();
    }

    /// Drops links, so that those from `from` to `to` are the outermost, inside of what stands for all that lies
    /// outside, where no rbp is known.
    pub(super) fn drop_outer(&mut self, from: usize, to: usize) {
        let outside = *self.numbers(from - 1);
        let (shift, held) = (from - 1, outside.ties.held());
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
            numbers.ties = Ties::new(numbers.ties.marks(), numbers.ties.held() - held);
        }
    }

    /// The innermost link that may hold: its return address and those of all links outside of it, up to the start, are
    /// where they were, and so are the rbps, and none of them lies below `sp`.
    ///
    /// PERF: 5 instructions for each link, and none waits for another.
    ///
    /// # Safety
    ///
    /// Links were found on the calling thread's stack, which is in use from `sp` on.
    #[inline(always)]
    pub(super) unsafe fn innermost_that_holds(&self, start: Start, sp: usize) -> usize {
        // SAFETY: the caller's promise.
        let wrong = unsafe { self.first_wrong(start.place, sp) };
        let link = wrong.saturating_sub(FIRST + 1);
        for at in start.held..self.held_len {
            // SAFETY: that many are held.
            let held = unsafe { self.held.get_unchecked(at) };
            // SAFETY: it lies in what is in use.
            if held.bp.address < sp || unsafe { held.bp.change() } != 0 {
                return link.min(held.link);
            }
        }
        link
    }

    /// The place of the first return address that is not where it was, or lies below `sp`.
    ///
    /// # Safety
    ///
    /// As [`innermost_that_holds`](Self::innermost_that_holds).
    #[inline(always)]
    unsafe fn first_wrong(&self, start: usize, sp: usize) -> usize {
        let mut at = start;
        loop {
            let four = self.pcs.as_ptr().wrapping_add(at).cast::<[Check; 4]>();
            // SAFETY: where there are no more, four end them.
            let four = unsafe { &*four };
            if four[3].address < sp {
                let holds = |check: &Check| {
                    // SAFETY: it lies in what is in use.
                    check.address >= sp && unsafe { check.change() } == 0
                };
                return at + four.iter().take_while(|check| holds(check)).count();
            }
            for (past, check) in four.iter().enumerate() {
                // SAFETY: it lies higher than the last of the four.
                if unsafe { check.change() } != 0 {
                    return at + past;
                }
            }
            at += 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Links of a stack that is made up, and which of them should hold.
    struct Model {
        links: Box<Links>,
        fresh: Box<Fresh>,
        stack: Vec<usize>,
        found: Vec<Found>,
    }

    const FRAMES: usize = 40;
    /// A frame has two words that are read: the saved rbp, and the return address above it.
    const WORDS: usize = 2;

    impl Model {
        /// Frames that were found in ways drawn at random, outermost first.
        fn new(random: &mut impl FnMut(u64) -> u64) -> Model {
            // SAFETY: numbers, for which zero is a value.
            let mut links = unsafe { Box::<Links>::new_zeroed().assume_init() };
            // SAFETY: as above.
            let mut fresh = unsafe { Box::<Fresh>::new_zeroed().assume_init() };
            let stack: Vec<usize> = (0..FRAMES * WORDS).map(|at| 1_000 + at).collect();
            let address = |at: usize| &raw const stack[at] as usize;
            let check = |at: usize| Check {
                address: address(at),
                word: stack[at],
            };
            let found: Vec<Found> = (0..FRAMES)
                .map(|link| {
                    let at = (FRAMES - 1 - link) * WORDS;
                    let (bp, way) = match random(4) {
                        0 => (check(at), Way::SAVED),
                        1 => (check(at), Way::SAVED.and(Way::COUNTED_FROM_BP)),
                        2 => (Check::of_register(7), Way::KEPT),
                        _ => (check(at), Way::SAVED.and(Way::FLEETING)),
                    };
                    let pc = check(at + 1);
                    let from = Origin { bp, way };
                    Found { pc, from }
                })
                .collect();
            for (at, found) in found.iter().rev().enumerate() {
                fresh.set(at, *found);
            }
            links.begin(0, false);
            links.push(0, FRAMES, &fresh);
            Model {
                links,
                fresh,
                stack,
                found,
            }
        }

        /// Whether the rbp is held that was saved at this link, by the definition: the first step further out that
        /// knows rbp takes it.
        fn holds_bp(&self, link: usize) -> bool {
            let is_saved = |it: &Found| it.from.bp.address != 0;
            let is_taken = |it: &Found| it.from.way.has(Way::COUNTED_FROM_BP);
            let mut outer = self.found[..link].iter().rev();
            is_saved(&self.found[link])
                && outer
                    .find(|it| is_taken(it) || is_saved(it))
                    .is_some_and(is_taken)
        }

        /// Which link should be the innermost that holds, counted from 1, if this word of the stack changed.
        fn expected(&self, changed: usize) -> usize {
            let link = FRAMES - 1 - changed / WORDS;
            match changed % WORDS {
                0 if self.holds_bp(link) => link + 1,
                0 => FRAMES,
                _ => link,
            }
        }

        /// The same as it is said, if `dropped` links were dropped.
        fn said(&self, start: Start, dropped: usize) -> usize {
            let sp = self.stack.as_ptr().addr();
            // SAFETY: words of the vector are there from the first on.
            dropped + unsafe { self.links.innermost_that_holds(start, sp) }
        }
    }

    fn random() -> impl FnMut(u64) -> u64 {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) % below
        }
    }

    #[test]
    fn a_link_holds_if_all_that_it_was_found_by_is_there() {
        let mut random = random();
        for _ in 0..50 {
            let mut model = Model::new(&mut random);
            assert_eq!(model.said(Start::OUTERMOST, 0), FRAMES);
            assert_eq!(model.said(Start::NONE, 0), 0);
            for changed in 0..model.stack.len() {
                model.stack[changed] ^= 1;
                assert_eq!(
                    model.said(Start::OUTERMOST, 0),
                    model.expected(changed),
                    "{changed}"
                );
                let from = random(FRAMES as u64) as usize;
                let seen = FRAMES - 1 - changed / WORDS >= from;
                let start = model.links.start_inside_of(from);
                let expected = if seen {
                    model.expected(changed)
                } else {
                    FRAMES
                };
                assert_eq!(model.said(start, 0), expected, "{changed} from {from}");
                // SAFETY: as in `said`.
                let outside = unsafe { model.links.hold_outside_of(start, 0, FRAMES) };
                assert_eq!(outside, seen || expected == model.expected(changed));
                model.stack[changed] ^= 1;
            }
        }
    }

    #[test]
    fn links_hold_as_before_when_others_outside_of_them_are_dropped() {
        let mut random = random();
        for _ in 0..50 {
            let mut model = Model::new(&mut random);
            let dropped = 1 + random(FRAMES as u64 - 1) as usize;
            let held: Vec<Check> = model.links.held(dropped, FRAMES).collect();
            let (sum, outside) = (model.links.sum(FRAMES), model.links.sum(dropped));
            model.links.drop_outer(dropped + 1, FRAMES);
            let new = 0;
            model.links.push(FRAMES - dropped, new, &model.fresh);
            let left = FRAMES - dropped;
            assert_eq!(model.links.sum(left), sum);
            assert_eq!(model.links.sum(0), outside);
            assert!(model.links.held(0, left).eq(held));
            for changed in 0..left * WORDS {
                model.stack[changed] ^= 1;
                let expected = model.expected(changed);
                assert_eq!(model.said(Start::OUTERMOST, dropped), expected, "{changed}");
                model.stack[changed] ^= 1;
            }
        }
    }
}
