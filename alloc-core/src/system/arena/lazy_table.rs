//! [`LazyTable`]: an array for which memory is reserved when it is needed.

use std::ptr::{self, NonNull};

use super::pages::{release, reserve, resident};
use crate::system::sync::{AtomicPtr, Ordering};

/// Types for which all bytes zero is a value.
///
/// # Safety
///
/// It is.
pub(crate) unsafe trait Zeroed {}

// SAFETY: an atomic has the representation of its integer or pointer, for which zero is a value.
unsafe impl Zeroed for crate::system::sync::AtomicU8 {}
// SAFETY: an atomic has the representation of its integer or pointer, for which zero is a value.
unsafe impl Zeroed for crate::system::sync::AtomicU32 {}
// SAFETY: an atomic has the representation of its integer or pointer, for which zero is a value.
unsafe impl Zeroed for crate::system::sync::AtomicU64 {}
// SAFETY: an atomic has the representation of its integer or pointer, for which zero is a value.
unsafe impl<T> Zeroed for AtomicPtr<T> {}
// SAFETY: a null pointer is "not reserved yet".
unsafe impl<T, const LEN: usize> Zeroed for LazyTable<T, LEN> {}

/// An array of `LEN` items, all zero at first, for which memory is reserved when it is needed.
///
/// A reader sees either nothing or the whole array; of two threads that reserve it at once, one
/// wins and the other gives its memory back. It is itself null at first, so that arrays of arrays
/// can be built.
#[repr(transparent)]
pub(crate) struct LazyTable<T, const LEN: usize>(AtomicPtr<T>);

impl<T, const LEN: usize> LazyTable<T, LEN> {
    const BYTES: usize = LEN * size_of::<T>();

    /// An array for which nothing is reserved yet.
    pub(crate) const fn new() -> LazyTable<T, LEN> {
        LazyTable(AtomicPtr::new(ptr::null_mut()))
    }

    /// The physical memory that the array takes up.
    pub(crate) fn resident(&self) -> usize {
        NonNull::new(self.0.load(Ordering::Relaxed))
            .map_or(0, |base| resident(base.cast(), Self::BYTES))
    }

    /// Gives the memory back; the array is as at the start.
    ///
    /// # Safety
    ///
    /// Nobody refers to the array, and nobody uses it until this returns.
    pub(crate) unsafe fn clear(&self) {
        if let Some(base) = NonNull::new(self.0.swap(ptr::null_mut(), Ordering::Relaxed)) {
            // SAFETY: the base came from `reserve` with this length; the caller vouches that
            // nobody refers to it.
            unsafe { release(base.cast(), Self::BYTES) };
        }
    }
}

impl<T: Zeroed, const LEN: usize> LazyTable<T, LEN> {
    /// The array, if it was reserved.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&[T; LEN]> {
        // The acquire pairs with the release in `get_or_reserve`.
        let base = self.0.load(Ordering::Acquire);
        // SAFETY: null, or from `reserve` with room for `LEN` items that are zero at first, which
        // `Zeroed` allows; `clear` runs only when nobody refers to the array.
        unsafe { base.cast::<[T; LEN]>().as_ref() }
    }

    /// An item of the array.
    ///
    /// # Safety
    ///
    /// The array was reserved, and has an item at `at`.
    #[inline(always)]
    pub(crate) unsafe fn get_unchecked(&self, at: usize) -> &T {
        let base = self.0.load(Ordering::Acquire);
        // SAFETY: the caller's promise.
        let item = unsafe { base.add(at) };
        // SAFETY: the caller's promise. All items are zero at first, which `Zeroed` allows, and
        // `clear` runs only when nobody refers to the array.
        unsafe { &*item }
    }

    /// The array, reserved now if it was not. `None` where the system has no memory to give.
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
            // SAFETY: another thread published its own memory; ours was never shown to anyone.
            unsafe { release(fresh, Self::BYTES) };
        }
        self.get()
    }
}
