//! [`Pair`]: two words in one register.

use std::arch::x86_64::{
    __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_load_si128, _mm_loadu_si128, _mm_movemask_epi8,
    _mm_or_si128, _mm_setzero_si128, _mm_xor_si128,
};

/// Two words side by side, as SSE2 has them, which every x86-64 processor does.
///
/// PERF: verifying a link takes 8 instructions with it and 12 without; a walk of 13 links, of a
/// JSON parser with frame pointers, 449 and 499.
#[derive(Clone, Copy)]
pub(super) struct Pair(__m128i);

impl Pair {
    #[inline(always)]
    pub(super) fn zero() -> Pair {
        // SAFETY: every x86-64 processor has the instruction.
        Pair(unsafe { _mm_setzero_si128() })
    }

    #[inline(always)]
    pub(super) fn of(words: &Words) -> Pair {
        // SAFETY: sixteen bytes, aligned to as many.
        Pair(unsafe { _mm_load_si128(std::ptr::from_ref(words).cast()) })
    }

    /// The two words at an address of the stack.
    ///
    /// # Safety
    ///
    /// Both lie in the part of this thread's stack that is in use.
    #[inline(always)]
    pub(super) unsafe fn on_stack(address: usize) -> Pair {
        // SAFETY: mapped memory, by the caller's promise. That it is other frames' is outside of what
        // Rust's memory model describes; any two words are a value.
        Pair(unsafe { _mm_loadu_si128(address as *const __m128i) })
    }

    #[inline(always)]
    pub(super) fn xor(self, other: Pair) -> Pair {
        // SAFETY: every x86-64 processor has the instruction.
        Pair(unsafe { _mm_xor_si128(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn and(self, other: Pair) -> Pair {
        // SAFETY: as above.
        Pair(unsafe { _mm_and_si128(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn or(self, other: Pair) -> Pair {
        // SAFETY: as above.
        Pair(unsafe { _mm_or_si128(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn is_zero(self) -> bool {
        // SAFETY: as above.
        let zeros = unsafe { _mm_cmpeq_epi8(self.0, Pair::zero().0) };
        // SAFETY: as above.
        unsafe { _mm_movemask_epi8(zeros) == 0xFFFF }
    }
}

/// Two words in memory, aligned to be loaded as a [`Pair`].
#[derive(Clone, Copy)]
#[repr(C, align(16))]
pub(super) struct Words(pub(super) [usize; 2]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_compare_both_words_under_a_mask() {
        let stack = [1_usize, 2, 3, 4];
        // SAFETY: two words of a local.
        let there = unsafe { Pair::on_stack(&raw const stack[1] as usize) };
        let differs = |said, mask| {
            let changed = there
                .xor(Pair::of(&Words(said)))
                .and(Pair::of(&Words(mask)));
            assert!(Pair::zero().is_zero());
            !Pair::zero().or(changed).is_zero()
        };
        let all = usize::MAX;
        assert!(!differs([2, 3], [all, all]));
        assert!(differs([2, 4], [all, all]));
        assert!(differs([0, 3], [all, all]));
        assert!(!differs([0, 3], [0, all]));
        assert!(differs([0, 1 << 63 | 3], [0, all]));
    }
}
