//! Stacks from the `backtrace` crate, where the tracer has no walk of its own.

/// Passes the return addresses of the caller's stack to `keep`, innermost first, until it says
/// `false`.
pub(super) fn walk(mut keep: impl FnMut(usize) -> bool) {
    // SAFETY: `trace_unsynchronized` asks that symbols are not resolved at the same time through the
    // crate's unsynchronized functions; the tracer uses the synchronized ones only, and walking does
    // not touch what they share. An allocation inside the walk meets the guard.
    unsafe { backtrace::trace_unsynchronized(|frame| keep(frame.ip() as usize)) };
}
