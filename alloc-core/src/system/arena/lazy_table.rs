//! [`LazyTable`]: an array whose memory is reserved on first use.

use std::ptr::{self, NonNull};

use super::pages::{release, reserve, resident};
use crate::system::sync::{AtomicPtr, Ordering};

/// Types for which all-zero bytes are a valid value.
///
/// # Safety
///
/// All-zero bytes must be valid for the type.
pub(crate) unsafe trait Zeroed {}

// SAFETY: an atomic has the representation of its integer or pointer, for which zero is valid.
unsafe impl Zeroed for crate::system::sync::AtomicU8 {}
// SAFETY: an atomic has the representation of its integer or pointer, for which zero is valid.
unsafe impl Zeroed for crate::system::sync::AtomicU32 {}
// SAFETY: an atomic has the representation of its integer or pointer, for which zero is valid.
unsafe impl Zeroed for crate::system::sync::AtomicU64 {}
// SAFETY: an atomic has the representation of its integer or pointer, for which zero is valid.
unsafe impl<T> Zeroed for AtomicPtr<T> {}
// SAFETY: a null pointer means "not reserved yet".
unsafe impl<T, const LEN: usize> Zeroed for LazyTable<T, LEN> {}

/// An array of `LEN` items, all zero at first, whose memory is reserved on first use.
///
/// A reader sees either no array or a whole one. If two threads reserve it at once, one wins and
/// the other gives its memory back. The table itself is a null pointer at first, so arrays of
/// arrays are possible.
#[repr(transparent)]
pub(crate) struct LazyTable<T, const LEN: usize>(AtomicPtr<T>);

impl<T, const LEN: usize> LazyTable<T, LEN> {
    const BYTES: usize = LEN * size_of::<T>();

    /// An array without memory yet.
    pub(crate) const fn new() -> LazyTable<T, LEN> {
        LazyTable(AtomicPtr::new(ptr::null_mut()))
    }

    /// Physical memory of the array, in bytes.
    pub(crate) fn resident(&self) -> usize {
        NonNull::new(self.0.load(Ordering::Relaxed))
            .map_or(0, |base| resident(base.cast(), Self::BYTES))
    }

    /// Gives the memory back and returns the table to its initial state.
    ///
    /// # Safety
    ///
    /// Nobody refers to the array, and nobody uses it until this returns.
    pub(crate) unsafe fn clear(&self) {
        if let Some(base) = NonNull::new(self.0.swap(ptr::null_mut(), Ordering::Relaxed)) {
            // SAFETY: `base` came from `reserve` with this length. Nobody refers to the array, as
            // the caller guarantees.
            unsafe { release(base.cast(), Self::BYTES) };
        }
    }
}

impl<T: Zeroed, const LEN: usize> LazyTable<T, LEN> {
    /// The array, if its memory is reserved.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&[T; LEN]> {
        // The acquire pairs with the release in `get_or_reserve`.
        let base = self.0.load(Ordering::Acquire);
        // SAFETY: `base` is null, or from `reserve` with room for `LEN` items that are zero at
        // first, which `Zeroed` allows. `clear` runs only when nobody refers to the array.
        unsafe { base.cast::<[T; LEN]>().as_ref() }
    }

    /// An item of the array.
    ///
    /// # Safety
    ///
    /// The array must be reserved, and `at` must be less than `LEN`.
    #[inline(always)]
    pub(crate) unsafe fn get_unchecked(&self, at: usize) -> &T {
        let base = self.0.load(Ordering::Acquire);
        // SAFETY: the array is reserved and `at` is in bounds, as the caller guarantees.
        let item = unsafe { base.add(at) };
        // SAFETY: the item is in bounds, as the caller guarantees. All items are zero at first,
        // which `Zeroed` allows, and `clear` runs only when nobody refers to the array.
        unsafe { &*item }
    }

    /// The array; its memory is reserved if needed. `None` if the system is out of memory.
    #[inline]
    pub(crate) fn get_or_reserve(&self) -> Option<&[T; LEN]> {
        match self.get() {
            Some(array) => Some(array),
            None => self.reserve_now(),
        }
    }

    #[cold]
    fn reserve_now(&self) -> Option<&[T; LEN]> {
        let fresh = reserve(Self::BYTES)?;
        // The release publishes zeroed memory to the acquire in `get`.
        let won = self.0.compare_exchange(
            ptr::null_mut(),
            fresh.as_ptr().cast(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        if won.is_err() {
            // SAFETY: another thread published its own memory; ours was never shared.
            unsafe { release(fresh, Self::BYTES) };
        }
        self.get()
    }
}
