//! Unwind rules, compiled once per return address and looked up without locks.

use super::objects::{self, Object};
use super::registers::Registers;
use super::{functions, spare_stack, tables};
use crate::system::arena::{Reserved, Zeroed};
use crate::system::sync::{AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::tables::words::{Insertion, WordSet};

/// How to get from a frame to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The canonical frame address (CFA) is a register and an offset. The return address lies just
    /// below it; `saved_bp` is where the caller's rbp was saved, counted from the CFA, or `None`
    /// where rbp still holds it.
    Step {
        base: Base,
        offset: i32,
        saved_bp: Option<i32>,
    },
    /// The frame keeps its CFA.
    Kept(Kept),
    /// The function has no caller: the bottom of a stack.
    Bottom,
    /// There is one that takes [more registers](super::every_register).
    Other,
    /// There is no rule, or none that the walk can follow.
    Unknown,
}

/// The CFA is counted from the word at an offset from rbp: a function that aligns its frame anew keeps there where it
/// ended before, and one that begins a stack where the other one goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) at: i16,
    /// What is added to the word.
    pub(super) offset: i16,
    /// Where rbp was saved, from rbp or from the CFA.
    pub(super) bp_at: i16,
    pub(super) bp_by_cfa: bool,
    /// Where the return address lies, from the CFA: elsewhere than just below it where a stack begins.
    pub(super) pc_at: i8,
}

impl Kept {
    /// Where the word lies.
    pub(super) fn place(self, bp: usize) -> usize {
        bp.wrapping_add_signed(self.at.into())
    }

    pub(super) fn cfa(self, word: usize) -> usize {
        word.wrapping_add_signed(self.offset.into())
    }

    pub(super) fn bp_saved_at(self, bp: usize, cfa: usize) -> usize {
        let from = if self.bp_by_cfa { cfa } else { bp };
        from.wrapping_add_signed(self.bp_at.into())
    }
}

impl Rule {
    /// That of a function that keeps a frame pointer: the caller's rbp lies at rbp, and the return address above it.
    pub(super) const FRAME_POINTER: Rule = Rule::Step {
        base: Base::Rbp,
        offset: 16,
        saved_bp: Some(-16),
    };

    /// The same, of one whose frame ends `size` bytes above rsp.
    pub(super) fn of_frame(size: usize) -> Option<Rule> {
        i32::try_from(size).ok().map(|offset| Rule::Step {
            base: Base::Rsp,
            offset,
            saved_bp: Some(-16),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Rsp,
    Rbp,
}

/// A rule in sixteen bits, or the number of one that does not fit.
///
/// | bits | meaning |
/// | --- | --- |
/// | 16 | set, but never stored: the code may be unloaded |
/// | 15 | set: the lower bits are a number in the side table |
/// | 14 | the CFA counts from rbp, else from rsp |
/// | 3 to 11 | its offset in words, and so in bytes where it is |
/// | 0 to 2, 12 to 13 | how many words below the CFA rbp was saved; zero if it was not |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed(u32);

impl Packed {
    const FLEETING: u32 = 1 << 16;
    const LONG: u32 = 1 << 15;
    const RBP: u32 = 1 << 14;
    const BOTTOM: Packed = Packed(Packed::LONG);
    const UNKNOWN: Packed = Packed(Packed::LONG | 1);
    const OTHER: Packed = Packed(Packed::LONG | 2);
    const FIRST_NUMBER: u32 = 3;
    const MOST_OFFSET: usize = 0x1FF * 8;
    const MOST_SAVED: u32 = 0x1F;
    /// That of a function that keeps a frame pointer: the caller's rbp lies at rbp, and the return
    /// address above it.
    pub(super) const FRAME_POINTER: Packed = Packed(Packed::RBP | 16 | 2);

    /// Whether it is short and counts from rsp: then the frame ends above where it began, and rbp was saved
    /// within.
    #[inline(always)]
    pub(super) fn is_plain(self) -> bool {
        self.0 < Packed::RBP
    }

    /// How large the frame is, if it is plain.
    #[inline(always)]
    pub(super) fn plain_size(self) -> Option<usize> {
        self.is_plain().then(|| self.offset())
    }

    /// That of a stored word.
    #[inline(always)]
    fn stored(word: u64) -> Packed {
        Packed(u32::from(word as u16))
    }

    /// Whether [`Rules::whole`] must tell what it says.
    #[inline(always)]
    pub(super) fn is_long(self) -> bool {
        self.0 >= Packed::LONG
    }

    /// Whether the code may be unloaded, and another come to its place with another rule.
    pub(super) fn is_fleeting(self) -> bool {
        self.0 & Packed::FLEETING != 0
    }

    #[inline(always)]
    pub(super) fn counts_from_rbp(self) -> bool {
        self.0 & Packed::RBP != 0
    }

    /// The CFA's offset in bytes.
    #[inline(always)]
    pub(super) fn offset(self) -> usize {
        self.0 as usize & Packed::MOST_OFFSET
    }

    /// How many bytes below the CFA rbp was saved; zero if it was not.
    #[inline(always)]
    pub(super) fn saved_bp(self) -> usize {
        (self.0 & 7 | self.0 >> 9 & 0x18) as usize * 8
    }

    /// What it says, if it is not long.
    fn unpack(self) -> Rule {
        let saved_bp = self.saved_bp();
        Rule::Step {
            base: if self.counts_from_rbp() {
                Base::Rbp
            } else {
                Base::Rsp
            },
            offset: self.offset() as i32,
            saved_bp: (saved_bp != 0).then_some(-(saved_bp as i32)),
        }
    }

    fn of(rule: Rule) -> Option<Packed> {
        let (base, offset, saved_bp) = match rule {
            Rule::Bottom => return Some(Packed::BOTTOM),
            Rule::Other => return Some(Packed::OTHER),
            Rule::Unknown => return Some(Packed::UNKNOWN),
            Rule::Kept(_) => return None,
            Rule::Step {
                base,
                offset,
                saved_bp,
            } => (base, offset, saved_bp),
        };
        let words = |bytes: i32, most: u32| {
            let words = u32::try_from(bytes / 8).ok()?;
            (bytes % 8 == 0 && words <= most).then_some(words)
        };
        let offset = words(offset, Packed::MOST_OFFSET as u32 / 8)?;
        let saved = match saved_bp {
            None => 0,
            Some(below) => words(-below, Packed::MOST_SAVED).filter(|&words| words > 0)?,
        };
        let (base, is_inside) = match base {
            Base::Rbp => (Packed::RBP, true),
            Base::Rsp => (0, offset > 0 && saved <= offset),
        };
        is_inside.then_some(Packed(base | offset << 3 | saved & 7 | saved >> 3 << 12))
    }
}

/// The rules met so far.
///
/// # Implementation
///
/// A word for each return address: the address in the upper 48 bits and the [`Packed`] rule in the
/// lower 16, so that a lookup is one load and no further one depends on it. Nearly every rule of
/// real programs fits; the rest go to a small side table, where equal ones share a place. A rule
/// that is missing is compiled from the unwind tables, in about a microsecond, once.
///
/// Nothing is ever removed: a rule is a fact about code, whatever is being traced.
///
/// # Code that may be unloaded
///
/// After `dlclose` another library may come to the same addresses, so an address alone does not name
/// its code. Rules by address alone are kept only for objects that [stay](Object::stays). For all
/// others the loader is asked each time which object lies there (`_dl_find_object`, lock-free), and
/// the rule is kept under the object's [fingerprint](Object::fingerprint), which its build id makes
/// its own, and the address: the rules of a library that left are not found any more, and are there
/// again when it comes back. For a library without a build id the rule is compiled each time. That
/// no object lies there is never kept.
///
/// Fingerprints are numbered, to fit into a word beside the rule; those beyond the last number count as
/// none. That any two of [`MOST_LOADS`] are equal by accident has a chance of one in 2^44.
///
/// A step in such code asks the loader for the object, where one in the program's own is a look-up.
pub(super) struct Rules {
    words: Words,
    /// Of most of those that are plain, what a plain walk needs.
    sizes: Reserved<Sizes, 1>,
    /// The same for code that may be unloaded. The upper half of the key is one more than the place
    /// of the fingerprint, the lower is the address, counted from where the object begins.
    loaded: Words,
    /// The same as `words`, for walks that look for the user's line: the uppermost bit says that the code
    /// is [surely the user's](functions::is_surely_of_the_user).
    lines: Words,
    loads: [AtomicU64; MOST_LOADS],
    long: [AtomicU64; MOST_LONG],
    long_len: AtomicU32,
}

/// Room for 8,192 return addresses in 64 KiB, and for half a million more.
type Words = WordSet<FEW, { 1 << 13 }, { 1 << 16 }>;

const FEW: usize = 1 << 10;

const OF_THE_USER: u64 = 1 << 63;

const MOST_LONG: usize = 1024;
const MOST_LOADS: usize = 1024;

impl Rules {
    pub(super) const fn new() -> Rules {
        Rules {
            words: WordSet::new(),
            sizes: Reserved::new(),
            loaded: WordSet::new(),
            lines: WordSet::new(),
            loads: [const { AtomicU64::new(0) }; MOST_LOADS],
            long: [const { AtomicU64::new(0) }; MOST_LONG],
            long_len: AtomicU32::new(0),
        }
    }

    /// The rule for a frame, whose next instruction comes just after a call.
    #[inline(always)]
    pub(super) fn get(&self, frame: Registers) -> Packed {
        let pc = frame.pc;
        match self.words.find(hash(pc), |word| word >> 16 == pc as u64) {
            Some(word) => Packed::stored(word),
            None => self.ask(pc, frame.size_by_frame_pointer()),
        }
    }

    /// Where most rules that are [plain](Packed::is_plain) are, for [`plain_size`](Self::plain_size). `None` as long as none
    /// is.
    #[inline(always)]
    pub(super) fn sizes(&self) -> Option<&Sizes> {
        self.sizes.get().map(|[sizes]| sizes)
    }

    /// How large the frame at `pc` is, if its rule was met before and is plain.
    #[inline(always)]
    pub(super) fn plain_size(&self, sizes: &Sizes, pc: usize) -> Option<usize> {
        let size = sizes.get(pc);
        if size.is_some() {
            return size;
        }
        self.plain_size_from_afar(pc)
    }

    #[inline(never)]
    fn plain_size_from_afar(&self, pc: usize) -> Option<usize> {
        // NOTE: an empty place is like the rule of an address of zero.
        let is_it = |word: u64| word >> 16 == pc as u64 && word != 0;
        Packed::stored(self.words.find(hash(pc), is_it)?).plain_size()
    }

    /// The same as [`get`](Self::get), and whether the code is surely the user's.
    #[inline(always)]
    pub(super) fn get_for_line(&self, frame: Registers) -> (Packed, bool) {
        let known = self.get_known_for_line(frame.pc);
        known.unwrap_or_else(|| self.ask_for_line(frame))
    }

    /// The same, if it was met before.
    #[inline(always)]
    pub(super) fn get_known_for_line(&self, pc: usize) -> Option<(Packed, bool)> {
        // NOTE: addresses have 47 bits, so that one more is free. An empty place is like the rule of one of zero.
        let is_it = |word: u64| word << 1 >> 17 == pc as u64 && word != 0;
        let word = self.lines.find(hash(pc), is_it)?;
        Some((Packed::stored(word), word & OF_THE_USER != 0))
    }

    #[cold]
    #[inline(never)]
    fn ask_for_line(&self, frame: Registers) -> (Packed, bool) {
        let (pc, rule) = (frame.pc, self.get(frame));
        let of_the_user = spare_stack::run(|| functions::is_surely_of_the_user(pc));
        if !rule.is_fleeting() && pc >> 47 == 0 {
            let flag = if of_the_user { OF_THE_USER } else { 0 };
            let word = flag | (pc as u64) << 16 | u64::from(rule.0);
            let is_it = |there: u64| there << 1 >> 17 == pc as u64;
            // NOTE: without room it is found out again next time: slower, not wrong.
            let _: Insertion = self.lines.insert(hash(pc), word, is_it);
        }
        (rule, of_the_user)
    }

    /// What a rule says that is [long](Packed::is_long).
    #[cold]
    pub(super) fn whole(&self, rule: Packed) -> Rule {
        match Packed(rule.0 & !Packed::FLEETING) {
            Packed::BOTTOM => return Rule::Bottom,
            Packed::OTHER => return Rule::Other,
            Packed::UNKNOWN => return Rule::Unknown,
            short if !short.is_long() => return short.unpack(),
            _ => {}
        }
        let number = (rule.0 & (Packed::LONG - 1)) - Packed::FIRST_NUMBER;
        match self.long.get(number as usize) {
            // The acquire pairs with the release in `number_of`.
            Some(word) => unpack_long(word.load(Ordering::Acquire)),
            None => Rule::Unknown,
        }
    }

    /// Whether a rule finds the CFA by rbp.
    #[cold]
    pub(super) fn goes_by_rbp(&self, rule: Packed) -> bool {
        match self.whole(rule) {
            Rule::Step { base, .. } => base == Base::Rbp,
            Rule::Kept(_) => true,
            Rule::Bottom | Rule::Other | Rule::Unknown => false,
        }
    }

    /// Whether the code before `pc` keeps a frame pointer.
    pub(super) fn keeps_frame_pointer(pc: usize) -> bool {
        let call = pc.wrapping_sub(1);
        let rule = objects::find(call).map(|object| tables::rule_at(&object, call, None));
        rule.and_then(Packed::of) == Some(Packed::FRAME_POINTER)
    }

    #[cold]
    #[inline(never)]
    fn ask(&self, pc: usize, size: usize) -> Packed {
        // The call itself is the instruction before; what follows it may be another function.
        let call = pc.wrapping_sub(1);
        let Some(object) = objects::find(call) else {
            return Packed::UNKNOWN;
        };
        let compile = || {
            let size = Some(size).filter(|size| *size <= Packed::MOST_OFFSET);
            let rule = tables::rule_at(&object, call, size);
            Packed::of(rule)
                .or_else(|| self.number_of(rule))
                .unwrap_or(Packed::UNKNOWN)
        };
        if object.stays() {
            let rule = compile();
            self.keep(pc, rule);
            return rule;
        }
        let key = self.key_in(&object, pc);
        let known = key.and_then(|key| {
            let is_it = move |word| word >> 16 == key as u64;
            self.loaded.find(hash(key), is_it)
        });
        let rule = known.map_or_else(compile, Packed::stored);
        if let (Some(key), None) = (key, known) {
            keep(&self.loaded, key, rule);
        }
        Packed(rule.0 | Packed::FLEETING)
    }

    /// Keeps the rule of code that stays.
    fn keep(&self, pc: usize, rule: Packed) {
        keep(&self.words, pc, rule);
        if let Some(size) = rule.plain_size()
            && let Some([sizes]) = self.sizes.get_or_reserve()
        {
            sizes.keep(pc, size as u16);
        }
    }

    /// What a rule is kept under whose code may be unloaded, if it may be kept.
    fn key_in(&self, object: &Object, pc: usize) -> Option<usize> {
        let offset = u32::try_from(pc - object.start).ok()?;
        let load = self.number_of_load(object.fingerprint()?)?;
        Some((load + 1) << 32 | offset as usize)
    }

    /// The place of a fingerprint.
    fn number_of_load(&self, fingerprint: u64) -> Option<usize> {
        const MOST_TRIES: usize = 64;
        let first = (fingerprint >> 32) as usize;
        let mut places = (first..first + MOST_TRIES).map(|place| place % MOST_LOADS);
        places.find(|&place| {
            // Relaxed: nothing but the number itself is published.
            let there = self.loads[place].load(Ordering::Relaxed);
            let there = match there {
                0 => {
                    let place = &self.loads[place];
                    place
                        .compare_exchange(0, fingerprint, Ordering::Relaxed, Ordering::Relaxed)
                        .map_or_else(|there| there, |_| fingerprint)
                }
                there => there,
            };
            there == fingerprint
        })
    }

    /// The place of a long rule in the side table.
    fn number_of(&self, rule: Rule) -> Option<Packed> {
        let word = pack_long(rule)?;
        for (number, place) in self.long.iter().enumerate() {
            let there = match place.compare_exchange(0, word, Ordering::Release, Ordering::Acquire)
            {
                Ok(_) => {
                    self.long_len.fetch_add(1, Ordering::Relaxed);
                    word
                }
                Err(there) => there,
            };
            if there == word {
                let number = u32::try_from(number).ok()? + Packed::FIRST_NUMBER;
                return Some(Packed(Packed::LONG | number));
            }
        }
        None
    }

    pub(super) fn resident(&self) -> usize {
        let sets = [&self.words, &self.loaded, &self.lines];
        let sets = sets.map(WordSet::resident).iter().sum::<usize>();
        sets + self.sizes.resident()
    }
}

/// How large the frames at some return addresses are.
///
/// PERF: a walk waits for the size, to know where the next return address lies. So the way to it is short: the lowest bits
/// of an address choose its place, and sizes lie apart from addresses, close together. That it is the right one can be seen
/// later.
pub(super) struct Sizes {
    /// Zero where there is none yet.
    pcs: [AtomicUsize; SIZES],
    sizes: [AtomicU16; SIZES],
}

const SIZES: usize = 1 << 13;

// SAFETY: zero atomics.
unsafe impl Zeroed for Sizes {}

impl Sizes {
    #[inline(always)]
    fn get(&self, pc: usize) -> Option<usize> {
        let place = pc % SIZES;
        // The acquire pairs with the release in `keep`.
        let is_it = self.pcs[place].load(Ordering::Acquire) == pc;
        is_it.then(|| self.sizes[place].load(Ordering::Relaxed).into())
    }

    /// Keeps the size of a frame, if its place is free: what is there stays.
    fn keep(&self, pc: usize, size: u16) {
        // A stack may end in an address of zero, which is not to be found in an empty place.
        self.take(0);
        let place = pc % SIZES;
        if self.take(place) {
            self.sizes[place].store(size, Ordering::Relaxed);
            // The release shows the size to the acquire in `get`.
            self.pcs[place].store(pc, Ordering::Release);
        }
    }

    /// Whether the place was free. Nobody finds anything there from now on: an address with another place.
    fn take(&self, place: usize) -> bool {
        self.pcs[place]
            .compare_exchange(0, !place, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// Keeps a rule under a key of 48 bits.
fn keep(words: &Words, key: usize, rule: Packed) {
    if key >> 48 == 0 {
        let word = (key as u64) << 16 | u64::from(rule.0);
        let inserted = words.insert(hash(key), word, |there| there >> 16 == key as u64);
        // NOTE: without room the rule is compiled again next time: slower, not wrong.
        let _: Insertion = inserted;
    }
}

/// What says that a long rule is one of a frame that keeps where it ended.
const KEPT: u64 = 4;

/// The offset in the upper half; in the lower, where rbp was saved and, in the three bits that its
/// alignment leaves free, whether it was, what the base is, and whether the rule is of another kind. `None` for what
/// cannot be.
fn pack_long(rule: Rule) -> Option<u64> {
    let (base, offset, saved_bp) = match rule {
        Rule::Step {
            base,
            offset,
            saved_bp,
        } => (base, offset, saved_bp),
        Rule::Kept(kept) => {
            let half = |number: i16, at: u32| u64::from(number as u16) << at;
            let numbers = half(kept.at, 48) | half(kept.offset, 32) | half(kept.bp_at, 16);
            let pc_at = u64::from(kept.pc_at as u8) << 8;
            return Some(numbers | pc_at | KEPT | u64::from(kept.bp_by_cfa));
        }
        Rule::Bottom | Rule::Other | Rule::Unknown => return None,
    };
    let saved = match saved_bp {
        None => 0,
        Some(below) if below % 8 == 0 => below as u32 | 1,
        Some(_) => return None,
    };
    let base = if base == Base::Rbp { 2 } else { 0 };
    (offset != 0).then_some(u64::from(offset as u32) << 32 | u64::from(saved | base))
}

fn unpack_long(word: u64) -> Rule {
    if word == 0 {
        return Rule::Unknown;
    }
    let low = word as u32;
    if word & KEPT == KEPT {
        return Rule::Kept(Kept {
            at: (word >> 48) as i16,
            offset: (word >> 32) as i16,
            bp_at: (word >> 16) as i16,
            bp_by_cfa: word & 1 != 0,
            pc_at: (word >> 8) as i8,
        });
    }
    Rule::Step {
        base: if low & 2 != 0 { Base::Rbp } else { Base::Rsp },
        offset: (word >> 32) as u32 as i32,
        saved_bp: (low & 1 != 0).then_some((low & !7) as i32),
    }
}

#[inline(always)]
fn hash(pc: usize) -> u64 {
    (pc as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also if their places are the same, and also of an address of zero, which is in no table.
    #[test]
    fn sizes_are_those_of_plain_rules() {
        let rules = Rules::new();
        let plain = |offset: u32| Packed(offset);
        let known = [
            (0x1000, plain(16)),
            (0x1001, plain(4_088)),
            (0x1000 + SIZES, plain(24)),
            (7 * SIZES, plain(32)),
            (0x1002, Packed::FRAME_POINTER),
            (0x1003, Packed::BOTTOM),
        ];
        for (pc, rule) in known {
            rules.keep(pc, rule);
        }
        let sizes = rules.sizes().unwrap();
        for (pc, rule) in known {
            assert_eq!(rules.plain_size(sizes, pc), rule.plain_size(), "{pc:x}");
        }
        for stranger in [0, 1, 0x1000 + 2 * SIZES, 0x1004, !0, !0x1004] {
            assert_eq!(rules.plain_size(sizes, stranger), None, "{stranger:x}");
        }
    }

    #[test]
    fn short_rules_come_back_from_sixteen_bits() {
        for base in [Base::Rsp, Base::Rbp] {
            for offset in [8, 16, 4_088] {
                for saved_bp in [None, Some(-16), Some(-248)] {
                    let rule = Rule::Step {
                        base,
                        offset,
                        saved_bp,
                    };
                    let Some(packed) = Packed::of(rule) else {
                        assert!(base == Base::Rsp && saved_bp.is_some_and(|it| -it > offset));
                        continue;
                    };
                    assert!(!packed.is_long());
                    assert_eq!(packed.is_plain(), base == Base::Rsp);
                    let fleeting = Packed(packed.0 | Packed::FLEETING);
                    assert!(fleeting.is_long() && fleeting.is_fleeting());
                    assert_eq!(Rules::new().whole(fleeting), rule);
                    assert_eq!(packed.counts_from_rbp(), base == Base::Rbp);
                    assert_eq!(packed.offset(), offset as usize);
                    assert_eq!(
                        packed.saved_bp(),
                        saved_bp.map_or(0, |below: i32| -below as usize)
                    );
                    let keeps = (base, offset, saved_bp) == (Base::Rbp, 16, Some(-16));
                    assert_eq!(packed == Packed::FRAME_POINTER, keeps);
                }
            }
        }
    }

    #[test]
    fn long_rules_come_back_from_the_side_table_and_equal_ones_share_a_place() {
        let rules = Rules::new();
        let long = [
            Rule::Step {
                base: Base::Rsp,
                offset: 65_592,
                saved_bp: None,
            },
            Rule::Step {
                base: Base::Rsp,
                offset: 65_592,
                saved_bp: Some(-16),
            },
            Rule::Step {
                base: Base::Rbp,
                offset: 4_096,
                saved_bp: Some(-16),
            },
            Rule::Step {
                base: Base::Rbp,
                offset: -64,
                saved_bp: Some(-256),
            },
        ];
        for _ in 0..2 {
            for rule in long {
                assert_eq!(Packed::of(rule), None);
                let packed = rules.number_of(rule).unwrap();
                assert_eq!(rules.whole(packed), rule);
                assert_eq!(rules.whole(Packed(packed.0 | Packed::FLEETING)), rule);
            }
        }
        assert_eq!(rules.long_len.load(Ordering::Relaxed), 4);
        assert_eq!(rules.whole(Packed::BOTTOM), Rule::Bottom);
        assert_eq!(rules.whole(Packed::UNKNOWN), Rule::Unknown);
    }
}
