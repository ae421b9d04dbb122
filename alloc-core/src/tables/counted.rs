//! [`Counted`]: which blocks a session without stacks counts.

use std::ptr::{self, NonNull};

use crate::system::arena;
use crate::system::sync::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use crate::tables::blocks::{Granule, InsertError, PageMap};
use crate::tables::callsites::CallsiteId;
use crate::tables::unmapped_ranges::{MOST, Range, UnmappedRanges};
use Ordering::Relaxed;

/// The set of counted blocks. A block from before the session must not be subtracted when it is
/// freed.
///
/// # Implementation
///
/// A gap is a range that was [unmapped](UnmappedRanges) when the session began. All blocks in gaps
/// are counted, except those recorded as excluded: allocations of the tracer itself, muted ones,
/// and those made where no record is possible. So for nearly all blocks of a program that starts to
/// count early, nothing is stored at all. Between gaps, a counted block is marked in a [byte
/// table](MappedRange) of that range. Without gaps, counted blocks are in an index.
///
/// PERF: gaps, the open gap and the byte tables save about a third of the instructions of a pair of
/// an allocation and a free: 161 against 252 with the index alone, in counters-only sessions on
/// Linux that begin with one thread. Together with later work such a pair now takes 93 to 120.
pub(crate) struct Counted {
    gaps: UnmappedRanges,
    excluded: PageMap<AtomicU8>,
    /// Number of excluded blocks.
    excluded_blocks: AtomicU32,
    /// The byte tables of the ranges between gaps; null where there is none.
    tables: [AtomicPtr<AtomicU8>; MOST + 1],
    tables_len: AtomicUsize,
    index: PageMap<AtomicU8>,
    granule: AtomicU32,
}

/// A range between two gaps, and its byte table: one byte for each granule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MappedRange {
    range: Range,
    table: *const AtomicU8,
    granule: u32,
}

impl MappedRange {
    pub(crate) const NONE: MappedRange = MappedRange {
        range: Range { start: 0, len: 0 },
        table: ptr::null(),
        granule: 0,
    };

    /// The byte of a block, if the block is in this range.
    ///
    /// # Safety
    ///
    /// The session that this was obtained in must still run, as it does while a record is under
    /// way.
    #[inline(always)]
    pub(crate) unsafe fn place(&self, address: usize) -> Option<&AtomicU8> {
        let offset = address.wrapping_sub(self.range.start);
        if offset >= self.range.len {
            return None;
        }
        let place = self.table.wrapping_add(offset >> (self.granule & 31));
        // SAFETY: the table has a byte for each granule of the range, and lives as long as the
        // session.
        Some(unsafe { &*place })
    }
}

/// Values of a byte in a table.
const NOTHING: u8 = 0;
const COUNTED: u8 = 1;

/// Marks a block in its byte and returns whether another block was marked there.
#[inline(always)]
pub(crate) fn note(place: &AtomicU8) -> bool {
    // NOTE: as in a `PageMap`, a byte belongs to the owner of the block.
    let before = place.load(Relaxed);
    place.store(COUNTED, Relaxed);
    before != NOTHING
}

/// Clears the byte of a block and returns whether the block was marked.
#[inline(always)]
pub(crate) fn forget(place: &AtomicU8) -> bool {
    let before = place.load(Relaxed);
    place.store(NOTHING, Relaxed);
    before != NOTHING
}

impl Counted {
    pub(crate) const fn new() -> Counted {
        Counted {
            gaps: UnmappedRanges::new(),
            excluded: PageMap::new(),
            excluded_blocks: AtomicU32::new(0),
            tables: [const { AtomicPtr::new(ptr::null_mut()) }; MOST + 1],
            tables_len: AtomicUsize::new(0),
            index: PageMap::new(),
            granule: AtomicU32::new(0),
        }
    }

    /// Prepares a session, after [`clear`](Self::clear). Returns `None` if the system is out of
    /// memory.
    pub(crate) fn prepare(&self, granule: Granule) -> Option<()> {
        if self.gaps.find() {
            // SAFETY: gaps are found only if this is the only thread, and it holds the control
            // lock, so no other call on this table is under way.
            unsafe { self.excluded.clear() };
            self.excluded_blocks.store(0, Relaxed);
            self.reserve_tables(granule)?;
        }
        self.excluded.prepare(granule, false)?;
        self.index.prepare(granule, true)
    }

    /// Reserves byte tables, in one piece, for the ranges between the gaps that were just found.
    fn reserve_tables(&self, granule: Granule) -> Option<()> {
        // NOTE: a larger range is the end of the address space, where nobody allocates.
        const LARGEST: usize = 1 << 40;
        let len_of = |range: Range| match range.len {
            0..=LARGEST => (range.len >> granule.bits()) + 1,
            _ => 0,
        };
        let len = self.gaps.between().map(len_of).sum::<usize>().max(1);
        let first: *mut AtomicU8 = arena::reserve(len)?.cast().as_ptr();
        let mut at = 0;
        for (place, range) in self.tables.iter().zip(self.gaps.between()) {
            let table = match len_of(range) {
                0 => ptr::null_mut(),
                _ => first.wrapping_add(at),
            };
            place.store(table, Relaxed);
            at += len_of(range);
        }
        // NOTE: the first table is never null, because the address space begins with an unmappable
        // range.
        self.tables_len.store(len, Relaxed);
        self.granule.store(granule.bits(), Relaxed);
        Some(())
    }

    /// The gap around an address, or else the byte table of the range between two gaps, if it has
    /// one.
    pub(crate) fn around(&self, address: usize) -> Result<Range, Option<MappedRange>> {
        self.gaps.around(address).map_err(|(place, range)| {
            let table = self.tables[place].load(Relaxed);
            let granule = self.granule.load(Relaxed);
            (!table.is_null()).then_some(MappedRange {
                range,
                table,
                granule,
            })
        })
    }

    /// Whether some block in a gap is excluded, so that a lookup is needed.
    pub(crate) fn has_excluded(&self) -> bool {
        // NOTE: a thread that received such a block, or knows that it was freed, sees this count.
        self.excluded_blocks.load(Relaxed) != 0
    }

    /// Marks a block as counted and returns whether another was marked in its place. NOTE: only
    /// while a record is under way.
    pub(crate) fn insert(&self, address: usize) -> Result<bool, InsertError> {
        match self.around(address) {
            Ok(_) => {
                // A previous block here was freed without a record.
                self.forget_excluded_in_gap(address);
                Ok(false)
            }
            // SAFETY: a record is under way.
            Err(Some(outside)) => Ok(unsafe { outside.place(address) }.is_some_and(note)),
            Err(None) => {
                let before = self.index.insert(address, CallsiteId::HEAP)?;
                Ok(before.is_some())
            }
        }
    }

    /// Removes a block and returns whether it was counted. NOTE: only while a record is under way.
    pub(crate) fn remove(&self, address: usize) -> bool {
        match self.around(address) {
            Ok(_) => !self.forget_excluded_in_gap(address),
            // SAFETY: a record is under way.
            Err(Some(outside)) => unsafe { outside.place(address) }.is_some_and(forget),
            Err(None) => self.index.remove(address).is_some(),
        }
    }

    /// Undoes [`remove`](Self::remove) of a block that was counted.
    pub(crate) fn put_back(&self, address: usize) {
        // NOTE: the slot exists, so `insert` cannot fail.
        let _ = self.insert(address);
    }

    /// Marks a block as excluded and returns whether a mark was needed. Needs no guard.
    pub(crate) fn exclude(&self, address: usize) -> bool {
        // NOTE: without memory for the mark, the block's free is counted although its allocation is
        // not.
        let is_excluded =
            self.gaps.hold(address) && self.excluded.insert(address, CallsiteId::HEAP) == Ok(None);
        if is_excluded {
            self.excluded_blocks.fetch_add(1, Relaxed);
        }
        is_excluded
    }

    /// Removes the mark of an [excluded](Self::exclude) block and returns whether it had one. Needs
    /// no guard.
    pub(crate) fn forget_excluded(&self, address: usize) -> bool {
        // NOTE: a mark outside gaps is stale: it is from another session, whose block was freed
        // after it.
        self.has_excluded() && self.gaps.hold(address) && self.forget_excluded_in_gap(address)
    }

    /// As [`forget_excluded`](Self::forget_excluded), for a block that is in a gap.
    pub(crate) fn forget_excluded_in_gap(&self, address: usize) -> bool {
        let was_excluded = self.has_excluded() && self.excluded.remove(address).is_some();
        if was_excluded {
            self.excluded_blocks.fetch_sub(1, Relaxed);
        }
        was_excluded
    }

    /// Removes all blocks and gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the set until this returns.
    pub(crate) unsafe fn clear(&self) {
        self.gaps.forget();
        // SAFETY: the caller guarantees exclusive use.
        unsafe { self.index.clear() };
        let first = NonNull::new(self.tables[0].load(Relaxed));
        let len = self.tables_len.swap(0, Relaxed);
        for table in &self.tables {
            table.store(ptr::null_mut(), Relaxed);
        }
        if let (Some(first), true) = (first, len != 0) {
            // SAFETY: `reserve_tables` reserved `len` bytes at `first`. Nobody uses them, as the
            // caller guarantees, and threads drop their pointers to tables before they record
            // again.
            unsafe { arena::release(first.cast(), len) };
        }
    }

    /// Physical memory of the set, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let first = NonNull::new(self.tables[0].load(Relaxed));
        let tables = first.map_or(0, |first| {
            arena::resident(first.cast(), self.tables_len.load(Relaxed))
        });
        tables + self.index.resident() + self.excluded.resident()
    }
}
