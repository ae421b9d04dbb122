//! [`Slack`]: how many more bytes blocks have than were asked for.

use std::ops::AddAssign;

use crate::Bytes;

/// How many more bytes the blocks of a callsite have than it asked for.
///
/// An allocator rounds sizes up, and the rest of a block is unused. The allocator's own headers are
/// not part of it.
///
/// ```
/// use alloc_core::{Bytes, Slack};
///
/// // glibc gives 40 bytes for 25.
/// let mut sum = Slack { current: Bytes::new(15), total: Bytes::new(15) };
/// sum += Slack { current: Bytes::ZERO, total: Bytes::new(15) };
/// assert_eq!((sum.current.get(), sum.total.get()), (15, 30));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slack {
    /// Of the blocks that are live at the moment of the snapshot.
    pub current: Bytes,
    /// Of all blocks that were ever allocated.
    pub total: Bytes,
}

impl AddAssign for Slack {
    fn add_assign(&mut self, other: Slack) {
        self.current += other.current;
        self.total += other.total;
    }
}
