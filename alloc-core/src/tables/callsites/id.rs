//! [`CallsiteId`]: identifies one callsite of one session.

use std::num::NonZeroU32;

use super::MAX_CALLSITES;

/// Identifies one callsite of one tracing session. Only [`Callsites`](super::Callsites) can resolve
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CallsiteId(NonZeroU32);

impl CallsiteId {
    /// The callsite for all blocks whose stack found no room in the table.
    pub(crate) const OVERFLOW: CallsiteId = CallsiteId(NonZeroU32::MIN);
    /// The callsite of all blocks in a session without stacks.
    pub(crate) const HEAP: CallsiteId = CallsiteId(NonZeroU32::MIN.saturating_add(1));
    /// Number of ids that no stack gets: zero, `OVERFLOW` and `HEAP`.
    pub(super) const RESERVED: u32 = 3;
    /// The highest id.
    pub(crate) const MOST: u32 = MAX_CALLSITES + CallsiteId::RESERVED;

    /// From a word in which zero means no callsite.
    #[inline(always)]
    pub(crate) fn from_word(word: u32) -> Option<CallsiteId> {
        NonZeroU32::new(word).map(CallsiteId)
    }

    #[inline(always)]
    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }
}

impl From<CallsiteId> for NonZeroU32 {
    #[inline(always)]
    fn from(callsite: CallsiteId) -> NonZeroU32 {
        callsite.0
    }
}
