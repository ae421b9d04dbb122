//! Stacks from the `backtrace` crate, for platforms without a walker of the tracer's own.

/// Passes return addresses to `keep`, innermost first, until it returns `false`. Starts at the
/// caller of the function that has `local` on its stack.
pub(super) fn walk(local: *const u8, mut keep: impl FnMut(usize) -> bool) {
    let mut is_inside = true;
    // SAFETY: `trace_unsynchronized` requires that symbols are not resolved at the same time
    // through the crate's unsynchronized functions. The tracer uses only the synchronized ones, and
    // a walk does not touch the state that they share. An allocation inside the walk meets the
    // reentrancy guard.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            // A null stack pointer means unknown.
            let sp = frame.sp() as usize;
            is_inside &= sp != 0 && sp <= local as usize;
            // The return address of the outermost frame is zero.
            let address = frame.ip() as usize;
            is_inside || address != 0 && keep(address)
        });
    }
}
