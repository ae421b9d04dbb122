//! Current, peak, total and at peak: for each callsite and for the whole heap.
//!
//! # The two levels
//!
//! A thread counts in memory of its own and folds what it counted into shared counters now and
//! then, so that in the steady state no two threads write one cache line. For callsites the
//! thread's part is a [`Cell`] and the shared part a [`SharedCounters`]; for the heap they are
//! [`Account`] and [`Heap`]. What a reader sees is the sum of both.
//!
//! # At peak, in O(1)
//!
//! Nobody copies counters when the heap reaches a peak. A global *epoch* moves when the heap first
//! shrinks after a new peak. A counter that is about to change and carries another epoch saves its
//! value first and takes on the epoch. So at any moment, what carries the current epoch answers
//! with the saved value, and the rest did not change since the peak and answers with the present
//! one. While the heap stands at its peak ([`Heap::rising`]), present values are the answer for all.
//! Of equal peaks the later one counts.
//!
//! # How exact
//!
//! With one thread everything is exact. With several, the heap's peak and the contents at the peak
//! are exact to within what threads hold back: see [`Account`].

use crate::snapshot::numbers::{Amount, Bytes, Counters, TracedMemory};
use crate::system::sync::{
    ATTEMPTS, AtomicBool, AtomicI32, AtomicI64, AtomicU32, AtomicU64, Ordering, fence, wait,
};
use crate::tables::sampling::Weighted;
use crate::tables::version::Version;
use Ordering::Relaxed;

/// What one thread changed at one callsite since it last folded, in one cache line.
///
/// Only the thread that owns the cell writes it, so plain loads and stores are enough; the fields
/// are atomics because a snapshot reads them meanwhile.
#[repr(C, align(64))]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Cell {
    /// Whose numbers these are; zero for an unused cell.
    callsite: AtomicU32,
    reallocations: AtomicU32,
    epoch: AtomicU64,
    net_bytes: AtomicI64,
    /// The highest `net_bytes` since the last fold.
    high_bytes: AtomicI64,
    total_bytes: AtomicU64,
    /// `net_bytes` at the peak, if `epoch` is the current one.
    saved_bytes: AtomicI64,
    net_blocks: AtomicI32,
    high_blocks: AtomicI32,
    saved_blocks: AtomicI32,
    total_blocks: AtomicU32,
}

// SAFETY: zero is a value of all fields: a cell that nobody uses.
#[cfg(not(loom))]
unsafe impl crate::system::arena::Zeroed for Cell {}

/// When a cell must be folded although its callsite did not change: the most bytes, either way,
/// that it holds back.
#[derive(Clone, Copy)]
pub(crate) struct CellCeiling(pub(crate) i64);

impl CellCeiling {
    /// With one thread nothing is gained by folding, but 32-bit block counts must not run over.
    pub(crate) const ONE_THREAD: CellCeiling = CellCeiling(1 << 30);
    /// With several, it bounds how far off a callsite's own peak can be.
    pub(crate) const MANY_THREADS: CellCeiling = CellCeiling(16 << 10);
}

/// With how many blocks allocated a cell is folded.
const MOST_BLOCKS: u32 = 1 << 30;

/// Whether the owner should fold the cell now.
pub(crate) type MustFold = bool;

impl Cell {
    #[inline(always)]
    pub(crate) fn callsite(&self) -> u32 {
        self.callsite.load(Relaxed)
    }

    /// Counts an allocation: one block, or what a block of a sample stands for.
    #[inline(always)]
    pub(crate) fn allocated(
        &self,
        weighted: Weighted,
        reallocation: bool,
        epoch: u64,
        ceiling: CellCeiling,
    ) -> MustFold {
        if reallocation {
            self.reallocations
                .store(self.reallocations.load(Relaxed).wrapping_add(1), Relaxed);
        }
        let total_blocks = self.total_blocks.load(Relaxed);
        let total_blocks = total_blocks.wrapping_add(weighted.blocks as u32);
        let bytes = self.net_bytes.load(Relaxed) + weighted.bytes;
        self.add(weighted, bytes, total_blocks, epoch);
        // NOTE: no block counts for more than 2^26, and with this many the cell is folded.
        bytes > ceiling.0 || total_blocks >= MOST_BLOCKS
    }

    /// Counts an allocation of one block, and returns whether it could: not if the cell is another callsite's, or
    /// should be folded; then nothing has happened.
    #[inline(always)]
    pub(crate) fn allocated_at_once(
        &self,
        callsite: u32,
        size: i64,
        epoch: u64,
        ceiling: CellCeiling,
    ) -> bool {
        if self.callsite() != callsite {
            return false;
        }
        let bytes = self.net_bytes.load(Relaxed) + size;
        let total_blocks = self.total_blocks.load(Relaxed) + 1;
        if bytes > ceiling.0 || total_blocks >= MOST_BLOCKS {
            return false;
        }
        self.add(
            Weighted {
                bytes: size,
                blocks: 1,
            },
            bytes,
            total_blocks,
            epoch,
        );
        true
    }

    /// Adds what was allocated, after which there are so many bytes, and so many blocks were allocated.
    #[inline(always)]
    fn add(&self, weighted: Weighted, bytes: i64, total_blocks: u32, epoch: u64) {
        self.save_if_old(epoch);
        self.net_bytes.store(bytes, Relaxed);
        if bytes > self.high_bytes.load(Relaxed) {
            self.high_bytes.store(bytes, Relaxed);
        }
        self.total_blocks.store(total_blocks, Relaxed);
        let net_blocks = self.net_blocks.load(Relaxed).wrapping_add(weighted.blocks);
        self.net_blocks.store(net_blocks, Relaxed);
        if net_blocks > self.high_blocks.load(Relaxed) {
            self.high_blocks.store(net_blocks, Relaxed);
        }
        let total_bytes = self.total_bytes.load(Relaxed);
        self.total_bytes
            .store(total_bytes.wrapping_add(weighted.bytes as u64), Relaxed);
    }

    /// How many bytes there are after one block of this callsite ends, if that can be counted
    /// [at once](Self::freed_at_once): not as [`allocated_at_once`](Self::allocated_at_once).
    #[inline(always)]
    pub(crate) fn bytes_after(
        &self,
        callsite: u32,
        size: i64,
        ceiling: CellCeiling,
    ) -> Option<i64> {
        if self.callsite() != callsite {
            return None;
        }
        let bytes = self.net_bytes.load(Relaxed) - size;
        (bytes >= -ceiling.0).then_some(bytes)
    }

    /// Counts the end of one block, after which there are so many [bytes](Self::bytes_after).
    #[inline(always)]
    pub(crate) fn freed_at_once(&self, bytes: i64, epoch: u64) {
        self.subtract(bytes, 1, epoch);
    }

    /// Subtracts what was freed, after which there are so many bytes, and returns how many blocks there are.
    #[inline(always)]
    fn subtract(&self, bytes: i64, blocks: i32, epoch: u64) -> i32 {
        self.save_if_old(epoch);
        self.net_bytes.store(bytes, Relaxed);
        let net_blocks = self.net_blocks.load(Relaxed).wrapping_sub(blocks);
        self.net_blocks.store(net_blocks, Relaxed);
        net_blocks
    }

    /// Counts the end of what [`allocated`](Self::allocated) counted.
    #[inline(always)]
    pub(crate) fn freed(
        &self,
        Weighted {
            bytes: size,
            blocks,
        }: Weighted,
        epoch: u64,
        ceiling: CellCeiling,
    ) -> MustFold {
        let bytes = self.net_bytes.load(Relaxed) - size;
        let net_blocks = self.subtract(bytes, blocks, epoch);
        // NOTE: a single block never brings the count near its end before the bytes.
        bytes < -ceiling.0 || blocks != 1 && net_blocks < -(1 << 30)
    }

    /// Keeps the present values as those at the peak, unless that was done in this epoch.
    #[inline(always)]
    fn save_if_old(&self, epoch: u64) {
        if self.epoch.load(Relaxed) != epoch {
            self.saved_bytes
                .store(self.net_bytes.load(Relaxed), Relaxed);
            self.saved_blocks
                .store(self.net_blocks.load(Relaxed), Relaxed);
            self.epoch.store(epoch, Relaxed);
        }
    }

    /// Moves what the cell counted into its callsite's shared counters, and empties the cell for
    /// `next`, the number of a callsite or zero.
    pub(crate) fn fold_into(&self, shared: &SharedCounters, next: u32, epoch: u64) {
        shared.fold(&self.read(), epoch, || self.empty_for(next, epoch));
    }

    /// The same, while no other thread folds.
    pub(crate) fn fold_alone_into(&self, shared: &SharedCounters, next: u32, epoch: u64) {
        shared.fold_as::<Alone>(&self.read(), epoch, || self.empty_for(next, epoch));
    }

    /// Makes the cell one of `callsite` that has counted nothing.
    pub(crate) fn empty_for(&self, callsite: u32, epoch: u64) {
        self.reallocations.store(0, Relaxed);
        // What it held at the peak is in the shared part, so its own part of the peak is nothing.
        self.epoch.store(epoch, Relaxed);
        self.net_bytes.store(0, Relaxed);
        self.high_bytes.store(0, Relaxed);
        self.total_bytes.store(0, Relaxed);
        self.saved_bytes.store(0, Relaxed);
        self.net_blocks.store(0, Relaxed);
        self.high_blocks.store(0, Relaxed);
        self.saved_blocks.store(0, Relaxed);
        self.total_blocks.store(0, Relaxed);
        // NOTE: last, so that nobody takes the counts of the callsite before for those of this one. The release pairs
        // with the acquire in `read_of`.
        self.callsite.store(callsite, Ordering::Release);
    }

    /// What the cell counted of `callsite`, if it is that one's.
    pub(crate) fn read_of(&self, callsite: u32) -> Option<Delta> {
        // The acquire pairs with the release in `empty_for`.
        (self.callsite.load(Ordering::Acquire) == callsite).then(|| self.read())
    }

    fn read(&self) -> Delta {
        Delta {
            net: Signed::new(
                self.net_bytes.load(Relaxed),
                self.net_blocks.load(Relaxed).into(),
            ),
            high: Signed::new(
                self.high_bytes.load(Relaxed),
                self.high_blocks.load(Relaxed).into(),
            ),
            saved: Signed::new(
                self.saved_bytes.load(Relaxed),
                self.saved_blocks.load(Relaxed).into(),
            ),
            epoch: self.epoch.load(Relaxed),
            total_bytes: self.total_bytes.load(Relaxed),
            total_blocks: self.total_blocks.load(Relaxed).into(),
            reallocations: self.reallocations.load(Relaxed).into(),
        }
    }
}

/// Bytes and blocks that may be fewer than none: a thread that frees what others allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) bytes: i64,
    pub(crate) blocks: i64,
}

impl Signed {
    pub(crate) fn new(bytes: i64, blocks: i64) -> Signed {
        Signed { bytes, blocks }
    }

    fn plus(self, other: Signed) -> Signed {
        Signed::new(self.bytes + other.bytes, self.blocks + other.blocks)
    }

    pub(crate) fn max(self, other: Signed) -> Signed {
        Signed::new(self.bytes.max(other.bytes), self.blocks.max(other.blocks))
    }

    /// NOTE: parts of a sum that are read at different moments may sum to less than nothing.
    fn amount(self) -> Amount {
        Amount::new(self.bytes.max(0) as u64, self.blocks.max(0) as u64)
    }
}

/// A change to a callsite's counters, as a cell collects it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Delta {
    pub(crate) net: Signed,
    pub(crate) high: Signed,
    pub(crate) saved: Signed,
    pub(crate) epoch: u64,
    pub(crate) total_bytes: u64,
    pub(crate) total_blocks: u64,
    pub(crate) reallocations: u64,
}

impl Delta {
    /// A block more, for those who have no cell.
    pub(crate) fn allocated(weighted: Weighted, epoch: u64) -> Delta {
        let net = Signed::new(weighted.bytes, weighted.blocks.into());
        Delta {
            net,
            high: net,
            epoch,
            total_bytes: weighted.bytes as u64,
            total_blocks: 1,
            ..Delta::default()
        }
    }

    /// A block less, for those who have no cell.
    pub(crate) fn freed(weighted: Weighted, epoch: u64) -> Delta {
        Delta {
            net: Signed::new(-weighted.bytes, -i64::from(weighted.blocks)),
            epoch,
            ..Delta::default()
        }
    }

    /// A block that was taken by [`freed`](Self::freed) and comes back.
    pub(crate) fn restored(weighted: Weighted, epoch: u64) -> Delta {
        Delta {
            net: Signed::new(weighted.bytes, weighted.blocks.into()),
            epoch,
            ..Delta::default()
        }
    }

    fn at_peak(&self, epoch: u64) -> Signed {
        if self.epoch == epoch {
            self.saved
        } else {
            self.net
        }
    }
}

/// The counters of one callsite that all threads fold into.
///
/// # Implementation
///
/// Each field is one atomic. Two folds at once may mix, so with several threads what was saved at
/// the peak is off by at most one fold. A reader who must not see half a fold compares
/// [`begun` and `ended`](Self::folds) before and after.
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct SharedCounters {
    /// Folds begun in the lower half, folds ended in the upper.
    folds: AtomicU64,
    bytes: AtomicI64,
    blocks: AtomicI64,
    peak_bytes: AtomicI64,
    peak_blocks: AtomicI64,
    total_bytes: AtomicU64,
    total_blocks: AtomicU64,
    reallocations: AtomicU64,
    epoch: AtomicU64,
    saved_bytes: AtomicI64,
    saved_blocks: AtomicI64,
}

impl SharedCounters {
    /// Adds `delta`; `emptied` runs where the reader's check covers it.
    pub(crate) fn fold(&self, delta: &Delta, epoch: u64, emptied: impl FnOnce()) {
        self.fold_as::<Among>(delta, epoch, emptied);
    }

    #[inline(always)]
    fn fold_as<F: Folder>(&self, delta: &Delta, epoch: u64, emptied: impl FnOnce()) {
        // PERF: two cache lines, often far away, and nothing that comes after the first change begins before it is done.
        crate::system::arena::prefetch(&self.epoch);
        F::add_unsigned(&self.folds, 1);
        // The fence keeps the changes after the beginning; it pairs with the first in `consistent`.
        fence(Ordering::Release);

        let (bytes, blocks) = (self.bytes.load(Relaxed), self.blocks.load(Relaxed));
        if self.epoch.load(Relaxed) == epoch {
            let part = delta.at_peak(epoch);
            F::add(&self.saved_bytes, part.bytes);
            F::add(&self.saved_blocks, part.blocks);
        } else if delta.epoch == epoch {
            self.saved_bytes.store(bytes + delta.saved.bytes, Relaxed);
            self.saved_blocks
                .store(blocks + delta.saved.blocks, Relaxed);
            self.epoch.store(epoch, Relaxed);
        }
        // Else neither changed since the peak, and nor does their sum.

        let bytes = F::add(&self.bytes, delta.net.bytes);
        let blocks = F::add(&self.blocks, delta.net.blocks);
        raise(&self.peak_bytes, bytes + delta.high.bytes);
        raise(&self.peak_blocks, blocks + delta.high.blocks);
        if delta.total_blocks > 0 {
            F::add_unsigned(&self.total_bytes, delta.total_bytes);
            F::add_unsigned(&self.total_blocks, delta.total_blocks);
        }
        if delta.reallocations > 0 {
            F::add_unsigned(&self.reallocations, delta.reallocations);
        }
        emptied();

        // The fence keeps the changes before the end; it pairs with the acquire in `consistent`.
        fence(Ordering::Release);
        F::add_unsigned(&self.folds, 1 << 32);
    }

    /// The callsite's counters: the shared part and the cells of all threads, which `cells` reads
    /// afresh each time it is called.
    ///
    /// A fold that happens meanwhile makes it read again. NOTE: not forever: then the last try counts.
    pub(crate) fn sum<I>(&self, mut cells: impl FnMut() -> I, epoch: u64, rising: bool) -> Counters
    where
        I: Iterator<Item = Delta>,
    {
        let mut counters = Counters::default();
        for attempt in 0..ATTEMPTS {
            let before = self.folds.load(Ordering::Acquire);
            counters = self.sum_once(cells(), epoch, rising);
            fence(Ordering::Acquire);
            let after = self.folds.load(Relaxed);
            if before == after && before as u32 == (before >> 32) as u32 {
                break;
            }
            wait(attempt);
        }
        counters
    }

    fn sum_once(&self, cells: impl Iterator<Item = Delta>, epoch: u64, rising: bool) -> Counters {
        let mut current = Signed::new(self.bytes.load(Relaxed), self.blocks.load(Relaxed));
        let mut peak = Signed::new(
            self.peak_bytes.load(Relaxed),
            self.peak_blocks.load(Relaxed),
        );
        let mut at_peak = if self.epoch.load(Relaxed) == epoch {
            Signed::new(
                self.saved_bytes.load(Relaxed),
                self.saved_blocks.load(Relaxed),
            )
        } else {
            current
        };
        let mut total = Amount::new(
            self.total_bytes.load(Relaxed),
            self.total_blocks.load(Relaxed),
        );
        let mut reallocations = self.reallocations.load(Relaxed);

        let shared = current;
        for cell in cells {
            current = current.plus(cell.net);
            peak = peak.max(shared.plus(cell.high));
            at_peak = at_peak.plus(cell.at_peak(epoch));
            total += Amount::new(cell.total_bytes, cell.total_blocks);
            reallocations += cell.reallocations;
        }
        let at_peak = if rising { current } else { at_peak };
        Counters {
            current: current.amount(),
            // NOTE: with several threads, what others hold back may make it seem lower.
            peak: peak.max(current).max(at_peak).amount(),
            at_peak: at_peak.amount(),
            total,
            // NOTE: a record under way may have counted the one and not the other.
            reallocations: reallocations.min(total.blocks),
        }
    }

    /// Makes the present the peak. NOTE: only while all threads stand still, and all cells are folded.
    pub(crate) fn reset_peak(&self) {
        self.peak_bytes.store(self.bytes.load(Relaxed), Relaxed);
        self.peak_blocks.store(self.blocks.load(Relaxed), Relaxed);
    }
}

/// Who folds.
trait Folder {
    /// Adds, and returns what was there before.
    fn add(to: &AtomicI64, number: i64) -> i64;

    fn add_unsigned(to: &AtomicU64, number: u64);
}

/// One thread among others.
struct Among;

impl Folder for Among {
    #[inline(always)]
    fn add(to: &AtomicI64, number: i64) -> i64 {
        to.fetch_add(number, Relaxed)
    }

    #[inline(always)]
    fn add_unsigned(to: &AtomicU64, number: u64) {
        to.fetch_add(number, Relaxed);
    }
}

/// The only one that does.
///
/// PERF: a locked instruction waits for all that came before and holds up what comes after, and a fold has
/// eight of them. One without the lock is still whole for a signal handler that comes between.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
struct Alone;

#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
impl Folder for Alone {
    #[inline(always)]
    fn add(to: &AtomicI64, mut number: i64) -> i64 {
        // SAFETY: changes the number, which is an atomic's and so may be changed through a shared reference,
        // in one instruction, and no memory besides. Other threads only read it meanwhile, by aligned loads.
        unsafe {
            std::arch::asm!(
                "xadd [{to}], {number}",
                to = in(reg) to.as_ptr(),
                number = inout(reg) number,
                options(nostack),
            );
        }
        number
    }

    #[inline(always)]
    fn add_unsigned(to: &AtomicU64, number: u64) {
        // SAFETY: as above.
        unsafe {
            std::arch::asm!(
                "add [{to}], {number}",
                to = in(reg) to.as_ptr(),
                number = in(reg) number,
                options(nostack),
            );
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri), not(loom))))]
type Alone = Among;

fn raise(peak: &AtomicI64, candidate: i64) {
    // PERF: a load is cheaper than an exchange that changes nothing, which is the usual case.
    if candidate > peak.load(Relaxed) {
        peak.fetch_max(candidate, Relaxed);
    }
}

/// The heap as all threads share it.
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Heap {
    /// The bytes that threads have settled.
    current: AtomicI64,
    peak: AtomicI64,
    /// How far off the peak may be, in bytes.
    peak_error: AtomicI64,
    /// The peak above which the error is gone, once a thread is alone again.
    exact_above: AtomicI64,
    /// Whether the heap is at its peak now: it has not shrunk since.
    rising: AtomicBool,
    /// The most bytes that a thread was allowed to hold back.
    most_credit: AtomicI64,
    /// How many threads hold something back.
    threads: AtomicI64,
    /// Whether no thread may hold anything back.
    exact: AtomicBool,
}

impl Heap {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Heap {
        Heap {
            current: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            peak_error: AtomicI64::new(0),
            exact_above: AtomicI64::new(0),
            rising: AtomicBool::new(false),
            most_credit: AtomicI64::new(0),
            threads: AtomicI64::new(1),
            exact: AtomicBool::new(false),
        }
    }

    /// Has all threads settle at every change, or lets them hold back their credit. NOTE: only before
    /// a session.
    pub(crate) fn set_exact(&self, exact: bool) {
        self.exact.store(exact, Relaxed);
    }

    /// The heap's totals. `held_back` reads afresh what accounts have not settled, each time it is called.
    ///
    /// An account that settles meanwhile makes it read again. NOTE: not forever: then the last try counts.
    pub(crate) fn read(&self, held_back: impl Fn() -> HeldBack) -> TracedMemory {
        let mut current = 0;
        for attempt in 0..ATTEMPTS {
            if self.exact.load(Relaxed) && self.threads.load(Relaxed) > 1 {
                // Nobody holds anything back for longer than a change takes.
                current = self.current.load(Relaxed);
                break;
            }
            let before = held_back();
            current = self.current.load(Relaxed) + before.bytes;
            fence(Ordering::Acquire);
            if before.versions.is_some() && before.versions == held_back().versions {
                break;
            }
            wait(attempt);
        }
        let current = current.max(0);
        let peak = self.peak.load(Relaxed).max(current);
        // Whoever is alone may not have looked at the peak that it is at.
        let is_exact = current > self.exact_above.load(Relaxed);
        let peak_error = if is_exact {
            0
        } else {
            self.peak_error.load(Relaxed).max(0)
        };
        TracedMemory {
            current: Bytes::new(current as u64),
            peak: Bytes::new(peak as u64),
            peak_error: Bytes::new(peak_error as u64),
            sampled: false,
        }
    }

    /// Whether the heap has not shrunk since its peak, so that present values are those at peak.
    pub(crate) fn rising(&self) -> bool {
        self.rising.load(Relaxed)
    }

    /// Whether it is as high as its peak, which nobody may have looked at yet.
    pub(crate) fn is_at_peak(&self, held_back: i64) -> bool {
        self.current.load(Relaxed) + held_back >= self.peak.load(Relaxed)
    }

    /// Takes note of the peak, if the heap is at it and shrinks now, and returns whether it is. Only for a thread that
    /// is alone.
    pub(crate) fn note_peak(&self, held_back: i64) -> bool {
        let total = self.current.load(Relaxed) + held_back;
        if total < self.peak.load(Relaxed) {
            return false;
        }
        self.peak.store(total, Relaxed);
        self.rising.store(false, Relaxed);
        if total > self.exact_above.load(Relaxed) {
            self.peak_error.store(0, Relaxed);
        }
        true
    }

    /// Takes note that the heap is as high as this, without a look at what it holds. Only for a thread that is alone.
    pub(crate) fn raise_peak(&self, held_back: i64) {
        raise(&self.peak, self.current.load(Relaxed) + held_back);
    }

    pub(crate) fn set_threads(&self, threads: u32) {
        self.threads.store(threads.max(1).into(), Relaxed);
    }

    /// Counts bytes for those who have no account.
    pub(crate) fn add_directly(&self, bytes: i64, epoch: &AtomicU64) {
        if bytes < 0 && self.rising.swap(false, Relaxed) {
            epoch.fetch_add(1, Relaxed);
        }
        self.current.fetch_add(bytes, Relaxed);
    }

    /// Makes the present the peak. NOTE: only while all threads stand still, and nobody holds anything back.
    pub(crate) fn reset_peak(&self) {
        self.peak.store(self.current.load(Relaxed), Relaxed);
        self.rising.store(true, Relaxed);
        self.peak_error.store(0, Relaxed);
        self.most_credit.store(0, Relaxed);
    }

    /// Forgets everything but the number of threads. NOTE: only while all threads stand still.
    pub(crate) fn clear(&self) {
        self.current.store(0, Relaxed);
        self.reset_peak();
    }
}

/// What accounts hold back of the heap, read one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldBack {
    pub(crate) bytes: i64,
    /// The sum of the accounts' versions, which only rise: the same as before if none settled. `None` if one was in the
    /// middle of it.
    versions: Option<u64>,
}

impl HeldBack {
    pub(crate) const NOTHING: HeldBack = HeldBack {
        bytes: 0,
        versions: Some(0),
    };

    pub(crate) fn plus(self, other: HeldBack) -> HeldBack {
        let sum = |(mine, theirs): (u64, u64)| mine.wrapping_add(theirs);
        HeldBack {
            bytes: self.bytes + other.bytes,
            versions: self.versions.zip(other.versions).map(sum),
        }
    }
}

/// Whether a thread is the only one that takes part in the heap's peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    Alone,
    WithOthers,
}

/// One thread's part of the heap: what it changed since it last settled with [`Heap`].
///
/// # Exactness
///
/// *Alone*, a thread never settles: the total is the settled part plus its own, so it sees every
/// peak, and the first shrinking after it, at the very allocation or free. As long as the heap is at its peak its
/// present size is the peak, so only the account knows it, until the heap falls or somebody else
/// [changes it](Self::tell_peak).
///
/// *With others*, it settles when its own part leaves a window, the credit, either way. All
/// threads together hold back at most their number times the credit, and so far can the peak be
/// off. The credit is half of the room below the last peak, divided among the threads, within
/// [`LEAST_CREDIT`] and [`MOST_CREDIT`]: far from the peak threads leave each other in peace, near
/// it they look closely. By choice the credit is nothing: then every change of every thread goes to
/// the shared total at once, one after the other, and the highest that it ever was is the peak.
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Account {
    net: AtomicI64,
    /// `net` at or above which [`Account::rose`] is called.
    upper: AtomicI64,
    /// `net` below which [`Account::fell`] is called.
    lower: AtomicI64,
    /// The settled part that `upper` was computed from, when alone.
    base: AtomicI64,
    /// Of settling.
    version: Version,
    alone: AtomicBool,
}

/// Whether a [`Tally`](crate::tables::tally::Tally) should be looked after, too.
pub(crate) type HasSettled = bool;

/// What a thread may always hold back.
const LEAST_CREDIT: i64 = 4 << 10;
/// What a thread may never hold back more than.
const MOST_CREDIT: i64 = 64 << 10;

impl Account {
    /// Counts `size` bytes more, and returns whether it settled. The callsite was changed before.
    #[inline(always)]
    pub(crate) fn grow(&self, size: i64, heap: &Heap) -> HasSettled {
        let net = self.net.load(Relaxed) + size;
        self.net.store(net, Relaxed);
        let upper = self.upper.load(Relaxed);
        if net < upper {
            return false;
        }
        if upper == self.lower.load(Relaxed) {
            // PERF: at its peak and higher again, as most heaps are that grow.
            self.stand_at(net);
            return false;
        }
        self.rose(net, heap)
    }

    /// Takes on that the heap is at its peak with this.
    #[inline(always)]
    fn stand_at(&self, net: i64) {
        self.upper.store(net, Relaxed);
        self.lower.store(net, Relaxed);
    }

    /// Counts `size` bytes fewer, and returns whether it settled, or found that the heap fell from its peak. The
    /// callsite is changed after.
    #[inline(always)]
    pub(crate) fn shrink(&self, size: i64, heap: &Heap, epoch: &AtomicU64) -> HasSettled {
        let net = self.net.load(Relaxed) - size;
        if net < self.lower.load(Relaxed) {
            self.fell(net, heap, epoch);
            return true;
        }
        self.net.store(net, Relaxed);
        false
    }

    /// Counts `size` bytes fewer, and returns whether it could: not if it should settle, or the heap falls from its
    /// peak; then nothing has happened.
    #[inline(always)]
    pub(crate) fn shrink_at_once(&self, size: i64) -> bool {
        let left = self.left_without_settling(size);
        if let Some(left) = left {
            self.keep(left);
        }
        left.is_some()
    }

    /// What is to be [kept](Self::keep) after `size` bytes fewer, unless it should settle, or the heap falls from its
    /// peak.
    #[inline(always)]
    pub(crate) fn left_without_settling(&self, size: i64) -> Option<i64> {
        let left = self.net.load(Relaxed) - size;
        (left >= self.lower.load(Relaxed)).then_some(left)
    }

    /// Holds so much back.
    #[inline(always)]
    pub(crate) fn keep(&self, left: i64) {
        self.net.store(left, Relaxed);
    }

    /// Changes the heap without a look whether it is at its peak. NOTE: for a thread that is alone, and looks itself.
    pub(crate) fn add(&self, bytes: i64) {
        self.net.store(self.net.load(Relaxed) + bytes, Relaxed);
    }

    /// How much a [`Tally`](crate::tables::tally::Tally) may hold before the heap is at its peak, as far as it has to look.
    pub(crate) fn room_of_tally(&self, heap: &Heap) -> i64 {
        if self.is_alone() {
            heap.peak.load(Relaxed) - heap.current.load(Relaxed) - self.net.load(Relaxed)
        } else {
            i64::MAX
        }
    }

    /// Whether it settles never.
    #[inline(always)]
    pub(crate) fn is_alone(&self) -> bool {
        self.alone.load(Relaxed)
    }

    #[inline(never)]
    fn rose(&self, net: i64, heap: &Heap) -> HasSettled {
        if !self.alone.load(Relaxed) {
            self.settle_risen(net, heap);
            return true;
        }
        let total = self.base.load(Relaxed) + net;
        heap.peak.store(total, Relaxed);
        heap.rising.store(true, Relaxed);
        if total > heap.exact_above.load(Relaxed) {
            heap.peak_error.store(0, Relaxed);
        }
        self.stand_at_peak(net, heap);
        false
    }

    /// The same as [`stand_at`](Self::stand_at), unless the peak may be off still: then [`rose`](Self::rose) is to
    /// look again when the heap rises further.
    fn stand_at_peak(&self, net: i64, heap: &Heap) {
        self.stand_at(net);
        if heap.peak_error.load(Relaxed) != 0 {
            self.upper.store(net - 1, Relaxed);
        }
    }

    #[inline(never)]
    fn fell(&self, net: i64, heap: &Heap, epoch: &AtomicU64) {
        if !self.alone.load(Relaxed) {
            return self.settle_fallen(net, heap, epoch);
        }
        self.tell_peak(heap);
        self.forget_peak();
        // The release pairs with the acquire in `net`: who sees less than the peak sees the peak told.
        self.net.store(net, Ordering::Release);
        if heap.rising.load(Relaxed) {
            heap.rising.store(false, Relaxed);
            epoch.store(epoch.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Has the heap know the peak that it is at, as far as only this account does. For whoever is about to change
    /// the heap by another way than the thread's account.
    pub(crate) fn tell_peak(&self, heap: &Heap) {
        let peak = self.lower.load(Relaxed);
        if self.alone.load(Relaxed) && peak != i64::MIN {
            raise(&heap.peak, self.base.load(Relaxed) + peak);
        }
    }

    #[cold]
    fn settle_risen(&self, net: i64, heap: &Heap) {
        let total = self.hand_over(net, heap);
        if total >= heap.peak.load(Relaxed) && heap.peak.fetch_max(total, Relaxed) <= total {
            heap.rising.store(true, Relaxed);
        }
        self.open_window(total, heap);
    }

    #[cold]
    fn settle_fallen(&self, net: i64, heap: &Heap, epoch: &AtomicU64) {
        let total = self.hand_over(net, heap);
        if heap.rising.load(Relaxed) && heap.rising.swap(false, Relaxed) {
            epoch.fetch_add(1, Relaxed);
        }
        self.open_window(total, heap);
    }

    /// How much may change before the next settling, with others.
    fn open_window(&self, total: i64, heap: &Heap) {
        if heap.exact.load(Relaxed) {
            // NOTE: not the same, which says that the thread is alone and the heap at its peak.
            self.upper.store(0, Relaxed);
            self.lower.store(1, Relaxed);
            return;
        }
        let threads = heap.threads.load(Relaxed);
        let room = heap.peak.load(Relaxed).saturating_sub(total);
        let credit = (room / (2 * threads)).clamp(LEAST_CREDIT, MOST_CREDIT);
        raise(&heap.most_credit, credit);
        raise(&heap.peak_error, heap.most_credit.load(Relaxed) * threads);
        self.upper.store(credit, Relaxed);
        self.lower.store(-credit, Relaxed);
    }

    /// Settles, and begins anew in this company.
    pub(crate) fn begin(&self, company: Company, heap: &Heap) {
        let total = self.settle(heap);
        if total >= heap.peak.load(Relaxed) {
            heap.peak.fetch_max(total, Relaxed);
            heap.rising.store(true, Relaxed);
        }
        self.alone.store(company == Company::Alone, Relaxed);
        if company == Company::WithOthers {
            // NOTE: who was alone until now and has not joined again must not take a peak for exact.
            heap.exact_above.store(i64::MAX, Relaxed);
            return self.open_window(total, heap);
        }
        let peak = heap.peak.load(Relaxed);
        self.base.store(total, Relaxed);
        self.upper.store(peak - total, Relaxed);
        heap.exact_above
            .store(peak + heap.peak_error.load(Relaxed), Relaxed);
        if heap.rising() {
            self.stand_at_peak(0, heap);
        }
    }

    /// Hands the thread's part to the heap, and returns the heap's settled total.
    pub(crate) fn settle(&self, heap: &Heap) -> i64 {
        self.tell_peak(heap);
        self.forget_peak();
        self.hand_over(self.net.load(Relaxed), heap)
    }

    /// Moves this part to the heap, and returns the heap's settled total. A reader finds it in one of the two places.
    fn hand_over(&self, net: i64, heap: &Heap) -> i64 {
        self.version.change(|| {
            self.net.store(0, Relaxed);
            heap.current.fetch_add(net, Relaxed) + net
        })
    }

    pub(crate) fn net(&self) -> i64 {
        // The acquire pairs with the release in `fell`.
        self.net.load(Ordering::Acquire)
    }

    /// What is held back, by `read`, which reads the account.
    ///
    /// NOTE: not `is_own` while it settles: then a signal handler reads, and nobody goes on before it is done.
    pub(crate) fn held_back(&self, is_own: bool, read: impl FnOnce() -> i64) -> HeldBack {
        let version = if is_own {
            Some(0)
        } else {
            self.version.before()
        };
        let bytes = read();
        HeldBack {
            bytes,
            versions: version,
        }
    }

    /// Knows of no peak that the heap is at: it fell, or another is asked for.
    pub(crate) fn forget_peak(&self) {
        self.lower.store(i64::MIN, Relaxed);
    }

    /// Forgets everything. NOTE: only while all threads stand still.
    pub(crate) fn clear(&self) {
        self.net.store(0, Relaxed);
        self.forget_peak();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// The counters of one thread, with few cells so that they are folded often.
    struct Tables {
        shared: Vec<SharedCounters>,
        cells: Vec<Cell>,
        account: Account,
        heap: Heap,
        epoch: AtomicU64,
        /// Whether the thread is to begin anew before its next change.
        must_begin: AtomicBool,
    }

    /// What the tables should say, kept by copying everything at every peak.
    #[derive(Default)]
    struct Model {
        callsites: Vec<ModelCallsite>,
        current: i64,
        peak: i64,
    }

    #[derive(Clone, Copy, Default)]
    struct ModelCallsite {
        current: Signed,
        peak: Signed,
        at_peak: Signed,
        total: (u64, u64),
    }

    const CALLSITES: usize = 16;
    const CELLS: usize = 4;

    fn zeroed<T>() -> T {
        // SAFETY: used below for structs of atomics only, for which zero is a value.
        unsafe { std::mem::zeroed() }
    }

    fn held_back(account: &Account) -> HeldBack {
        account.held_back(false, || account.net())
    }

    impl Tables {
        fn new() -> Tables {
            let tables = Tables {
                shared: (0..CALLSITES).map(|_| zeroed()).collect(),
                cells: (0..CELLS).map(|_| zeroed()).collect(),
                account: zeroed(),
                heap: Heap::new(),
                epoch: AtomicU64::new(1),
                must_begin: AtomicBool::new(true),
            };
            tables.begin();
            tables
        }

        fn begin(&self) {
            if self.must_begin.swap(false, Relaxed) {
                self.account.begin(Company::Alone, &self.heap);
            }
        }

        /// The cell of a callsite; NOTE: number 0 is "unused" in a cell, so callsites count from 1.
        fn cell(&self, callsite: usize) -> &Cell {
            let cell = &self.cells[callsite % CELLS];
            let epoch = self.epoch.load(Relaxed);
            let there = cell.callsite() as usize;
            if there != callsite + 1 {
                if there == 0 {
                    cell.empty_for(callsite as u32 + 1, epoch);
                } else {
                    cell.fold_alone_into(&self.shared[there - 1], callsite as u32 + 1, epoch);
                }
            }
            cell
        }

        /// Somebody frees a block who has no account here, as [`forget`](crate::record::tracer::forget) does.
        fn free_from_elsewhere(&self, callsite: usize, size: usize) {
            self.account.tell_peak(&self.heap);
            self.heap.add_directly(-(size as i64), &self.epoch);
            let epoch = self.epoch.load(Relaxed);
            let cell = &self.cells[callsite % CELLS];
            if cell.callsite() as usize == callsite + 1 {
                cell.fold_into(&self.shared[callsite], cell.callsite(), epoch);
            }
            let freed = Delta::freed(Weighted::one(size), epoch);
            self.shared[callsite].fold(&freed, epoch, || {});
            self.must_begin.store(true, Relaxed);
        }

        fn allocate(&self, callsite: usize, size: usize) {
            self.begin();
            let (number, bytes) = (callsite as u32 + 1, size as i64);
            let (epoch, ceiling) = (self.epoch.load(Relaxed), CellCeiling::ONE_THREAD);
            let cell = &self.cells[callsite % CELLS];
            if !cell.allocated_at_once(number, bytes, epoch, ceiling) {
                let cell = self.cell(callsite);
                let _ = cell.allocated(Weighted::one(size), false, epoch, ceiling);
            }
            self.account.grow(bytes, &self.heap);
        }

        fn free(&self, callsite: usize, size: usize) {
            self.begin();
            let (number, bytes) = (callsite as u32 + 1, size as i64);
            let ceiling = CellCeiling::ONE_THREAD;
            let cell = &self.cells[callsite % CELLS];
            match cell.bytes_after(number, bytes, ceiling) {
                Some(left) if self.account.shrink_at_once(bytes) => {
                    cell.freed_at_once(left, self.epoch.load(Relaxed));
                }
                _ => {
                    self.account.shrink(bytes, &self.heap, &self.epoch);
                    let cell = self.cell(callsite);
                    let _ = cell.freed(Weighted::one(size), self.epoch.load(Relaxed), ceiling);
                }
            }
        }

        fn read_heap(&self) -> TracedMemory {
            self.heap.read(|| held_back(&self.account))
        }

        fn read(&self, callsite: usize) -> Counters {
            let cell = &self.cells[callsite % CELLS];
            let mine = || cell.read_of(callsite as u32 + 1).into_iter();
            self.shared[callsite].sum(mine, self.epoch.load(Relaxed), self.heap.rising())
        }
    }

    impl Model {
        fn allocate(&mut self, callsite: usize, size: usize) {
            let it = &mut self.callsites[callsite];
            it.current = it.current.plus(Signed::new(size as i64, 1));
            it.peak = it.peak.max(it.current);
            it.total = (it.total.0 + size as u64, it.total.1 + 1);
            self.current += size as i64;
            if self.current >= self.peak {
                self.peak = self.current;
                self.callsites
                    .iter_mut()
                    .for_each(|it| it.at_peak = it.current);
            }
        }

        fn free(&mut self, callsite: usize, size: usize) {
            let it = &mut self.callsites[callsite];
            it.current = it.current.plus(Signed::new(-(size as i64), -1));
            self.current -= size as i64;
        }
    }

    /// A thousand random traces, each compared after every step with a model that copies all
    /// counters at every peak.
    #[test]
    fn one_thread_is_exact_at_every_step() {
        let mut random = 0x2545_F491_4F6C_DD1D_u64;
        let mut next = move |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 33) as usize % below
        };
        for trace in 0..1_000 {
            let tables = Tables::new();
            let mut model = Model {
                callsites: vec![ModelCallsite::default(); CALLSITES],
                ..Model::default()
            };
            let mut live = Vec::new();
            for _ in 0..60 {
                // Few sizes, so that equal peaks are common; phases that grow and that shrink.
                if live.is_empty() || next(4) > trace % 3 {
                    let block = (next(CALLSITES), 1 + next(3));
                    live.push(block);
                    tables.allocate(block.0, block.1);
                    model.allocate(block.0, block.1);
                } else {
                    let block = live.swap_remove(next(live.len()));
                    match next(8) {
                        0 => tables.free_from_elsewhere(block.0, block.1),
                        1 => {
                            tables.account.settle(&tables.heap);
                            tables.free_from_elsewhere(block.0, block.1);
                        }
                        _ => tables.free(block.0, block.1),
                    }
                    model.free(block.0, block.1);
                }
                let heap = tables.read_heap();
                assert_eq!(heap.current, model.current as u64);
                assert_eq!(heap.peak, model.peak as u64);
                assert_eq!(heap.peak_error, 0);
                for (callsite, expected) in model.callsites.iter().enumerate() {
                    let counters = tables.read(callsite);
                    assert_eq!(counters.current, expected.current.amount());
                    assert_eq!(counters.peak, expected.peak.amount());
                    assert_eq!(counters.at_peak, expected.at_peak.amount());
                    assert_eq!(
                        counters.total,
                        Amount::new(expected.total.0, expected.total.1)
                    );
                }
            }
        }
    }

    #[test]
    fn with_others_the_total_is_exact_and_the_peak_is_within_its_error() {
        let heap = Heap::new();
        heap.set_threads(2);
        let epoch = AtomicU64::new(1);
        let accounts: [Account; 2] = [zeroed(), zeroed()];
        accounts
            .iter()
            .for_each(|account| account.begin(Company::WithOthers, &heap));
        let (mut current, mut peak) = (0_i64, 0_i64);
        let mut random = 88_172_645_463_325_252_u64;
        for step in 0..100_000_i64 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let account = &accounts[(random >> 40) as usize % 2];
            let size = (random >> 50) as i64;
            // Up and down in long waves, each higher than the last.
            if (step / 5_000) % 2 == 0 || current < size {
                account.grow(size, &heap);
                current += size;
            } else {
                account.shrink(size, &heap, &epoch);
                current -= size;
            }
            peak = peak.max(current);
            let read = heap.read(|| held_back(&accounts[0]).plus(held_back(&accounts[1])));
            assert_eq!(read.current, current as u64);
            let off = read.peak.get().abs_diff(peak as u64);
            assert!(
                off <= read.peak_error.get(),
                "{off} off, {:?} allowed",
                read.peak_error
            );
            assert!(read.peak_error <= 2 * MOST_CREDIT as u64);
        }
        // Alone again: what is beyond the doubt is exact.
        accounts[1].settle(&heap);
        accounts[0].begin(Company::Alone, &heap);
        accounts[0].grow(3 * MOST_CREDIT + peak - current, &heap);
        let read = heap.read(|| held_back(&accounts[0]));
        assert_eq!((read.peak_error.get(), read.peak), (0, read.current));
    }

    #[test]
    fn a_fold_keeps_a_producer_and_a_consumer_from_adding_up_to_a_peak() {
        let shared: SharedCounters = zeroed();
        let (producer, consumer): (Cell, Cell) = (zeroed(), zeroed());
        producer.empty_for(1, 1);
        consumer.empty_for(1, 1);
        for _ in 0..10_000 {
            if producer.allocated(Weighted::one(1_000), false, 1, CellCeiling::MANY_THREADS) {
                producer.fold_into(&shared, 1, 1);
            }
            if consumer.freed(Weighted::one(1_000), 1, CellCeiling::MANY_THREADS) {
                consumer.fold_into(&shared, 1, 1);
            }
        }
        let cells = || [producer.read(), consumer.read()].into_iter();
        let counters = shared.sum(cells, 1, false);
        assert_eq!(counters.current, Amount::default());
        assert_eq!(counters.total, Amount::new(10_000_000, 10_000));
        let bound = 2 * CellCeiling::MANY_THREADS.0 as u64 + 2_000;
        assert!(
            counters.peak.bytes <= Bytes::new(bound),
            "{:?} > {bound}",
            counters.peak.bytes
        );
    }
}
