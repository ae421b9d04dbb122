//! [`Growing`]: a table of a thread's own of which few places are used at first.

use crate::system::arena::Zeroed;
use crate::system::sync::{AtomicU32, AtomicUsize, Ordering};
use Ordering::Relaxed;

/// A direct-mapped table with `PLACES` places, of which the first few are used until they are too
/// few.
///
/// Most threads meet few callsites, and with all places in use each of these would be on a page of
/// its own. So a table begins with `FEW` places. When as many items have [made
/// way](Self::has_made_way) for others as there are places, eight times as many are used. Both
/// numbers are powers of two.
///
/// Only the owner changes it. Other threads read it meanwhile, and may look in the place of before.
///
/// NOTE: zeroed memory is not one yet: [`begin`](Self::begin) makes it one.
#[repr(C, align(64))]
pub(crate) struct Growing<T, const FEW: usize, const PLACES: usize> {
    // PERF: first, so that a number leads to its place with one addition.
    items: [T; PLACES],
    /// The number of places in use less one.
    mask: AtomicUsize,
    /// How many items made way since it grew.
    evictions: AtomicU32,
}

impl<T: Zeroed, const FEW: usize, const PLACES: usize> Growing<T, FEW, PLACES> {
    /// Makes zeroed memory a table. NOTE: by the only one who knows of it.
    pub(crate) fn begin(&self) {
        const { assert!(FEW.is_power_of_two() && PLACES.is_power_of_two() && FEW < PLACES) };
        self.mask.store(FEW - 1, Relaxed);
    }

    /// The place that a number names.
    #[inline(always)]
    pub(crate) fn place(&self, number: usize) -> &T {
        let at = number & self.mask.load(Relaxed);
        debug_assert!(at < PLACES);
        // SAFETY: the mask is less than the number of places: `begin` and `grow` store no other.
        unsafe { self.items.get_unchecked(at) }
    }

    /// All places in use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().take(self.mask.load(Relaxed) + 1)
    }

    /// Notes that an item made way for another, and returns whether the table should
    /// [grow](Self::grow).
    pub(crate) fn has_made_way(&self) -> bool {
        let evictions = self.evictions.load(Relaxed) + 1;
        self.evictions.store(evictions, Relaxed);
        let mask = self.mask.load(Relaxed);
        mask < PLACES - 1 && evictions as usize > mask
    }

    /// Uses more places. NOTE: by the owner, and only while all that are in use are as at first.
    #[cold]
    pub(crate) fn grow(&self) {
        self.evictions.store(0, Relaxed);
        let places = (self.mask.load(Relaxed) + 1) * 8;
        self.mask.store(places.min(PLACES) - 1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::arena::LazyTable;
    use crate::system::sync::AtomicU64;

    // SAFETY: zero is a value of all fields.
    unsafe impl<T: Zeroed, const FEW: usize, const PLACES: usize> Zeroed for Growing<T, FEW, PLACES> {}

    #[test]
    fn a_table_grows_by_what_makes_way_up_to_its_end() {
        let memory: LazyTable<Growing<AtomicU64, 4, 64>, 1> = LazyTable::new();
        let table = &memory.get_or_reserve().unwrap()[0];
        table.begin();
        for places in [4, 32, 64, 64] {
            assert_eq!(table.iter().count(), places);
            assert!(std::ptr::eq(table.place(places + 1), table.place(1)));
            assert!(!std::ptr::eq(table.place(0), table.place(places - 1)));
            let full = (0..places).filter(|_| table.has_made_way()).count();
            assert_eq!(full, usize::from(places < 64));
            if full > 0 {
                table.grow();
            }
        }
        // SAFETY: nobody refers to the table.
        unsafe { memory.clear() };
    }
}
