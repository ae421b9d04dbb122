//! [`UsableSizes`]: how many bytes the blocks of each callsite have, rather than how many were asked
//! for.

use crate::system::arena::{LazyTable, Zeroed};
use crate::system::sync::{ATTEMPTS, AtomicU64, Ordering, fence, wait};
use crate::tables::callsites::CallsiteId;
use Ordering::Relaxed;

/// What a usable size is added to: what was ever allocated, or what was freed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Allocated,
    Freed,
}

impl Side {
    pub(crate) const BOTH: [Side; 2] = [Side::Allocated, Side::Freed];
}

/// The usable sizes of a callsite's blocks, summed. What is live is the difference.
struct Usable {
    /// Number of folds begun in the lower half, of folds ended in the upper half, as in
    /// [`SharedCounters`](crate::tables::counters::SharedCounters).
    folds: AtomicU64,
    sums: [AtomicU64; 2],
}

// SAFETY: zero atomics.
unsafe impl Zeroed for Usable {}

const CHUNK: usize = 1024;

/// The usable sizes of all callsites, in a session with slack.
///
/// A usable size is read when a block is recorded and again before it is freed, both times by the
/// thread that owns the block. So no block is looked at that another thread may free, and none is
/// that the tracer only believes to be live.
///
/// # Implementation
///
/// A table in chunks, reserved when a callsite of the chunk first needs it.
pub(crate) struct UsableSizes {
    chunks: LazyTable<LazyTable<Usable, CHUNK>, { (1 << 24) / CHUNK }>,
}

impl UsableSizes {
    pub(crate) const fn new() -> UsableSizes {
        UsableSizes {
            chunks: LazyTable::new(),
        }
    }

    /// Reserves the first level. Returns `None` if the system is out of memory.
    pub(crate) fn prepare(&self) -> Option<()> {
        self.chunks.get_or_reserve().map(drop)
    }

    /// Adds bytes of a callsite. `emptied` runs inside the fold, so that a reader retries if it runs
    /// meanwhile. NOTE: without memory for the callsite's sums they are not counted.
    pub(crate) fn fold(
        &self,
        side: Side,
        callsite: CallsiteId,
        bytes: u64,
        emptied: impl FnOnce(),
    ) {
        match self.reserved(callsite) {
            Some(usable) => usable.change(|| {
                usable.sums[side as usize].fetch_add(bytes, Relaxed);
                emptied();
            }),
            None => emptied(),
        }
    }

    /// Undoes a [`fold`](Self::fold) of a block that was not freed after all.
    pub(crate) fn restore(&self, callsite: CallsiteId, bytes: u64) {
        if let Some(usable) = self.reserved(callsite) {
            usable.change(|| {
                usable.sums[Side::Freed as usize].fetch_sub(bytes, Relaxed);
            });
        }
    }

    /// The bytes of a callsite: of all its blocks, and of those that were freed. `held` reads what
    /// threads hold back, again on each call.
    pub(crate) fn sum(&self, callsite: CallsiteId, held: impl Fn(Side) -> u64) -> [u64; 2] {
        let Some(usable) = self.get(callsite) else {
            return Side::BOTH.map(held);
        };
        let mut sums = [0; 2];
        for attempt in 0..ATTEMPTS {
            // The acquire and the fence pair with the fences in `change`.
            let before = usable.folds.load(Ordering::Acquire);
            sums = Side::BOTH.map(|side| usable.sums[side as usize].load(Relaxed) + held(side));
            fence(Ordering::Acquire);
            let after = usable.folds.load(Relaxed);
            if before == after && before as u32 == (before >> 32) as u32 {
                break;
            }
            wait(attempt);
        }
        sums
    }

    fn reserved(&self, callsite: CallsiteId) -> Option<&Usable> {
        let number = callsite.get() as usize;
        let chunk = self.chunks.get()?.get(number / CHUNK)?.get_or_reserve()?;
        chunk.get(number % CHUNK)
    }

    fn get(&self, callsite: CallsiteId) -> Option<&Usable> {
        let number = callsite.get() as usize;
        let chunk = self.chunks.get()?.get(number / CHUNK)?.get()?;
        chunk.get(number % CHUNK)
    }

    /// Clears all sums and gives the memory back.
    ///
    /// # Safety
    ///
    /// Nobody else uses the table until this returns.
    pub(crate) unsafe fn clear(&self) {
        for chunk in self.chunks.get().into_iter().flatten() {
            // SAFETY: the caller guarantees exclusive use.
            unsafe { chunk.clear() };
        }
        // SAFETY: the caller guarantees exclusive use.
        unsafe { self.chunks.clear() };
    }

    /// Physical memory of all sums, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let chunks = self.chunks.get().into_iter().flatten();
        self.chunks.resident() + chunks.map(LazyTable::resident).sum::<usize>()
    }
}

impl Usable {
    fn change(&self, change: impl FnOnce()) {
        self.folds.fetch_add(1, Relaxed);
        // The fences keep the change between both counts; they pair with the loads in `sum`.
        fence(Ordering::Release);
        change();
        fence(Ordering::Release);
        self.folds.fetch_add(1 << 32, Relaxed);
    }
}
