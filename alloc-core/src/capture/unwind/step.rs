//! One step of a walk: from a frame to its caller, by the rule of the frame's code.

use super::RULES;
use super::checks::{Check, read_stack};
use super::previous_stack::{Flags, Found, Origin};
use super::registers::Registers;
use super::rules::{Base, Kept, Packed, Rule};

/// Why a walk ended before it met the last one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The return address at `address` is zero, so the stack ends. `way` says how it was found.
    Zero { address: usize, way: Flags },
    /// The rule says that there is no caller.
    NoCaller { is_unloadable: bool },
    /// There is no rule, or the rule leads to where no frame can be.
    Lost,
    /// The frame ends beyond what may be read.
    Beyond,
    /// The caller can be found with all registers only.
    NeedsAllRegisters,
    /// The walk has as many frames as it may show.
    Limit,
    /// The walk has reached the user's line.
    Line,
}

impl Stop {
    /// Whether this is the bottom of a stack, in code that stays.
    pub(super) fn is_bottom(self) -> bool {
        match self {
            Stop::Zero { way, .. } => !way.has(Flags::UNLOADABLE),
            Stop::NoCaller { is_unloadable } => !is_unloadable,
            _ => false,
        }
    }
}

/// One step, to the return address of the frame.
#[inline(always)]
pub(super) fn outward(frame: Registers, high: usize) -> Result<Found, Stop> {
    step_by(RULES.get(frame), frame, high)
}

/// Steps to the return address of the frame, by the rule of its code.
#[inline(always)]
pub(super) fn step_by(
    rule: Packed,
    Registers { sp, bp, .. }: Registers,
    high: usize,
) -> Result<Found, Stop> {
    let (cfa, bp, way) = if rule.is_sp_only() {
        // Most code without a frame pointer.
        let cfa = sp + rule.offset();
        if cfa > high {
            return Err(Stop::Beyond);
        }
        match rule.saved_bp() {
            0 => (cfa, Check::of_register(bp), Flags::BP_KEPT),
            below => {
                // SAFETY: it is between `sp` and `cfa` by what a plain rule is, and all are
                // aligned.
                (cfa, unsafe { Check::of(cfa - below) }, Flags::BP_SAVED)
            }
        }
    } else if rule == Packed::FRAME_POINTER {
        // Most code with one.
        let cfa = bp.wrapping_add(16);
        // NOTE: `bp` may be so high that the sum wraps around.
        if bp < sp || bp % 8 != 0 {
            return Err(Stop::Lost);
        }
        if bp >= high || cfa > high {
            return Err(Stop::Beyond);
        }
        const WAY: Flags = Flags::BP_SAVED.and(Flags::CFA_FROM_BP);
        // SAFETY: `sp <= bp < cfa <= high`, all aligned.
        (cfa, unsafe { Check::of(bp) }, WAY)
    } else {
        step(rule, sp, bp, high)?
    };
    // SAFETY: `sp < cfa <= high`, both aligned, so the word below the CFA is in the stack.
    let pc = unsafe { Check::of(cfa - 8) };
    if pc.word == 0 {
        return Err(Stop::Zero {
            address: pc.address,
            way,
        });
    }
    Ok(Found {
        pc,
        from: Origin { bp, way },
    })
}

/// The CFA, rbp as it was in the caller, and how they were found.
type Step = (usize, Check, Flags);

/// The steps that are rarer: from rbp by another offset, and by long rules.
#[inline(never)]
fn step(rule: Packed, sp: usize, bp: usize, high: usize) -> Result<Step, Stop> {
    if rule.is_long() {
        return step_long(rule, sp, bp, high);
    }
    let way = Flags::CFA_FROM_BP;
    let cfa = bp.wrapping_add(rule.offset());
    let saved_at = cfa.wrapping_sub(rule.saved_bp());
    check_frame(sp, cfa, high)?;
    if saved_at < sp {
        return Err(Stop::Lost);
    }
    if saved_at == cfa {
        return Ok((cfa, Check::of_register(bp), Flags::BP_KEPT.and(way)));
    }
    // SAFETY: `sp <= saved_at < cfa <= high`, all aligned.
    Ok((
        cfa,
        unsafe { Check::of(saved_at) },
        Flags::BP_SAVED.and(way),
    ))
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
        Rule::Bottom => {
            let is_unloadable = rule.is_unloadable();
            return Err(Stop::NoCaller { is_unloadable });
        }
        Rule::Other => return Err(Stop::NeedsAllRegisters),
        Rule::Unknown => return Err(Stop::Lost),
    };
    let mut way = Flags::NONE;
    if rule.is_unloadable() {
        way = way.and(Flags::UNLOADABLE);
    }
    let base = match base {
        Base::Rsp => sp,
        Base::Rbp => {
            way = way.and(Flags::CFA_FROM_BP);
            bp
        }
    };
    let cfa = base.wrapping_add_signed(offset as isize);
    check_frame(sp, cfa, high)?;
    let Some(below) = saved_bp else {
        return Ok((cfa, Check::of_register(bp), Flags::BP_KEPT.and(way)));
    };
    let saved_at = cfa.wrapping_add_signed(below as isize);
    // NOTE: that it is below the CFA is what [`Checks`] are ordered by.
    if saved_at < sp || saved_at >= cfa || !saved_at.is_multiple_of(8) {
        return Err(Stop::Lost);
    }
    // SAFETY: checked just above.
    Ok((
        cfa,
        unsafe { Check::of(saved_at) },
        Flags::BP_SAVED.and(way),
    ))
}

/// The step of a function that keeps its CFA in its frame.
///
/// The word that says where the frame ends is one more than links hold, so they are found by the
/// same step again.
fn step_kept(kept: Kept, sp: usize, bp: usize, high: usize) -> Result<Step, Stop> {
    let check = |place: usize| {
        if place < sp || !place.is_multiple_of(8) {
            return Err(Stop::Lost);
        }
        if place >= high {
            Err(Stop::Beyond)
        } else {
            Ok(place)
        }
    };
    // SAFETY: `sp <= place < high`, aligned.
    let cfa = kept.cfa(unsafe { read_stack(check(kept.place(bp))?) });
    check_frame(sp, cfa, high)?;
    let saved_at = check(kept.bp_saved_at(bp, cfa))?;
    if saved_at >= cfa || kept.pc_at != -8 {
        return Err(Stop::Lost);
    }
    // SAFETY: `sp <= saved_at < high`, aligned.
    Ok((cfa, unsafe { Check::of(saved_at) }, KEPT_WAY))
}

pub(super) const KEPT_WAY: Flags = Flags::BP_SAVED
    .and(Flags::CFA_FROM_BP)
    .and(Flags::UNLOADABLE);

/// That a frame may end at `cfa`: above where it began, in the stack, and aligned.
#[inline(always)]
fn check_frame(sp: usize, cfa: usize, high: usize) -> Result<(), Stop> {
    if sp >= cfa || !cfa.is_multiple_of(8) {
        return Err(Stop::Lost);
    }
    if cfa > high {
        Err(Stop::Beyond)
    } else {
        Ok(())
    }
}
