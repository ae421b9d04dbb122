//! [`Pages`]: a vector in memory that is mapped for it, so that a snapshot is written without the program's heap.

use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::error::Error;
use crate::system::arena::{self, PAGE, Zeroed};

/// The system gives no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

impl From<NoMemory> for Error {
    fn from(_: NoMemory) -> Error {
        io::Error::from(io::ErrorKind::OutOfMemory).into()
    }
}

// SAFETY: an integer, for which zero is a value.
unsafe impl Zeroed for u8 {}
// SAFETY: as above.
unsafe impl Zeroed for u16 {}
// SAFETY: as above.
unsafe impl Zeroed for u32 {}
// SAFETY: as above.
unsafe impl Zeroed for i64 {}
// SAFETY: as above.
unsafe impl Zeroed for usize {}

/// A vector that grows or says that it cannot, and goes back to the system when it is dropped.
///
/// The heap is left alone for three reasons. Where memory is short, a failure is an error and no abort. What
/// the writer needs does not stay with the allocator. And glibc raises its threshold for mapping blocks each time that a mapped
/// one is freed, so that large buffers would change where the program's own blocks go.
pub(crate) struct Pages<T> {
    base: NonNull<u8>,
    /// What is mapped; zero if nothing is.
    bytes: usize,
    len: usize,
    items: PhantomData<T>,
}

// SAFETY: it owns its memory, which holds integers.
unsafe impl<T: Send> Send for Pages<T> {}

impl<T: Zeroed + Copy> Pages<T> {
    /// What is mapped at first. Pages are only taken up when they are touched.
    const FIRST: usize = 16 * PAGE;

    pub(crate) const fn new() -> Pages<T> {
        Pages {
            base: NonNull::<T>::dangling().cast(),
            bytes: 0,
            len: 0,
            items: PhantomData,
        }
    }

    /// So many zeros.
    pub(crate) fn zeroed(len: usize) -> Result<Pages<T>, NoMemory> {
        let mut pages = Pages::new();
        pages.reserve(len)?;
        pages.len = len;
        Ok(pages)
    }

    pub(crate) fn push(&mut self, item: T) -> Result<(), NoMemory> {
        self.extend(&[item])
    }

    #[inline]
    pub(crate) fn extend(&mut self, items: &[T]) -> Result<(), NoMemory> {
        if items.len() > self.bytes / size_of::<T>() - self.len {
            self.reserve(items.len())?;
        }
        let start = self.len;
        self.len += items.len();
        self[start..].copy_from_slice(items);
        Ok(())
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Leaves out what comes after the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// How many bytes are mapped.
    #[cfg(test)]
    pub(crate) fn mapped(&self) -> usize {
        self.bytes
    }

    /// Makes room for so many more.
    #[cold]
    fn reserve(&mut self, more: usize) -> Result<(), NoMemory> {
        let needed = self.len.checked_add(more).ok_or(NoMemory)?;
        let needed = needed.checked_mul(size_of::<T>()).ok_or(NoMemory)?;
        if needed <= self.bytes {
            return Ok(());
        }
        let bytes = needed.max(2 * self.bytes).max(Self::FIRST);
        let bytes = bytes.checked_next_multiple_of(PAGE).ok_or(NoMemory)?;
        let base = arena::reserve(bytes).ok_or(NoMemory)?;
        let mut larger = Pages {
            base,
            bytes,
            len: self.len,
            items: PhantomData,
        };
        larger.copy_from_slice(self);
        *self = larger;
        Ok(())
    }
}

impl<T> Drop for Pages<T> {
    fn drop(&mut self) {
        if self.bytes != 0 {
            // SAFETY: reserved by `reserve` with this length, and whoever borrowed it is gone.
            unsafe { arena::release(self.base, self.bytes) };
        }
    }
}

impl<T> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: aligned to a page or dangling with a length of zero, and within what is mapped; all that was mapped are zeros
        // or items, and items are `Zeroed`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.len) }
    }
}

impl<T> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed for writing.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_stays_while_it_grows() {
        let mut pages = Pages::new();
        assert!(pages.is_empty());
        for number in 0..100_000_u32 {
            pages.push(number).unwrap();
        }
        pages.extend(&[7, 8, 9]).unwrap();
        assert_eq!(pages.len(), 100_003);
        assert!((0..100_000).all(|number| pages[number as usize] == number));
        assert_eq!(pages[100_000..], [7, 8, 9]);
        pages.clear();
        assert!(pages.is_empty());
        assert_eq!(Pages::<u16>::zeroed(3).unwrap()[..], [0, 0, 0]);
    }

    #[test]
    fn more_than_there_is_is_refused() {
        for len in [usize::MAX, usize::MAX / size_of::<usize>(), 1 << 55] {
            assert!(Pages::<usize>::zeroed(len).is_err(), "{len}");
        }
    }
}
