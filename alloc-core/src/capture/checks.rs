//! [`Check`]: a word of the stack that must be as it was.

use super::unwind::KEPT;

/// A word that a walk read, and where it lies.
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

    /// Zero if the word is as it was.
    ///
    /// # Safety
    ///
    /// As [`read_stack`].
    #[inline(always)]
    unsafe fn change(&self) -> usize {
        // SAFETY: the caller's promise.
        unsafe { read_stack(self.address) ^ self.word }
    }
}

/// The words that the links of a [`Walker`](super::Walker) were found by, outermost first: so they lie further and
/// further down the stack.
pub(super) struct Checks {
    checks: [Check; CHECKS],
    /// For each check, which link is the innermost that may hold if it does not.
    links: [u16; CHECKS],
}

/// At most two for each link, one for what lies outside of all, and twice four that end them.
const CHECKS: usize = 2 * KEPT + 9;

impl Checks {
    /// Where to begin for there to be none: the last four are always those that end them, of the link at 0.
    pub(super) const NONE: usize = CHECKS - 4;

    /// All of them, and what is left of others.
    pub(super) fn all(&self) -> &[Check; CHECKS] {
        &self.checks
    }

    /// Sets the one that lies outside of all links.
    pub(super) fn set_outermost(&mut self, check: Check) {
        (self.checks[0], self.links[0]) = (check, 0);
    }

    /// Sets that of the link at `link`: of its return address. If there is another, the link is not there.
    #[inline(always)]
    pub(super) fn set(&mut self, at: usize, check: Check, link: usize) {
        debug_assert!(at + 2 <= Checks::NONE);
        // SAFETY: links have at most two checks each, and there is room for one more.
        unsafe { *self.checks.get_unchecked_mut(at) = check };
        // SAFETY: as above.
        unsafe { *self.links.get_unchecked_mut(at) = link as u16 - 1 };
    }

    /// Sets those of the link at `link`: of its return address and of the caller's rbp.
    #[inline(always)]
    pub(super) fn set_two(&mut self, at: usize, two: [Check; 2], link: usize) {
        self.set(at, two[0], link);
        // If it is another rbp, the link may be there, and the one inside of it is not.
        self.set(at + 1, two[1], link + 1);
    }

    /// Says that there are `len` of them, of links of which that at `link` is the innermost.
    #[inline(always)]
    pub(super) fn end(&mut self, len: usize, link: usize) {
        debug_assert!(len + 4 <= Checks::NONE);
        for at in len..len + 4 {
            // Below every stack.
            //
            // SAFETY: links have at most two checks each, and there is room for four more.
            unsafe { self.checks.get_unchecked_mut(at).address = 0 };
        }
        // SAFETY: as above.
        unsafe { *self.links.get_unchecked_mut(len) = link as u16 };
    }

    /// Forgets `by` checks after the first, and the `links` that they are of.
    pub(super) fn shift(&mut self, by: usize, links: usize) {
        self.checks.copy_within(1 + by..Checks::NONE, 1);
        self.links.copy_within(1 + by..Checks::NONE, 1);
        for link in &mut self.links[1..Checks::NONE] {
            *link = link.saturating_sub(links as u16);
        }
    }

    /// The innermost link that may hold: all checks hold from that at `first` to the last that is of the links
    /// outside of it, and none of these lies below `sp`.
    ///
    /// PERF: 5 instructions for each check, and none waits for another.
    ///
    /// # Safety
    ///
    /// All checks were [set](Self::set_two) and [ended](Self::end), and lie in the calling thread's stack, which is in
    /// use from `sp` on.
    #[inline(always)]
    pub(super) unsafe fn innermost_link(&self, first: usize, sp: usize) -> usize {
        // SAFETY: the caller's promise.
        let wrong = unsafe { self.first_wrong(first, sp) };
        // SAFETY: at most the first of those that end them.
        unsafe { *self.links.get_unchecked(wrong) }.into()
    }

    /// The first check that does not hold, or lies below `sp`.
    ///
    /// # Safety
    ///
    /// As [`innermost_link`](Self::innermost_link).
    #[inline(always)]
    unsafe fn first_wrong(&self, first: usize, sp: usize) -> usize {
        let mut at = first;
        loop {
            let four = self.checks.as_ptr().wrapping_add(at).cast::<[Check; 4]>();
            // SAFETY: where there are no more, four end them.
            let four = unsafe { &*four };
            if four[3].address < sp {
                let holds = |check: &Check| {
                    // SAFETY: it lies in what is in use.
                    check.address >= sp && unsafe { check.change() } == 0
                };
                return at + four.iter().take_while(|check| holds(check)).count();
            }
            for (past, check) in four.iter().enumerate() {
                // SAFETY: it lies higher than the last of the four.
                if unsafe { check.change() } != 0 {
                    return at + past;
                }
            }
            at += 4;
        }
    }
}

/// Whether all words are as they were.
///
/// PERF: 4 instructions for each, and none waits for another. To collect what differs and branch once takes as many,
/// and more registers.
///
/// # Safety
///
/// All lie in the part of this thread's stack that is in use.
#[inline(always)]
pub(super) unsafe fn hold(checks: &[Check]) -> bool {
    let (fours, rest) = checks.as_chunks::<4>();
    // SAFETY: the caller's promise.
    let holds = |check: &Check| unsafe { check.change() } == 0;
    fours
        .iter()
        .all(|[a, b, c, d]| holds(a) && holds(b) && holds(c) && holds(d))
        && rest.iter().all(holds)
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
