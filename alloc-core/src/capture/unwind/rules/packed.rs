//! [`Packed`]: a rule in sixteen bits, and the long form of a rule that does not fit.

use super::rule::{Base, Kept, Rule};

/// A rule in sixteen bits, or the number of one that does not fit.
///
/// | bits | meaning |
/// | --- | --- |
/// | 16 | set, but never stored: the code may be unloaded |
/// | 15 | set: the lower bits are a number in the side table |
/// | 14 | the CFA counts from rbp if set, else from rsp |
/// | 3 to 11 | its offset in words, so that these bits in place are its offset in bytes |
/// | 0 to 2, 12 to 13 | number of words below the CFA where rbp was saved; zero if it was not |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::capture::unwind) struct Packed(pub(super) u32);

impl Packed {
    pub(super) const UNLOADABLE: u32 = 1 << 16;
    pub(super) const LONG: u32 = 1 << 15;
    const RBP: u32 = 1 << 14;
    pub(super) const BOTTOM: Packed = Packed(Packed::LONG);
    pub(super) const UNKNOWN: Packed = Packed(Packed::LONG | 1);
    pub(super) const OTHER: Packed = Packed(Packed::LONG | 2);
    pub(super) const FIRST_NUMBER: u32 = 3;
    pub(super) const MOST_OFFSET: usize = 0x1FF * 8;
    const MOST_SAVED: u32 = 0x1F;
    /// The rule of a function that keeps a frame pointer: the caller's rbp is at rbp, and the
    /// return address above it.
    pub(in crate::capture::unwind) const FRAME_POINTER: Packed = Packed(Packed::RBP | 16 | 2);

    /// Whether the rule is short and counts from rsp. The frame then ends above where it began, and
    /// rbp was saved inside it.
    #[inline(always)]
    pub(in crate::capture::unwind) fn is_sp_only(self) -> bool {
        self.0 < Packed::RBP
    }

    /// The frame size in bytes, if the rule is rsp-only.
    #[inline(always)]
    pub(in crate::capture::unwind) fn sp_only_size(self) -> Option<usize> {
        self.is_sp_only().then(|| self.offset())
    }

    /// The rule in a stored word.
    #[inline(always)]
    pub(super) fn stored(word: u64) -> Packed {
        Packed(u32::from(word as u16))
    }

    /// Whether only [`Rules::whole`](super::Rules::whole) can expand the rule.
    #[inline(always)]
    pub(in crate::capture::unwind) fn is_long(self) -> bool {
        self.0 >= Packed::LONG
    }

    /// Whether the code may be unloaded, so that another rule may apply at its address later.
    pub(in crate::capture::unwind) fn is_unloadable(self) -> bool {
        self.0 & Packed::UNLOADABLE != 0
    }

    #[inline(always)]
    pub(in crate::capture::unwind) fn counts_from_rbp(self) -> bool {
        self.0 & Packed::RBP != 0
    }

    /// The CFA's offset in bytes.
    #[inline(always)]
    pub(in crate::capture::unwind) fn offset(self) -> usize {
        self.0 as usize & Packed::MOST_OFFSET
    }

    /// Number of bytes below the CFA where rbp was saved; zero if it was not.
    #[inline(always)]
    pub(in crate::capture::unwind) fn saved_bp(self) -> usize {
        (self.0 & 7 | self.0 >> 9 & 0x18) as usize * 8
    }

    /// Expands the rule, if it is not long.
    pub(super) fn unpack(self) -> Rule {
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

    pub(super) fn of(rule: Rule) -> Option<Packed> {
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

/// Marks a long rule of a frame that keeps its CFA.
const KEPT: u64 = 4;

/// Packs the offset into the upper half; into the lower half where rbp was saved and, in the three
/// bits that its alignment leaves free, whether it was saved, what the base is, and whether the
/// rule is of another kind. `None` if a value does not fit.
pub(super) fn pack_long(rule: Rule) -> Option<u64> {
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

pub(super) fn unpack_long(word: u64) -> Rule {
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
