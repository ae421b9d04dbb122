//! Unwind rules, compiled once per return address and looked up without locks.

use super::tables;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::words::{Insertion, WordSet};

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
    /// The function has no caller: the bottom of a stack.
    Bottom,
    /// There is no rule, or none that the walk can follow.
    Unknown,
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
/// | 15 | set: the lower bits are a number in the side table |
/// | 14 | the CFA counts from rbp, else from rsp |
/// | 5 to 13 | its offset in words |
/// | 0 to 4 | how many words below the CFA rbp was saved; zero if it was not |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed(u16);

impl Packed {
    const LONG: u16 = 1 << 15;
    const RBP: u16 = 1 << 14;
    const BOTTOM: Packed = Packed(Packed::LONG);
    const UNKNOWN: Packed = Packed(Packed::LONG | 1);
    const FIRST_NUMBER: u16 = 2;

    #[inline(always)]
    pub(super) fn is_long(self) -> bool {
        self.0 & Packed::LONG != 0
    }

    #[inline(always)]
    pub(super) fn counts_from_rbp(self) -> bool {
        self.0 & Packed::RBP != 0
    }

    /// The CFA's offset in bytes.
    #[inline(always)]
    pub(super) fn offset(self) -> usize {
        usize::from(self.0 >> 5 & 0x1FF) * 8
    }

    /// How many bytes below the CFA rbp was saved; zero if it was not.
    #[inline(always)]
    pub(super) fn saved_bp(self) -> usize {
        usize::from(self.0 & 0x1F) * 8
    }

    fn of(rule: Rule) -> Option<Packed> {
        let (base, offset, saved_bp) = match rule {
            Rule::Bottom => return Some(Packed::BOTTOM),
            Rule::Unknown => return Some(Packed::UNKNOWN),
            Rule::Step {
                base,
                offset,
                saved_bp,
            } => (base, offset, saved_bp),
        };
        let words = |bytes: i32, most: u16| {
            let words = u16::try_from(bytes / 8).ok()?;
            (bytes % 8 == 0 && words <= most).then_some(words)
        };
        let saved = match saved_bp {
            None => 0,
            Some(below) => words(-below, 0x1F).filter(|&words| words > 0)?,
        };
        let base = if base == Base::Rbp { Packed::RBP } else { 0 };
        Some(Packed(base | words(offset, 0x1FF)? << 5 | saved))
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
pub(super) struct Rules {
    words: WordSet,
    long: [AtomicU64; MOST_LONG],
    long_len: AtomicU32,
}

const MOST_LONG: usize = 1024;

impl Rules {
    pub(super) const fn new() -> Rules {
        Rules {
            words: WordSet::new(),
            long: [const { AtomicU64::new(0) }; MOST_LONG],
            long_len: AtomicU32::new(0),
        }
    }

    /// The rule for a frame whose next instruction is at `pc`, just after a call.
    #[inline(always)]
    pub(super) fn get(&self, pc: usize) -> Packed {
        match self.words.find(hash(pc), |word| word >> 16 == pc as u64) {
            Some(word) => Packed(word as u16),
            None => self.compile(pc),
        }
    }

    /// A rule that does not fit into sixteen bits.
    #[cold]
    pub(super) fn long(&self, rule: Packed) -> Rule {
        match rule {
            Packed::BOTTOM => return Rule::Bottom,
            Packed::UNKNOWN => return Rule::Unknown,
            _ => {}
        }
        let number = usize::from(rule.0 & !Packed::LONG) - usize::from(Packed::FIRST_NUMBER);
        match self.long.get(number) {
            // The acquire pairs with the release in `number_of`.
            Some(word) => unpack_long(word.load(Ordering::Acquire)),
            None => Rule::Unknown,
        }
    }

    #[cold]
    #[inline(never)]
    fn compile(&self, pc: usize) -> Packed {
        let rule = tables::rule_at(pc);
        let packed = Packed::of(rule)
            .or_else(|| self.number_of(rule))
            .unwrap_or(Packed::UNKNOWN);
        if pc >> 48 == 0 {
            let word = (pc as u64) << 16 | u64::from(packed.0);
            let inserted = self
                .words
                .insert(hash(pc), word, |there| there >> 16 == pc as u64);
            // NOTE: without room the rule is compiled again next time: slower, not wrong.
            let _: Insertion = inserted;
        }
        packed
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
                let number = u16::try_from(number).ok()? + Packed::FIRST_NUMBER;
                return Some(Packed(Packed::LONG | number));
            }
        }
        None
    }

    pub(super) fn resident(&self) -> usize {
        self.words.resident()
    }
}

/// The offset in the upper half; in the lower, where rbp was saved and, in the two bits that its
/// alignment leaves free, whether it was and what the base is. `None` for what cannot be.
fn pack_long(rule: Rule) -> Option<u64> {
    let Rule::Step {
        base,
        offset,
        saved_bp,
    } = rule
    else {
        return None;
    };
    let saved = match saved_bp {
        None => 0,
        Some(below) if below % 4 == 0 => below as u32 | 1,
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
    Rule::Step {
        base: if low & 2 != 0 { Base::Rbp } else { Base::Rsp },
        offset: (word >> 32) as u32 as i32,
        saved_bp: (low & 1 != 0).then_some((low & !3) as i32),
    }
}

#[inline(always)]
fn hash(pc: usize) -> u64 {
    (pc as u64)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_rules_come_back_from_sixteen_bits() {
        for base in [Base::Rsp, Base::Rbp] {
            for offset in [8, 16, 4_088] {
                for saved_bp in [None, Some(-16), Some(-248)] {
                    let packed = Packed::of(Rule::Step {
                        base,
                        offset,
                        saved_bp,
                    })
                    .unwrap();
                    assert!(!packed.is_long());
                    assert_eq!(packed.counts_from_rbp(), base == Base::Rbp);
                    assert_eq!(packed.offset(), offset as usize);
                    assert_eq!(
                        packed.saved_bp(),
                        saved_bp.map_or(0, |below: i32| -below as usize)
                    );
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
                assert_eq!(rules.long(rules.number_of(rule).unwrap()), rule);
            }
        }
        assert_eq!(rules.long_len.load(Ordering::Relaxed), 4);
        assert_eq!(rules.long(Packed::BOTTOM), Rule::Bottom);
        assert_eq!(rules.long(Packed::UNKNOWN), Rule::Unknown);
    }
}
