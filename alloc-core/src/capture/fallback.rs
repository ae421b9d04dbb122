//! Stacks from the `backtrace` crate, where the tracer has no walk of its own.

/// Passes return addresses to `keep`, innermost first, until it says `false`: from the caller of
/// the function on that has `local` on its stack.
pub(super) fn walk(local: *const u8, mut keep: impl FnMut(usize) -> bool) {
    let mut is_inside = true;
    // SAFETY: `trace_unsynchronized` asks that symbols are not resolved at the same time through
    // the crate's unsynchronized functions; the tracer uses the synchronized ones only, and walking
    // does not touch what they share. An allocation inside the walk meets the guard.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            // A stack pointer that is null is not known.
            let sp = frame.sp() as usize;
            is_inside &= sp != 0 && sp <= local as usize;
            // The return address of the outermost frame is zero.
            let address = frame.ip() as usize;
            is_inside || address != 0 && keep(address)
        });
    }
}
