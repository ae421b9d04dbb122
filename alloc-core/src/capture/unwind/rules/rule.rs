//! [`Rule`]: how to get from a frame to its caller.

/// How to get from a frame to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::capture::unwind) enum Rule {
    /// The canonical frame address (CFA) is a register and an offset. The return address is just
    /// below it. `saved_bp` is the offset from the CFA where the caller's rbp was saved, or `None`
    /// if rbp still holds it.
    Step {
        base: Base,
        offset: i32,
        saved_bp: Option<i32>,
    },
    /// The frame stores its CFA.
    Kept(Kept),
    /// The function has no caller: the bottom of a stack.
    Bottom,
    /// The rule needs [more registers](crate::capture::unwind::every_register).
    Other,
    /// There is no rule, or the walk cannot follow it.
    Unknown,
}

/// The CFA counts from the word at an offset from rbp. A function that realigns its frame keeps the
/// previous end there, and one that starts a new stack keeps the place where the old one continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::capture::unwind) struct Kept {
    pub(in crate::capture::unwind) at: i16,
    /// What is added to the word.
    pub(in crate::capture::unwind) offset: i16,
    /// Where rbp was saved, as an offset from rbp or from the CFA.
    pub(in crate::capture::unwind) bp_at: i16,
    pub(in crate::capture::unwind) bp_by_cfa: bool,
    /// Where the return address is, as an offset from the CFA. At the start of a stack it is not
    /// just below the CFA.
    pub(in crate::capture::unwind) pc_at: i8,
}

impl Kept {
    /// Address of the word.
    pub(in crate::capture::unwind) fn place(self, bp: usize) -> usize {
        bp.wrapping_add_signed(self.at.into())
    }

    pub(in crate::capture::unwind) fn cfa(self, word: usize) -> usize {
        word.wrapping_add_signed(self.offset.into())
    }

    pub(in crate::capture::unwind) fn bp_saved_at(self, bp: usize, cfa: usize) -> usize {
        let from = if self.bp_by_cfa { cfa } else { bp };
        from.wrapping_add_signed(self.bp_at.into())
    }
}

impl Rule {
    /// The rule of a function that keeps a frame pointer: the caller's rbp is at rbp, and the
    /// return address above it.
    pub(in crate::capture::unwind) const FRAME_POINTER: Rule = Rule::Step {
        base: Base::Rbp,
        offset: 16,
        saved_bp: Some(-16),
    };

    /// The rule of a function that saves rbp and whose frame ends `size` bytes above rsp.
    pub(in crate::capture::unwind) fn of_frame(size: usize) -> Option<Rule> {
        i32::try_from(size).ok().map(|offset| Rule::Step {
            base: Base::Rsp,
            offset,
            saved_bp: Some(-16),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::capture::unwind) enum Base {
    Rsp,
    Rbp,
}
