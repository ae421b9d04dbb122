//! [`Growing`]: a per-thread table that uses few places at first.

use crate::system::arena::Zeroed;
use crate::system::sync::{AtomicU32, AtomicUsize, Ordering};
use Ordering::Relaxed;

/// A direct-mapped table of `PLACES` places that uses only the first few until they are too few.
///
/// Most threads meet few callsites, and with all places in use each would be on a page of its own.
/// So a table begins with `FEW` places. It grows eightfold when as many items have been
/// [evicted](Self::has_made_way) as there are places in use. Both numbers are powers of two.
///
/// Only the owner changes the table. Other threads read it concurrently, and may use the mask from
/// before a growth.
///
/// NOTE: zeroed memory is not a valid table until [`begin`](Self::begin) has run.
#[repr(C, align(64))]
pub(crate) struct Growing<T, const FEW: usize, const PLACES: usize> {
    // PERF: first, so that a place's address is one addition.
    items: [T; PLACES],
    /// Number of places in use, minus one.
    mask: AtomicUsize,
    /// Number of evictions since the table last grew.
    evictions: AtomicU32,
}

impl<T: Zeroed, const FEW: usize, const PLACES: usize> Growing<T, FEW, PLACES> {
    /// Initializes zeroed memory. NOTE: only before any other thread can see it.
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

    /// Counts an eviction and returns whether the table should [grow](Self::grow).
    pub(crate) fn has_made_way(&self) -> bool {
        let evictions = self.evictions.load(Relaxed) + 1;
        self.evictions.store(evictions, Relaxed);
        let mask = self.mask.load(Relaxed);
        mask < PLACES - 1 && evictions as usize > mask
    }

    /// Uses more places. NOTE: only by the owner, and only while all places in use are in their
    /// initial state.
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

    // SAFETY: zero is valid for all fields.
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
