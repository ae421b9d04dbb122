//! [`ScopeHandle`]: takes a scope to other threads and into futures.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::guard::{has_started_threads, snapshot_of, usage_of};
use super::{Scope, SlotId, Usage};
use crate::Error;
use crate::record::thread;
use crate::snapshot::snapshot::Snapshot;

/// A handle of a [`Scope`], for other threads and for futures.
///
/// The scope lives as long as its guard or a handle. A scope without a guard counts what its
/// handles [run](Self::run) and [poll](Self::instrument):
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let handle = alloc_core::ScopeHandle::new()?;
/// let kept = handle.run(|| vec![0_u8; 100]);
/// let other = vec![0_u8; 5000];
/// assert_eq!(handle.usage()?.current.bytes, 100);
/// # drop((kept, other));
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub struct ScopeHandle {
    /// NOTE: the handle owns a share of it.
    pub(super) id: SlotId,
    pub(super) forks: u32,
}

impl Clone for ScopeHandle {
    fn clone(&self) -> ScopeHandle {
        self.id.own();
        ScopeHandle { ..*self }
    }
}

impl Drop for ScopeHandle {
    fn drop(&mut self) {
        self.id.disown(1);
    }
}

impl ScopeHandle {
    /// A new scope, inside the present one if there is one, that no thread has entered yet.
    ///
    /// # Errors
    ///
    /// The errors of [`Scope::enter`].
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let handle = alloc_core::ScopeHandle::new()?;
    /// drop(vec![0_u8; 100]);
    /// assert_eq!(handle.usage()?, alloc_core::Usage::default());
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn new() -> Result<ScopeHandle, Error> {
        Scope::enter().map(|scope| scope.handle())
    }

    /// A new scope like [`new`](Self::new) that also counts for each stack.
    ///
    /// # Errors
    ///
    /// The errors of [`Scope::enter`].
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let handle = alloc_core::ScopeHandle::with_stacks()?;
    /// handle.run(|| drop(vec![0_u8; 100]));
    /// assert_eq!(handle.snapshot()?.traces().len(), 1);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn with_stacks() -> Result<ScopeHandle, Error> {
        Scope::enter_with_stacks().map(|scope| scope.handle())
    }

    /// Whether a thread was started in the scope that does not count in it, as in
    /// [`Scope::has_started_threads`].
    pub(crate) fn has_started_threads(&self) -> bool {
        has_started_threads(self.id)
    }

    /// What was allocated and freed so far, as in [`Scope::usage`].
    ///
    /// # Errors
    ///
    /// The errors of [`Scope::usage`].
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let handle = alloc_core::ScopeHandle::new()?;
    /// handle.run(|| drop(vec![0_u8; 100]));
    /// assert_eq!(handle.usage()?.freed, alloc_core::Amount::new(100, 1));
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn usage(&self) -> Result<Usage, Error> {
        usage_of(self.id, self.forks)
    }

    /// What was allocated and freed so far, by stack, as in [`Scope::snapshot`].
    ///
    /// # Errors
    ///
    /// The errors of [`Scope::snapshot`].
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let handle = alloc_core::ScopeHandle::with_stacks()?;
    /// let kept = handle.run(|| vec![0_u8; 100]);
    /// assert_eq!(handle.snapshot()?.traced_memory().current, kept.len() as u64);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        snapshot_of(self.id, self.forks)
    }

    /// Runs `work` in the scope, on this thread. If it panics, the thread leaves the scope as well.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// let handle = alloc_core::ScopeHandle::new()?;
    /// assert_eq!(handle.run(|| vec![0_u8; 100].len()), 100);
    /// assert_eq!(handle.usage()?.allocated.blocks, 1);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = Inside::begin(self.id);
        work()
    }

    /// Wraps a future so that it runs in the scope, whichever thread polls or drops it.
    ///
    /// The future itself exists already; what it allocates when it is polled counts in the scope.
    ///
    /// ```
    /// # use alloc_core::TraceAlloc;
    /// # #[global_allocator]
    /// # static ALLOC: TraceAlloc = TraceAlloc::system();
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// let handle = alloc_core::ScopeHandle::new()?;
    /// let future = handle.instrument(async { vec![0_u8; 100] });
    /// let kept = std::pin::pin!(future).poll(&mut context);
    /// assert!(kept.is_ready());
    /// assert_eq!(handle.usage()?.current.bytes, 100);
    /// # Ok::<(), alloc_core::Error>(())
    /// ```
    pub fn instrument<F>(&self, future: F) -> Instrumented<F> {
        Instrumented {
            future: Some(future),
            scope: self.clone(),
        }
    }
}

impl fmt::Debug for ScopeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeHandle").finish_non_exhaustive()
    }
}

/// Keeps the thread in a scope until it is dropped.
struct Inside {
    id: SlotId,
    outer: Option<SlotId>,
    _not_send: PhantomData<*const ()>,
}

impl Inside {
    fn begin(id: SlotId) -> Inside {
        id.own();
        Inside {
            id,
            outer: thread::replace_scope(Some(id)),
            _not_send: PhantomData,
        }
    }
}

/// An [`Inside`] as plain numbers, to be kept between two callbacks of the same thread.
#[cfg(feature = "tracing")]
#[derive(Clone, Copy)]
pub(crate) struct InsideParts {
    id: SlotId,
    outer: Option<SlotId>,
}

#[cfg(feature = "tracing")]
impl InsideParts {
    /// Leaves the scope. NOTE: once, and on the thread that entered it.
    pub(crate) fn leave(self) {
        drop(Inside {
            id: self.id,
            outer: self.outer,
            _not_send: PhantomData,
        });
    }

    /// Leaves the scope while the thread is in one within, from which it then returns to the scope
    /// around this one.
    pub(crate) fn leave_around(self, within: &mut InsideParts) {
        if within.outer != Some(self.id) {
            return self.leave();
        }
        // The share of the outer scope passes on, that of this one ends.
        within.outer = self.outer;
        self.id.disown(1);
    }
}

#[cfg(feature = "tracing")]
impl ScopeHandle {
    /// Enters the scope until [`InsideParts::leave`].
    pub(crate) fn enter_by_parts(&self) -> InsideParts {
        let inside = std::mem::ManuallyDrop::new(Inside::begin(self.id));
        InsideParts {
            id: inside.id,
            outer: inside.outer,
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if thread::scope() == Some(self.id) {
            thread::replace_scope(SlotId::come_back(self.outer));
            self.id.disown(1);
        } else if let Some(outer) = self.outer {
            outer.disown(1);
        }
    }
}

/// A future that runs in a scope: see [`ScopeHandle::instrument`].
#[must_use = "futures do nothing unless polled"]
pub struct Instrumented<F> {
    /// NOTE: structurally pinned: it is never moved out, and dropped in place. `None` only during
    /// `drop`.
    future: Option<F>,
    scope: ScopeHandle,
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: nothing is moved out of `this`.
        let this = unsafe { self.get_unchecked_mut() };
        let _inside = Inside::begin(this.scope.id);
        let future = this.future.as_mut().expect("only `drop` takes the future");
        // SAFETY: `self` is pinned, and the future is never moved out, only dropped in place.
        unsafe { Pin::new_unchecked(future) }.poll(context)
    }
}

impl<F> Drop for Instrumented<F> {
    fn drop(&mut self) {
        let _inside = Inside::begin(self.scope.id);
        // NOTE: an assignment drops the old value in place, as pinning requires.
        self.future = None;
    }
}

impl<F> fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumented").finish_non_exhaustive()
    }
}
