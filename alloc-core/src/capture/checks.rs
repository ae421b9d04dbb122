//! [`Check`]: a word of the stack that must be as it was.

/// A word that a walk read, and where it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(16))]
pub(super) struct Check {
    pub(super) address: usize,
    pub(super) word: usize,
}

/// Whether all words are as they were.
///
/// PERF: 4 instructions for each. None waits for another, and there is one branch for four.
///
/// # Safety
///
/// All lie in the part of this thread's stack that is in use.
#[inline(always)]
pub(super) unsafe fn hold(checks: &[Check]) -> bool {
    let (fours, rest) = checks.as_chunks::<4>();
    // SAFETY: the caller's promise.
    let differs = |check: &Check| unsafe { read_stack(check.address) } ^ check.word;
    let mut changed = 0;
    for [a, b, c, d] in fours {
        changed |= differs(a) | differs(b) | differs(c) | differs(d);
    }
    for check in rest {
        changed |= differs(check);
    }
    changed == 0
}

/// Reads a word of the stack.
///
/// # Safety
///
/// `address` is aligned and lies between the stack pointer of a live frame of this thread and the
/// upper end of its stack, or of the page that holds the stack pointer.
#[inline(always)]
pub(super) unsafe fn read_stack(address: usize) -> usize {
    // SAFETY: the memory is mapped and aligned, by the caller's promise. That other frames' words
    // are read is outside of what Rust's memory model describes; the read is volatile, so it is
    // what the machine has there, and any word is a value.
    unsafe { (address as *const usize).read_volatile() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_that_differs_is_enough() {
        let stack = [1_usize, 2, 3, 4, 5, 6, 7];
        let check = |word: &usize| Check {
            address: std::ptr::from_ref(word) as usize,
            word: *word,
        };
        let mut checks: Vec<Check> = stack.iter().map(check).collect();
        for len in 0..=stack.len() {
            // SAFETY: words of a local.
            assert!(unsafe { hold(&checks[..len]) });
            for differs in 0..stack.len() {
                checks[differs].word ^= 1 << 63;
                // SAFETY: as above.
                assert_eq!(unsafe { hold(&checks[..len]) }, differs >= len);
                checks[differs].word ^= 1 << 63;
            }
        }
    }
}
