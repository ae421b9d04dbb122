//! [`Lifetimes`]: how long blocks live, by callsite.
//!
//! In: the birth and the death of each block. Out: for each callsite, how many of its blocks lived
//! how long. Never: a lock, an allocation, a system call.

mod birth;
mod pending;

use crate::system::arena::{LazyTable, Zeroed};
use crate::system::sync::{AtomicU64, Ordering::Relaxed};
use crate::tables::callsites::CallsiteId;

pub(crate) use birth::{Age, Birth, Clock, Time, unit_picoseconds};
pub(crate) use pending::Pending;

/// Numbers of blocks by how long they live: in time, then in bytes allocated meanwhile.
pub(crate) struct Histogram {
    times: [AtomicU64; Age::TIMES],
    bytes: [AtomicU64; Age::BYTES],
}

// SAFETY: zero atomics.
unsafe impl Zeroed for Histogram {}

const CHUNK: usize = 256;

/// A histogram for each callsite.
///
/// # Implementation
///
/// A table in chunks, reserved when a callsite of the chunk first needs it. Threads add with
/// atomics, and first hold back what they can: see [`Pending`].
pub(crate) struct Lifetimes {
    chunks: LazyTable<LazyTable<Histogram, CHUNK>, { (1 << 24) / CHUNK }>,
}

impl Lifetimes {
    pub(crate) const fn new() -> Lifetimes {
        Lifetimes {
            chunks: LazyTable::new(),
        }
    }

    /// Reserves the first level. Returns `None` if the system is out of memory.
    pub(crate) fn prepare(&self) -> Option<()> {
        self.chunks.get_or_reserve().map(drop)
    }

    /// Counts blocks of a callsite. Without memory for the histogram they are not counted.
    pub(crate) fn add(&self, callsite: CallsiteId, age: Age, blocks: u64) {
        let number = callsite.get() as usize;
        let histogram = self.chunks.get().and_then(|chunks| {
            let chunk = chunks.get(number / CHUNK)?.get_or_reserve()?;
            chunk.get(number % CHUNK)
        });
        if let Some(histogram) = histogram {
            histogram.times[age.time()].fetch_add(blocks, Relaxed);
            histogram.bytes[age.bytes()].fetch_add(blocks, Relaxed);
        }
    }

    /// The histogram of a callsite, if anything was counted for one near it.
    pub(crate) fn get(&self, callsite: CallsiteId) -> Option<&Histogram> {
        let number = callsite.get() as usize;
        let chunk = self.chunks.get()?.get(number / CHUNK)?.get()?;
        chunk.get(number % CHUNK)
    }

    /// Sets all numbers to zero. NOTE: only while nobody else uses the table.
    pub(crate) fn reset(&self) {
        let chunks = self.chunks.get().into_iter().flatten();
        let histograms = chunks.filter_map(LazyTable::get).flatten();
        for histogram in histograms {
            let numbers = histogram.times.iter().chain(&histogram.bytes);
            numbers
                .filter(|it| it.load(Relaxed) != 0)
                .for_each(|it| it.store(0, Relaxed));
        }
    }

    /// Clears all histograms and gives the memory back.
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

    /// Physical memory of all histograms, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let chunks = self.chunks.get().into_iter().flatten();
        self.chunks.resident() + chunks.map(LazyTable::resident).sum::<usize>()
    }
}

impl Histogram {
    pub(crate) fn times(&self) -> [u64; Age::TIMES] {
        std::array::from_fn(|at| self.times[at].load(Relaxed))
    }

    pub(crate) fn bytes(&self) -> [u64; Age::BYTES] {
        std::array::from_fn(|at| self.bytes[at].load(Relaxed))
    }
}
