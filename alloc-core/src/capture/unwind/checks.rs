//! [`Check`]: a word of the stack that must be as it was.

/// A word that a walk read, and where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(16))]
pub(super) struct Check {
    pub(super) address: usize,
    pub(super) word: usize,
}

impl Check {
    /// That the word there is what it is now.
    ///
    /// # Safety
    ///
    /// As [`read_stack`].
    #[inline(always)]
    pub(super) unsafe fn of(address: usize) -> Check {
        // SAFETY: the caller's promise.
        let word = unsafe { read_stack(address) };
        Check { address, word }
    }

    /// That of a word which is in a register.
    #[inline(always)]
    pub(super) fn of_register(word: usize) -> Check {
        Check { address: 0, word }
    }

    /// Reads one that was written a moment ago.
    ///
    /// PERF: in the same pieces, since a processor can hand on a store that is not done to a load
    /// of the same size, and the compiler would read two words at once.
    #[inline(always)]
    pub(super) fn read_by_word(&self) -> Check {
        // SAFETY: a reference can be read.
        let address = unsafe { (&raw const self.address).read_volatile() };
        // SAFETY: a reference can be read.
        let word = unsafe { (&raw const self.word).read_volatile() };
        Check { address, word }
    }

    /// Zero if the word is as it was.
    ///
    /// # Safety
    ///
    /// As [`read_stack`].
    #[inline(always)]
    pub(super) unsafe fn change(&self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { read_stack(self.address) ^ self.word }
    }
}

/// Whether all words are as they were.
///
/// PERF: 4 instructions for each, and none waits for another. To collect what differs and branch
/// once takes as many, and more registers.
///
/// # Safety
///
/// All lie in the part of this thread's stack that is in use.
#[inline(always)]
pub(super) unsafe fn hold(checks: &[Check]) -> bool {
    let (fours, rest) = checks.as_chunks::<4>();
    // SAFETY: the caller's promise.
    let is_valid = |check: &Check| unsafe { check.change() } == 0;
    fours
        .iter()
        .all(|[a, b, c, d]| is_valid(a) && is_valid(b) && is_valid(c) && is_valid(d))
        && rest.iter().all(is_valid)
}

/// Reads a word of the stack.
///
/// # Safety
///
/// `address` is aligned and is between the stack pointer of a live frame of this thread and the
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
                // SAFETY: words of a local.
                assert_eq!(unsafe { hold(&checks[..len]) }, differs >= len);
                checks[differs].word ^= 1 << 63;
            }
        }
    }
}
