//! Call stacks to allocate from.

use std::hint::black_box;

/// Frames between the caller and the work.
pub(super) const DEPTH: u32 = 20;

/// Calls `work` from a stack of [`DEPTH`] frames. Each `path` has a stack of its own: its bits
/// choose one of two functions for each frame, from the outermost.
pub(crate) fn call<R>(path: u32, mut work: impl FnMut() -> R) -> R {
    let mut result = None;
    descend(path, DEPTH, &mut || result = Some(work()));
    result.expect("the innermost frame ran the work")
}

#[inline(always)]
fn descend(path: u32, depth: u32, work: &mut dyn FnMut()) -> u32 {
    if depth == 0 {
        work();
        0
    } else if path & 1 == 0 {
        even(path >> 1, depth - 1, work)
    } else {
        odd(path >> 1, depth - 1, work)
    }
}

// NOTE: different sums keep the compiler from merging the two functions. `black_box` keeps it from
// turning the recursion into a loop.
#[inline(never)]
fn even(path: u32, depth: u32, work: &mut dyn FnMut()) -> u32 {
    black_box(descend(path, depth, work)) + 2
}

#[inline(never)]
fn odd(path: u32, depth: u32, work: &mut dyn FnMut()) -> u32 {
    black_box(descend(path, depth, work)) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_passes_through_one_frame_a_bit() {
        let sum = |path| descend(path, DEPTH, &mut || ());
        assert_eq!(sum(0), 2 * DEPTH);
        assert_eq!(sum(0b1011), 2 * DEPTH - 3);
        assert_eq!(call(5, || "value"), "value");
    }
}
