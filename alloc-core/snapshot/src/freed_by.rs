//! [`FreedBy`]: who freed the blocks of a callsite.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::Amount;

/// What was freed of a callsite in one label, on threads of one name.
///
/// ```
/// use alloc_core::{Amount, FreedBy};
///
/// let freed = FreedBy::new(Amount::new(4096, 2)).in_label("answer").on_thread("worker");
/// assert_eq!(freed.label.as_deref(), Some("answer"));
/// assert_eq!(freed.amount.bytes, 4096);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FreedBy {
    /// The path of the label that the freeing thread was in; none if it was in none.
    pub label: Option<Arc<str>>,
    /// The name of the freeing thread, if the session distinguished threads by name
    /// (`Config::threads`).
    pub thread: Option<Arc<str>>,
    /// What was freed.
    pub amount: Amount,
}

impl FreedBy {
    /// What was freed in no label, on no particular thread.
    ///
    /// ```
    /// use alloc_core::{Amount, FreedBy};
    ///
    /// assert_eq!(FreedBy::new(Amount::new(100, 1)).label, None);
    /// ```
    pub fn new(amount: Amount) -> FreedBy {
        FreedBy {
            amount,
            ..FreedBy::default()
        }
    }

    /// Sets the path of the label.
    ///
    /// ```
    /// use alloc_core::{Amount, FreedBy};
    ///
    /// let freed = FreedBy::new(Amount::new(100, 1)).in_label("request > answer");
    /// assert_eq!(freed.label.as_deref(), Some("request > answer"));
    /// ```
    pub fn in_label(mut self, path: impl Into<Arc<str>>) -> FreedBy {
        self.label = Some(path.into());
        self
    }

    /// Sets the name of the thread.
    ///
    /// ```
    /// use alloc_core::{Amount, FreedBy};
    ///
    /// let freed = FreedBy::new(Amount::new(100, 1)).on_thread("worker");
    /// assert_eq!(freed.thread.as_deref(), Some("worker"));
    /// ```
    pub fn on_thread(mut self, name: impl Into<Arc<str>>) -> FreedBy {
        self.thread = Some(name.into());
        self
    }

    /// In the order of a [`Trace`](crate::Trace): the most bytes first.
    #[doc(hidden)]
    pub fn in_order(mut all: Vec<FreedBy>) -> Arc<[FreedBy]> {
        all.sort_by(|a, b| {
            let key = |it: &FreedBy| Reverse((it.amount.bytes.get(), it.amount.blocks));
            let names = |it: &FreedBy| (it.label.clone(), it.thread.clone());
            key(a).cmp(&key(b)).then_with(|| names(a).cmp(&names(b)))
        });
        all.into()
    }
}
