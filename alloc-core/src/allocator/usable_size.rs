//! [`UsableSize`]: how the inner allocator gives the usable size of a block.

use crate::system::hooks;

/// How the inner allocator gives the usable size of a block: how many bytes its owner may use, at
/// least as many as were asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum UsableSize {
    /// The inner allocator is the system's.
    System,
    /// A function of the inner allocator, for its live blocks.
    Function(unsafe fn(*const u8) -> usize),
    Unknown,
}

impl UsableSize {
    pub(super) fn is_known(self) -> bool {
        match self {
            UsableSize::System => hooks::KNOWS_USABLE_SIZES,
            UsableSize::Function(_) => true,
            UsableSize::Unknown => false,
        }
    }

    /// The usable size of a block.
    ///
    /// NOTE: the size that was asked for if it is not known. That occurs only if the program has
    /// another [`TraceAlloc`](crate::TraceAlloc), which knows it.
    ///
    /// # Safety
    ///
    /// The block is live, of the inner allocator, and has this size.
    pub(super) unsafe fn of(self, block: *const u8, size: usize) -> usize {
        let usable = match self {
            // SAFETY: the caller's promise. The system's allocator gets its blocks from `malloc` and
            // its relatives.
            UsableSize::System => unsafe { hooks::usable_size(block) }.unwrap_or(size),
            // SAFETY: the caller's promise is the one that `with_usable_size` asks for.
            UsableSize::Function(function) => unsafe { function(block) },
            UsableSize::Unknown => size,
        };
        usable.max(size)
    }
}
