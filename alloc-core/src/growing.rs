//! [`Growing`]: a table of a thread's own that is small until it is too small.

use crate::arena::{Reserved, Zeroed};
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use Ordering::Relaxed;

/// A direct-mapped table of `SMALL` items, which grows in steps to `LARGE`. Both are powers of two.
///
/// Most threads meet few callsites, and a table for many would have each of these on a page of its own. So the first
/// table lies in the thread's state. When as many items have [made way](Self::has_made_way) for others as there are
/// places, there are eight times as many; from the second step on they lie in a table that is reserved as a whole.
///
/// Only the owner changes it. Other threads read it meanwhile, and may see the places of before.
///
/// NOTE: zeroed memory is not one yet: [`begin`](Self::begin) makes it one.
#[repr(C, align(64))]
pub(crate) struct Growing<T, const SMALL: usize, const LARGE: usize> {
    small: [T; SMALL],
    items: AtomicPtr<T>,
    /// The number of places less one. NOTE: never more than what is behind `items` has.
    mask: AtomicUsize,
    /// How many items made way since it grew.
    evictions: AtomicU32,
    large: Reserved<T, LARGE>,
}

impl<T: Zeroed, const SMALL: usize, const LARGE: usize> Growing<T, SMALL, LARGE> {
    /// Makes zeroed memory a table. NOTE: by the only one who knows of it.
    pub(crate) fn begin(&self) {
        const { assert!(SMALL.is_power_of_two() && LARGE.is_power_of_two() && SMALL < LARGE) };
        if self.items.load(Relaxed).is_null() {
            self.items.store(self.small.as_ptr().cast_mut(), Relaxed);
            self.mask.store(SMALL - 1, Relaxed);
        }
    }

    /// The place that a number names.
    #[inline(always)]
    pub(crate) fn place(&self, number: usize) -> &T {
        // The acquires pair with the releases in `grow`: there are as many places as the mask says.
        let mask = self.mask.load(Ordering::Acquire);
        let items = self.items.load(Ordering::Acquire);
        debug_assert!(!items.is_null());
        // SAFETY: `items` has more places than `mask`: it has `SMALL`, or `LARGE`, and is never replaced by a smaller one;
        // and the mask is loaded first, and stored last.
        let place = unsafe { items.add(number & mask) };
        // SAFETY: as above; `begin` was called, and neither table is released as long as the thread's state is there,
        // which is for ever.
        unsafe { &*place }
    }

    /// All places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        (0..=self.mask.load(Ordering::Acquire)).map(|at| self.place(at))
    }

    /// Notes that an item made way for another, and returns whether the table should [grow](Self::grow).
    pub(crate) fn has_made_way(&self) -> bool {
        let evictions = self.evictions.load(Relaxed) + 1;
        self.evictions.store(evictions, Relaxed);
        let mask = self.mask.load(Relaxed);
        mask < LARGE - 1 && evictions as usize > mask
    }

    /// Grows a step, if there is memory. NOTE: by the owner, and only while all places are as at first.
    #[cold]
    pub(crate) fn grow(&self) {
        self.evictions.store(0, Relaxed);
        let Some(large) = self.large.get_or_reserve() else {
            return;
        };
        let places = (self.mask.load(Relaxed) + 1) * 8;
        // The releases pair with the acquires in `place`.
        self.items
            .store(large.as_ptr().cast_mut(), Ordering::Release);
        self.mask.store(places.min(LARGE) - 1, Ordering::Release);
    }

    /// The physical memory of the larger table.
    pub(crate) fn resident_beside(&self) -> usize {
        self.large.resident()
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::sync::AtomicU64;

    // SAFETY: zero is a value of all fields.
    unsafe impl<T: Zeroed, const SMALL: usize, const LARGE: usize> Zeroed for Growing<T, SMALL, LARGE> {}

    #[test]
    fn a_table_grows_by_what_makes_way_up_to_its_end() {
        let memory: Reserved<Growing<AtomicU64, 4, 64>, 1> = Reserved::new();
        let table = &memory.get_or_reserve().unwrap()[0];
        table.begin();
        assert_eq!((table.iter().count(), table.resident_beside()), (4, 0));
        assert!(ptr::eq(table.place(5), table.place(1)));
        for places in [4, 32, 64] {
            assert_eq!(table.iter().count(), places);
            assert!(!ptr::eq(table.place(0), table.place(places - 1)));
            let full = (0..places).filter(|_| table.has_made_way()).count();
            assert_eq!(full, usize::from(places < 64));
            table.iter().for_each(|it| it.store(0, Relaxed));
            if full > 0 {
                table.grow();
                // What is there already stays.
                table.begin();
            }
            table.place(places - 1).store(7, Relaxed);
        }
        // SAFETY: nobody refers to the table.
        unsafe { table.large.clear() };
        // SAFETY: as above.
        unsafe { memory.clear() };
    }
}
