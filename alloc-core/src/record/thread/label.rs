//! The label of the calling thread.

use super::{LOCAL, Local};
use crate::system::sync::Ordering::Relaxed;
use crate::tables::labels::LabelId;

/// The label that the calling thread is in.
pub(crate) fn label() -> LabelId {
    LabelId::new(LOCAL.try_with(|local| local.label.get()).unwrap_or(0))
}

/// Moves the calling thread into a label, and returns the one that it was in. Each call is ended by
/// one of [`leave_label`].
#[inline]
pub(crate) fn enter_label(label: LabelId) -> LabelId {
    let before = LOCAL.try_with(|local| {
        local.labels_entered.set(local.labels_entered.get() + 1);
        local.replace_label(label)
    });
    before.unwrap_or_default()
}

/// Moves the calling thread from a label back to the `outer` one, if it is still in that label. A
/// thread that has left as many labels as it entered is in none, in whatever order it left them.
#[inline]
pub(crate) fn leave_label(label: LabelId, outer: LabelId) {
    let _ = LOCAL.try_with(|local| {
        let entered = local.labels_entered.get().saturating_sub(1);
        local.labels_entered.set(entered);
        if entered == 0 {
            local.replace_label(LabelId::default());
        } else if local.label.get() == label.get() {
            local.replace_label(outer);
        }
    });
}

/// Moves the calling thread from a label to another that takes its place.
#[cfg(feature = "tracing")]
pub(crate) fn change_label(label: LabelId, new: LabelId) {
    let _ = LOCAL.try_with(|local| {
        if local.label.get() == label.get() {
            local.replace_label(new);
        }
    });
}

/// Ends one [`enter_label`] of a thread that stays in the label that it is in.
#[cfg(feature = "tracing")]
pub(crate) fn pass_label() {
    let _ = LOCAL.try_with(|local| {
        let entered = local.labels_entered.get().saturating_sub(1);
        local.labels_entered.set(entered);
    });
}

impl Local {
    fn replace_label(&self, label: LabelId) -> LabelId {
        let before = self.label.replace(label.get());
        // NOTE: the walker is in use if this is a signal handler that interrupted a record. So the
        // next capture changes the tag.
        if let Some(state) = self.state.get() {
            state.has_stale_tag.store(true, Relaxed);
        }
        LabelId::new(before)
    }
}
