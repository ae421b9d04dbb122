//! [`Pages`]: a vector in mapped memory, so that writing a snapshot does not use the heap.

use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::error::Error;
use crate::process;

/// The size and alignment of mapped memory is a multiple of this.
const PAGE: usize = 4096;

/// The system has no memory left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

impl From<NoMemory> for Error {
    fn from(_: NoMemory) -> Error {
        io::Error::from(io::ErrorKind::OutOfMemory).into()
    }
}

/// Types for which all-zero bytes are a valid value.
///
/// # Safety
///
/// All-zero bytes must be a valid value of the type.
pub unsafe trait Zeroed {}

// SAFETY: an integer, for which zero is a valid value.
unsafe impl Zeroed for u8 {}
// SAFETY: an integer, for which zero is a valid value.
unsafe impl Zeroed for u16 {}
// SAFETY: an integer, for which zero is a valid value.
unsafe impl Zeroed for u32 {}
// SAFETY: an integer, for which zero is a valid value.
unsafe impl Zeroed for i64 {}
// SAFETY: an integer, for which zero is a valid value.
unsafe impl Zeroed for usize {}

/// A vector that reports a failure to grow, and returns its memory to the system when dropped.
///
/// It avoids the heap for three reasons. When memory is short, a failure is an error and not an
/// abort. The writer's memory does not stay with the allocator. And glibc raises its threshold for
/// mapping blocks each time a mapped block is freed, so large buffers would change where the
/// program's own blocks go.
pub struct Pages<T> {
    base: NonNull<u8>,
    /// How many bytes are mapped; zero if none.
    bytes: usize,
    len: usize,
    /// Unmaps the memory.
    unmap: unsafe fn(NonNull<u8>, usize),
    items: PhantomData<T>,
}

// SAFETY: the vector owns its memory, which holds integers.
unsafe impl<T: Send> Send for Pages<T> {}

impl<T: Zeroed + Copy> Pages<T> {
    /// How many bytes are mapped at first. A page takes up memory only once it is touched.
    const FIRST: usize = 16 * PAGE;

    /// An empty vector, which maps nothing.
    pub const fn new() -> Pages<T> {
        Pages {
            base: NonNull::<T>::dangling().cast(),
            bytes: 0,
            len: 0,
            unmap: heap::unmap,
            items: PhantomData,
        }
    }

    /// A vector of `len` zeros.
    pub fn zeroed(len: usize) -> Result<Pages<T>, NoMemory> {
        let mut pages = Pages::new();
        pages.reserve(len)?;
        pages.len = len;
        Ok(pages)
    }

    /// Appends an item.
    pub fn push(&mut self, item: T) -> Result<(), NoMemory> {
        self.extend(&[item])
    }

    /// Appends items.
    #[inline]
    pub fn extend(&mut self, items: &[T]) -> Result<(), NoMemory> {
        if items.len() > self.bytes / size_of::<T>() - self.len {
            self.reserve(items.len())?;
        }
        let start = self.len;
        self.len += items.len();
        self[start..].copy_from_slice(items);
        Ok(())
    }

    /// Drops all items and keeps the memory.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Drops all items after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// How many bytes are mapped.
    #[cfg(test)]
    pub fn mapped(&self) -> usize {
        self.bytes
    }

    /// Makes room for more items.
    #[cold]
    fn reserve(&mut self, more: usize) -> Result<(), NoMemory> {
        let needed = self.len.checked_add(more).ok_or(NoMemory)?;
        let needed = needed.checked_mul(size_of::<T>()).ok_or(NoMemory)?;
        if needed <= self.bytes {
            return Ok(());
        }
        let bytes = needed.max(2 * self.bytes).max(Self::FIRST);
        let bytes = bytes.checked_next_multiple_of(PAGE).ok_or(NoMemory)?;
        let (map, unmap) = match process::process() {
            Some(process) => (process.map, process.unmap),
            None => (heap::map as fn(usize) -> _, heap::unmap as unsafe fn(_, _)),
        };
        let mut larger = Pages {
            base: map(bytes).ok_or(NoMemory)?,
            bytes,
            len: self.len,
            unmap,
            items: PhantomData,
        };
        larger.copy_from_slice(self);
        *self = larger;
        Ok(())
    }
}

impl<T: Zeroed + Copy> Default for Pages<T> {
    fn default() -> Pages<T> {
        Pages::new()
    }
}

impl<T> Drop for Pages<T> {
    fn drop(&mut self) {
        if self.bytes != 0 {
            // SAFETY: `reserve` mapped it with this length, by the counterpart of `unmap`, and
            // nothing borrows the memory any more.
            unsafe { (self.unmap)(self.base, self.bytes) };
        }
    }
}

impl<T> Deref for Pages<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the pointer is aligned to a page, or dangling with a length of zero, and the
        // slice is within the mapped memory. All mapped memory holds zeros or items, and items are
        // `Zeroed`.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr().cast(), self.len) }
    }
}

impl<T> DerefMut for Pages<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: aligned and initialized as `deref` says, and borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr().cast(), self.len) }
    }
}

/// Memory for a process that registered no way to map it: from the heap, since nothing is traced
/// there.
mod heap {
    use std::alloc::{Layout, alloc_zeroed, dealloc};
    use std::ptr::NonNull;

    fn layout(bytes: usize) -> Option<Layout> {
        Layout::from_size_align(bytes, super::PAGE).ok()
    }

    pub(super) fn map(bytes: usize) -> Option<NonNull<u8>> {
        let layout = layout(bytes).filter(|it| it.size() > 0)?;
        // SAFETY: the layout has a size.
        NonNull::new(unsafe { alloc_zeroed(layout) })
    }

    /// # Safety
    ///
    /// `base` comes from [`map`] with this length, and nothing refers to the memory any more.
    pub(super) unsafe fn unmap(base: NonNull<u8>, bytes: usize) {
        if let Some(layout) = layout(bytes) {
            // SAFETY: the caller guarantees that `map` allocated it, with this layout.
            unsafe { dealloc(base.as_ptr(), layout) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_while_the_vector_grows() {
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
    fn too_large_a_request_is_refused() {
        for len in [usize::MAX, usize::MAX / size_of::<usize>(), 1 << 55] {
            assert!(Pages::<usize>::zeroed(len).is_err(), "{len}");
        }
    }
}
