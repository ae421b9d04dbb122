//! [`StackHash`]: the hash by which the interner finds a stack.

/// The hash of a stack: a polynomial over its addresses, the innermost having the lowest power.
///
/// Each address is mixed first, multiplied to 128 bits and folded as in wyhash, and so is the sum
/// at the end. In between, each step multiplies the sum by the base and adds an address. So the sum
/// over a stack is the sum over its outer part with a few more steps, and the sum over its
/// innermost part is a difference of two.
pub(crate) struct StackHash;

impl StackHash {
    const BASE: u64 = 0x8EBC_6AF0_9C88_C6E3;

    /// The sum over a stack with the innermost address `address`; `outer` is the sum over its outer
    /// part.
    #[inline(always)]
    pub(crate) fn add(outer: u64, address: usize) -> u64 {
        let mixed = fold(
            address as u64 ^ 0xA076_1D64_78BD_642F,
            0xE703_7ED1_A0B4_28DB,
        );
        outer.wrapping_mul(StackHash::BASE).wrapping_add(mixed)
    }

    /// The factor of a sum that is outside of `addresses` inner addresses.
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
    pub(crate) fn power(addresses: usize) -> u64 {
        (0..addresses).fold(1, |power: u64, _| power.wrapping_mul(StackHash::BASE))
    }

    /// The hash of a stack with this sum. The uppermost bit is always set, so no tag made of the
    /// upper bits is zero.
    #[inline(always)]
    pub(crate) fn of_sum(sum: u64) -> u64 {
        fold(sum ^ 0x1D8E_4E27_C47D_124F, 0x5899_65CC_7537_4CC3) | 1 << 63
    }
}

#[inline(always)]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// The hash of a whole stack.
pub(crate) fn hash_of(addresses: &[usize]) -> u64 {
    let sum = addresses
        .iter()
        .rev()
        .fold(0, |sum, &address| StackHash::add(sum, address));
    StackHash::of_sum(sum)
}
