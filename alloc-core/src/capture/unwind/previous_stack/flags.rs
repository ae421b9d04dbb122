//! [`Flags`]: how a link was found, and what that asks of the links around it.

/// One bit each: four say how a step found a link, three what follows from it together with the
/// links outside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::capture::unwind) struct Flags(u32);

impl Flags {
    pub(in crate::capture::unwind) const NONE: Flags = Flags(0);
    /// A step further out takes rbp as it was in the frame that this link leads to.
    const NEEDS_BP: Flags = Flags(1);
    /// This step, or one further out, takes rbp as it was in the frame inside of this link.
    const INNER_NEEDS_BP: Flags = Flags(1 << 1);
    /// This link, or one further out, is of code that may be unloaded.
    const REACHES_UNLOADABLE: Flags = Flags(1 << 2);
    /// The step loaded the caller's rbp from the stack, so the frame's own rbp does not matter.
    pub(in crate::capture::unwind) const BP_SAVED: Flags = Flags(1 << 4);
    /// The caller's rbp is that of the frame.
    pub(in crate::capture::unwind) const BP_KEPT: Flags = Flags(1 << 5);
    /// The CFA was counted from rbp.
    pub(in crate::capture::unwind) const CFA_FROM_BP: Flags = Flags(1 << 6);
    /// The rule is of code that may be unloaded.
    pub(in crate::capture::unwind) const UNLOADABLE: Flags = Flags(1 << 7);
    /// All that say how a link was found.
    const HOW_FOUND: u32 = 0xF0;

    pub(in crate::capture::unwind) const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    #[inline(always)]
    pub(in crate::capture::unwind) fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// Those of the link that stands for all that is outside.
    pub(super) fn outside(needs_bp: bool) -> Flags {
        Flags::NONE.with(Flags::INNER_NEEDS_BP, needs_bp)
    }

    /// Those of a link that was found in this way inside of a link with these.
    pub(super) fn inside(self, how: Flags) -> Flags {
        let needs_bp = self.inner_needs_bp();
        let inner_needs_bp = needs_bp && how.has(Flags::BP_KEPT) || how.has(Flags::CFA_FROM_BP);
        let unloadable = self.reaches_unloadable() || how.has(Flags::UNLOADABLE);
        Flags(how.0)
            .with(Flags::NEEDS_BP, needs_bp)
            .with(Flags::INNER_NEEDS_BP, inner_needs_bp)
            .with(Flags::REACHES_UNLOADABLE, unloadable)
    }

    fn with(self, flag: Flags, is_set: bool) -> Flags {
        if is_set { self.and(flag) } else { self }
    }

    /// How the link was found.
    pub(super) fn how_found(self) -> Flags {
        Flags(self.0 & Flags::HOW_FOUND)
    }

    /// Whether what is outside depends on rbp. Most functions without a frame pointer neither use
    /// nor save rbp, so an inner function's arithmetic would look like a change.
    pub(super) fn needs_bp(self) -> bool {
        self.has(Flags::NEEDS_BP)
    }

    /// Whether the frame inside of this link must have its rbp as it was.
    pub(super) fn inner_needs_bp(self) -> bool {
        self.has(Flags::INNER_NEEDS_BP)
    }

    /// Whether this link, or one further out, is of code that may be unloaded.
    pub(super) fn reaches_unloadable(self) -> bool {
        self.has(Flags::REACHES_UNLOADABLE)
    }

    /// Whether the saved rbp must be as it was: a step further out takes it, and this one loaded
    /// it.
    pub(super) fn holds_bp(self) -> bool {
        self.needs_bp() && !self.has(Flags::BP_KEPT)
    }
}

/// A link's flags, and how many saved rbps must be as they were from there outwards.
///
/// PERF: in one word, which is that of the link outside of it where both were found by sp-only
/// rules.
#[derive(Clone, Copy)]
pub(super) struct FlagsAndHeld(u64);

impl FlagsAndHeld {
    pub(super) fn new(flags: Flags, held: usize) -> FlagsAndHeld {
        FlagsAndHeld(u64::from(flags.0) | (held as u64) << 32)
    }

    pub(super) fn flags(self) -> Flags {
        Flags(self.0 as u32)
    }

    #[inline(always)]
    pub(super) fn held(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Whether no frame inside of the link must have its rbp as it was, and all code from there
    /// outwards stays.
    #[inline(always)]
    pub(super) fn needs_no_rbp(self) -> bool {
        const NEEDS: Flags = Flags::NEEDS_BP
            .and(Flags::INNER_NEEDS_BP)
            .and(Flags::REACHES_UNLOADABLE);
        !self.flags().has(NEEDS)
    }

    /// That of a link found by an sp-only rule, inside of one that [needs no
    /// rbp](Self::needs_no_rbp).
    #[inline(always)]
    pub(super) fn of_sp_only(self) -> FlagsAndHeld {
        FlagsAndHeld(self.0 >> 32 << 32)
    }
}
