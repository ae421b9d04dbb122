//! Unwind rules, compiled once per return address and looked up without locks.

mod packed;
mod rule;
mod sizes;
#[cfg(test)]
mod tests;

use super::objects::{self, Object};
use super::registers::Registers;
use super::{functions, spare_stack, tables};
use crate::system::arena::LazyTable;
use crate::system::sync::{AtomicU32, AtomicU64, Ordering};
use crate::tables::tag_set::{Insertion, TagSet};
use packed::{pack_long, unpack_long};
use sizes::Sizes;

pub(super) use packed::Packed;
pub(super) use rule::{Base, Kept, Rule};

/// A cache of all unwind rules seen so far.
///
/// # Implementation
///
/// One word for each return address: the address in the upper 48 bits and the [`Packed`] rule in
/// the lower 16, so that a lookup is one load without a dependent one. Nearly every rule of real
/// programs fits. The rest go to a small side table, where equal rules share a place. A missing
/// rule is compiled from the unwind tables, in about a microsecond, once.
///
/// Nothing is ever removed: a rule is a fact about code, in every session.
///
/// # Code that may be unloaded
///
/// After `dlclose` another library may be mapped at the same addresses, so an address alone does
/// not identify its code. Rules by address alone are kept only for objects that
/// [stay](Object::stays) loaded. For all others the loader is asked each time which object is at
/// the address (`_dl_find_object`, lock-free), and the rule is kept under the object's
/// [fingerprint](Object::fingerprint), which its build id makes unique, and the address. So the
/// rules of an unloaded library are not found any more, and are found again when it returns. For a
/// library without a build id the rule is compiled each time. The answer that no object is there is
/// never cached.
///
/// Fingerprints are numbered, to fit into a word next to the rule; those beyond the last number
/// count as none. Any two of [`MOST_LOADS`] are equal by accident with a probability of one in
/// 2^44.
///
/// A step in such code asks the loader for the object, while one in the program's own code is a
/// lookup.
pub(super) struct Rules {
    words: Words,
    /// Frame sizes of most rules that only need rsp.
    sizes: LazyTable<Sizes, 1>,
    /// The rules of code that may be unloaded. The upper half of the key is one more than the
    /// number of the fingerprint, the lower half is the address relative to the start of the
    /// object.
    loaded: Words,
    /// The rules for walks to the user's line. The uppermost bit means that the code is [surely the
    /// user's](functions::is_surely_of_the_user).
    lines: Words,
    loads: [AtomicU64; MOST_LOADS],
    long: [AtomicU64; MOST_LONG],
    long_len: AtomicU32,
}

/// Room for 8,192 return addresses in 64 KiB, and for half a million more.
type Words = TagSet<FEW, { 1 << 13 }, { 1 << 16 }>;

const FEW: usize = 1 << 10;

const OF_THE_USER: u64 = 1 << 63;

const MOST_LONG: usize = 1024;
const MOST_LOADS: usize = 1024;

impl Rules {
    pub(super) const fn new() -> Rules {
        Rules {
            words: TagSet::new(),
            sizes: LazyTable::new(),
            loaded: TagSet::new(),
            lines: TagSet::new(),
            loads: [const { AtomicU64::new(0) }; MOST_LOADS],
            long: [const { AtomicU64::new(0) }; MOST_LONG],
            long_len: AtomicU32::new(0),
        }
    }

    /// The rule of the frame whose return address is `pc`.
    #[inline(always)]
    pub(super) fn get(&self, frame: Registers) -> Packed {
        let pc = frame.pc;
        match self.words.find(hash(pc), |word| word >> 16 == pc as u64) {
            Some(word) => Packed::stored(word),
            None => self.ask(pc, frame.size_by_frame_pointer()),
        }
    }

    /// The table of most [rsp-only](Packed::is_sp_only) rules, for
    /// [`sp_only_size`](Self::sp_only_size). `None` as long as it is empty.
    #[inline(always)]
    pub(super) fn sizes(&self) -> Option<&Sizes> {
        self.sizes.get().map(|[sizes]| sizes)
    }

    /// The frame size at `pc`, if its rule is cached and rsp-only.
    #[inline(always)]
    pub(super) fn sp_only_size(&self, sizes: &Sizes, pc: usize) -> Option<usize> {
        let size = sizes.get(pc);
        if size.is_some() {
            return size;
        }
        self.lookup_sp_only_size_slow(pc)
    }

    #[inline(never)]
    fn lookup_sp_only_size_slow(&self, pc: usize) -> Option<usize> {
        // NOTE: an empty place looks like the rule of address zero.
        let is_it = |word: u64| word >> 16 == pc as u64 && word != 0;
        Packed::stored(self.words.find(hash(pc), is_it)?).sp_only_size()
    }

    /// The rule for a frame, and whether its code is surely the user's.
    #[inline(always)]
    pub(super) fn get_for_line(&self, frame: Registers) -> (Packed, bool) {
        let known = self.get_known_for_line(frame.pc);
        known.unwrap_or_else(|| self.ask_for_line(frame))
    }

    /// The rule of the frame and whether its code is the user's, if the return address is cached.
    #[inline(always)]
    pub(super) fn get_known_for_line(&self, pc: usize) -> Option<(Packed, bool)> {
        // NOTE: addresses have 47 bits, so one bit is free. An empty place looks like the rule of
        // address zero.
        let is_it = |word: u64| word << 1 >> 17 == pc as u64 && word != 0;
        let word = self.lines.find(hash(pc), is_it)?;
        Some((Packed::stored(word), word & OF_THE_USER != 0))
    }

    #[cold]
    #[inline(never)]
    fn ask_for_line(&self, frame: Registers) -> (Packed, bool) {
        let (pc, rule) = (frame.pc, self.get(frame));
        let of_the_user = spare_stack::run(|| functions::is_surely_of_the_user(pc));
        if !rule.is_unloadable() && pc >> 47 == 0 {
            let flag = if of_the_user { OF_THE_USER } else { 0 };
            let word = flag | (pc as u64) << 16 | u64::from(rule.0);
            let is_it = |there: u64| there << 1 >> 17 == pc as u64;
            // NOTE: without room the rule is computed again next time: slower, not wrong.
            let _: Insertion = self.lines.insert(hash(pc), word, is_it);
        }
        (rule, of_the_user)
    }

    /// The rule that a [long](Packed::is_long) word refers to.
    #[cold]
    pub(super) fn whole(&self, rule: Packed) -> Rule {
        match Packed(rule.0 & !Packed::UNLOADABLE) {
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
        // The call is the instruction before; the one after it may belong to another function.
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
        Packed(rule.0 | Packed::UNLOADABLE)
    }

    /// Caches the rule of code that stays loaded.
    fn keep(&self, pc: usize, rule: Packed) {
        keep(&self.words, pc, rule);
        if let Some(size) = rule.sp_only_size()
            && let Some([sizes]) = self.sizes.get_or_reserve()
        {
            sizes.keep(pc, size as u16);
        }
    }

    /// The key of a rule whose code may be unloaded; `None` if it must not be cached.
    fn key_in(&self, object: &Object, pc: usize) -> Option<usize> {
        let offset = u32::try_from(pc - object.start).ok()?;
        let load = self.number_of_load(object.fingerprint()?)?;
        Some((load + 1) << 32 | offset as usize)
    }

    /// The number of a fingerprint.
    fn number_of_load(&self, fingerprint: u64) -> Option<usize> {
        const MOST_TRIES: usize = 64;
        let first = (fingerprint >> 32) as usize;
        let mut places = (first..first + MOST_TRIES).map(|place| place % MOST_LOADS);
        places.find(|&place| {
            // Relaxed: only the number itself is published.
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
        let sets = sets.map(TagSet::resident).iter().sum::<usize>();
        sets + self.sizes.resident()
    }
}

/// Caches a rule under a key of 48 bits.
fn keep(words: &Words, key: usize, rule: Packed) {
    if key >> 48 == 0 {
        let word = (key as u64) << 16 | u64::from(rule.0);
        let inserted = words.insert(hash(key), word, |there| there >> 16 == key as u64);
        // NOTE: without room the rule is compiled again next time: slower, not wrong.
        let _: Insertion = inserted;
    }
}

#[inline(always)]
fn hash(pc: usize) -> u64 {
    (pc as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
