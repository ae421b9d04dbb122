//! [`Labelled`]: a future that runs in a label.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Label;

/// A future that runs in a label: see [`Label::instrument`].
#[must_use = "futures do nothing unless polled"]
pub struct Labelled<F> {
    /// NOTE: structurally pinned: it is never moved out, and dropped in place. `None` only during
    /// `drop`.
    future: Option<F>,
    label: Label,
}

impl<F> Labelled<F> {
    pub(super) fn new(label: Label, future: F) -> Labelled<F> {
        Labelled {
            future: Some(future),
            label,
        }
    }
}

impl<F: Future> Future for Labelled<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: nothing is moved out of `this`.
        let this = unsafe { self.get_unchecked_mut() };
        let _inside = this.label.entered();
        let future = this.future.as_mut().expect("only `drop` takes the future");
        // SAFETY: `self` is pinned, and the future is never moved out, only dropped in place.
        unsafe { Pin::new_unchecked(future) }.poll(context)
    }
}

impl<F> Drop for Labelled<F> {
    fn drop(&mut self) {
        let _inside = self.label.entered();
        // NOTE: an assignment drops the old value in place, as pinning requires.
        self.future = None;
    }
}

impl<F> fmt::Debug for Labelled<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Labelled")
            .field("label", &self.label)
            .finish_non_exhaustive()
    }
}
