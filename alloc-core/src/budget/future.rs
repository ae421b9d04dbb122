//! [`Budgeted`]: a future that ends when its budget is exceeded.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Budget, OverBudget};

/// A future that runs within a budget: see [`Budget::instrument`].
#[must_use = "futures do nothing unless polled"]
pub struct Budgeted<F> {
    /// NOTE: structurally pinned: it is never moved out, and dropped in place. `None` once the
    /// result is out.
    future: Option<F>,
    budget: Budget,
}

impl<F> Budgeted<F> {
    pub(super) fn new(budget: Budget, future: F) -> Budgeted<F> {
        Budgeted {
            future: Some(future),
            budget,
        }
    }
}

impl<F: Future> Future for Budgeted<F> {
    type Output = Result<F::Output, OverBudget>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of `this`.
        let Budgeted { future, budget } = unsafe { self.get_unchecked_mut() };
        let running = future
            .as_mut()
            .expect("a budgeted future is not polled after it resolved");
        if let Err(over) = budget.check() {
            // NOTE: an assignment drops the old value in place, as pinning requires.
            budget.limited.run(|| *future = None);
            return Poll::Ready(Err(over));
        }
        // SAFETY: `self` is pinned, and the future is never moved out, only dropped in place.
        let running = unsafe { Pin::new_unchecked(running) };
        let polled = budget.limited.run(|| running.poll(context));
        if polled.is_ready() {
            // What the future still holds is not the value's.
            budget.limited.run(|| *future = None);
        }
        match (budget.check(), polled) {
            (Ok(()), polled) => polled.map(Ok),
            (Err(over), Poll::Ready(value)) => {
                budget.limited.run(|| drop(value));
                Poll::Ready(Err(over))
            }
            (Err(over), Poll::Pending) => {
                budget.limited.run(|| *future = None);
                Poll::Ready(Err(over))
            }
        }
    }
}

impl<F> Drop for Budgeted<F> {
    fn drop(&mut self) {
        let Budgeted { future, budget } = self;
        if future.is_some() {
            budget.limited.run(|| *future = None);
        }
    }
}

impl<F> fmt::Debug for Budgeted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgeted")
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
