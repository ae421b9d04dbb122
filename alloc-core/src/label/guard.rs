//! [`LabelGuard`]: the guard of a thread that is in a label.

use std::fmt;
use std::marker::PhantomData;

use super::Label;
use crate::record::thread;
use crate::tables::labels::LabelId;

/// Keeps the calling thread in a [`Label`] until it is dropped.
///
/// Drop guards in the reverse of the order in which they were made, as the end of a block does. If
/// a guard is dropped before one within it, the thread stays in the inner label. Once it has
/// dropped as many guards as it made, it is in no label.
///
/// In an `async` block a guard must not live across an `.await`: the thread would go on with other
/// tasks in the label. Use [`Label::instrument`], which leaves the label between two polls.
#[must_use = "the label is left when the guard is dropped"]
pub struct LabelGuard {
    label: LabelId,
    outer: LabelId,
    // Not `Send`: it belongs to one thread.
    _not_send: PhantomData<*const ()>,
}

impl LabelGuard {
    pub(super) fn begin(label: LabelId) -> LabelGuard {
        LabelGuard {
            label,
            outer: thread::enter_label(label),
            _not_send: PhantomData,
        }
    }

    /// The label that was entered.
    ///
    /// ```
    /// use alloc_core::Label;
    ///
    /// let guard = Label::enter("decode");
    /// assert_eq!(guard.label(), Label::current());
    /// ```
    pub fn label(&self) -> Label {
        Label(self.label)
    }
}

impl Drop for LabelGuard {
    fn drop(&mut self) {
        thread::leave_label(self.label, self.outer);
    }
}

impl fmt::Debug for LabelGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LabelGuard").field(&self.label()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_dropped_out_of_order_leave_no_label_behind() {
        let outer = Label::enter("outer");
        let inner = Label::enter("inner");
        let innermost = Label::enter("innermost");
        let path = || Label::current().path();
        drop(inner);
        assert_eq!(path(), Some("outer > inner > innermost"));
        drop(outer);
        assert_eq!(path(), Some("outer > inner > innermost"));
        drop(innermost);
        assert_eq!(path(), None);
        let again = Label::enter("again");
        assert_eq!(path(), Some("again"));
        drop(again);
        assert_eq!(path(), None);
    }

    #[test]
    fn a_label_entered_twice_is_left_twice() {
        let label = Label::new("parse");
        let first = label.entered();
        let second = label.entered();
        drop(second);
        assert_eq!(Label::current(), label);
        drop(first);
        assert_eq!(Label::current(), Label::default());
    }
}
