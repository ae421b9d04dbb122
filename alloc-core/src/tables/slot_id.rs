//! [`SlotId`]: the number of a scope.

use std::num::NonZeroU32;

/// Identifies a scope from when it is entered until nothing refers to it: no guard, no handle, no
/// scope within, no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotId(NonZeroU32);

impl SlotId {
    /// The id as a word of the index or of a thread; zero means no scope.
    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }

    pub(crate) fn from_word(word: u32) -> Option<SlotId> {
        NonZeroU32::new(word).map(SlotId)
    }
}
