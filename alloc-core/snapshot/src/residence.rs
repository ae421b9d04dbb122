//! [`Residence`] and [`Pinned`]: where the resident memory of a process goes.

use std::ops::AddAssign;

use crate::Bytes;

/// Where the resident memory of a process goes: each page is in one part, and the parts are all.
///
/// ```
/// use alloc_core::{Bytes, Residence};
///
/// let mut residence = Residence::default();
/// residence.live = Bytes::mib(3);
/// residence.free = Bytes::mib(200);
/// assert_eq!(residence.sum(), Bytes::mib(203));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Residence {
    /// What the kernel counts: the resident set size.
    pub resident: Bytes,
    /// Bytes of live blocks.
    pub live: Bytes,
    /// The rest of the pages that hold live blocks: what the allocator rounds up, its headers, and
    /// free space.
    pub between: Bytes,
    /// Pages of the allocator without a live block.
    pub free: Bytes,
    /// The tracer's own pages.
    pub tracer: Bytes,
    /// Code, and other files that are mapped.
    pub files: Bytes,
    /// Stacks and other mappings.
    pub other: Bytes,
    /// Bytes of pages that hold live blocks, and less than half of each.
    pub sparse: Bytes,
}

impl Residence {
    /// The sum of the parts. It differs from [`resident`](Self::resident) by what changed while it
    /// was read.
    pub fn sum(&self) -> Bytes {
        self.live + self.between + self.free + self.tracer + self.files + self.other
    }
}

/// What the live blocks of a callsite keep resident besides themselves.
///
/// A page stays resident while it holds a live block, however small. So a few old blocks can keep
/// much memory of blocks that were freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pinned {
    /// Its share of the unused bytes in the pages of its blocks. A page that several callsites hold
    /// is shared out by the bytes of their blocks in it.
    pub unused: Bytes,
    /// The pages that only it holds: what the system gets back if its blocks are freed.
    pub alone: Bytes,
    /// The bytes of its blocks in these pages. If they were next to each other, the system would get
    /// back the difference.
    pub own: Bytes,
}

impl AddAssign for Pinned {
    fn add_assign(&mut self, other: Pinned) {
        self.unused += other.unused;
        self.alone += other.alone;
        self.own += other.own;
    }
}
