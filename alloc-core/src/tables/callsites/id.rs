//! [`CallsiteId`]: names one callsite of one session.

use std::num::NonZeroU32;

use super::MAX_CALLSITES;

/// Names one callsite of one tracing session; only [`Callsites`](super::Callsites) knows what
/// stands behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallsiteId(NonZeroU32);

impl CallsiteId {
    /// The callsite that stands for all those that found no room.
    pub(crate) const OVERFLOW: CallsiteId = CallsiteId(NonZeroU32::MIN);
    /// The callsite that stands for all, where no stacks are captured.
    pub(crate) const HEAP: CallsiteId = CallsiteId(NonZeroU32::MIN.saturating_add(1));
    /// How many ids are not given to stacks: none, and the two above.
    pub(super) const RESERVED: u32 = 3;
    /// As a number, none is higher.
    pub(crate) const MOST: u32 = MAX_CALLSITES + CallsiteId::RESERVED;

    /// As a word of the page map, where zero means no block.
    #[inline(always)]
    pub(crate) fn from_word(word: u32) -> Option<CallsiteId> {
        NonZeroU32::new(word).map(CallsiteId)
    }

    #[inline(always)]
    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }
}
