//! What is done about the events of a block: one trait for each session's way.

use crate::tables::callsites::CallsiteId;

/// The hooks around the inner allocator: what a session does about the events of a block.
///
/// A block is its address and its size.
pub(crate) trait Hooks {
    /// What was known of a block that is about to be reallocated.
    type Taken;

    /// The inner allocator returned a block.
    fn allocated(&self, address: usize, size: usize);

    /// A block is about to go back to the inner allocator.
    fn freed(&self, address: usize, size: usize);

    /// Takes out what is known of a block that is about to be reallocated.
    fn take(&self, block: (usize, usize)) -> Self::Taken;

    /// Puts back what was [taken](Self::take): the reallocation failed.
    fn put_back(&self, address: usize, taken: Self::Taken);

    /// The block `old`, of which this was [taken](Self::take), became `new`: where it was it ends,
    /// here it begins.
    fn reallocated(&self, taken: Self::Taken, old: (usize, usize), new: (usize, usize));

    /// Whether the session measures the usable sizes of blocks. Else no method below is called.
    #[inline(always)]
    fn measures(&self) -> bool {
        false
    }

    /// The callsite that a live block is recorded at.
    fn callsite_of(&self, _address: usize) -> Option<CallsiteId> {
        None
    }

    /// A block of a callsite was [`allocated`](Self::allocated), and has so many usable bytes.
    fn usable_allocated(&self, _callsite: CallsiteId, _bytes: usize) {}

    /// A block of a callsite is [`freed`](Self::freed), or was reallocated, and had so many usable
    /// bytes.
    fn usable_freed(&self, _callsite: CallsiteId, _bytes: usize) {}
}

/// One whose right can be had, and whose work can be done, where nothing is in the way.
pub(crate) trait FastPath: Hooks + Sized {
    /// The right, for a thread that has taken note of all that there is, while there are no scopes.
    fn try_enter() -> Option<Self>;

    /// A block is about to go back to the inner allocator. Returns whether that could be followed:
    /// else nothing has happened, and [`freed`](Hooks::freed) does it.
    ///
    /// PERF: all that could be in the way is looked at first. So nothing is called that others must
    /// be saved from, and a free can end in a jump to the inner allocator.
    fn try_free_fast(&self, address: usize, size: usize) -> bool;
}
