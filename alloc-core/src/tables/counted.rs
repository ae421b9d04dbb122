//! Which blocks a session counts that captures no stacks.

use std::ptr::{self, NonNull};

use crate::system::arena;
use crate::system::sync::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};
use crate::tables::blocks::{Granule, InsertError, PageMap};
use crate::tables::callsites::CallsiteId;
use crate::tables::gaps::{MOST, Range, UnmappedRanges};
use Ordering::Relaxed;

/// The blocks that are counted: a block from before the session must not be subtracted when it is
/// freed.
///
/// # Implementation
///
/// In the [gaps](UnmappedRanges) of what was mapped when the session began all blocks are counted,
/// but for those that are noted as left out: what the tracer itself allocates, what is muted, and
/// what is allocated where no record can be made. So for nearly all blocks of a program that began
/// to count early nothing is noted at all. Between gaps those are counted that are noted in a
/// [table](MappedRange) of what lies there, and where there are no gaps, those that an index has.
pub(crate) struct Counted {
    gaps: UnmappedRanges,
    left_out: PageMap<AtomicU8>,
    /// How many blocks are left out.
    left_out_blocks: AtomicU32,
    /// The tables of what lies between gaps: null where there is none.
    tables: [AtomicPtr<AtomicU8>; MOST + 1],
    tables_len: AtomicUsize,
    index: PageMap<AtomicU8>,
    granule: AtomicU32,
}

/// What lies between two gaps, and a table with a byte for each place there where a block can
/// start.
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

    /// The place of a block, if it lies here.
    ///
    /// # Safety
    ///
    /// The session that this was got in goes on, as it does while a record is under way.
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

/// What a place of a table holds.
const NOTHING: u8 = 0;
const COUNTED: u8 = 1;

/// Notes a block in its place, and returns whether another was there.
#[inline(always)]
pub(crate) fn note(place: &AtomicU8) -> bool {
    // NOTE: as in a `PageMap`, a place belongs to whoever owns the block.
    let before = place.load(Relaxed);
    place.store(COUNTED, Relaxed);
    before != NOTHING
}

/// Forgets the block in a place, and returns whether there was one.
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
            left_out: PageMap::new(),
            left_out_blocks: AtomicU32::new(0),
            tables: [const { AtomicPtr::new(ptr::null_mut()) }; MOST + 1],
            tables_len: AtomicUsize::new(0),
            index: PageMap::new(),
            granule: AtomicU32::new(0),
        }
    }

    /// Begins a session, after [`clear`](Self::clear). `None` where the system has no memory to
    /// give.
    pub(crate) fn prepare(&self, granule: Granule) -> Option<()> {
        if self.gaps.find() {
            // SAFETY: gaps are found only if this is the sole thread, which holds the control lock:
            // so it is in no other call of this table's.
            unsafe { self.left_out.clear() };
            self.left_out_blocks.store(0, Relaxed);
            self.reserve_tables(granule)?;
        }
        self.left_out.prepare(granule, false)?;
        self.index.prepare(granule, true)
    }

    /// Makes tables of what lies between the gaps that were just found, in one piece.
    fn reserve_tables(&self, granule: Granule) -> Option<()> {
        // NOTE: what is larger is the end of the address space, where nobody allocates.
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
        // NOTE: the first is never null: the space begins with what nobody can map.
        self.tables_len.store(len, Relaxed);
        self.granule.store(granule.bits(), Relaxed);
        Some(())
    }

    /// The gap around an address, or the table of what lies between two gaps, if it has one.
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

    /// Whether blocks in gaps may be left out, so that one must look.
    pub(crate) fn has_excluded(&self) -> bool {
        // NOTE: whoever was given such a block, or knows that it was freed, sees the count of that.
        self.left_out_blocks.load(Relaxed) != 0
    }

    /// Notes a block that is counted, and returns whether its place held another. NOTE: only while
    /// a record is under way.
    pub(crate) fn insert(&self, address: usize) -> Result<bool, InsertError> {
        match self.around(address) {
            Ok(_) => {
                // One that was freed unseen.
                self.forget_left_out_in_gap(address);
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

    /// Forgets a block, and returns whether it was counted. NOTE: as `insert`.
    pub(crate) fn remove(&self, address: usize) -> bool {
        match self.around(address) {
            Ok(_) => !self.forget_left_out_in_gap(address),
            // SAFETY: a record is under way.
            Err(Some(outside)) => unsafe { outside.place(address) }.is_some_and(forget),
            Err(None) => self.index.remove(address).is_some(),
        }
    }

    /// Undoes [`remove`](Self::remove) of a block that was counted.
    pub(crate) fn put_back(&self, address: usize) {
        // NOTE: the place was there before, so that there is no error.
        let _ = self.insert(address);
    }

    /// Notes a block that is not counted, and returns whether it had to. It needs no right to
    /// record.
    pub(crate) fn exclude(&self, address: usize) -> bool {
        // NOTE: where there is no memory for it, its free is counted and its birth is not.
        let is_excluded =
            self.gaps.hold(address) && self.left_out.insert(address, CallsiteId::HEAP) == Ok(None);
        if is_excluded {
            self.left_out_blocks.fetch_add(1, Relaxed);
        }
        is_excluded
    }

    /// Forgets a block that was [left out](Self::exclude), and returns whether it was. It needs no
    /// right to record.
    pub(crate) fn forget_excluded(&self, address: usize) -> bool {
        // NOTE: elsewhere a mark is one of another session, whose block was freed after it.
        self.has_excluded() && self.gaps.hold(address) && self.forget_left_out_in_gap(address)
    }

    /// The same, of a block that lies in a gap.
    pub(crate) fn forget_left_out_in_gap(&self, address: usize) -> bool {
        let was_left_out = self.has_excluded() && self.left_out.remove(address).is_some();
        if was_left_out {
            self.left_out_blocks.fetch_sub(1, Relaxed);
        }
        was_left_out
    }

    /// Forgets what is counted, and gives its memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the index until this returns.
    pub(crate) unsafe fn clear(&self) {
        self.gaps.forget();
        // SAFETY: the caller's promise.
        unsafe { self.index.clear() };
        let first = NonNull::new(self.tables[0].load(Relaxed));
        let len = self.tables_len.swap(0, Relaxed);
        for table in &self.tables {
            table.store(ptr::null_mut(), Relaxed);
        }
        if let (Some(first), true) = (first, len != 0) {
            // SAFETY: reserved by `reserve_tables` with that length; nobody uses it, by the
            // caller's promise, and threads forget where it is before they record again.
            unsafe { arena::release(first.cast(), len) };
        }
    }

    /// The physical memory that this takes up.
    pub(crate) fn resident(&self) -> usize {
        let first = NonNull::new(self.tables[0].load(Relaxed));
        let tables = first.map_or(0, |first| {
            arena::resident(first.cast(), self.tables_len.load(Relaxed))
        });
        tables + self.index.resident() + self.left_out.resident()
    }
}
