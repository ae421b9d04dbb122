//! [`Entered`]: the spans that the calling thread is in.

use std::cell::Cell;

use tracing::span::Id;

use super::{Labelled, usage};
use crate::record::thread;
use crate::tables::labels::LabelId;

/// Number of spans within each other that a thread enters labels of. What is entered within the
/// innermost one counts there.
const MOST: usize = 32;

/// The spans that the calling thread has entered, from the outermost.
///
/// NOTE: without a destructor and of fixed size, so that entering a span allocates nothing.
pub(super) struct Entered {
    len: Cell<usize>,
    spans: [Cell<Option<Span>>; MOST],
}

/// A span that was entered, and where the thread returns to when it is left.
#[derive(Clone, Copy)]
struct Span {
    id: u64,
    label: LabelId,
    outer: LabelId,
    scope: Option<usage::Inside>,
}

thread_local! {
    static ENTERED: Entered = const {
        Entered {
            len: Cell::new(0),
            spans: [const { Cell::new(None) }; MOST],
        }
    };
}

impl Entered {
    pub(super) fn push(id: &Id, labelled: &Labelled) {
        let _ = ENTERED.try_with(|entered| {
            let len = entered.len.get();
            let Some(place) = entered.spans.get(len) else {
                return;
            };
            place.set(Some(Span {
                id: id.into_u64(),
                label: labelled.label,
                outer: thread::enter_label(labelled.label),
                scope: labelled.usage.as_ref().map(usage::Counted::enter),
            }));
            entered.len.set(len + 1);
        });
    }

    /// Leaves a span. Spans may be left in any order.
    pub(super) fn pop(id: &Id) {
        let _ = ENTERED.try_with(|entered| {
            let len = entered.len.get();
            let Some(at) = (0..len).rev().find(|&at| entered.is_at(at, id)) else {
                return;
            };
            let Some(span) = entered.spans[at].take() else {
                return;
            };
            for (to, from) in (at..len - 1).zip(at + 1..len) {
                entered.spans[to].set(entered.spans[from].take());
            }
            entered.len.set(len - 1);
            // The span within returns to where this one would have.
            match entered.spans.get(at).and_then(Cell::get) {
                None => thread::leave_label(span.label, span.outer),
                Some(within) => {
                    thread::pass_label();
                    entered.spans[at].set(Some(Span {
                        outer: span.outer,
                        ..within
                    }));
                }
            }
            if let Some(scope) = span.scope {
                entered.leave_scope(scope, at);
            }
        });
    }

    /// Leaves the scope of the span that was at a place.
    fn leave_scope(&self, scope: usage::Inside, at: usize) {
        let within = self.spans[at..].iter().find_map(|place| {
            let span = place.get()?;
            Some((place, span, span.scope?))
        });
        match within {
            None => scope.leave(),
            Some((place, span, mut within)) => {
                scope.leave_around(&mut within);
                place.set(Some(Span {
                    scope: Some(within),
                    ..span
                }));
            }
        }
    }

    /// Moves the calling thread from a span's old label to its new one, if the span is the innermost
    /// one that it is in.
    pub(super) fn relabel(id: &Id, old: LabelId, new: LabelId) {
        let _ = ENTERED.try_with(|entered| {
            let Some(last) = entered.len.get().checked_sub(1) else {
                return;
            };
            if old == new || !entered.is_at(last, id) {
                return;
            }
            thread::change_label(old, new);
            let changed = entered.spans[last].get();
            entered.spans[last].set(changed.map(|span| Span { label: new, ..span }));
        });
    }

    fn is_at(&self, at: usize, id: &Id) -> bool {
        self.spans[at]
            .get()
            .is_some_and(|it| it.id == id.into_u64())
    }
}
