//! [`measure`] and its variants: a scope around one piece of work.

use super::{Scope, ScopeHandle, Usage};
use crate::Error;

/// The result of [`measure`].
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let measured = alloc_core::measure(|| vec![0_u8; 100]);
/// assert_eq!(measured.value.len(), 100);
/// assert_eq!(measured.usage.current.bytes, 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Measured<T> {
    /// The return value of the work. Blocks that it holds count as live.
    pub value: T,
    /// What the work allocated and freed.
    pub usage: Usage,
}

/// Runs `work`, and counts what it allocates and frees on this thread.
///
/// The count is exact whatever other threads do, so tests may run in parallel. It does not need
/// tracing, and does not disturb it. For work that goes on to other threads, see [`Scope`].
///
/// # Panics
///
/// If the count is not reliable: where [`Scope::enter`] or [`Scope::usage`] return an error.
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// let measured = alloc_core::measure(|| {
///     drop(vec![0_u8; 1000]);
///     vec![0_u8; 100]
/// });
/// let usage = measured.usage;
/// assert_eq!(usage.allocated, alloc_core::Amount::new(1100, 2));
/// assert_eq!(usage.peak.bytes, 1000);
/// assert_eq!(usage.current.bytes, measured.value.len() as u64);
/// ```
#[track_caller]
pub fn measure<T>(work: impl FnOnce() -> T) -> Measured<T> {
    or_panic(try_measure(work))
}

/// Runs `work` for callers that promise to panic if they cannot measure.
#[track_caller]
pub(crate) fn or_panic<T>(measured: Result<T, Error>) -> T {
    // NOTE: in a closure the panic location would not be the caller's.
    match measured {
        Ok(measured) => measured,
        Err(error) => panic!("cannot measure: {error}"),
    }
}

/// Does what [`measure`] does, with an error instead of a panic.
///
/// # Errors
///
/// The errors of [`Scope::enter`], before the work, and of [`Scope::usage`], after it.
///
/// ```
/// // This program did not install `TraceAlloc`.
/// let error = alloc_core::try_measure(|| vec![0_u8; 100]).unwrap_err();
/// assert!(error.is_not_installed());
/// ```
pub fn try_measure<T>(work: impl FnOnce() -> T) -> Result<Measured<T>, Error> {
    let scope = Scope::enter()?;
    let value = work();
    let usage = scope.usage()?;
    Ok(Measured { value, usage })
}

/// Runs a future, and counts what it allocates and frees, whichever threads poll it.
///
/// Allocations that made the future are not counted.
///
/// # Errors
///
/// The errors of [`try_measure`].
///
/// ```
/// # use alloc_core::TraceAlloc;
/// # #[global_allocator]
/// # static ALLOC: TraceAlloc = TraceAlloc::system();
/// # fn block_on<F: Future>(future: F) -> F::Output {
/// #     let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// #     match std::pin::pin!(future).poll(&mut context) {
/// #         std::task::Poll::Ready(value) => value,
/// #         std::task::Poll::Pending => unreachable!(),
/// #     }
/// # }
/// # block_on(async {
/// let measured = alloc_core::measure_future(async { vec![0_u8; 100] }).await?;
/// assert_eq!(measured.usage.current.bytes, measured.value.len() as u64);
/// # Ok::<(), alloc_core::Error>(())
/// # })?;
/// # Ok::<(), alloc_core::Error>(())
/// ```
pub async fn measure_future<F: Future>(future: F) -> Result<Measured<F::Output>, Error> {
    let handle = ScopeHandle::new()?;
    let value = handle.instrument(future).await;
    let usage = handle.usage()?;
    Ok(Measured { value, usage })
}
