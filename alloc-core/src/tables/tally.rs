//! [`Tally`]: the heap's counters of one thread, in a session that counts blocks and captures no
//! stacks.

use crate::system::sync::{ATTEMPTS, AtomicI64, AtomicU64, Ordering, fence, wait};
use crate::tables::counters::{Account, Delta, Heap, SharedCounters, Signed};
use crate::tables::version::Version;
use Ordering::Relaxed;

/// What one thread changed in the whole heap since it last folded, in a session that only counts
/// blocks. It is to the heap what a [`Cell`](crate::tables::counters::Cell) is to a callsite.
///
/// # Why no peak is missed
///
/// A peak is followed by a free. So an allocation only adds, and a free checks for a peak before it
/// subtracts: are there as many bytes, or as many blocks, as ever before?
///
/// *Single*: the thread's tally is its part of the heap, and is not in its [`Account`]. If a check
/// finds the heap at its peak, it records the peak and moves the epoch, since the heap shrinks now.
/// *Multi*: the account has the tally's bytes as well and settles as usual. The code that settles,
/// or moves the epoch, also [saves](Self::save_if_old) and [folds](Self::fold_into) the tally.
///
/// # Cost
///
/// An allocation adds to two words. A free adds to two others and compares the two pairs. So an
/// allocation compares nothing, and a free compares four words that are in the L1 cache.
///
/// PERF: 112 instructions for a pair of an allocation and a free, against 137 with an account and a
/// cell (counters only).
#[repr(C)]
#[cfg_attr(loom, derive(Default))]
pub(crate) struct Tally {
    total_bytes: AtomicI64,
    total_blocks: AtomicI64,
    /// Allocated bytes at which, or allocated blocks above which, a free must
    /// [check](Self::check_peak) for a peak: the limit plus what was freed.
    most_bytes: AtomicI64,
    most_blocks: AtomicI64,
    /// The net bytes at which this tally or the heap is at its peak, whichever is lower.
    limit_bytes: AtomicI64,
    /// The highest net values that a check has seen. For blocks this is also the limit.
    high_bytes: AtomicI64,
    high_blocks: AtomicI64,
    /// The net values at the heap's peak, if `epoch` is the current one.
    saved_bytes: AtomicI64,
    saved_blocks: AtomicI64,
    epoch: AtomicU64,
    reallocations: AtomicU64,
    /// Guards changes to more than one of these words.
    version: Version,
}

impl Tally {
    #[inline(always)]
    pub(crate) fn allocated(&self, size: usize) {
        add(&self.total_bytes, size as i64);
        add(&self.total_blocks, 1);
    }

    /// Whether a free must [check](Self::check_peak) for a peak first.
    #[inline(always)]
    pub(crate) fn needs_peak_check(&self) -> bool {
        self.total_bytes.load(Relaxed) >= self.most_bytes.load(Relaxed)
            || self.total_blocks.load(Relaxed) > self.most_blocks.load(Relaxed)
    }

    /// Counts a free, after `check_peak` if that is needed.
    #[inline(always)]
    pub(crate) fn freed(&self, size: usize) {
        add(&self.most_bytes, size as i64);
        add(&self.most_blocks, 1);
    }

    /// Counts a reallocation of a counted block; if it shrinks, after `check_peak` if that is
    /// needed.
    #[inline(always)]
    pub(crate) fn reallocated(&self, old_size: usize, size: usize) {
        self.version.change(|| {
            self.allocated(size);
            self.freed(old_size);
            self.add_reallocation();
        });
    }

    pub(crate) fn add_reallocation(&self) {
        self.reallocations
            .store(self.reallocations.load(Relaxed) + 1, Relaxed);
    }

    /// Records the present values if they are a peak. Called before they shrink.
    #[inline(never)]
    pub(crate) fn check_peak(&self, account: &Account, heap: &Heap, epoch: &AtomicU64) {
        let net = self.net();
        self.version.change(|| {
            self.raise(net);
            if account.is_alone() && heap.note_peak(account.net() + net.bytes) {
                let next = epoch.load(Relaxed) + 1;
                self.save(net, next);
                epoch.store(next, Relaxed);
                // The heap shrinks now. It is at its peak again at the same size.
                self.limit_to(net, net.bytes);
            } else {
                self.limit_to(net, account.room_of_tally(heap));
            }
        });
    }

    /// Recomputes the limit after the heap changed outside the tally. Only for a single thread;
    /// after `check_peak` if the heap shrank.
    pub(crate) fn recompute_limit(&self, account: &Account, heap: &Heap) {
        let net = self.net();
        self.version
            .change(|| self.limit_to(net, account.room_of_tally(heap)));
    }

    #[inline(always)]
    fn raise(&self, net: Signed) {
        if net.bytes > self.high_bytes.load(Relaxed) {
            self.high_bytes.store(net.bytes, Relaxed);
        }
        if net.blocks > self.high_blocks.load(Relaxed) {
            self.high_blocks.store(net.blocks, Relaxed);
            // The limit is the present number of blocks: one more is a new peak.
            self.most_blocks
                .store(self.total_blocks.load(Relaxed), Relaxed);
        }
    }

    #[inline(always)]
    fn limit_to(&self, net: Signed, room_of_heap: i64) {
        let limit = room_of_heap.min(self.high_bytes.load(Relaxed));
        let freed = self.total_bytes.load(Relaxed) - net.bytes;
        self.limit_bytes.store(limit, Relaxed);
        self.most_bytes.store(limit + freed, Relaxed);
    }

    /// Saves the present values as those at the peak, unless already done in this epoch.
    pub(crate) fn save_if_old(&self, epoch: u64) {
        if self.epoch.load(Relaxed) != epoch {
            self.save(self.net(), epoch);
        }
    }

    fn save(&self, net: Signed, epoch: u64) {
        self.saved_bytes.store(net.bytes, Relaxed);
        self.saved_blocks.store(net.blocks, Relaxed);
        self.epoch.store(epoch, Relaxed);
    }

    /// Whether it has counted nothing since it last folded.
    pub(crate) fn is_empty(&self) -> bool {
        self.total_blocks.load(Relaxed) == 0 && self.net() == Signed::default()
    }

    /// Folds into the shared counters, and for a single thread into the account, too.
    pub(crate) fn fold_into(&self, shared: &SharedCounters, account: &Account, epoch: u64) {
        let delta = self.read();
        self.version.change(|| {
            if account.is_alone() {
                account.add(delta.net.bytes);
            }
            shared.fold(&delta, epoch, || self.empty(epoch));
        });
    }

    /// Sets all counts to zero.
    pub(crate) fn empty(&self, epoch: u64) {
        for number in [
            &self.total_bytes,
            &self.total_blocks,
            &self.most_bytes,
            &self.most_blocks,
            &self.limit_bytes,
            &self.high_bytes,
            &self.high_blocks,
        ] {
            number.store(0, Relaxed);
        }
        self.reallocations.store(0, Relaxed);
        // The shared part holds the values at the peak, so the tally's own part of the peak is
        // zero.
        self.save(Signed::default(), epoch);
    }

    /// The present net values.
    #[inline(always)]
    fn net(&self) -> Signed {
        let net = |total: &AtomicI64, most: &AtomicI64, limit: &AtomicI64| {
            total.load(Relaxed) - (most.load(Relaxed) - limit.load(Relaxed))
        };
        Signed::new(
            net(&self.total_bytes, &self.most_bytes, &self.limit_bytes),
            net(&self.total_blocks, &self.most_blocks, &self.high_blocks),
        )
    }
}

/// Methods for other threads, safe while the owner counts.
impl Tally {
    /// The result of `read`, which reads this tally and the account, at a moment when neither
    /// changes.
    ///
    /// NOTE: it waits for a preempted owner, but only for a bounded number of attempts; the last
    /// one counts. With `at_once` it does not wait at all: a signal handler that may have
    /// interrupted the owner must not.
    pub(crate) fn read_consistent<R>(&self, at_once: bool, read: impl Fn() -> R) -> R {
        for attempt in 0..ATTEMPTS {
            let before = self.version.before();
            // The acquire pairs with the release in `add`.
            let most = self.most_bytes.load(Ordering::Acquire);
            let it = read();
            fence(Ordering::Acquire);
            // If the freed bytes are equal before and after, the net is the one at the moment the
            // total was loaded.
            let is_steady = self.most_bytes.load(Relaxed) == most;
            if is_steady && before == Some(self.version.after()) {
                return it;
            }
            if at_once {
                break;
            }
            wait(attempt);
        }
        read()
    }

    pub(crate) fn net_bytes(&self) -> i64 {
        self.net().bytes
    }

    pub(crate) fn read(&self) -> Delta {
        let net = self.net();
        let high = Signed::new(
            self.high_bytes.load(Relaxed),
            self.high_blocks.load(Relaxed),
        );
        Delta {
            net,
            high: high.max(net),
            saved: Signed::new(
                self.saved_bytes.load(Relaxed),
                self.saved_blocks.load(Relaxed),
            ),
            epoch: self.epoch.load(Relaxed),
            total_bytes: self.total_bytes.load(Relaxed) as u64,
            total_blocks: self.total_blocks.load(Relaxed) as u64,
            reallocations: self.reallocations.load(Relaxed),
            copied: 0,
        }
    }
}

/// Adds to a word that others read; they see additions in program order.
#[inline(always)]
fn add(to: &AtomicI64, number: i64) {
    // The release pairs with the acquires in `read_consistent` and after it.
    to.store(to.load(Relaxed).wrapping_add(number), Ordering::Release);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::system::sync::AtomicBool;
    use crate::tables::counters::Concurrency;

    fn zeroed<T>() -> T {
        // SAFETY: used below for structs of atomics only, for which zero is a value.
        unsafe { std::mem::zeroed() }
    }

    /// At any moment of the owner's work, a reader sees the values between two of its steps.
    #[test]
    fn another_thread_reads_what_there_was_at_one_moment() {
        let (tally, account, shared): (Tally, Account, SharedCounters) =
            (zeroed(), zeroed(), zeroed());
        let (heap, epoch, is_done) = (Heap::new(), AtomicU64::new(1), AtomicBool::new(false));
        account.begin(Concurrency::Single, &heap);
        // With `beside` bytes elsewhere in the heap: no block, a small one, a large one.
        let beside = 7;
        account.add(beside);
        let valid = [beside, beside + 1_000, beside + 3_000];
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let free = |size| {
                    if tally.needs_peak_check() {
                        tally.check_peak(&account, &heap, &epoch);
                    }
                    tally.freed(size);
                };
                // Pauses some steps as long as a program would.
                let rest = |round: usize| (0..round % 64).for_each(|_| std::hint::spin_loop());
                for round in 0..100_000 {
                    tally.allocated(1_000);
                    rest(round);
                    if round % 3 == 0 {
                        tally.reallocated(1_000, 3_000);
                        rest(round);
                        free(3_000);
                    } else {
                        free(1_000);
                    }
                    if round % 7 == 0 {
                        tally.allocated(1_000);
                        tally.check_peak(&account, &heap, &epoch);
                        tally.fold_into(&shared, &account, epoch.load(Relaxed));
                        rest(round);
                        tally.check_peak(&account, &heap, &epoch);
                        tally.freed(1_000);
                    }
                    rest(round);
                }
                is_done.store(true, Ordering::Release);
            });
            while !is_done.load(Ordering::Acquire) {
                let held_back = tally.read_consistent(false, || account.net() + tally.net_bytes());
                assert!(valid.contains(&held_back), "{held_back}");
            }
        });
        assert_eq!(
            heap.read(|| account.held_back(true, || account.net() + tally.net_bytes()))
                .peak,
            3_000 + beside as u64
        );
    }
}
