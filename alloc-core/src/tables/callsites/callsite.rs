//! [`Callsite`]: the stack, tag and shared counters of one callsite.

use super::{CallsiteId, Outer};
use crate::snapshot::recorded::StackEnd;
use crate::system::arena::Zeroed;
use crate::system::sync::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use crate::tables::callsite_tag::CallsiteTag;
use crate::tables::counters::SharedCounters;

/// One callsite: its stack and tag, written once, and the counters that threads share.
///
/// It stores only the innermost addresses of its stack if the rest is in the previous new callsite
/// of its thread. In a program that recurses over its data, stacks of thirty frames differ in three
/// or four.
#[repr(C, align(64))]
pub(crate) struct Callsite {
    pub(crate) shared: SharedCounters,
    addresses: AtomicPtr<usize>,
    tag: AtomicU64,
    /// Number of addresses stored here, and number stored elsewhere.
    own_len: AtomicU16,
    outer_len: AtomicU16,
    /// The callsite that stores the rest, or zero, and how many of its innermost addresses to skip.
    outer: AtomicU32,
    skip: AtomicU16,
    /// The [era](super::Stack::era) of its stack.
    pub(crate) era: AtomicU16,
    /// Zero until the other fields are written, then one plus the number of the [`StackEnd`].
    end: AtomicU8,
}

// SAFETY: all zero is valid: zero counters, a null pointer, and an `end` that means "not written".
unsafe impl Zeroed for Callsite {}

impl Callsite {
    /// How the stack ends; `None` if the callsite is not written yet.
    pub(crate) fn end(&self) -> Option<StackEnd> {
        // The acquire pairs with the release in `write`.
        match self.end.load(Ordering::Acquire) {
            0 => None,
            1 => Some(StackEnd::Complete),
            2 => Some(StackEnd::Truncated),
            3 => Some(StackEnd::Broken),
            4 => Some(StackEnd::Overflow),
            _ => Some(StackEnd::Uncaptured),
        }
    }

    /// The innermost addresses, which are stored here. NOTE: only for a written callsite.
    pub(crate) fn own_addresses(&self) -> &[usize] {
        let len = self.own_len.load(Ordering::Relaxed);
        if len == 0 {
            return &[];
        }
        let addresses = self.addresses.load(Ordering::Relaxed);
        // SAFETY: `write` stored a pointer to that many words of the arena, which never change
        // and live as long as the callsite.
        unsafe { std::slice::from_raw_parts(addresses, len.into()) }
    }

    /// Where the rest of the stack is stored. NOTE: only for a written callsite.
    pub(crate) fn outer(&self) -> Option<Outer> {
        Some(Outer {
            callsite: CallsiteId::from_word(self.outer.load(Ordering::Relaxed))?,
            skip: self.skip.load(Ordering::Relaxed).into(),
            len: self.outer_len.load(Ordering::Relaxed).into(),
        })
    }

    /// The tag, which distinguishes callsites with the same stack.
    pub(crate) fn tag(&self) -> CallsiteTag {
        CallsiteTag::from_word(self.tag.load(Ordering::Relaxed))
    }

    /// Writes the callsite. NOTE: a stack has at most [`MAX_FRAMES`](crate::capture::MAX_FRAMES)
    /// addresses.
    pub(super) fn write(
        &self,
        own: &[usize],
        outer: Option<Outer>,
        (end, era): (StackEnd, u16),
        tag: CallsiteTag,
    ) {
        self.era.store(era, Ordering::Relaxed);
        let (callsite, skip, outer_len) =
            outer.map_or((0, 0, 0), |it| (it.callsite.get(), it.skip, it.len));
        self.addresses
            .store(own.as_ptr().cast_mut(), Ordering::Relaxed);
        self.tag.store(tag.word(), Ordering::Relaxed);
        self.own_len.store(own.len() as u16, Ordering::Relaxed);
        self.outer_len.store(outer_len as u16, Ordering::Relaxed);
        self.outer.store(callsite, Ordering::Relaxed);
        self.skip.store(skip as u16, Ordering::Relaxed);
        let end = match end {
            StackEnd::Complete => 1,
            StackEnd::Truncated => 2,
            StackEnd::Broken => 3,
            StackEnd::Overflow => 4,
            StackEnd::Uncaptured => 5,
        };
        self.end.store(end, Ordering::Release);
    }
}
