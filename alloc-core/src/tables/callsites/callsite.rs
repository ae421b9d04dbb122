//! [`Callsite`]: what is known of one callsite.

use super::{CallsiteId, Outer};
use crate::snapshot::recorded::StackEnd;
use crate::system::arena::Zeroed;
use crate::system::sync::{AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use crate::tables::counters::SharedCounters;
use crate::tables::label::Label;

/// What is known of a callsite: its stack and label, written once, and the counters that threads
/// share.
///
/// Of its stack it has the innermost addresses only, if the callsite that its thread met as a
/// newcomer before has the others: in a program that recurses over its data stacks of thirty frames
/// differ in three or four.
#[repr(C, align(64))]
pub(crate) struct Callsite {
    pub(crate) shared: SharedCounters,
    addresses: AtomicPtr<usize>,
    label: AtomicU64,
    /// How many addresses are its own, and how many are not.
    own_len: AtomicU16,
    outer_len: AtomicU16,
    /// The callsite that has the rest, or zero, and how many of its innermost are not among them.
    outer: AtomicU32,
    skip: AtomicU16,
    /// That of its [stack](super::Stack::era).
    pub(crate) era: AtomicU16,
    /// Zero until the rest is written, then one plus the number of the [`StackEnd`].
    end: AtomicU8,
}

// SAFETY: zero counters, a null pointer, and an `end` that says "not written".
unsafe impl Zeroed for Callsite {}

impl Callsite {
    /// How its stack ends, if it is written.
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

    /// The innermost addresses, those that it has itself. NOTE: of a callsite that is written.
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

    /// Where its stack goes on. NOTE: of a callsite that is written.
    pub(crate) fn outer(&self) -> Option<Outer> {
        Some(Outer {
            callsite: CallsiteId::from_word(self.outer.load(Ordering::Relaxed))?,
            skip: self.skip.load(Ordering::Relaxed).into(),
            len: self.outer_len.load(Ordering::Relaxed).into(),
        })
    }

    /// What tells it apart from others with this stack.
    pub(crate) fn label(&self) -> Label {
        Label::from_word(self.label.load(Ordering::Relaxed))
    }

    /// Writes it. NOTE: stacks have no more than [`MAX_FRAMES`](crate::capture::MAX_FRAMES)
    /// addresses.
    pub(super) fn write(
        &self,
        own: &[usize],
        outer: Option<Outer>,
        (end, era): (StackEnd, u16),
        label: Label,
    ) {
        self.era.store(era, Ordering::Relaxed);
        let (callsite, skip, outer_len) =
            outer.map_or((0, 0, 0), |it| (it.callsite.get(), it.skip, it.len));
        self.addresses
            .store(own.as_ptr().cast_mut(), Ordering::Relaxed);
        self.label.store(label.word(), Ordering::Relaxed);
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
